/** Bits that JavaScript would not show: payloads of NaNs and both zeros, in globals and in memory. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cases } from './support.js';

const TEXT = `(module (memory 1)
  (global $f (mut f32) (f32.const nan:0x200001)) (global $d (mut f64) (f64.const nan:0x4000000000001))
  (global $v (mut v128) (v128.const i32x4 0x7fa00001 0xffa00002 0x80000000 1))
  (func (export "f") (result i32) (i32.reinterpret_f32 (global.get $f)))
  (func (export "d") (result i64) (i64.reinterpret_f64 (global.get $d)))
  (func (export "v") (result i64 i64) (i64x2.extract_lane 0 (global.get $v)) (i64x2.extract_lane 1 (global.get $v)))
  (func (export "set") (param i32 i64)
    (global.set $f (f32.reinterpret_i32 (local.get 0)))
    (global.set $d (f64.reinterpret_i64 (local.get 1)))
    (global.set $v (i64x2.replace_lane 1 (i32x4.splat (local.get 0)) (local.get 1))))
  (func (export "store") (param i32)
    (f32.store (local.get 0) (global.get $f))
    (f64.store offset=16 (local.get 0) (global.get $d))
    (f32.store (i32.add (local.get 0) (i32.const 29)) (f32.load (local.get 0)))
    (v128.store offset=40 (i32.mul (local.get 0) (i32.const 1)) (global.get $v))))`;

const NUMBERS: [number, bigint][] = [
  [0x7fa0_0001, 0x7ff4_0000_0000_0001n],
  [0xffc0_1234 | 0, -1n],
  [0x8000_0000 | 0, -(2n ** 63n)],
  [0x7f80_0001, 0x7ff0_0000_0000_0001n],
  [0, 0n],
  [1, 1n],
];

cases(
  'payloads of NaNs',
  TEXT,
  (twins) => {
    const state = () => ['f', 'd', 'v'].map((name) => twins.call(name).value);
    let before = state();
    assert.equal(before.slice(0, 2), [0x7fa0_0001, 0x7ff4_0000_0000_0001n]);
    for (const [single, wide] of NUMBERS) {
      twins.guest.checkpoint();
      twins.guestCall(['set', single ^ 1, wide ^ 1n]);
      twins.guestCall(['store', 60]);
      twins.rollback('NaNs');
      assert.equal(state(), before);
      twins.undoneAndDone(['set', single, wide], ['store', 60], ['store', 4083], ['store', 65490]);
      before = state();
      assert.equal(before.slice(0, 2), [single, BigInt.asIntN(64, wide)]);
    }
  },
  { regions: [1, 8, 16, 64] },
);

test.run();
