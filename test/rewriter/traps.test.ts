/**
 * Traps: an access that the original traps at traps in the instrumented module too, with nothing else changed;
 * at the exact edge of memory, near 2^32, misaligned, and at the edge that a rolled-back grow left behind.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compare, type Outcome, type Twins } from '../support/oracle.js';
import { cases, INSIDE, NEEDS_MEMORIES, undone } from './support.js';

const REGIONS = [1, 16, 64, 4096];

/** Each kind of store as text; OFF stands for its offset, ADDRESS for its address. */
const STORES: Record<string, string> = {
  'i32.store': '(i32.store offset=OFF ADDRESS (i32.const -1))',
  'i32.store8': '(i32.store8 offset=OFF ADDRESS (i32.const -1))',
  'i32.store16': '(i32.store16 offset=OFF ADDRESS (i32.const -1))',
  'i64.store': '(i64.store offset=OFF ADDRESS (i64.const -1))',
  'i64.store32': '(i64.store32 offset=OFF ADDRESS (i64.const -1))',
  'f32.store': '(f32.store offset=OFF ADDRESS (f32.const -1))',
  'f64.store': '(f64.store offset=OFF ADDRESS (f64.const -1))',
  'v128.store': '(v128.store offset=OFF ADDRESS (v128.const i64x2 -1 -1))',
  'v128.store8_lane': '(v128.store8_lane offset=OFF 3 ADDRESS (v128.const i64x2 -1 -1))',
  'v128.store64_lane': '(v128.store64_lane offset=OFF 1 ADDRESS (v128.const i64x2 -1 -1))',
  'i32.atomic.store': '(i32.atomic.store offset=OFF ADDRESS (i32.const -1))',
  'i64.atomic.store16': '(i64.atomic.store16 offset=OFF ADDRESS (i64.const -1))',
  'i32.atomic.rmw.add': '(drop (i32.atomic.rmw.add offset=OFF ADDRESS (i32.const -1)))',
  'i64.atomic.rmw8.xchg_u': '(drop (i64.atomic.rmw8.xchg_u offset=OFF ADDRESS (i64.const -1)))',
  'i64.atomic.rmw.cmpxchg': '(drop (i64.atomic.rmw.cmpxchg offset=OFF ADDRESS (i64.const 0) (i64.const -1)))',
  // One that does not write still traps.
  'i32.atomic.rmw.cmpxchg': '(drop (i32.atomic.rmw.cmpxchg offset=OFF ADDRESS (i32.const 6) (i32.const -1)))',
};
const NAMES = Object.keys(STORES);
const OFFSETS = [0, 8, 0xffff_fff0];
const END = 65536;
const ADDRESSES = [
  0,
  1,
  ...[24, 17, 16, 15, 9, 8, 7, 5, 4, 3, 1, 0, -1, -8].map((back) => END - back),
  2 * END - 1,
  2 * END,
  ...[-1, -4, -7, -8, -9, -16, -17, -END],
  0x7fff_ffff,
  15,
  16,
];

const text = `(module (memory 1 3)
  ${NAMES.flatMap((name) =>
    OFFSETS.flatMap((offset) => {
      const store = STORES[name]!.replace('OFF', String(offset));
      // The address in a local, and computed.
      return [
        `(func (export "${name} ${offset}") (param i32) ${store.replace('ADDRESS', '(local.get 0)')})`,
        `(func (export "${name} ${offset} computed") (param i32)
           ${store.replace('ADDRESS', '(i32.xor (local.get 0) (i32.const 0))')})`,
      ];
    }),
  ).join('\n')}
  (func (export "grow") (result i32) (memory.grow (i32.const 1))))`;

/** Which of two reasons to trap an engine names first is its own affair, and not the same in all of them. */
function sameReason(a: Outcome, b: Outcome, name: string): boolean {
  const atomic = name.includes('atomic');
  return atomic ? (a.trap === undefined) === (b.trap === undefined) : a.trap === b.trap;
}

/** Calls every store at every address, on both sides. */
function everyEdge(twins: Twins): void {
  twins.guest.checkpoint();
  let trapped = 0;
  for (const name of NAMES) {
    for (const offset of OFFSETS) {
      for (const at of ADDRESSES) {
        for (const how of ['', ' computed']) {
          const call = [`${name} ${offset}${how}`, at] as const;
          const [a, b] = [twins.guestCall(call), twins.plainCall(call)];
          assert.ok(
            sameReason(a, b, name),
            `${call.join()}: ${a.trap ?? 'no trap'}, and ${b.trap ?? 'no trap'}`,
          );
          if (b.trap) trapped++;
        }
      }
    }
    twins.same(name);
  }
  assert.ok(trapped > 1000, 'most of them trap');
}

cases('every store at the edges of memory', text, everyEdge, { regions: REGIONS });
cases(
  'every store at the edge that a rolled-back grow left',
  text,
  (twins) => {
    twins.undone(['grow']);
    everyEdge(twins);
    // The same where the regions before the edge are saved already.
    everyEdge(twins);
  },
  { regions: REGIONS, mechanisms: INSIDE },
);
cases(
  'every store after growth that was kept, and more that was not',
  text,
  (twins) => {
    twins.call('grow');
    twins.undone(['grow']);
    twins.guest.checkpoint();
    for (const name of NAMES) {
      for (const at of [END - 4, END, 2 * END - 16, 2 * END - 8, 2 * END - 1, 2 * END, 3 * END - 16]) {
        const call = [`${name} 0`, at] as const;
        const [a, b] = [twins.guestCall(call), twins.plainCall(call)];
        assert.ok(sameReason(a, b, name), call.join());
      }
    }
    twins.same();
  },
  { regions: REGIONS, mechanisms: INSIDE },
);

// --- a trap in the middle of several stores ---
const SEVERAL = `(module (memory 1 3)
  (func (export "up") (param i32) (i32.store (local.get 0) (i32.const 1)) (i32.store offset=24 (local.get 0) (i32.const 2))
    (i32.store offset=48 (local.get 0) (i32.const 3)))
  (func (export "down") (param i32) (i32.store offset=48 (local.get 0) (i32.const 1)) (i32.store offset=24 (local.get 0) (i32.const 2))
    (i32.store (local.get 0) (i32.const 3)))
  (func (export "near") (param i32) (i32.store (local.get 0) (i32.const 1)) (i32.store offset=8 (local.get 0) (i32.const 2))
    (i64.store offset=3 (local.get 0) (i64.const 3)))
  (func (export "wide") (param i32) (i32.store8 (local.get 0) (i32.const 1)) (v128.store (local.get 0) (v128.const i64x2 2 2)))
  (func (export "below") (param i32) (i32.store offset=8 (local.get 0) (i32.const 1))
    (i32.store (i32.sub (local.get 0) (i32.const 4)) (i32.const 2)))
  (func (export "end") (i32.store (i32.const 65528) (i32.const 1)) (i32.store (i32.const 65534) (i32.const 1)))
  (func (export "mixed") (param i32) (i32.store (local.get 0) (i32.const 1))
    (i32.store offset=16 (local.get 0) (i32.div_u (i32.const 1) (i32.and (local.get 0) (i32.const 1))))
    (i32.store offset=20 (local.get 0) (i32.const 2)))
  (func (export "grow") (result i32) (memory.grow (i32.const 1))))`;
const several = (twins: Twins) => {
  for (const name of ['up', 'down', 'near', 'wide', 'below', 'mixed']) {
    for (const back of [80, 52, 51, 49, 48, 28, 27, 24, 16, 15, 12, 11, 9, 8, 4, 3, 1, 0, -1, -4]) {
      twins.call(name, END - back);
      twins.same(`${name} ${back}`);
    }
    for (const at of [0, 1, 3, 4, -4, -48, -60]) {
      twins.call(name, at);
      twins.same(`${name} ${at}`);
    }
  }
  twins.call('end');
  twins.same('end');
};
cases(
  'what was stored before a trap stays, what comes behind it does not happen',
  SEVERAL,
  (twins) => {
    several(twins);
    twins.guest.checkpoint();
    several(twins);
    for (const name of ['up', 'down', 'near', 'wide', 'below'])
      twins.undone([name, END - 30], [name, END - 5]);
  },
  { regions: REGIONS },
);
cases(
  'the same at the edge that a rolled-back grow left, one check a store',
  SEVERAL,
  (twins) => {
    twins.undone(['grow']);
    several(twins);
    twins.guest.checkpoint();
    several(twins);
  },
  { regions: REGIONS, instrument: { optimize: false } },
);
cases(
  'the same with checks merged, in one memory',
  SEVERAL,
  (twins) => {
    twins.undone(['grow']);
    several(twins);
    twins.guest.checkpoint();
    several(twins);
  },
  { regions: REGIONS, layouts: ['inline'] },
);

// --- bulk operations: all or nothing ---
const BULK = `(module (memory 1 3) (data $d "0123456789")
  (func (export "fill") (param i32 i32) (i32.store (i32.const 40) (i32.const 1)) (memory.fill (local.get 0) (i32.const 7) (local.get 1)) (i32.store (i32.const 44) (i32.const 1)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)) (i32.store (i32.const 48) (i32.const 1)))
  (func (export "init") (param i32 i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2)) (i32.store (i32.const 52) (i32.const 1)))
  (func (export "drop") (data.drop $d))
  (func (export "grow") (result i32) (memory.grow (i32.const 1))))`;
cases(
  'bulk operations trap before anything is changed, also at the edge that a rolled-back grow left',
  BULK,
  (twins) => {
    for (const how of ['fresh', 'rolled back', 'dropped']) {
      if (how === 'rolled back') twins.undone(['grow'], ['fill', 65000, 70000]);
      if (how === 'dropped') twins.call('drop');
      for (const [at, n] of [
        [65530, 6],
        [65530, 7],
        [65536, 0],
        [65537, 0],
        [0, 65537],
        [-1, 1],
        [-1, 2],
        [1, -1],
        [-1, -1],
        [65536, 1],
      ] as const) {
        twins.call('fill', at, n);
        twins.call('copy', at, 100, n);
        twins.call('copy', 100, at, n);
        twins.call('init', at, 0, Math.min(n, 10));
        twins.call('init', 0, at, n);
        twins.call('init', 0, n, at);
        twins.same(`${how}: ${at}, ${n}`);
      }
    }
  },
  { regions: REGIONS },
);

// --- a trap anywhere leaves a guest that can be rolled back ---
undone(
  'traps of every other kind, between stores',
  `(module (memory 1) (table 2 funcref) (type $v (func)) (global $g (mut i32) (i32.const 0))
    (func $a (param i32) (i32.store (local.get 0) (i32.const 9)) (global.set $g (local.get 0)))
    (func (export "unreachable") (param i32) (call $a (local.get 0)) (unreachable))
    (func (export "div") (param i32) (call $a (local.get 0)) (i32.store offset=4 (local.get 0) (i32.div_s (i32.const -2147483648) (i32.const -1))))
    (func (export "trunc") (param i32) (call $a (local.get 0)) (i32.store offset=4 (local.get 0) (i32.trunc_f32_s (f32.const nan))))
    (func (export "null") (param i32) (call $a (local.get 0)) (call_indirect (type $v) (i32.const 0)))
    (func (export "index") (param i32) (call $a (local.get 0)) (call_indirect (type $v) (i32.const 2)))
    (func (export "load") (param i32) (call $a (local.get 0)) (i32.store (i32.load offset=65536 (local.get 0)) (i32.const 1))))`,
  ['unreachable', 'div', 'trunc', 'null', 'index', 'load'].map((name, i) => [name, 62 + 100 * i] as const),
  { regions: REGIONS },
);

cases(
  'checkLoads: loads of every kind trap at the guest’s own end',
  `(module (memory 1 3)
    (func (export "i32") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "i64") (param i32) (result i64) (i64.load offset=8 (local.get 0)))
    (func (export "far") (param i32) (result i64) (i64.load16_s offset=4294967290 (local.get 0)))
    (func (export "f64") (param i32) (result f64) (f64.load (i32.add (local.get 0) (i32.const 4))))
    (func (export "v128") (param i32) (result i64) (i64x2.extract_lane 0 (v128.load (local.get 0))))
    (func (export "splat") (param i32) (result i64) (i64x2.extract_lane 0 (v128.load16_splat (local.get 0))))
    (func (export "extend") (param i32) (result i64) (i64x2.extract_lane 0 (v128.load32x2_u (local.get 0))))
    (func (export "zero") (param i32) (result i64) (i64x2.extract_lane 0 (v128.load64_zero (local.get 0))))
    (func (export "lane") (param i32) (result i64)
      (i64x2.extract_lane 0 (v128.load32_lane 1 (local.get 0) (v128.const i64x2 5 5))))
    (func (export "atomic") (param i32) (result i32) (i32.atomic.load8_u (local.get 0)))
    (func (export "nested") (param i32) (result i32) (i32.load (i32.load (local.get 0))))
    (func (export "copy") (param i32) (i64.store (i32.const 8) (i64.load (local.get 0))))
    (func (export "grow") (result i32) (memory.grow (i32.const 1))))`,
  (twins) => {
    const loads = [
      'i32',
      'i64',
      'far',
      'f64',
      'v128',
      'splat',
      'extend',
      'zero',
      'lane',
      'atomic',
      'nested',
      'copy',
    ];
    const every = (end: number) => {
      for (const name of loads) {
        for (const back of [24, 16, 15, 12, 11, 8, 7, 4, 3, 2, 1, 0, -1, -8]) twins.call(name, end - back);
        for (const at of [-1, -4, -8, -16, -65536, 300 * END, 0x7fff_ffff]) twins.call(name, at);
      }
      twins.same();
    };
    every(END);
    twins.undone(['grow']);
    every(END);
    twins.call('grow');
    every(2 * END);
  },
  { regions: [1, 64], layouts: ['inline'], instrument: { checkLoads: true } },
);

cases(
  'without checkLoads, loads trap as before where memory is untouched',
  '(module (memory 1 3) (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))',
  (twins) => {
    for (const at of [65532, 65533, 65535, 65536, -1, -4]) twins.call('load', at);
  },
  { regions: [64], layouts: ['separate'], unless: NEEDS_MEMORIES },
);

cases(
  'a difference in what a trap left behind is seen',
  '(module (memory 1) (func (export "f") (i32.store (i32.const 0) (i32.const 1)) (unreachable)))',
  (twins) => {
    twins.guestCall(['f']);
    const [guest, plain] = twins.snapshots();
    assert.match(compare(guest, plain) ?? '', /differs at 0/);
  },
  { regions: [64] },
);

test.run();
