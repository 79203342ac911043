/** Start functions: they run once, after tags and shadow are there and before the first checkpoint. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, instrument } from '../../rewriter/index.js';
import { instantiate } from '../../runtime/index.js';
import { NotInstantiated, Twins } from '../support/oracle.js';
import { assemble, cases, errorOf, LAYOUTS, NEEDS_MEMORIES, options } from './support.js';

const CALLS: string[] = [];

cases(
  'an imported function as the start function',
  `(module (import "env" "start" (func $start)) (memory 1) (start $start)
    (func (export "f") (i32.store (i32.const 62) (i32.const -1))))`,
  (twins) => {
    // Once for each of the twins.
    assert.equal(CALLS.splice(0), ['start', 'start']);
    twins.undoneAndDone(['f']);
    assert.equal(CALLS, []);
  },
  { imports: () => ({ env: { start: () => void CALLS.push('start') } }) },
);

for (const layout of LAYOUTS) {
  if (layout === 'separate' && NEEDS_MEMORIES) continue;
  test(`a start function that traps, ${layout}`, async () => {
    const bytes = await assemble(
      '(module (memory 1) (func $start (i32.store (i32.const 65536) (i32.const 1))) (start $start))',
    );
    assert.throws(
      () => new Twins(bytes, { instrument: options(layout, 64) }),
      (error: Error) => error instanceof NotInstantiated && /out of bounds/i.test(error.message),
    );
    const wasm = instrument(bytes, options(layout, 64)).wasm as Uint8Array<ArrayBuffer>;
    const error = await instantiate(wasm).catch((e: unknown) => e);
    assert.instance(error, WebAssembly.RuntimeError);
  });
}

cases(
  'what a start function saves, grows and recurses through is no part of the first epoch',
  `(module (memory 1 4) (global $sp (mut i32) (i32.const 65536)) (global $n (mut i32) (i32.const 0))
    (func $deep (param i32) (local $fp i32)
      (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const 256))))
      (i32.store offset=8 (local.get $fp) (local.get 0)) (i32.store offset=248 (local.get $fp) (local.get 0))
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (global.set $sp (i32.add (local.get $fp) (i32.const 256))))
    (func $start (call $deep (i32.const 30)) (drop (memory.grow (i32.const 1)))
      (memory.fill (i32.const 60000) (i32.const 7) (i32.const 20000)))
    (start $start)
    (func (export "run") (param i32) (call $deep (local.get 0)) (memory.fill (i32.const 70000) (i32.const 9) (i32.const 100)))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func (export "size") (result i32) (memory.size)))`,
  (twins) => {
    twins.same('after the start function');
    assert.is(twins.call('size').value, 2);
    twins.undoneAndDone(['run', 3], ['run', 50], ['grow'], ['size']);
  },
);

cases(
  'a checkpoint is not needed: a guest runs without one',
  '(module (memory 1) (func (export "f") (param i32) (i64.store (local.get 0) (i64.const -1))))',
  (twins) => {
    for (const at of [0, 60, 4090, 65528, 65529]) twins.call('f', at);
    twins.same();
    assert.is(errorOf(() => twins.guest.rollback()).code, 'ERR_BELAY_NO_CHECKPOINT');
    twins.undoneAndDone(['f', 61]);
  },
);

test('the instrumented module has a start function, and inspect tells that of the original', async () => {
  const bytes = await assemble('(module (memory 1) (func $start) (start $start))');
  assert.is(inspect(bytes).start, true);
  assert.is(inspect(await assemble('(module (memory 1))')).start, false);
  assert.is(inspect(instrument(bytes, { layout: 'inline' }).wasm).start, true);
});

test.run();
