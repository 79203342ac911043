/** Options are checked, and each changes what it says. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, instrument } from '../../rewriter/index.js';
import { type InstrumentOptions, OMITTABLE } from '../../rewriter/types.js';
import { instantiateSync } from '../../runtime/index.js';
import { HAS_MEMORIES } from '../support/engines-skip.js';
import { assemble, errorOf, REGIONS } from './support.js';

const TEXT = `(module (memory 2 8) (func $g) (func (export "f") (param i32)
  (i32.store (local.get 0) (i32.const 1)) (i32.store (local.get 0) (i32.const 2)) (loop (call $g)) (drop (i32.load (local.get 0)))))`;

for (const [wrong, message] of [
  [{ regoin: 64 }, /unknown option 'regoin'/],
  [{ mechanism: 'cow' }, /mechanism 'cow'/],
  [{ region: 0 }, /region is 0/],
  [{ region: 48 }, /power of two/],
  [{ region: 8192 }, /4096/],
  [{ region: '64' }, /region is 64/],
  [{ layout: 'both' }, /layout 'both'/],
  [{ layout: 'inline', reserve: -1 }, /reserve is -1/],
  [{ layout: 'inline', reserve: 2 ** 33 }, /at most 4 GiB/],
  [{ layout: 'inline', reserve: 65536 }, /smaller than the module's memory/],
  [{ layout: 'separate', reserve: 1 << 20 }, /'separate'/],
  [{ layout: 'separate', checkLoads: true }, /checkLoads/],
  [{ steps: 1 }, /steps must be true or false/],
  [{ optimize: 'yes' }, /optimize must be/],
  [{ omit: ['stores'] }, /unknown kind 'stores'/],
] as const) {
  test(`refused: ${JSON.stringify(wrong)}`, async () => {
    const bytes = await assemble(TEXT);
    const error = errorOf(() => instrument(bytes, wrong as unknown as InstrumentOptions));
    assert.is(error.code, 'ERR_BELAY_OPTION');
    assert.match(error.message, message);
  });
}

test('layouts that a module cannot have', async () => {
  for (const [text, what] of [
    ['(module (memory 1) (memory 1))', /several memories/],
    ['(module (memory i64 1))', /64-bit/],
  ] as const) {
    const bytes = await assemble(text);
    const error = errorOf(() => instrument(bytes, { layout: 'inline' }));
    assert.is(error.code, 'ERR_BELAY_OPTION');
    assert.match(error.message, what);
    assert.is(instrument(bytes).report.layout, 'separate');
  }
  const big = await assemble('(module (memory 40000))');
  assert.match(errorOf(() => instrument(big, { layout: 'inline' })).message, /4 GiB/);
});

test('region, layout, steps and oracle are what the contract says', async () => {
  const bytes = await assemble(TEXT);
  assert.is(instrument(bytes).report.layout, HAS_MEMORIES ? 'separate' : 'inline');
  for (const region of REGIONS) {
    for (const layout of ['separate', 'inline'] as const) {
      const { contract, report, wasm } = instrument(bytes, { region, layout, steps: true, oracle: true });
      assert.equal(
        [contract.region, contract.layout, contract.steps, contract.oracle],
        [region, layout, true, true],
      );
      assert.equal([report.region, report.layout], [region, layout]);
      assert.equal(inspect(wasm).contract, contract);
    }
  }
  const { contract } = instrument(bytes);
  assert.equal([contract.steps, contract.oracle], [false, false]);
});

test('reserve is how far memory can grow, in whole pages', async () => {
  const bytes = await assemble(
    '(module (memory (export "m") 2 8) (func (export "grow") (result i32) (memory.grow (i32.const 1))))',
  );
  const { wasm, contract } = instrument(bytes, { layout: 'inline', reserve: 2.5 * 65536 });
  assert.is(contract.memories[0]!.reserve, 3);
  const guest = instantiateSync(wasm as Uint8Array<ArrayBuffer>);
  const grow = guest.exports.grow as () => number;
  assert.equal([grow(), grow()], [2, -1]);
});

test('checkLoads makes wild loads trap', async () => {
  const bytes = await assemble(
    '(module (memory 1 2) (func (export "load") (param i32) (result i32) (i32.load offset=4 (local.get 0))) (func (export "lane") (param i32) (result i32) (i32x4.extract_lane 0 (v128.load8_lane 0 (local.get 0) (v128.const i32x4 0 0 0 0)))))',
  );
  const load = (checkLoads: boolean, address: number) => {
    const { wasm } = instrument(bytes, { layout: 'inline', checkLoads });
    return (instantiateSync(wasm as Uint8Array<ArrayBuffer>).exports.load as (a: number) => number)(address);
  };
  assert.is(load(true, 65528), 0);
  for (const wild of [65529, 65536, 131072, -4, -1])
    assert.throws(() => load(true, wild), WebAssembly.RuntimeError);
  assert.type(load(false, 65529), 'number');
});

test('steps end an endless loop, and cost nothing that is asked for', async () => {
  const bytes = await assemble('(module (func (export "loop") (loop $l (br $l))))');
  const guest = instantiateSync(
    instrument(bytes, { steps: true, layout: 'inline' }).wasm as Uint8Array<ArrayBuffer>,
  );
  guest.limit({ steps: 1000 });
  assert.is(errorOf(() => guest.attempt(guest.exports.loop as () => void)).code, 'ERR_BELAY_OVERRUN');
  const without = instantiateSync(instrument(bytes, { layout: 'inline' }).wasm as Uint8Array<ArrayBuffer>);
  assert.is(errorOf(() => without.limit({ steps: 5 })).code, 'ERR_BELAY_OPTION');
});

test('optimize removes checks, hints adds its section', async () => {
  const bytes = await assemble(TEXT);
  for (const layout of ['separate', 'inline'] as const) {
    assert.is(instrument(bytes, { layout }).report.checksInserted, 1);
    assert.is(instrument(bytes, { layout, optimize: false }).report.checksInserted, 2);
    const section = 'metadata.code.branch_hint';
    assert.ok(inspect(instrument(bytes, { layout }).wasm).customSections.includes(section));
    const plain = instrument(bytes, { layout, hints: false });
    assert.not(inspect(plain.wasm).customSections.includes(section));
    assert.is(plain.report.branchHints, 0);
  }
});

test('onProgress goes from 0 to 1', async () => {
  const bytes = await assemble(TEXT);
  const seen: number[] = [];
  instrument(bytes, { onProgress: (done) => seen.push(done) });
  assert.is(seen[seen.length - 1], 1);
  assert.equal(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  assert.ok(seen.every((x) => x >= 0 && x <= 1));
});

test('every kind that can be left out is known', async () => {
  const bytes = await assemble(TEXT);
  for (const kind of OMITTABLE) assert.ok(instrument(bytes, { omit: [kind], layout: 'inline' }).wasm.length);
});

test.run();
