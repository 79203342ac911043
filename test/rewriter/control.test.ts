/** The order of evaluation, traps, and code of every shape around stores. */
import { test } from 'uvu';
import { HAS_TRY_TABLE } from '../random/kinds.js';
import { cases, undone } from './support.js';

undone(
  'nested stores',
  `(module (memory 1)
    (func $s (param i32 i32) (result i32) (i32.store (local.get 0) (local.get 1)) (local.get 1))
    (func (export "f") (param i32) (i32.store (call $s (local.get 0) (i32.const 200)) (call $s (i32.const 204) (call $s (local.get 0) (i32.const 9))))
      (i32.store (local.get 0) (block (result i32) (i64.store offset=60 (local.get 0) (i64.const -1)) (i32.const 4)))
      (i64.store offset=64 (local.tee 0 (i32.add (local.get 0) (i32.const 4))) (block (result i64) (local.set 0 (i32.const 1000)) (i64.const 5)))
      (i32.store offset=3 (local.get 0) (i32.const -1))))`,
  [
    ['f', 0],
    ['f', 60],
    ['f', 65530],
    ['f', -1],
  ],
);
undone(
  'values that trap, call and grow memory',
  `(module (import "env" "host" (func $host (param i32) (result i32))) (memory 1 3)
    (func (export "trap") (param i32) (i32.store (local.get 0) (i32.const 1)) (i32.store offset=4 (local.get 0) (i32.div_u (i32.const 1) (i32.const 0))) (i32.store offset=8 (local.get 0) (i32.const 1)))
    (func (export "host") (param i32) (i32.store (local.get 0) (call $host (local.get 0))) (i32.store offset=4 (local.get 0) (call $host (i32.load (local.get 0)))))
    (func (export "grow") (i32.store (i32.const 65536) (memory.grow (i32.const 1))) (i32.store (i32.const 65534) (memory.size)))
    (func (export "order") (i64.store (i32.const -1) (block (result i64) (i32.store (i32.const 8) (i32.const 5)) (i64.const 1)))))`,
  [['trap', 60], ['host', 61], ['grow'], ['order'], ['grow'], ['grow'], ['host', 65533]],
  { imports: () => ({ env: { host: (x: number) => (x * 3 + 1) | 0 } }) },
);
undone(
  'stores in conditions, loops, unreachable code and multi-value blocks',
  `(module (memory 1)
    (func $st (param i32) (result i32) (i32.store (local.get 0) (i32.const -1)) (local.get 0))
    (func (export "if") (param i32) (result i32) (if (result i32) (i32.and (call $st (local.get 0)) (i32.const 1)) (then (i32.store offset=4 (local.get 0) (i32.const 1)) (i32.const 1)) (else (i32.store offset=8 (local.get 0) (i32.const 2)) (i32.const 2))))
    (func (export "loop") (param i32 i32) (loop $l (i32.store (local.get 0) (local.get 1)) (local.set 0 (i32.add (local.get 0) (i32.const 4))) (br_if $l (local.tee 1 (i32.sub (local.get 1) (i32.const 1))))))
    (func (export "dead") (param i32) (result i32) (i32.store (local.get 0) (i32.const 1)) (return (i32.const 5)) (i32.store (i32.const 0) (i32.const 1)) (unreachable) (i32.store) (memory.fill) (drop (memory.grow)) (global.set 0))
    (func (export "br") (param i32) (block $b (br_table $b $b (block (result i32) (i32.store (local.get 0) (i32.const 4)) (i32.const 1))) (i32.store)))
    (func (export "multi") (param i32) (result i32 i64) (local.get 0) (i64.const 7) (block (param i32 i64) (result i32 i64) (i64.store (local.get 0) (i64.const 9)))
      (loop (param i32 i64) (result i32 i64) (i32.store offset=16 (local.get 0) (i32.const 3))))
    (func (export "values") (param i32) (i32.const 10) (block (result i32 i32) (local.get 0) (i32.const 6)) (i32.store) (drop))
    (global (mut i32) (i32.const 0)))`,
  [
    ['if', 62],
    ['if', 61],
    ['loop', 40, 20],
    ['loop', 65500, 20],
    ['dead', 9],
    ['br', 14],
    ['multi', 60],
    ['values', 15],
  ],
);
undone(
  'tail calls',
  `(module (memory 1) (type $t (func (param i32))) (table funcref (elem $down))
    (func $down (export "down") (param i32) (i32.store (local.get 0) (i32.const -1)) (if (i32.gt_s (local.get 0) (i32.const 4)) (then (return_call $down (i32.sub (local.get 0) (i32.const 4))))))
    (func (export "indirect") (param i32) (i64.store offset=8 (local.get 0) (i64.const -1)) (return_call_indirect (type $t) (local.get 0) (i32.const 0))))`,
  [
    ['down', 300],
    ['indirect', 65532],
    ['indirect', 90000],
  ],
);
const THROWS = `(tag $e (param i32)) (func $may (param i32) (i32.store offset=128 (local.get 0) (i32.const 3)) (if (i32.and (local.get 0) (i32.const 1)) (then (throw $e (local.get 0)))))`;
undone(
  'legacy exceptions',
  `(module (memory 1) ${THROWS}
    (func (export "f") (param i32) (local i32)
      (try (do (i32.store (local.get 0) (i32.const 1)) (call $may (local.get 0)) (i32.store offset=8 (local.get 0) (i32.const 2)) (local.set 1 (local.get 0)))
        (catch $e (local.set 1) (i32.store offset=8 (local.get 1) (i32.const 5)))
        (catch_all (i32.store offset=16 (local.get 0) (i32.const 6))))
      (i32.store offset=8 (local.get 0) (i32.const 9)) (i32.store offset=40 (local.get 1) (i32.const 9))
      (try (do (try (do (call $may (i32.add (local.get 0) (i32.const 1))) (i32.store offset=48 (local.get 0) (i32.const 9))) (delegate 0))) (catch_all (i32.store offset=52 (local.get 0) (i32.const 1))))
      (call $may (local.get 0)) (i32.store offset=60 (local.get 0) (i32.const 1))))`,
  [
    ['f', 64],
    ['f', 65],
    ['f', 65500],
    ['f', 65529],
  ],
);
undone(
  'exceptions with try_table',
  `(module (memory 1) ${THROWS}
    (func (export "f") (param i32) (local i32)
      (block $all (local.set 1 (block $caught (result i32)
        (try_table (catch $e $caught) (catch_all $all) (i32.store (local.get 0) (i32.const 1)) (call $may (local.get 0)) (i32.store offset=8 (local.get 0) (i32.const 2)))
        (i32.store offset=12 (local.get 0) (i32.const 2)) (local.get 0))) (i32.store offset=16 (local.get 1) (i32.const 2)))
      (i32.store offset=8 (local.get 0) (i32.const 9)) (i32.store offset=12 (local.get 0) (i32.const 9)) (i32.store offset=16 (local.get 1) (i32.const 9))))`,
  [
    ['f', 64],
    ['f', 65],
    ['f', 65500],
    ['f', 65521],
  ],
  { unless: !HAS_TRY_TABLE && 'this engine has no try_table' },
);
cases(
  'what only some paths have saved: values that meet, and early exits',
  `(module (memory 1)
    (func (export "exit") (param i32 i32) (block $b (br_if $b (local.get 1)) (i32.store (local.get 0) (i32.const 1))) (i32.store (local.get 0) (i32.const 2)))
    (func (export "arm") (param i32 i32) (if (local.get 1) (then (i32.store (local.get 0) (i32.const 1)))) (i32.store (local.get 0) (i32.const 2)))
    (func (export "arms") (param i32 i32) (local i32) (if (local.get 1) (then (local.set 2 (local.get 0))) (else (local.set 2 (i32.const 3000)))) (i32.store (local.get 2) (i32.const 2)) (i32.store (local.get 0) (i32.const 2)))
    (func (export "moved") (param i32 i32) (i32.store (local.get 0) (i32.const 1)) (block $b (if (local.get 1) (then (local.set 0 (i32.const 4000)) (br $b))) (i32.store offset=4 (local.get 0) (i32.const 1))) (i32.store (local.get 0) (i32.const 2)))
    (func (export "loop") (param i32 i32) (loop $l (i32.store (local.get 0) (i32.const 1)) (local.set 0 (i32.add (local.get 0) (i32.const 100))) (br_if $l (local.tee 1 (i32.sub (local.get 1) (i32.const 1))))) (i32.store (local.get 0) (i32.const 2)))
    (func (export "twice") (param i32 i32) (block $b (if (local.get 1) (then (local.set 0 (i32.const 5000)) (local.set 0 (i32.const 5100)) (br_if $b (local.get 0)))) (local.set 0 (i32.const 6000)) (i32.store (local.get 0) (i32.const 1))) (i32.store (local.get 0) (i32.const 2)))
    (func (export "table") (param i32 i32) (block $a (block $b (block $c (br_table $a $b $c (local.get 1))) (i32.store (local.get 0) (i32.const 1))) (i32.store offset=8 (local.get 0) (i32.const 1))) (i32.store (local.get 0) (i32.const 2)) (i32.store offset=8 (local.get 0) (i32.const 2)))
    (func (export "value") (param i32 i32) (i32.store (local.get 0) (i32.const 1)) (i32.store (block $v (result i32) (local.get 0) (br_if $v (local.get 1)) (drop) (i32.const 7000)) (i32.const 3))))`,
  (twins) => {
    for (const name of ['exit', 'arm', 'arms', 'moved', 'loop', 'twice', 'table', 'value']) {
      for (const choice of [1, 2, 3]) {
        twins.undoneAndDone([name, 200, choice]);
      }
      if (name !== 'loop') twins.undoneAndDone([name, 500, 0]);
    }
  },
  { regions: [1, 4, 16, 64] },
);

test.run();
