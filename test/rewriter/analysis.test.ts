/**
 * Which checks the analysis inserts, removes and merges, for a table of small functions; and that each store
 * is covered all the same, whatever the arguments: the oracle build asserts it at every store.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument } from '../../rewriter/index.js';
import { Twins } from '../support/oracle.js';
import { assemble, LAYOUTS, NEEDS_MEMORIES, options } from './support.js';

const st = (offset: number, base = '(local.get 0)') => `(i32.store offset=${offset} ${base} (i32.const 7))`;

/** [what, body of (param i32 i32), counts: separate [inserted, removed, merged, stack], the same inline] */
type Row = [string, string, [number, number, number, number], [number, number, number, number]];

const ROWS: Row[] = [
  ['one store', st(0), [1, 0, 0, 0], [1, 0, 0, 0]],
  ['the same twice', st(0) + st(0), [1, 1, 0, 0], [1, 1, 0, 0]],
  ['within the tail of the first', st(0) + st(12), [1, 1, 0, 0], [2, 0, 0, 0]],
  ['narrower within wider', `(i64.store (local.get 0) (i64.const 1))${st(4)}`, [1, 1, 0, 0], [1, 1, 0, 0]],
  ['a structure filled upwards', st(0) + st(16) + st(32), [1, 0, 2, 0], [3, 0, 0, 0]],
  ['a structure filled downwards', st(32) + st(16) + st(0), [1, 0, 2, 0], [1, 0, 2, 0]],
  ['further than a region', st(0) + st(100), [2, 0, 0, 0], [2, 0, 0, 0]],
  ['other bases', st(0) + st(0, '(local.get 1)'), [2, 0, 0, 0], [2, 0, 0, 0]],
  ['base plus constant', st(4) + st(0, '(i32.add (local.get 0) (i32.const 4))'), [1, 1, 0, 0], [1, 1, 0, 0]],
  [
    'base minus constant',
    st(0, '(i32.sub (local.get 0) (i32.const 8))') + st(0, '(i32.sub (local.get 0) (i32.const 8))'),
    [1, 1, 0, 0],
    [1, 1, 0, 0],
  ],
  [
    'a sum of two locals',
    st(0, '(i32.add (local.get 0) (local.get 1))') + st(0, '(i32.add (local.get 0) (local.get 1))'),
    [1, 1, 0, 0],
    [1, 1, 0, 0],
  ],
  ['constants', st(0, '(i32.const 200)') + st(4, '(i32.const 196)'), [1, 1, 0, 0], [1, 1, 0, 0]],
  ['a base that changed', `${st(0)}(local.set 0 (local.get 1))${st(0)}`, [2, 0, 0, 0], [2, 0, 0, 0]],
  [
    'a base set to what it was',
    `(local.set 1 (local.get 0))${st(0)}${st(0, '(local.get 1)')}`,
    [1, 1, 0, 0],
    [1, 1, 0, 0],
  ],
  ['behind an if', `${st(0)}(if (local.get 1) (then (nop)))${st(0)}`, [1, 1, 0, 0], [1, 1, 0, 0]],
  ['in an if, and behind it', `(if (local.get 1) (then ${st(0)}))${st(0)}`, [2, 0, 0, 0], [2, 0, 0, 0]],
  [
    'before an if, and in it',
    `${st(0)}(if (local.get 1) (then ${st(0)}) (else ${st(0)}))`,
    [1, 2, 0, 0],
    [1, 2, 0, 0],
  ],
  [
    'in both arms, and behind',
    `(if (local.get 1) (then ${st(0)}) (else ${st(0)}))${st(0)}`,
    [3, 0, 0, 0],
    [3, 0, 0, 0],
  ],
  [
    'behind an arm that left',
    `(if (local.get 1) (then (return)) (else ${st(0)}))${st(0)}`,
    [1, 1, 0, 0],
    [1, 1, 0, 0],
  ],
  ['a branch over it', `(block (br_if 0 (local.get 1)) ${st(0)})${st(0)}`, [2, 0, 0, 0], [2, 0, 0, 0]],
  ['before the branch', `(block ${st(0)} (br_if 0 (local.get 1)))${st(0)}`, [1, 1, 0, 0], [1, 1, 0, 0]],
  [
    'in a loop and behind it',
    `(loop ${st(0)} (br_if 0 (local.tee 1 (i32.shr_u (local.get 1) (i32.const 1)))))${st(0)}`,
    [1, 1, 0, 0],
    [1, 1, 0, 0],
  ],
  [
    'a base that walks in a loop',
    `(loop ${st(0)} (local.set 0 (i32.add (local.get 0) (i32.const 4))) (br_if 0 (local.tee 1 (i32.shr_u (local.get 1) (i32.const 1)))))${st(0)}`,
    [1, 1, 0, 0],
    [2, 0, 0, 0],
  ],
  ['across a call', `${st(0)}(call $callee)${st(0)}`, [1, 1, 0, 0], [1, 1, 0, 0]],
  ['no merging across a call', `${st(0)}(call $callee)${st(32)}`, [2, 0, 0, 0], [2, 0, 0, 0]],
  [
    'no merging across memory.grow',
    `${st(0)}(drop (memory.grow (i32.const 0)))${st(32)}`,
    [2, 0, 0, 0],
    [2, 0, 0, 0],
  ],
  [
    'a value loaded twice',
    st(0, '(i32.load16_u (local.get 0))') + st(0, '(i32.load16_u (local.get 0))'),
    [2, 0, 0, 0],
    [2, 0, 0, 0],
  ],
  ['unreachable', `(return)${st(0)}`, [0, 0, 0, 0], [0, 0, 0, 0]],
];

const ARGUMENTS = [0, 1, 3, 4, 40, 60, 61, 64, 100, 1000, 4090, 65500, 65520, 65532, 65533, -4, -1];

for (const [what, body, separate, inline] of ROWS) {
  test(`${what}: counts`, async () => {
    const bytes = await assemble(
      `(module (memory 1 2) (func $callee) (func (export "f") (param i32 i32) ${body}))`,
    );
    for (const layout of LAYOUTS) {
      const { report } = instrument(bytes, { layout, region: 64 });
      const { checksInserted, checksRemoved, checksMerged, checksStack } = report;
      assert.equal(
        [checksInserted, checksRemoved, checksMerged, checksStack],
        layout === 'separate' ? separate : inline,
        layout,
      );
    }
  });

  test(`${what}: each store is saved`, async () => {
    const bytes = await assemble(
      `(module (memory 1 2) (func $callee) (func (export "f") (param i32 i32) ${body}))`,
    );
    for (const layout of LAYOUTS) {
      if (layout === 'separate' && NEEDS_MEMORIES) continue;
      for (const region of [1, 4, 16, 32, 64, 4096]) {
        const twins = new Twins(bytes, { instrument: { ...options(layout, region), oracle: true } });
        for (const a of ARGUMENTS)
          for (const b of [0, 1, 7, 200]) {
            twins.guest.checkpoint();
            twins.guestCall(['f', a, b]);
            twins.guest.rollback();
          }
        twins.same('after all rollbacks');
      }
    }
  });
}

test('stores into a frame of the stack need no checks of their own', async () => {
  const bytes = await assemble(`(module (memory 1) (global $sp (mut i32) (i32.const 4096))
    (func (export "f") (local i32) (global.set $sp (local.tee 0 (i32.sub (global.get $sp) (i32.const 64)))) ${st(0)} ${st(60)} ${st(40)} ${st(64)} (global.set $sp (i32.add (local.get 0) (i32.const 64)))))`);
  const { report } = instrument(bytes, { layout: 'separate' });
  assert.equal([report.checksInserted, report.checksStack], [1, 3]);
  assert.is(instrument(bytes, { layout: 'inline' }).report.checksStack, 0);
});

test('without optimize every store is checked', async () => {
  const bodies = ROWS.map(([, body], i) => `(func (export "f${i}") (param i32 i32) ${body})`).join('');
  const bytes = await assemble(`(module (memory 1) (func $callee) ${bodies})`);
  const { report } = instrument(bytes, { layout: 'inline', optimize: false });
  assert.is(report.checksInserted, report.stores);
  assert.equal([report.checksRemoved, report.checksMerged], [0, 0]);
  const optimized = instrument(bytes, { layout: 'inline' }).report;
  assert.is(optimized.stores, report.stores);
  assert.is(optimized.checksInserted + optimized.checksRemoved + optimized.checksMerged, report.stores);
});

test.run();
