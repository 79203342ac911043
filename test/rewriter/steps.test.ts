/** Steps: counted at the entries of functions that call or loop, and at every 256th turn; nothing else changes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EXPORTS } from '../../contract/contract.js';
import { instrument } from '../../rewriter/index.js';
import type { Twins } from '../support/oracle.js';
import { assemble, cases, errorOf } from './support.js';

const TEXT = `(module (type $one (func (param i32))) (type $two (func (param i32)))
  (import "env" "host" (func $host)) (table funcref (elem $indirect $indirectTail)) (memory 1 2) (global $g (mut i32) (i32.const 0)) (tag $e)
  (func $leaf (param i32) (i32.store (local.get 0) (i32.const -1)))
  (func $calls (param i32) (call $leaf (local.get 0)))
  (func (export "leaf") (param i32) (i32.store (local.get 0) (i32.const -1)))
  (func (export "calls") (param i32) (call $leaf (local.get 0)) (call $calls (local.get 0)))
  (func (export "loop") (param i32 i32) (result i32)
    (loop $l (result i32)
      (i32.store (local.get 0) (local.get 1)) (local.set 0 (i32.add (local.get 0) (i32.const 4)))
      (br_if $l (local.get 0) (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))) (drop) (local.get 0)))
  (func (export "params") (param i32 i32) (result i32 i64)
    (local.get 0) (i64.const 0)
    (loop $l (param i32 i64) (result i32 i64)
      (i64.add (i64.const 3))
      (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
      (i32.store (local.get 0) (local.get 1))
      (br_if $l (local.get 1))))
  (func (export "nested") (param i32) (local i32 i32)
    (if (i32.lt_s (local.get 0) (i32.const 0)) (then (local.set 1 (local.get 0)) (local.set 0 (i32.const 4000))))
    (loop $a (local.set 2 (i32.const 3))
      (loop $b (i32.store (i32.add (local.get 0) (local.get 1)) (i32.const 1))
        (br_if $b (local.tee 2 (i32.sub (local.get 2) (i32.const 1)))))
      (br_if $a (i32.lt_s (local.tee 1 (i32.add (local.get 1) (i32.const 16))) (i32.const 160)))))
  (func $down (export "recursion") (param i32)
    (i32.store (local.get 0) (local.get 0)) (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
  (func $tail (export "tail") (param i32)
    (i32.store8 (local.get 0) (i32.const 1)) (if (local.get 0) (then (return_call $tail (i32.sub (local.get 0) (i32.const 1))))))
  (func $indirect (export "indirect") (type $one)
    (i32.store (i32.const 8) (local.get 0))
    (if (local.get 0) (then (call_indirect (type $two) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))
  (func $indirectTail (export "indirectTail") (type $one)
    (i32.store (i32.const 8) (local.get 0))
    (if (local.get 0) (then (return_call_indirect (type $two) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))))
  (func (export "caught") (param i32)
    (try (do (loop $l (i32.store (local.get 0) (i32.const 1)) (global.set $g (i32.add (global.get $g) (i32.const 1))) (br $l)))
      (catch_all (i32.store (local.get 0) (i32.const 2)))))
  (func (export "host") (call $host) (loop $l (br_if $l (i32.const 0))))
  (func (export "dead") (param i32) (i32.store (local.get 0) (i32.const 1)) (return) (loop $l (br $l))))`;

const more = {
  instrument: { steps: true },
  imports: () => ({ env: { host: () => {} } }),
  regions: [1, 64],
} as const;

/** Steps that `call` takes. */
function stepsOf(twins: Twins, name: string, ...args: number[]): number {
  const left = twins.guest.instance.exports[EXPORTS.steps] as WebAssembly.Global;
  const before = left.value as bigint;
  twins.guestCall([name, ...args]);
  return Number(before - (left.value as bigint));
}

cases(
  'the same results as without',
  TEXT,
  (twins) => {
    twins.undoneAndDone(
      ['leaf', 63],
      ['calls', 61],
      ['loop', 40, 30],
      ['params', 500, 9],
      ['nested', 700],
      ['recursion', 200],
      ['tail', 3000],
      ['indirect', 100],
      ['indirectTail', 100],
      ['host'],
      ['dead', 90],
      ['leaf', 65533],
      ['loop', 65500, 30],
    );
  },
  more,
);

cases(
  'what is counted',
  TEXT,
  (twins) => {
    twins.guest.checkpoint();
    assert.is(stepsOf(twins, 'leaf', 8), 0, 'neither calls nor loops');
    assert.is(stepsOf(twins, 'calls', 8), 2, 'what it calls calls as well, and a leaf');
    assert.is(stepsOf(twins, 'host', 8), 1);
    assert.is(stepsOf(twins, 'loop', 8, 255), 1);
    assert.is(stepsOf(twins, 'loop', 8, 256), 257);
    assert.is(stepsOf(twins, 'params', 8, 1000), 769);
    assert.is(stepsOf(twins, 'nested', 8), 1, 'ten turns and thirty');
    assert.is(stepsOf(twins, 'nested', 160 - 16 * 200), 769, 'loops of one function share a counter');
    assert.is(stepsOf(twins, 'recursion', 20), 21);
    assert.is(stepsOf(twins, 'tail', 20), 21);
    for (const name of ['indirect', 'indirectTail']) assert.is(stepsOf(twins, name, 20), 21, name);
  },
  more,
);

cases(
  'what runs over its limit is ended and undone',
  TEXT,
  (twins) => {
    const run = (steps: number, name: string, ...args: number[]) => {
      twins.guest.limit({ steps });
      const fn = twins.guest.exports[name] as (...a: number[]) => unknown;
      return errorOf(() => twins.guest.attempt(() => fn(...args))).code;
    };
    assert.is(run(21, 'recursion', 20), 'no error');
    twins.plainCall(['recursion', 20]);
    assert.is(run(1025, 'loop', 0, 1024 + 255), 'no error');
    twins.plainCall(['loop', 0, 1024 + 255]);
    twins.same('both ran');
    for (const name of ['recursion', 'tail', 'indirect', 'indirectTail']) {
      assert.is(run(20, name, 20), 'ERR_BELAY_OVERRUN', name);
      twins.same(`${name}, one step too few`);
    }
    assert.is(run(1024, 'loop', 0, 1024), 'ERR_BELAY_OVERRUN');
    twins.same('a loop, one step too few');
    twins.guest.limit();
    twins.undoneAndDone(['loop', 40, 20], ['recursion', 40], ['tail', 40], ['indirectTail', 40]);
  },
  more,
);

const TREE = `(module (memory 1)
  (func $f0 (param i32) (loop $l (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0))))
  ${Array.from({ length: 30 }, (_, i) => `(func $f${i + 1} (export "tree${i + 1}") (param i32) (call $f${i} (local.get 0)) (call $f${i} (local.get 0)))`).join('\n')})`;

cases(
  'a tree of calls without a cycle, whose loops are short, ends in time',
  TREE,
  (twins) => {
    const tree = twins.guest.exports.tree30 as (turns: number) => void;
    twins.guest.limit({ deadline: 50 });
    assert.is(errorOf(() => twins.guest.attempt(() => tree(255))).code, 'ERR_BELAY_OVERRUN');
  },
  more,
);

cases(
  'an endless loop cannot catch its end',
  TEXT,
  (twins) => {
    const caught = twins.guest.exports.caught as (at: number) => void;
    for (let i = 0; i < 3; i++) {
      twins.guest.limit({ steps: 500 });
      assert.is(errorOf(() => twins.guest.attempt(() => caught(64))).code, 'ERR_BELAY_OVERRUN');
      twins.same('undone');
    }
    twins.guest.limit();
    twins.undoneAndDone(['calls', 3]);
  },
  more,
);

test('without the option nothing is counted', async () => {
  const bytes = await assemble(TEXT);
  const options = { layout: 'inline', reserve: 65536 * 2 } as const;
  const [without, counted] = [instrument(bytes, options), instrument(bytes, { ...options, steps: true })];
  assert.is(without.contract.steps, false);
  assert.is(counted.contract.steps, true);
  const names = (wasm: Uint8Array) =>
    WebAssembly.Module.exports(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)).map((e) => e.name);
  for (const name of [EXPORTS.steps, EXPORTS.tick]) {
    assert.not(names(without.wasm).includes(name));
    assert.ok(names(counted.wasm).includes(name));
  }
  assert.is(without.report.checksInserted, counted.report.checksInserted);
  assert.ok(counted.wasm.length > without.wasm.length);
});

test.run();
