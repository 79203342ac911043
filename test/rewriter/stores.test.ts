/** Every kind of store is undone, at every alignment to a region's border. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Call, Twins } from '../support/oracle.js';
import { assemble, cases, NEEDS_MEMORIES, options, REGIONS, undone } from './support.js';

const SCALARS: [string, string, number][] = [
  ['i32.store', '(i32.const -1)', 4],
  ['i32.store8', '(i32.const -1)', 1],
  ['i32.store16', '(i32.const -1)', 2],
  ['i64.store', '(i64.const -1)', 8],
  ['i64.store8', '(i64.const -1)', 1],
  ['i64.store16', '(i64.const -1)', 2],
  ['i64.store32', '(i64.const -1)', 4],
  ['f32.store', '(f32.const -nan:0x7fffff)', 4],
  ['f64.store', '(f64.const -nan:0xfffffffffffff)', 8],
  ['v128.store', '(v128.const i64x2 -1 -1)', 16],
];
const LANES: [string, number][] = [
  ['v128.store8_lane', 1],
  ['v128.store16_lane', 2],
  ['v128.store32_lane', 4],
  ['v128.store64_lane', 8],
];

const one = (store: string) =>
  `(module (memory 2) (func (export "f") (param i32) ${store}) (func (export "g") (param i32 i32)
    (if (local.get 1) (then ${store})) ${store}))`;

/** Addresses around the borders of regions, of blocks of regions, and of memory. */
const around = (region: number, width: number): number[] => [
  0,
  ...Array.from({ length: width + 1 }, (_, i) => region * 3 - width + i).filter((a) => a >= 0),
  65536 - width,
  131072 - width,
  65536 * 2 - width - 1,
];

for (const [name, value, width] of SCALARS) {
  cases(
    name,
    one(`(${name} (local.get 0) ${value})`),
    (twins, { region }) => {
      for (const address of around(region, width)) twins.undone(['f', address], ['g', address + 0, 1]);
      twins.undone(...around(region, width).map((a) => ['f', a] as const));
      for (const address of around(region, width)) twins.call('g', address, 0);
      twins.same();
    },
    { regions: REGIONS },
  );
}
for (const [name, width] of LANES) {
  cases(name, one(`(${name} 0 (local.get 0) (v128.const i64x2 -1 -1))`), (twins, { region }) => {
    for (const address of around(region, width)) twins.undone(['f', address], ['g', address, 1]);
  });
}

for (const offset of [1, 15, 16, 17, 63, 64, 65, 4095, 4096, 65535, 65536]) {
  undone(`a static offset of ${offset}`, one(`(i64.store offset=${offset} (local.get 0) (i64.const -1))`), [
    ['f', 0],
    ['f', 1],
    ['g', 64, 1],
    ['g', 131072 - 8 - offset, 1],
  ]);
}

for (const shape of ['i32', 'i64']) {
  const widths = shape === 'i32' ? ['', '8', '16'] : ['', '8', '16', '32'];
  for (const width of widths) {
    const u = width ? '_u' : '';
    const ops = ['add', 'sub', 'and', 'or', 'xor', 'xchg'].map(
      (op) => `(drop (${shape}.atomic.rmw${width}.${op}${u} (local.get 0) (${shape}.const 0x55)))`,
    );
    const text = `(module (memory 1)
      (func (export "store") (param i32) (${shape}.atomic.store${width} (local.get 0) (${shape}.const -1)))
      (func (export "swap") (param i32) (result ${shape})
        (${shape}.atomic.rmw${width}.cmpxchg${u} offset=8 (local.get 0) (${shape}.const 0) (${shape}.const 77)))
      (func (export "rmw") (param i32) ${ops.join(' ')}))`;
    const calls: Call[] = [
      ['store', 64],
      ['rmw', 128],
      ['swap', 256],
      ['swap', 256],
      ['rmw', 4096 - 8],
      ['store', 65536 - 8],
      ['swap', 65536 - 16],
      ['swap', 65536 - 8],
      ['store', 3],
    ];
    cases(`atomics of ${shape}${width && ` (${width} bits)`}`, text, (twins) => {
      // Each in an epoch of its own first: what one of them saves may be what another leaves out.
      for (const call of calls) twins.undone(call);
      twins.undoneAndDone(...calls);
    });
  }
}

cases(
  'stores beyond memory trap, and nothing else changes',
  one('(i64.store offset=4 (local.get 0) (i64.const -1))'),
  (twins) => {
    for (const address of [
      131072 - 12,
      131072 - 11,
      131072 - 5,
      131072 - 4,
      131072,
      196608,
      -1,
      -4,
      -5,
      -8,
      -12,
      -16,
      -65536,
      0x7fffffff,
    ]) {
      twins.undoneAndDone(['f', address], ['g', address, 1]);
    }
  },
);

for (const offset of [0xffffffff, 0xfffffff0, 0xffff0000, 0x80000000]) {
  cases(
    `a static offset of 0x${offset.toString(16)}`,
    one(`(i32.store offset=${offset} (local.get 0) (i32.const -1))`),
    (twins) => {
      for (const address of [0, 1, 16, 65536, -1, -65536, -0x80000000])
        twins.undoneAndDone(['f', address], ['g', address, 1]);
    },
  );
}

test('two stores off one base, at every distance and alignment, where only the first is checked', async () => {
  // Regions of 16 bytes and their tails of 16: each pair of offsets and widths, at each alignment.
  const functions: string[] = [];
  const names: string[] = [];
  for (let distance = -20; distance <= 36; distance++) {
    for (const [a, wa, b, wb] of [
      ['i32.store8', 1, 'i32.store8', 1],
      ['i32.store8', 1, 'i64.store', 8],
      ['i64.store', 8, 'i32.store16', 2],
    ] as const) {
      const name = `d${distance}_${wa}_${wb}`;
      names.push(name);
      const value = (op: string) => (op.startsWith('i64') ? '(i64.const -1)' : '(i32.const -1)');
      functions.push(`(func (export "${name}") (param i32) (${a} offset=20 (local.get 0) ${value(a)})
        (call $nothing) (${b} offset=${20 + distance} (local.get 0) ${value(b)}))
       (func (export "m${name}") (param i32) (${a} offset=20 (local.get 0) ${value(a)}) (${b} offset=${20 + distance} (local.get 0) ${value(b)}))`);
    }
  }
  const bytes = await assemble(`(module (memory 1) (func $nothing) ${functions.join('\n')})`);
  for (const layout of NEEDS_MEMORIES ? (['inline'] as const) : (['separate', 'inline'] as const)) {
    for (const region of [8, 16, 32, 64]) {
      const twins = new Twins(bytes, { instrument: { ...options(layout, region), oracle: true } });
      for (const name of names.flatMap((n) => [n, `m${n}`])) {
        for (let at = 200; at < 200 + region; at++) {
          twins.guest.checkpoint();
          assert.is(twins.guestCall([name, at]).trap, undefined);
          twins.guest.rollback();
        }
      }
      twins.same('after all pairs');
    }
  }
});

test.run();
