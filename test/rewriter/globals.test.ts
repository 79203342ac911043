/** Globals of every type, their own, exported and imported; start functions; what a trap leaves behind. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cases, undone } from './support.js';

undone(
  'globals of every type',
  `(module (global $a (mut i32) (i32.const 1)) (global $b (mut i64) (i64.const 2)) (global $c (mut f32) (f32.const 3)) (global $d (mut f64) (f64.const 4))
    (global $e (mut v128) (v128.const i64x2 5 6)) (global $f (mut funcref) (ref.null func)) (global $g (mut externref) (ref.null extern)) (global $h i32 (i32.const 9))
    (func $fn (export "fn")) (elem declare func $fn)
    (func (export "set") (param i32 i64 f32 f64 externref) (global.set $a (local.get 0)) (global.set $b (local.get 1)) (global.set $c (local.get 2))
      (global.set $d (local.get 3)) (global.set $e (i64x2.splat (local.get 1))) (global.set $f (ref.func $fn)) (global.set $g (local.get 4)))
    (func (export "trap") (global.set $a (i32.const 77)) (unreachable)))`,
  [
    ['trap'],
    ['set', 10, 20n, Number.NaN, -0, 'x'],
    ['set', -1, -1n, 1.5, Number.NEGATIVE_INFINITY, null],
    ['trap'],
  ],
);
undone(
  'an exported global',
  `(module (global (export "g") (mut i32) (i32.const 1)) (func (export "set") (param i32) (global.set 0 (local.get 0))))`,
  [['set', 5]],
);
cases(
  'an exported global that the host sets',
  `(module (global (export "g") (mut i64) (i64.const 1)) (func (export "get") (result i64) (global.get 0)))`,
  (twins) => {
    twins.guest.checkpoint();
    (twins.guest.exports.g as WebAssembly.Global).value = 5n;
    assert.is(twins.guestCall(['get']).value, 5n);
    twins.rollback('set by the host');
  },
);
cases(
  'imported globals',
  `(module (import "env" "a" (global $a (mut i32))) (import "env" "b" (global $b (mut externref))) (import "env" "c" (global $c i32))
    (func (export "set") (param i32 externref) (global.set $a (local.get 0)) (global.set $b (local.get 1))) (func (export "get") (result i32) (i32.add (global.get $a) (global.get $c))))`,
  (twins) => {
    twins.undoneAndDone(['set', 4, 'x'], ['get'], ['set', 5, null]);
  },
  {
    imports: () => ({
      env: {
        a: new WebAssembly.Global({ value: 'i32', mutable: true }, 3),
        b: new WebAssembly.Global({ value: 'externref', mutable: true }, 'first'),
        c: new WebAssembly.Global({ value: 'i32' }, 100),
      },
    }),
  },
);
cases(
  'a start function runs before the first checkpoint, and may change everything',
  `(module (memory 1 3) (table $t (export "t") 2 4 funcref) (global $g (mut i32) (i32.const 1)) (data $d "xyz") (elem declare func $f)
    (func $f (i32.store (i32.const 100) (i32.const 7)) (global.set $g (i32.const 2)) (table.set $t (i32.const 0) (ref.func $f)) (drop (memory.grow (i32.const 1)))
      (memory.init $d (i32.const 65536) (i32.const 0) (i32.const 3)) (data.drop $d) (drop (table.grow $t (ref.null func) (i32.const 1))))
    (start $f) (func (export "again") (call $f)) (func (export "store") (param i32) (i32.store (local.get 0) (global.get $g))))`,
  (twins) => {
    twins.same('after the start function');
    twins.undoneAndDone(['store', 98], ['again'], ['store', 131070]);
  },
);
cases(
  'the stack pointer after a trap',
  `(module (memory 1) (global $sp (mut i32) (i32.const 1024))
    (func $deep (export "deep") (param i32) (local $fp i32) (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const 64))))
      (i32.store offset=8 (local.get $fp) (local.get 0)) (i64.store offset=56 (local.get $fp) (i64.const -1))
      (if (i32.eqz (local.get 0)) (then (unreachable))) (call $deep (i32.sub (local.get 0) (i32.const 1)))
      (i32.store offset=12 (local.get $fp) (local.get 0)) (global.set $sp (i32.add (local.get $fp) (i32.const 64)))))`,
  (twins) => {
    for (const n of [0, 3, 8]) twins.undoneAndDone(['deep', n]);
  },
);
for (const start of [16, 40, 0, 1024]) {
  undone(
    `a stack pointer lowered below zero, from ${start}`,
    `(module (memory 1 2) (global $sp (mut i32) (i32.const ${start}))
      (func $f (export "f") (param i32) (local $fp i32) (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const 32))))
        (i32.store (i32.add (local.get $fp) (i32.const 20)) (i32.const 8)) (i32.store (i32.add (local.get $fp) (i32.const 28)) (i32.const 9))
        (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))))
        (global.set $sp (i32.add (local.get $fp) (i32.const 32))))
      (func (export "set") (param i32) (global.set $sp (local.get 0))))`,
    [
      ['f', 0],
      ['f', 3],
      ['set', 48],
      ['f', 2],
      ['set', -8],
      ['f', 0],
      ['set', 65536],
      ['f', 5],
      ['set', 60000],
      ['f', 1],
    ],
  );
}

cases(
  'a frame of the stack in memory that did not exist when the frame was made',
  `(module (memory 1 3) (global $sp (mut i32) (i32.const 65700))
    (func (export "f") (local $fp i32) (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const 128))))
      (drop (memory.grow (i32.const 1))) (i32.store offset=100 (local.get $fp) (i32.const -1)) (i32.store (local.get $fp) (i32.const -1))
      (global.set $sp (i32.add (local.get $fp) (i32.const 128))))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))`,
  (twins) => {
    twins.undone(['f'], ['f']);
    twins.undoneAndDone(['grow'], ['load', 65672], ['load', 65572], ['f']);
  },
);

test.run();
