/** Tables of many sizes: they are saved in at most 64 chunks, whose borders must not show. */
import { test } from 'uvu';
import { cases } from './support.js';

const table = (n: number) => `(module (func $one) (func $two) (elem declare func $one $two)
  (table $t ${n} 12000 funcref) (type $v (func))
  (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $one)))
  (func (export "fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $two) (local.get 1)))
  (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "call") (param i32) (call_indirect $t (type $v) (local.get 0)))
  (func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
  (func (export "size") (result i32) (table.size $t))
  (func (export "grow") (param i32) (result i32) (table.grow $t (ref.func $one) (local.get 0))))`;

for (const n of [0, 1, 63, 64, 65, 127, 128, 129, 1000, 4096, 5000]) {
  cases(
    `a table of ${n}`,
    table(n),
    (twins) => {
      const last = n - 1;
      twins.undone(['fill', 0, n]);
      for (const at of [0, last >> 1, last]) twins.undone(['set', at]);
      twins.undoneAndDone(['set', 0], ['set', last], ['set', n >> 1], ['null', last], ['call', last]);
      twins.undoneAndDone(['fill', 5, n - 6], ['copy', 0, 3, n - 3], ['copy', 2, 0, n - 2], ['fill', n, 0]);
      // Beyond its end, before and after growth that was undone.
      twins.undone(['grow', n], ['fill', 0, 2 * n]);
      for (const at of [n, n + 1, 2 * n, -1]) {
        twins.call('set', at);
        twins.call('null', at);
        twins.call('call', at);
        twins.call('fill', at, 1);
      }
      twins.call('fill', n - 1, 2);
      twins.call('copy', 0, n - 1, 2);
      twins.same('beyond its end');
      twins.undoneAndDone(['grow', n + 1], ['set', 2 * n], ['fill', n - 1, n], ['size'], ['copy', 1, n, n]);
      twins.undoneAndDone(['grow', 3], ['fill', 0, 2 * n + 4], ['grow', 12000], ['grow', -1]);
    },
    { regions: [64] },
  );
}

test.run();
