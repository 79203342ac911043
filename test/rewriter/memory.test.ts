/** Bulk operations, growth, segments, several memories, 64-bit memories. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MECHANISMS, OUTSIDE_MECHANISMS } from '../../contract/contract.js';
import { cases, INSIDE, NEEDS_MEMORIES, undone } from './support.js';

const SEPARATE = { layouts: ['separate'], unless: NEEDS_MEMORIES } as const;

const BULK = `(module (memory 1 4) (data $d "0123456789abcdef") (data (i32.const 100) "active")
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (data.drop $d))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i32) (i32.store (local.get 0) (i32.const -1))))`;

undone('memory.fill', BULK, [
  ['fill', 0, 1, 1],
  ['fill', 63, 2, 2],
  ['fill', 1000, 3, 5000],
  ['fill', 65536, 4, 0],
  ['fill', 65535, 4, 1],
  ['fill', 0, 9, 65536],
]);
undone('memory.fill beyond memory', BULK, [
  ['fill', 65536, 1, 1],
  ['fill', 65537, 1, 0],
  ['fill', 1, 1, 65536],
  ['fill', -1, 1, 2],
  ['fill', 16, 1, -1],
]);
undone('memory.copy', BULK, [
  ['copy', 200, 100, 6],
  ['copy', 101, 100, 6],
  ['copy', 4090, 90, 5000],
  ['copy', 65530, 100, 6],
  ['copy', 65531, 100, 6],
  ['copy', 100, 65531, 6],
  ['copy', -1, 0, 1],
  ['copy', 0, -1, 1],
  ['copy', 65536, 65536, 0],
]);
undone('memory.init', BULK, [
  ['init', 60, 0, 16],
  ['init', 65520, 0, 16],
  ['init', 65521, 0, 16],
  ['init', 0, 1, 16],
  ['init', 0, 16, 0],
  ['init', 0, 17, 0],
]);
undone('data.drop', BULK, [
  ['init', 0, 0, 8],
  ['drop'],
  ['init', 8, 0, 8],
  ['init', 8, 0, 0],
  ['init', 8, 1, 0],
  ['init', 65536, 0, 0],
  ['init', 65537, 0, 0],
  ['drop'],
]);
cases('a dropped segment stays dropped where the checkpoint came after', BULK, (twins) => {
  twins.call('drop');
  twins.undoneAndDone(['init', 0, 0, 1], ['init', 0, 0, 0], ['drop']);
});

undone(
  'memory.grow',
  BULK,
  [
    ['grow', 0],
    ['grow', 1],
    ['size'],
    ['store', 65534],
    ['store', 65536],
    ['load', 65540],
    ['fill', 70000, 5, 1000],
    ['store', 131069],
    ['grow', 2],
    ['grow', 1],
    ['grow', -1],
    ['fill', 60000, 7, 200000],
    ['size'],
  ],
  { mechanisms: INSIDE },
);
undone('memory.grow, and nothing beyond it', BULK, [
  ['grow', 1],
  ['size'],
  ['store', 65536],
  ['fill', 70000, 5, 1000],
  ['grow', 2],
  ['grow', 1],
  ['grow', -1],
  ['fill', 60000, 7, 200000],
  ['store', 262140],
  ['size'],
]);
cases('growth that was rolled back, and grown again, reads as zero', BULK, (twins) => {
  twins.undone(['grow', 2], ['fill', 65000, 255, 131000], ['store', 65534]);
  twins.undone(['grow', 1], ['fill', 65000, 255, 66072]);
  twins.undoneAndDone(['grow', 1], ['load', 65536], ['load', 131071], ['store', 65533], ['size']);
  twins.undoneAndDone(['grow', 1], ['store', 131070], ['load', 140000]);
  twins.undoneAndDone(['grow', 2], ['grow', 1], ['size']);
});
cases(
  'a store at the end of memory traps as before, also after growth was rolled back',
  BULK,
  (twins) => {
    for (let i = 0; i < 2; i++) {
      for (const at of [65532, 65533, 65535, 65536, 65540, 131071]) twins.call('store', at);
      twins.undone(['grow', 1], ['store', 65533], ['store', 65536]);
    }
    twins.guest.checkpoint();
    for (const at of [65532, 65533, 65535, 65536]) twins.call('store', at);
    twins.call('fill', 65500, 1, 36);
    twins.call('fill', 65500, 1, 37);
  },
  { mechanisms: INSIDE },
);
undone(
  'a memory that begins with no pages',
  `(module (memory 0 20) (func (export "grow") (result i32) (memory.grow (i32.const 3)))
    (func (export "store") (param i32) (i32.store (local.get 0) (i32.const -1))))`,
  [['grow'], ['store', 0], ['store', 70_000], ['grow'], ['store', 300_000]],
);
undone(
  'a memory of 64 bits, and nothing beyond it',
  `(module (memory i64 0 20) (func (export "grow") (result i64) (memory.grow (i64.const 3)))
    (func (export "store") (param i64) (i64.store (local.get 0) (i64.const -1))))`,
  [['grow'], ['store', 0n], ['store', 70_000n], ['grow'], ['store', 300_000n]],
  { ...SEPARATE, mechanisms: MECHANISMS },
);
cases(
  'mechanisms outside: what a store leaves beyond the size that a rollback restored is gone when memory grows again',
  BULK,
  (twins) => {
    twins.undone(['grow', 2], ['fill', 65000, 255, 131000]);
    for (const at of [65536, 80000, 196600]) twins.guestCall(['store', at]);
    twins.guest.checkpoint();
    for (const at of [65540, 90000]) twins.guestCall(['store', at]);
    twins.rollback('after stores beyond memory');
    twins.undoneAndDone(['grow', 1], ['load', 65536], ['load', 65540], ['load', 80000], ['load', 90000]);
    twins.undoneAndDone(['grow', 1], ['load', 196600], ['size']);
  },
  { layouts: [], mechanisms: OUTSIDE_MECHANISMS },
);
cases('the host grows a memory', BULK.replace('(memory 1 4)', '(memory (export "m") 1 4)'), (twins) => {
  const memory = twins.guest.exports.m as WebAssembly.Memory;
  twins.guest.checkpoint();
  assert.is(memory.grow(1), 1);
  twins.guestCall(['store', 70000]);
  twins.rollback('growth by the host');
  memory.grow(1);
  (twins.plain.exports.m as WebAssembly.Memory).grow(1);
  twins.same('grown on both sides');
  assert.throws(() => memory.grow(3), RangeError);
  twins.undoneAndDone(['store', 65534], ['size']);
});
cases(
  'the host grows a memory behind our back',
  BULK.replace('(memory 1 4)', '(memory (export "m") 1 4)'),
  (twins) => {
    for (const instance of [twins.guest, twins.plain]) {
      WebAssembly.Memory.prototype.grow.call((instance.exports as { m: WebAssembly.Memory }).m, 1);
    }
    twins.guest.checkpoint();
    twins.same('noticed at the checkpoint');
    twins.undoneAndDone(['store', 70000], ['size'], ['grow', 1]);
  },
  { layouts: ['separate'] },
);
undone(
  'a memory of no pages',
  BULK.replace('(memory 1 4)', '(memory 0 4)').replace('(data (i32.const 100) "active")', ''),
  [
    ['store', 0],
    ['fill', 0, 0, 0],
    ['fill', 0, 0, 1],
    ['grow', 1],
    ['store', 0],
    ['store', 65532],
  ],
  { mechanisms: INSIDE },
);

undone(
  'a merged check goes no further than a call or memory.grow',
  `(module (memory 1 4) (func $grow (drop (memory.grow (i32.const 1))))
    (func (export "a") (param i32) (i32.store (local.get 0) (i32.const -1)) (drop (memory.grow (i32.const 1)))
      (i32.store offset=40 (local.get 0) (i32.const -1)))
    (func (export "b") (param i32) (i32.store (local.get 0) (i32.const -1)) (call $grow)
      (i32.store offset=40 (local.get 0) (i32.const -1)) (i32.store offset=60 (local.get 0) (i32.const -1))))`,
  [
    ['a', 65536 - 8],
    ['b', 131072 - 48],
  ],
);

cases(
  'a stray store behind memory that was rolled back is not seen when memory grows over it',
  `(module (memory 1 4) (func (export "f") (param i32) (i32.store (local.get 0) (i32.const -1)) (i32.store offset=8 (local.get 0) (i32.const -1)))
    (func (export "grow") (result i32) (memory.grow (i32.const 1))))`,
  (twins) => {
    twins.undone(['grow']);
    twins.guest.checkpoint();
    twins.guestCall(['f', 65528]);
    twins.rollback('the stray store');
    twins.call('grow');
    twins.same('grown over it');
  },
);

const TWO = `(module (memory $a 1 2) (memory $b 1 3) (data $d "hello")
  (func (export "store") (param i32) (i32.store $a (local.get 0) (i32.const 1)) (i64.store $b offset=4 (local.get 0) (i64.const -1))
    (v128.store8_lane $b offset=50 3 (local.get 0) (v128.const i64x2 -1 -1)))
  (func (export "copy") (param i32 i32 i32) (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2)) (memory.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "fill") (param i32 i32 i32) (memory.fill $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32) (memory.init $b $d (local.get 0) (i32.const 0) (i32.const 5)))
  (func (export "grow") (result i32) (drop (memory.grow $a (i32.const 1))) (memory.grow $b (i32.const 1)))
  (func (export "size") (result i32) (i32.add (memory.size $a) (i32.mul (memory.size $b) (i32.const 10)))))`;
undone(
  'two memories',
  TWO,
  [
    ['store', 64],
    ['copy', 100, 60, 50],
    ['fill', 65500, 1, 36],
    ['fill', 65500, 1, 37],
    ['init', 62],
    ['grow'],
    ['size'],
    ['store', 70000],
    ['grow'],
    ['size'],
    ['store', 65535],
  ],
  SEPARATE,
);
undone(
  'a 64-bit memory',
  `(module (memory i64 1 3)
    (func (export "store") (param i64) (i64.store offset=9 (local.get 0) (i64.const -1)) (i32.store (i64.sub (local.get 0) (i64.const 8)) (i32.const 7)))
    (func (export "two") (param i64) (i64.store (local.get 0) (i64.const -1)) (i64.store offset=8 (local.get 0) (i64.const -1)) (i64.store offset=24 (local.get 0) (i64.const -1)))
    (func (export "constant") (i64.store offset=4294967296 (i64.const 0) (i64.const 1)))
    (func (export "far") (param i64) (i64.store offset=4294967296 (local.get 0) (i64.const 1)))
    (func (export "fill") (param i64 i32 i64) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy") (param i64 i64 i64) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
    (func (export "size") (result i64) (memory.size)))`,
  [
    ['store', 64n],
    ['store', 3n],
    ['two', 60n],
    ['two', 65504n],
    ['store', 65530n],
    ['store', -1n],
    ['store', 1n << 40n],
    ['constant'],
    ['far', 5n],
    ['far', -8n],
    ['fill', 4000n, 3, 200n],
    ['fill', 65535n, 1, 2n],
    ['fill', 1n << 33n, 1, 0n],
    ['copy', 0n, 60n, 300n],
    ['copy', 65000n, 64000n, 600n],
    ['grow', 1n],
    ['size'],
    ['store', 65530n],
    ['grow', 9n],
    ['grow', -1n],
    ['two', 131048n],
  ],
  { ...SEPARATE, mechanisms: INSIDE },
);

cases(
  'an imported memory',
  `(module (import "env" "memory" (memory 1 4)) (func (export "store") (param i32) (i32.store (local.get 0) (i32.const -1)))
    (func (export "grow") (result i32) (memory.grow (i32.const 1))) (func (export "size") (result i32) (memory.size)))`,
  (twins) => {
    twins.undoneAndDone(['store', 62], ['store', 65535], ['grow'], ['size'], ['store', 65535]);
  },
  {
    mechanisms: INSIDE,
    imports: (contract) => {
      const [inner] = contract?.memories ?? [];
      const pages = inner?.total;
      return {
        env: {
          memory: new WebAssembly.Memory(
            pages ? { initial: pages, maximum: pages } : { initial: 1, maximum: 4 },
          ),
        },
      };
    },
  },
);

test.run();
