/** Tables: changed by the module and by the host, grown, dropped segments; functions and externrefs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cases, undone } from './support.js';

const TABLES = `(module (type $r (func (result i32)))
  (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2)) (func $three (result i32) (i32.const 3))
  (table $t (export "t") 5 90 funcref) (table $u 200 funcref) (elem (table $t) (i32.const 0) func $one $two)
  (elem $e func $three $two $one) (elem declare func $three)
  (func (export "set") (param i32 i32) (table.set $t (local.get 0) (if (result funcref) (local.get 1) (then (ref.func $three)) (else (ref.null func)))))
  (func (export "fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $three) (local.get 1)))
  (func (export "fillU") (param i32 i32) (table.fill $u (local.get 0) (ref.func $two) (local.get 1)))
  (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "across") (param i32 i32 i32) (table.copy $u $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "back") (param i32 i32 i32) (table.copy $t $u (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (elem.drop $e))
  (func (export "grow") (param i32) (result i32) (table.grow $t (ref.func $two) (local.get 0)))
  (func (export "size") (result i32) (table.size $t))
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $r) (local.get 0)))
  (func (export "isNull") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
  (func (export "callU") (param i32) (result i32) (call_indirect $u (type $r) (local.get 0))))`;

undone('table.set', TABLES, [
  ['set', 0, 0],
  ['call', 0],
  ['set', 4, 1],
  ['call', 4],
  ['set', 5, 1],
  ['set', -1, 1],
  ['isNull', 4],
  ['isNull', 5],
]);
undone('table.fill', TABLES, [
  ['fill', 1, 4],
  ['fill', 5, 0],
  ['fill', 6, 0],
  ['fill', 1, 5],
  ['fill', 3, -1],
  ['call', 4],
]);
undone('table.copy', TABLES, [
  ['copy', 3, 0, 2],
  ['copy', 0, 1, 4],
  ['copy', 4, 0, 2],
  ['copy', 0, 4, 2],
  ['copy', 5, 5, 0],
  ['copy', 6, 0, 0],
  ['call', 0],
]);
undone('between tables, of which one is not exported', TABLES, [
  ['across', 100, 0, 2],
  ['callU', 101],
  ['fillU', 0, 200],
  ['callU', 199],
  ['back', 0, 150, 5],
  ['across', 199, 0, 2],
  ['call', 3],
]);
undone('table.init and elem.drop', TABLES, [
  ['init', 0, 0, 3],
  ['init', 3, 1, 3],
  ['init', 4, 0, 2],
  ['init', 5, 0, 0],
  ['call', 0],
  ['drop'],
  ['init', 0, 0, 1],
  ['init', 0, 0, 0],
  ['init', 0, 1, 0],
  ['init', 6, 0, 0],
  ['drop'],
]);
undone('table.grow', TABLES, [
  ['grow', 0],
  ['grow', 3],
  ['size'],
  ['call', 7],
  ['call', 8],
  ['set', 7, 0],
  ['grow', 100],
  ['grow', -1],
  ['fill', 0, 8],
  ['grow', 82],
  ['size'],
  ['call', 89],
  ['isNull', 89],
]);
cases('growth that was rolled back, and grown again', TABLES, (twins) => {
  twins.undone(['grow', 40], ['fill', 0, 45], ['call', 44]);
  twins.undoneAndDone(['grow', 2], ['call', 6], ['isNull', 7], ['size']);
  twins.undoneAndDone(['set', 6, 0], ['fill', 2, 3], ['grow', 70], ['set', 70, 1], ['call', 75]);
  twins.undoneAndDone(['fill', 0, 77], ['call', 76], ['copy', 10, 0, 60]);
});
cases('the host sets and grows a table', TABLES, (twins) => {
  const table = twins.guest.exports.t as WebAssembly.Table;
  const theirs = twins.plain.exports.t as WebAssembly.Table;
  twins.guest.checkpoint();
  table.set(0, null);
  assert.is(table.grow(4), 5);
  table.set(8, table.get(1));
  assert.throws(() => table.set(9, null), RangeError);
  assert.is(twins.guestCall(['call', 8]).value, 2);
  twins.rollback('the host');
  for (const t of [table, theirs]) {
    assert.is(t.grow(2, t.get(1)), 5);
    t.set(2, t.get(0));
  }
  twins.undoneAndDone(['call', 6], ['call', 2], ['fill', 0, 7]);
  assert.throws(() => table.grow(1000), RangeError);
});

const EXTERN = `(module (table $t (export "t") 3 externref) (table $hidden 2 externref)
  (func (export "set") (param i32 externref) (table.set $t (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result externref) (table.get $t (local.get 0)))
  (func (export "hide") (param externref) (table.set $hidden (i32.const 1) (local.get 0)))
  (func (export "shown") (result externref) (table.get $hidden (i32.const 1)))
  (func (export "grow") (param externref i32) (result i32) (table.grow $t (local.get 0) (local.get 1))))`;
const thing = { a: 1 };
undone('a table of externrefs', EXTERN, [
  ['set', 0, thing],
  ['get', 0],
  ['set', 2, undefined],
  ['get', 2],
  ['set', 1, 'x'],
  ['grow', thing, 2],
  ['get', 4],
  ['get', 5],
]);
cases(
  'a table of externrefs that is not exported',
  EXTERN,
  (twins) => {
    twins.call('hide', 'before');
    twins.guest.checkpoint();
    twins.guestCall(['hide', thing]);
    twins.guest.rollback();
    assert.is(twins.call('shown').value, 'before');
  },
  { expose: false },
);
cases('the host sets externrefs: undefined is not null', EXTERN, (twins) => {
  for (const { exports } of [twins.guest, twins.plain]) {
    const t = exports.t as WebAssembly.Table;
    t.set(0, undefined);
    t.set(1);
    t.set(2, null);
    t.grow(1);
    t.grow(1, null);
    t.grow(1, undefined);
  }
  twins.same();
});
cases(
  'an imported table',
  `(module (import "env" "t" (table $t 4 8 funcref)) (func $f) (elem declare func $f)
    (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $f)))
    (func (export "grow") (result i32) (table.grow $t (ref.func $f) (i32.const 2))) (func (export "size") (result i32) (table.size $t)))`,
  (twins) => {
    twins.undoneAndDone(['set', 1], ['grow'], ['set', 5], ['size'], ['set', 6], ['grow'], ['grow']);
  },
  { imports: () => ({ env: { t: new WebAssembly.Table({ initial: 4, maximum: 8, element: 'anyfunc' }) } }) },
);

test.run();
