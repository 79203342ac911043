/** Which checks are inserted, removed, merged, or covered by a saved stack frame; and that none is missing. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument } from '../../rewriter/index.js';
import type { InstrumentOptions } from '../../rewriter/types.js';
import type { Call, Twins } from '../support/oracle.js';
import { assemble, cases, LAYOUTS, NEEDS_MEMORIES, options, undone } from './support.js';

interface Counts {
  inserted: number;
  removed?: number;
  merged?: number;
  stack?: number;
  unreachable?: number;
}

async function counts(text: string, instrumentOptions: InstrumentOptions): Promise<Required<Counts>> {
  const { report } = instrument(await assemble(text), instrumentOptions);
  assert.is(
    report.checksInserted + report.checksRemoved + report.checksMerged + report.checksStack,
    report.stores,
    'every store is accounted for once',
  );
  return {
    inserted: report.checksInserted,
    removed: report.checksRemoved,
    merged: report.checksMerged,
    stack: report.checksStack,
    unreachable: report.unreachable,
  };
}

/**
 * A function `f` of one or two i32 parameters: how many checks it gets with regions of 64 bytes, and that its
 * stores are undone, at several addresses, with all regions, in both layouts.
 */
function plan(
  name: string,
  body: string,
  expected: Counts,
  inline: Counts = expected,
  calls?: readonly Call[],
): void {
  const text = `(module (memory 1 3) (global $g (mut i32) (i32.const 0)) (func $nothing)
    (func (export "f") (param i32 i32) (local i32) ${body}))`;
  test(`${name}: counts`, async () => {
    const none = { removed: 0, merged: 0, stack: 0, unreachable: 0 };
    assert.equal(await counts(text, { layout: 'separate', region: 64 }), { ...none, ...expected });
    assert.equal(await counts(text, { layout: 'inline', region: 64 }), { ...none, ...inline });
    const all = await counts(text, { layout: 'separate', optimize: false });
    const stores = expected.inserted + (expected.removed ?? 0) + (expected.merged ?? 0);
    assert.equal(all, { ...none, inserted: stores, unreachable: expected.unreachable ?? 0 });
  });
  undone(
    name,
    text,
    calls ?? [
      ['f', 0, 0],
      ['f', 50, 1],
      ['f', 64, 0],
      ['f', 4090, 3],
      ['f', 65400, 2],
      ['f', 65500, 0],
      ['f', 65530, 1],
      ['f', -8, 1],
    ],
    { regions: [1, 16, 64, 4096] },
  );
}

const P = '(local.get 0)';
const set = (offset: number, address = P) => `(i32.store offset=${offset} ${address} (i32.const -1))`;

// --- the same base ---
plan('the same address twice', set(0) + set(0), { inserted: 1, removed: 1 });
plan('within sixteen bytes', set(0) + set(8), { inserted: 1, removed: 1 }, { inserted: 2 });
plan('within a region', set(0) + set(40), { inserted: 1, merged: 1 }, { inserted: 2 });
plan('downwards', set(40) + set(0), { inserted: 1, merged: 1 });
plan('further than a region', set(0) + set(64), { inserted: 2 });
plan(
  'by the address, and not by the offset',
  set(0) + set(0, `(i32.add ${P} (i32.const 8))`) + set(4, `(i32.sub ${P} (i32.const -4))`),
  { inserted: 1, removed: 2 },
  { inserted: 2, removed: 1 },
);
plan('below the address operand nothing is merged', set(8) + set(0, `(i32.sub ${P} (i32.const 8))`), {
  inserted: 2,
});
plan(
  'a wider store after a narrower one',
  `(i32.store8 ${P} (i32.const 1)) (i64.store ${P} (i64.const -1))`,
  {
    inserted: 1,
    removed: 1,
  },
  { inserted: 2 },
);
plan(
  'constant addresses, merged downwards too',
  set(0, '(i32.const 1040)') + set(0, '(i32.const 1024)') + set(1028, '(i32.const 0)'),
  { inserted: 1, merged: 2 },
);
plan(
  'constants on both sides of a border',
  set(0, '(i32.const 62)') + set(0, '(i32.const 96)'),
  {
    inserted: 1,
    merged: 1,
  },
  { inserted: 2 },
);

// --- values ---
plan('another value in the local', `${set(0)} (local.set 0 (local.get 1)) ${set(0)}`, { inserted: 2 });
plan(
  'a copy of the local',
  `(local.set 2 ${P}) (local.set 0 (i32.const 7)) ${set(0, '(local.get 2)')} ${set(0, '(local.get 2)')}`,
  {
    inserted: 1,
    removed: 1,
  },
);
plan('the local moved by a constant', `${set(16)} (local.set 0 (i32.add ${P} (i32.const 16))) ${set(0)}`, {
  inserted: 1,
  removed: 1,
});
plan(
  'a sum of two values, computed twice',
  set(0, `(i32.add ${P} (i32.shl (local.get 1) (i32.const 2)))`).repeat(2),
  { inserted: 1, removed: 1 },
);
plan('a loaded address, loaded twice', set(0, `(i32.load ${P})`).repeat(2), { inserted: 2 });
plan('a global, read twice', set(0, '(global.get $g)').repeat(2), { inserted: 2 });
plan(
  'the address local is set while the value is computed',
  `(i32.store ${P} (local.tee 0 (i32.add ${P} (i32.const 100)))) ${set(0)}`,
  { inserted: 2 },
);
plan('a local that was never set is zero', `${set(0, '(local.get 2)')} ${set(0, '(i32.const 0)')}`, {
  inserted: 1,
  removed: 1,
});

// --- control ---
plan('an arm after the same before', `${set(0)} (if (local.get 1) (then ${set(0)}))`, {
  inserted: 1,
  removed: 1,
});
plan('after an arm', `(if (local.get 1) (then ${set(0)})) ${set(0)}`, { inserted: 2 });
plan('two arms and after them', `(if (local.get 1) (then ${set(0)}) (else ${set(0)})) ${set(0)}`, {
  inserted: 3,
});
plan('after an arm that does not go on', `(if (local.get 1) (then (return)) (else ${set(0)})) ${set(0)}`, {
  inserted: 1,
  removed: 1,
});
plan('a block that may be left early', `(block (br_if 0 (local.get 1)) ${set(0)}) ${set(0)}`, {
  inserted: 2,
});
plan(
  'a block that is left early after the store',
  `(block ${set(0)} (br_if 0 (local.get 1)) ${set(8)}) ${set(0)}`,
  {
    inserted: 1,
    removed: 2,
  },
  { inserted: 2, removed: 1 },
);
plan('merging stops where control may leave', `${set(0)} (if (local.get 1) (then (return))) ${set(40)}`, {
  inserted: 2,
});
plan('a call between', `${set(0)} (call $nothing) ${set(0)} ${set(40)}`, { inserted: 2, removed: 1 });
plan(
  'a loop whose address stays',
  `${set(0)} (local.set 2 (i32.const 3))
   (loop ${set(0)} (local.set 2 (i32.sub (local.get 2) (i32.const 1))) (br_if 0 (local.get 2)))`,
  { inserted: 1, removed: 1 },
);
plan(
  'a loop whose address moves',
  `${set(0)} (local.set 2 (i32.const 9))
   (loop ${set(0)} (local.set 0 (i32.add ${P} (i32.const 24)))
     (local.set 2 (i32.sub (local.get 2) (i32.const 1))) (br_if 0 (local.get 2))) ${set(0)}`,
  { inserted: 3 },
);
plan(
  'a table of branches',
  `(block (block (block (br_table 0 1 2 (local.get 1))) ${set(0)}) ${set(100)}) ${set(0)} ${set(100)}`,
  { inserted: 4 },
);
plan('code that cannot be reached', `${set(0)} (return) ${set(100)}`, { inserted: 1, unreachable: 1 });
plan(
  'a block behind code that cannot be reached',
  `(block (br 0) (block ${set(100)}) (if (local.get 1) (then ${set(200)}))) ${set(0)}`,
  { inserted: 1, unreachable: 2 },
);
plan(
  'memory grown between two stores',
  `${set(0)} (drop (memory.grow (i32.const 1))) ${set(8)} ${set(40)} ${set(300)}`,
  { inserted: 3, removed: 1 },
  { inserted: 4 },
);

test('regions below sixteen bytes have no tails: only the bytes that were checked are covered', async () => {
  const text = `(module (memory 1) (func (param i32) ${set(0) + set(0) + set(8) + set(2) + set(10)}))`;
  // [2, 6) is not within [0, 4), and neither is [10, 14) within [8, 12).
  const got = await counts(text, { layout: 'separate', region: 8 });
  assert.is(got.inserted, 4);
  assert.is(got.removed, 1);
});

test('two memories share no check', async () => {
  const text = `(module (memory $a 1) (memory $b 1)
    (func (param i32) (i32.store $a (local.get 0) (i32.const 1)) (i32.store $b (local.get 0) (i32.const 1))
      (i32.store $a (local.get 0) (i32.const 1))))`;
  const got = await counts(text, { layout: 'separate' });
  assert.is(got.inserted, 2);
  assert.is(got.removed, 1);
});

// --- the stack ---
const FRAME = (size: number, body: string) =>
  `(local $fp i32) (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const ${size})))) ${body}
   (global.set $sp (i32.add (local.get $fp) (i32.const ${size})))`;
const slot = (offset: number) => `(i32.store offset=${offset} (local.get $fp) (i32.const ${offset + 1}))`;
const stackModule = (body: string, more = '', sp = 65536) => `(module (memory 2 4)
  (global $sp (mut i32) (i32.const ${sp})) (global $other (mut i32) (i32.const 0)) ${more}
  (func (export "f") (param i32) ${body})
  (func (export "setsp") (param i32) (global.set $sp (local.get 0)))
  (func (export "grow") (result i32) (memory.grow (i32.const 1)))
  (func (export "store") (param i32) (i32.store (local.get 0) (i32.const -1))))`;

test('stores into a frame need no checks', async () => {
  const text = stackModule(FRAME(32, slot(0) + slot(4) + slot(28)));
  const got = await counts(text, { layout: 'separate' });
  assert.is(got.stack, 3);
  assert.is(got.inserted, 1, 'only that of $store');
});
test('stores above and below the frame do', async () => {
  const text = stackModule(
    FRAME(32, `${slot(29)} ${slot(32)} (i32.store (i32.sub (local.get $fp) (i32.const 200)) (i32.const 1))`),
  );
  const got = await counts(text, { layout: 'separate' });
  assert.is(got.stack, 0);
  assert.is(got.inserted + got.removed, 4);
});
test('in the inline layout frames are checked: a stack overflow must trap at its store', async () => {
  const got = await counts(stackModule(FRAME(32, slot(0) + slot(4))), { layout: 'inline' });
  assert.is(got.stack, 0);
});
test('a stack pointer that the host could set is not relied on', async () => {
  const text = stackModule(FRAME(32, slot(0)), '(export "__stack_pointer" (global $sp))');
  assert.is((await counts(text, { layout: 'separate' })).stack, 0);
});
test('without optimisation frames are checked', async () => {
  const got = await counts(stackModule(FRAME(32, slot(0))), { layout: 'separate', optimize: false });
  assert.is(got.stack, 0);
  assert.is(got.inserted, 2);
});

/** Adds a test of stack use: calls in one epoch, in two, and with the pointer left low by a trap. */
function stack(name: string, text: string, calls: readonly Call[]): void {
  cases(
    name,
    text,
    (twins: Twins) => {
      for (const call of calls) twins.undone(call);
      twins.undoneAndDone(...calls);
      for (const call of calls) {
        twins.guest.checkpoint();
        twins.call(...(call as [string, ...unknown[]]));
        twins.same(call[0]);
      }
      twins.undoneAndDone(...[...calls].reverse());
    },
    { regions: [1, 16, 64, 4096] },
  );
}

stack('a stack frame', stackModule(FRAME(32, slot(0) + slot(28))), [
  ['f', 0],
  ['f', 0],
]);
stack(
  'frames within frames',
  stackModule(
    FRAME(48, `${slot(0)} (call $inner) ${slot(44)} (call $inner) ${slot(4)}`),
    `(func $inner ${FRAME(1000, `${slot(0)} ${slot(996)} ${slot(500)}`)})`,
  ),
  [
    ['f', 0],
    ['f', 1],
  ],
);
stack(
  'recursion',
  stackModule(
    '(call $r (local.get 0))',
    `(func $r (param i32) ${FRAME(80, `${slot(0)} (if (local.get 0) (then (call $r (i32.sub (local.get 0) (i32.const 1))))) ${slot(76)}`)})`,
  ),
  [
    ['f', 1],
    ['f', 40],
    ['f', 3],
    ['f', 700],
    ['f', 0],
  ],
);
stack(
  'a frame of a size known at run time (alloca)',
  stackModule(
    FRAME(
      16,
      `${slot(0)} (global.set $sp (i32.sub (global.get $sp) (local.get 0)))
       (i32.store (global.get $sp) (i32.const -1)) ${slot(12)} (call $inner)`,
    ),
    `(func $inner ${FRAME(64, slot(0) + slot(60))})`,
  ),
  [
    ['f', 0],
    ['f', 512],
    ['f', 30000],
    ['f', 16],
  ],
);
stack(
  'a stack pointer above its value at the checkpoint',
  stackModule(FRAME(32, `${slot(0)} (call $inner)`), `(func $inner ${FRAME(64, slot(0) + slot(60))})`, 8192),
  [
    ['f', 0],
    ['setsp', 40000],
    ['f', 0],
    ['setsp', 40060],
    ['f', 0],
    ['setsp', 100],
    ['f', 0],
    ['setsp', 70000],
    ['f', 0],
  ],
);
stack(
  'a pointer raised and lowered inside of one function',
  stackModule(
    `(local $fp i32) (local $old i32)
     (local.set $old (global.get $sp))
     (global.set $sp (i32.add (local.get $old) (i32.const 4096)))
     (call $inner)
     (global.set $sp (local.tee $fp (i32.sub (local.get $old) (i32.const 4000))))
     ${slot(0)} ${slot(3990)}
     (call $inner)
     (global.set $sp (local.get $old))`,
    `(func $inner ${FRAME(64, slot(0) + slot(60))})`,
    16384,
  ),
  [
    ['f', 0],
    ['f', 0],
  ],
);
stack(
  'a frame set up in one arm only',
  stackModule(
    `(local $fp i32)
     (local.set $fp (global.get $sp))
     (if (local.get 0) (then (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const 256)))) ${slot(0)}))
     (i32.store offset=16 (i32.sub (global.get $sp) (i32.const 256)) (i32.const 5)) ${slot(8)}`,
    `(func $inner ${FRAME(64, slot(0) + slot(60))})`,
  ),
  [
    ['f', 0],
    ['f', 1],
  ],
);
stack(
  'a stack overflow below zero',
  stackModule(
    '(call $r (local.get 0))',
    `(func $r (param i32) ${FRAME(4096, `${slot(0)} (if (local.get 0) (then (call $r (i32.sub (local.get 0) (i32.const 1))))) ${slot(4092)}`)})`,
    10000,
  ),
  [
    ['f', 1],
    ['f', 2],
    ['f', 3],
    ['store', 131068],
    ['f', 0],
    ['f', 1],
    ['store', 5000],
  ],
);
stack(
  'a stack pointer beyond memory, which then grows',
  stackModule(
    FRAME(64, `(drop (memory.grow (i32.const 1))) ${slot(0)} ${slot(60)}`),
    `(func $inner ${FRAME(64, slot(0) + slot(60))})`,
    65536 * 2 + 40,
  ),
  [['f', 0], ['grow'], ['f', 0]],
);
stack(
  'a trap leaves the pointer low',
  stackModule(
    FRAME(
      512,
      `${slot(0)} (if (i32.eq (local.get 0) (i32.const 1)) (then (unreachable)))
       (if (local.get 0) (then (call $inner))) ${slot(508)}`,
    ),
    `(func $inner ${FRAME(64, `${slot(0)} ${slot(60)} (unreachable)`)})`,
  ),
  [
    ['f', 1],
    ['f', 0],
    ['f', 2],
    ['f', 1],
    ['f', 0],
  ],
);
stack(
  'another global that is lowered as well',
  stackModule(
    `${FRAME(32, slot(0))} (global.set $other (i32.sub (global.get $other) (i32.const 8)))
     (i32.store (i32.add (global.get $other) (i32.const 3000)) (i32.const 1))`,
  ),
  [
    ['f', 0],
    ['f', 0],
  ],
);

// --- two stores in every arrangement of branches ---
test('two stores with control between them, where a wrong fact would miss a save', async () => {
  const first = ['i32.store offset=4', 'i64.store offset=12', 'i32.store8 offset=40'];
  const ways: ((a: string, b: string) => string)[] = [
    (a, b) => `(block (br_if 0 (local.get 1)) ${a}) ${b}`,
    (a, b) => `(if (local.get 1) (then ${a})) ${b}`,
    (a, b) => `(if (local.get 1) (then ${a} (local.set 0 (i32.add (local.get 0) (i32.const 99))))) ${b}`,
    (a, b) => `(block (block (br_if 1 (local.get 1)) (br_if 0 (i32.eqz (local.get 1))) ${a}) ${a}) ${b}`,
    (a, b) => `(loop ${b} (if (local.get 1) (then (local.set 1 (i32.const 0)) ${a}
      (local.set 0 (i32.add (local.get 0) (i32.const 77))) (br 1))))`,
    (a, b) => `(block (loop (br_if 1 (local.get 1)) ${a} (local.set 1 (i32.const 1)) (br 0))) ${b}`,
    (a, b) => `(if (local.get 1) (then (if (local.get 0) (then ${a} (local.set 0 (i32.const 900)))) (nop))
      (else (local.set 0 (i32.const 300)))) ${b}`,
    (a, b) => `(try (do (if (local.get 1) (then (throw $t))) ${a}) (catch $t)) ${b}`,
    (
      a,
      b,
    ) => `(try (do ${a} (local.set 0 (i32.const 700)) (if (local.get 1) (then (throw $t))) (local.set 0 (i32.const 800)))
      (catch_all ${b})) ${b}`,
    (
      a,
      b,
    ) => `(try (do (try (do (local.set 0 (i32.const 500)) (if (local.get 1) (then (throw $t))) ${a}) (delegate 0)))
      (catch_all)) ${b}`,
    (a, b) =>
      `(local.set 0 (block (result i32) (drop (br_if 0 (local.get 0) (local.get 1))) ${a} (i32.const 1000))) ${b}`,
    (a, b) =>
      `(local.set 0 (if (result i32) (local.get 1) (then (i32.const 600)) (else ${a} (local.get 0)))) ${b}`,
  ];
  const names: string[] = [];
  const functions: string[] = [];
  const value = (op: string) => (op.startsWith('i64') ? '(i64.const -1)' : '(i32.const -1)');
  ways.forEach((way, w) => {
    for (const a of first) {
      for (const b of first) {
        names.push(`w${w}_${names.length}`);
        const store = (op: string) => `(${op} (local.get 0) ${value(op)})`;
        functions.push(`(func (export "${names.at(-1)}") (param i32 i32) ${way(store(a), store(b))})`);
      }
    }
  });
  const { Twins } = await import('../support/oracle.js');
  const bytes = await assemble(`(module (memory 1) (tag $t) ${functions.join('\n')})`);
  for (const layout of LAYOUTS) {
    if (layout === 'separate' && NEEDS_MEMORIES) continue;
    for (const region of [8, 16, 64]) {
      const twins = new Twins(bytes, { instrument: { ...options(layout, region), oracle: true } });
      for (const name of names) {
        for (const at of [128, 171, 186, 4090]) {
          for (const how of [0, 1]) {
            twins.guest.checkpoint();
            assert.is(twins.guestCall([name, at, how]).trap, undefined);
            twins.guest.rollback();
          }
        }
      }
      twins.same(`${layout}, ${region}`);
    }
  }
});

test.run();
