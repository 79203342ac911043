/**
 * The oracle over random modules: a guest that has run for a while is saved, and restored into a fresh instance that was
 * instrumented in another way. The two cannot be told apart, now or by what the same calls do to both; and a rollback
 * returns to the restored state.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../../contract/errors.js';
import { instrument } from '../../../rewriter/index.js';
import { instantiateSync } from '../../../runtime/node.js';
import type { Guest } from '../../../runtime/types.js';
import { drawOptions, type Kind, SCRIPT_BYTES } from '../../random/case.js';
import { KINDS } from '../../random/kinds.js';
import { BETWEEN, testUnless } from '../../support/engines-skip.js';
import { exposeState } from '../../support/expose.js';
import { type Generated, randomBytes, Tape } from '../../support/generate.js';
import { assertSame, type Call, compareOutcomes, outcome, show, snapshot } from '../../support/oracle.js';

const COUNT = Number(process.env.BELAY_RANDOM_COUNT ?? 200);

/** The case says nothing. */
class Inconclusive extends Error {}

function load(kind: Kind, generated: Generated, exposed: Uint8Array, script: Tape): Guest {
  try {
    const { wasm } = instrument(exposed, { ...drawOptions(script, kind), omit: [] });
    return instantiateSync(
      wasm as Uint8Array<ArrayBuffer>,
      generated.imports(() => {}),
    );
  } catch (error) {
    // What it says of the original is tested elsewhere.
    throw new Inconclusive(error instanceof BelayError ? error.code : 'it does not instantiate');
  }
}

function call(guest: Guest, module: Generated, [name, ...args]: Call) {
  const run = (export_: string, values: readonly unknown[]) =>
    outcome(() => (guest.exports[export_] as (...a: unknown[]) => unknown)(...values));
  if (module.before) run(module.before[0], module.before.slice(1));
  const result = run(name, args);
  if (result.exhausted) throw new Inconclusive('the stack ran out');
  return result;
}

async function runCase(kind: Kind, bytes: Uint8Array): Promise<void> {
  const script = new Tape(bytes.subarray(0, SCRIPT_BYTES));
  const module = await kind.generate(new Tape(bytes.subarray(SCRIPT_BYTES)));
  if (!WebAssembly.validate(module.wasm as Uint8Array<ArrayBuffer>))
    throw new Inconclusive('not for this engine');
  const exposed = exposeState(module.wasm);
  const [first, second] = [load(kind, module, exposed, script), load(kind, module, exposed, script)];
  const calls = (): Call[] =>
    Array.from({ length: 1 + script.below(4) }, () => {
      const { name, args } = script.pick(module.exports);
      return [name, ...script.pick(args)] as Call;
    });
  if (module.exports.length === 0) throw new Inconclusive('it exports nothing');
  if (script.below(2)) first.checkpoint();
  for (const one of calls()) call(first, module, one);
  // Whatever it was in the middle of.
  if (script.below(2)) second.checkpoint();
  for (const one of calls()) call(second, module, one);

  let document: Uint8Array;
  try {
    document = first.save();
  } catch (error) {
    if ((error as BelayError).code !== 'ERR_BELAY_STATE') throw error;
    throw new Inconclusive('a reference that cannot be saved');
  }
  const restored = snapshot(first);
  second.restore(document);
  assertSame(snapshot(second), restored, 'restored');
  assert.ok(Buffer.from(second.save()).equals(Buffer.from(document)), 'saved again it is the same document');
  for (const one of calls()) {
    const [a, b] = [call(first, module, one), call(second, module, one)];
    const difference = compareOutcomes(b, a);
    if (difference) {
      // What the second guest had and lost of memories and tables may still be there, and other words be used.
      const trap = a.trap ?? b.trap ?? '';
      if (/out of bounds/i.test(trap)) throw new Inconclusive('out of bounds');
      throw new Error(`${one[0]}(${one.slice(1).map(show).join(', ')}) of the restored guest: ${difference}`);
    }
    assertSame(snapshot(second), snapshot(first), `after ${one[0]}`);
  }
  second.rollback();
  assertSame(snapshot(second), restored, 'rolled back');
}

testUnless(test, BETWEEN, `${COUNT} random modules, saved and restored`, async () => {
  const inconclusive: Record<string, number> = {};
  for (let n = 0; n < COUNT; n++) {
    const kind = KINDS[n % KINDS.length]!;
    try {
      await runCase(kind, randomBytes(0x5a7e + n, SCRIPT_BYTES + kind.tape));
    } catch (error) {
      if (!(error instanceof Inconclusive)) {
        throw new Error(`case ${n} (${kind.name}): ${(error as Error).message}`, { cause: error });
      }
      inconclusive[error.message] = (inconclusive[error.message] ?? 0) + 1;
    }
  }
  console.log(JSON.stringify(inconclusive));
  const lost = Object.values(inconclusive).reduce((sum, count) => sum + count, 0);
  assert.ok(lost < 0.3 * COUNT, `${lost} of ${COUNT} cases say nothing`);
});

test.run();
