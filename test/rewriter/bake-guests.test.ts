/**
 * Baking the states of guests: on random modules and on real ones, what comes out has the state of the guest and goes on
 * like it, in an engine that knows nothing of Belay, and instrumented once more.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../contract/errors.js';
import type { GuestState } from '../../contract/state.js';
import { bake, instrument } from '../../rewriter/index.js';
import { type Module, parseModule } from '../../rewriter/wasm/module.js';
import { instantiate, instantiateSync } from '../../runtime/index.js';
import { createWasi } from '../../runtime/wasi/index.js';
import { drawOptions, type Kind, SCRIPT_BYTES } from '../random/case.js';
import { KINDS } from '../random/kinds.js';
import { HAS_MEMORIES } from '../support/engines-skip.js';
import { exposeState } from '../support/expose.js';
import { randomBytes, Tape } from '../support/generate.js';
import { modules, Unreachable } from '../support/modules.js';
import {
  assertSame,
  type Call,
  compareOutcomes,
  Exhausted,
  NotInstantiated,
  outcome,
  snapshot,
  Twins,
} from '../support/oracle.js';
import { goOn, load, stateOfGuest } from './bake-support.js';

// --- random modules ----------------------------------------------------------------------------------------------------

const COUNT = Number(process.env.BELAY_BAKE_COUNT ?? 20);

/** Runs a random guest through some epochs, bakes its state, and goes on. Returns why it says nothing, if it does not. */
async function randomCase(kind: Kind, seed: number): Promise<string | undefined> {
  const bytes = randomBytes(seed, kind.tape);
  const script = new Tape(bytes.subarray(0, SCRIPT_BYTES));
  const { oracle: _, ...options } = drawOptions(script, kind);
  const generated = await kind.generate(new Tape(bytes.subarray(SCRIPT_BYTES)));
  if (!WebAssembly.validate(generated.wasm as Uint8Array<ArrayBuffer>)) return 'not for this engine';
  const draw = (): Call[] => {
    const { name, args } = script.pick(generated.exports);
    const call: Call = [name, ...script.pick(args)];
    return generated.before ? [generated.before, call] : [call];
  };
  try {
    const twins = new Twins(generated.wasm, {
      instrument: options,
      imports: () => generated.imports(() => {}),
    });
    for (let i = 2 + script.below(4); i > 0; i--) {
      twins.guest.checkpoint();
      if (script.below(2)) {
        for (const call of [...draw(), ...draw()]) twins.guestCall(call);
        twins.guest.rollback();
      }
      for (const call of [...draw(), ...draw()]) {
        // The twin cannot be told how large a memory of the guest really is.
        const [a, b] = [twins.guestCall(call), twins.plainCall(call)];
        if (compareOutcomes(a, b)) return 'guest and twin differ';
      }
    }
    const guest = snapshot(twins.guest);
    const { wasm } = bake(exposeState(generated.wasm), twins.contract, twins.guest.state);
    const fresh = load(
      wasm,
      generated.imports(() => {}),
    );
    assertSame(snapshot(fresh), guest, 'baked');
    goOn(twins.plain, fresh, [...draw(), ...draw(), ...draw(), ...draw()]);
    const { wasm: again, contract } = instrument(wasm, options);
    const next = instantiateSync(
      again as Uint8Array<ArrayBuffer>,
      generated.imports(() => {}),
    );
    assertSame(snapshot(next), guest, 'baked and instrumented');
    if (contract.functions.join() !== twins.contract.functions.join())
      throw new Error('other functions are declared');
    twins.guest[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (error instanceof Exhausted) return 'the stack ran out';
    if (error instanceof NotInstantiated) return 'it does not instantiate';
    const { code, message } = error as BelayError;
    if (code === 'ERR_BELAY_REFUSED') return 'refused';
    if (code === 'ERR_BELAY_STATE' && /object of the host|JavaScript cannot look/.test(message))
      return 'host objects';
    throw error;
  }
}

for (const kind of KINDS) {
  const count = kind.name.startsWith('wasm-opt') ? Math.ceil(COUNT / 8) : COUNT;
  test(`${count} random modules: ${kind.name}`, async () => {
    const quiet: Record<string, number> = {};
    let said = 0;
    for (let seed = 1; seed <= count; seed++) {
      try {
        const why = await randomCase(kind, seed * 7919);
        if (why) quiet[why] = (quiet[why] ?? 0) + 1;
        else said++;
      } catch (error) {
        (error as Error).message = `seed ${seed}: ${(error as Error).message}`;
        throw error;
      }
    }
    assert.ok(said >= count / 3, `only ${said} of ${count} say anything: ${JSON.stringify(quiet)}`);
  });
}

// --- the notes sample --------------------------------------------------------------------------------------------------

const NOTES = fileURLToPath(new URL('../../../samples/notes/notes.wasm', import.meta.url));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** As much of WASI as the sample needs, for a plain instance. */
function plainWasi(wasm: Uint8Array): { instance: WebAssembly.Instance; ask(request: string): string } {
  let input = new Uint8Array();
  let output = '';
  const view = () => new DataView((instance.exports.memory as WebAssembly.Memory).buffer);
  /** Calls `each` for each buffer of a list. */
  const vectors = (at: number, count: number, done: number, each: (bytes: Uint8Array) => number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const [from, length] = [view().getUint32(at + 8 * i, true), view().getUint32(at + 8 * i + 4, true)];
      sum += each(new Uint8Array(view().buffer, from, length));
    }
    view().setUint32(done, sum, true);
    return 0;
  };
  const wasi = {
    fd_close: () => 0,
    fd_seek: () => 70,
    proc_exit: (code: number) => {
      throw new Error(`exit ${code}`);
    },
    fd_read: (_: number, at: number, count: number, done: number) =>
      vectors(at, count, done, (bytes) => {
        const part = input.subarray(0, bytes.length);
        bytes.set(part);
        input = input.subarray(part.length);
        return part.length;
      }),
    fd_write: (_: number, at: number, count: number, done: number) =>
      vectors(at, count, done, (bytes) => {
        output += text(bytes);
        return bytes.length;
      }),
  };
  const instance = load(wasm, { wasi_snapshot_preview1: wasi });
  return {
    instance,
    ask(request) {
      input = new TextEncoder().encode(request);
      output = '';
      (instance.exports.handle as () => void)();
      return output;
    },
  };
}

const http = (method: string, target: string, body = '') =>
  `${method} ${target} HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

async function notesGuest(wasm: Uint8Array) {
  const wasi = await createWasi({ args: ['notes'] });
  const guest = await instantiate(wasm as Uint8Array<ArrayBuffer>, (guest) => wasi.imports(guest));
  wasi.initialize(guest);
  const ask = (request: string) => {
    wasi.setStdin(request);
    (guest.exports.handle as () => void)();
    return text(wasi.takeStdout());
  };
  return { guest, ask };
}

const WARM = Array.from({ length: 60 }, (_, i) =>
  http('POST', '/notes', `note ${i} about ${'milk '.repeat(i % 9)}`),
);
const LATER = [
  http('GET', '/notes'),
  http('GET', '/search?q=milk'),
  http('POST', '/notes', 'one more'),
  http('DELETE', '/notes/3'),
  http('GET', '/notes/61'),
  http('GET', '/notes?after=50'),
];

if (existsSync(NOTES)) {
  const original = readFileSync(NOTES);

  test('notes: warmed by requests, baked, and served by a plain instance', async () => {
    const { wasm } = instrument(original, { layout: 'inline', reserve: 64 << 20 });
    const { guest, ask } = await notesGuest(wasm);
    for (const request of WARM) assert.match(ask(request), '201');
    guest.checkpoint();
    assert.throws(() => ask(http('POST', '/crash/scribble')));
    guest.rollback();
    const made = bake(original, guest.contract, guest.state);
    console.log(
      `\nnotes.wasm: ${original.length} bytes; with ${WARM.length} notes ${made.wasm.length}, ${made.report.segments} data segments of ${made.report.bytes}`,
    );
    assert.equal(made.report.finished, ['_initialize']);
    assert.match(made.report.warnings.join(), 'host kept');
    const plain = plainWasi(made.wasm);
    (plain.instance.exports._initialize as () => void)();
    assertSame(snapshot(plain.instance), snapshot(guest), 'baked');

    // The same through Belay once more, with a guest of the new module.
    const next = await notesGuest(instrument(made.wasm, { layout: 'inline', reserve: 64 << 20 }).wasm);
    assertSame(snapshot(next.guest), snapshot(guest), 'baked and instrumented');
    for (const request of LATER) {
      const answer = ask(request);
      assert.match(answer, /HTTP\/1.1 20|^Status: 20|20\d/);
      assert.is(plain.ask(request), answer, request);
      assert.is(next.ask(request), answer, `${request}, instrumented`);
    }
    assertSame(snapshot(plain.instance), snapshot(guest), 'afterwards');
    assertSame(snapshot(next.guest), snapshot(guest), 'afterwards, instrumented');
  });
}

// --- modules from npm --------------------------------------------------------------------------------------------------

/** Imports that do nothing, of the right kinds. */
function stubs(module: Module): WebAssembly.Imports {
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  const counts = [0, 0, 0, 0];
  for (const { names, kind } of module.imports) {
    const i = counts[kind]++;
    imports[names.module] ??= {};
    const own = imports[names.module]!;
    if (kind === 0) {
      const results = module.types[module.functions[i!]!.type]!.results.map((type) => type[0]);
      own[names.name] = () => (results[0] === 0x7e ? 0n : 0);
    } else if (kind === 2) {
      const { minimum: initial, maximum } = module.memories[i!]!;
      own[names.name] = new WebAssembly.Memory({ initial, ...(maximum !== undefined && { maximum }) });
    } else if (kind === 1) {
      const { minimum: initial, maximum } = module.tables[i!]!;
      own[names.name] = new WebAssembly.Table({
        element: 'anyfunc',
        initial,
        ...(maximum !== undefined && { maximum }),
      });
    } else own[names.name] = 0;
  }
  return imports;
}

const STEPS = 7;
const CALLS = 40;

for (const real of modules) {
  test(`${real.name}: at work, baked, and called`, async () => {
    let bytes: Uint8Array;
    try {
      bytes = exposeState(await real.bytes());
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      console.log(`\nSKIP ${real.name}: ${error.message}`);
      return;
    }
    const options = { ...real.options(HAS_MEMORIES ? 'separate' : 'inline'), steps: true };
    const { wasm, contract } = instrument(bytes, options);
    const workload = await real.load(wasm as Uint8Array<ArrayBuffer>);
    for (let n = 0; n < STEPS; n++) workload.step(n);
    const guest = workload.guest!;
    // Functions that glue puts into a table, and objects of the host: a module cannot name them.
    const refused = /object of the host|function of another module/;
    let whole: GuestState;
    try {
      whole = stateOfGuest(guest, bytes);
    } catch (error) {
      assert.match((error as Error).message, refused);
      console.log(`\n${real.name}: ${(error as Error).message}`);
      return;
    }
    const made = bake(bytes, contract, whole);
    console.log(
      `\n${real.name}: ${bytes.length} bytes; after ${STEPS} steps ${made.wasm.length}, ${made.report.segments} data segments of ${made.report.bytes}, ${made.report.elements} elements in ${made.report.elementSegments}`,
    );
    const module = parseModule(made.wasm);
    const compiled = new WebAssembly.Module(made.wasm as Uint8Array<ArrayBuffer>);
    const plain = () => new WebAssembly.Instance(compiled, stubs(module));
    const first = plain();
    const state = snapshot(guest);
    // What the module imports and does not export is not in a snapshot; exposeState exports all.
    assertSame(snapshot(first), state, 'baked');

    // A second guest, without the glue, in the same state: what its functions do, those of the new module do.
    if (module.memories.some((m) => m.import)) return;
    const twin = instantiateSync(wasm as Uint8Array<ArrayBuffer>, stubs(parseModule(bytes)));
    twin.state.load(whole);
    assertSame(snapshot(twin), state, 'loaded');
    const names = module.exports
      .filter((e) => e.kind === 0 && !e.name.startsWith('state:'))
      .map((e) => e.name);
    let compared = 0;
    for (let i = 0; i < names.length && compared < CALLS; i++) {
      const name = names[(i * 7) % names.length]!;
      if (made.report.finished.includes(name)) continue;
      const { params } =
        module.types[module.functions[module.exports.find((e) => e.name === name)!.index]!.type]!;
      const args = params.map((type, k) => (type[0] === 0x7e ? BigInt(16 * k) : 16 * k));
      const run = (exports: WebAssembly.Exports) =>
        outcome(() => (exports[name] as (...a: unknown[]) => unknown)(...args));
      twin.checkpoint();
      twin.limit({ steps: 100_000 });
      const a = run(twin.exports);
      if (!twin.overrun && !a.exhausted) {
        const fresh = plain();
        const b = run(fresh.exports);
        const difference = compareOutcomes(b, a);
        if (difference) throw new Error(`${name}(${args}): ${difference}`);
        assertSame(snapshot(fresh), snapshot(twin), `after ${name}(${args})`);
        compared++;
      }
      twin.rollback();
    }
    assert.ok(compared > 0, 'no function could be called');
  });
}

test.run();
