/** memory.copy between memories of 32 and of 64 bits, in both directions. */
import { test } from 'uvu';
import { assemble, cases } from './support.js';

const TEXT = `(module (memory $a 1 2) (memory $b i64 1 3) (memory $c 1)
  (func (export "ab") (param i32 i64 i32) (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "ba") (param i64 i32 i32) (memory.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "ca") (param i32 i32 i32) (memory.copy $c $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "storeA") (param i32) (i64.store $a (local.get 0) (i64.const 0x123456789abcdef0)))
  (func (export "storeB") (param i64) (v128.store $b (local.get 0) (v128.const i64x2 9 9))
    (i32.atomic.store $b offset=16 (local.get 0) (i32.const 3)))
  (func (export "growB") (param i64) (result i64) (memory.grow $b (local.get 0)))
  (func (export "sizeB") (result i64) (memory.size $b)))`;

const UNLESS = WebAssembly.validate((await assemble(TEXT)) as Uint8Array<ArrayBuffer>)
  ? undefined
  : 'this engine has no memories of both kinds';

cases(
  'copies between memories of 32 and 64 bits',
  TEXT,
  (twins) => {
    twins.undoneAndDone(
      ['storeA', 60],
      ['storeB', 64n],
      ['ab', 200, 60n, 100],
      ['ba', 65530n, 60, 6],
      ['ca', 1000, 60, 8],
      ['ca', 65530, 60, 6],
    );
    // Out of bounds on either side, and lengths of nothing.
    twins.undoneAndDone(
      ['ba', 65530n, 60, 7],
      ['ba', 60n, 65530, 7],
      ['ab', 65530, 60n, 7],
      ['ab', 60, 65530n, 7],
      ['ab', 0, 1n << 33n, 0],
      ['ab', 0, 65536n, 0],
      ['ab', 0, 1n << 32n, 1],
      ['ba', 1n << 32n, 0, 0],
      ['ba', -1n, 0, 2],
      ['ab', -1, 0n, 2],
      ['ab', 0, 0n, -1],
      ['ba', 0n, 0, 65536],
      ['ba', 0n, 0, 65537],
    );
    twins.undoneAndDone(
      ['growB', 1n],
      ['ba', 65530n, 60, 100],
      ['sizeB'],
      ['growB', 1n << 48n],
      ['growB', -1n],
      ['growB', 2n],
    );
    twins.undone(['growB', 1n], ['ba', 131070n, 60, 100]);
    twins.call('ba', 131070n, 60, 3);
    twins.same('at the edge that a rolled-back grow left');
  },
  { layouts: ['separate'], unless: UNLESS },
);

test.run();
