/** Tables and globals of typed function references, whose elements may or may not be null. */
import binaryen from 'binaryen';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, instrument } from '../../rewriter/index.js';
import { testUnless } from '../support/engines-skip.js';
import { Twins } from '../support/oracle.js';
import { errorOf, LAYOUTS, NEEDS_MEMORIES, options, SOME_REGIONS } from './support.js';

/** Typed references are newer than wabt. */
function parse(text: string): Uint8Array {
  const module = binaryen.parseText(text);
  const { All, CompactImports = 0 } = binaryen.Features as typeof binaryen.Features & {
    CompactImports?: number;
  };
  module.setFeatures(All & ~CompactImports);
  const bytes = module.emitBinary();
  module.dispose();
  return bytes;
}

const TYPED = (element: string, more = '') => `(module
  (type $v (func (result i32)))
  (func $one (type $v) (i32.const 1))
  (func $two (type $v) (i32.const 2))
  (func $none (result i32) (i32.const 3))
  (elem declare func $one $two $none)
  (elem $e ${element} (ref.func $two) (ref.func $two) (ref.func $one))
  (table $t 70 200 ${element} (ref.func $one))
  (global $g (mut (ref $v)) (ref.func $one))
  (global $n (mut (ref null $v)) (ref.null $v))
  (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $two)))
  (func (export "fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $two) (local.get 1)))
  (func (export "copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (elem.drop $e))
  (func (export "globals") (global.set $g (ref.func $two)) (global.set $n (ref.func $two)))
  (func (export "callG") (result i32) (call_ref $v (global.get $g)))
  (func (export "callN") (result i32) (call_ref $v (global.get $n)))
  (func (export "get") (param i32) (result i32) (call_ref $v (table.get $t (local.get 0))))
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $v) (local.get 0)))
  ${more})`;
const GROW = `(func (export "grow") (param i32) (result i32) (table.grow $t (ref.func $two) (local.get 0)))
  (func (export "size") (result i32) (table.size $t))`;

const UNLESS = WebAssembly.validate(parse(TYPED('(ref $v)')) as Uint8Array<ArrayBuffer>)
  ? undefined
  : 'this engine has no typed function references';

function typed(name: string, bytes: Uint8Array, run: (twins: Twins) => void): void {
  for (const layout of LAYOUTS) {
    testUnless(test, UNLESS ?? (layout === 'separate' && NEEDS_MEMORIES), `${name} (${layout})`, () => {
      for (const region of SOME_REGIONS) run(new Twins(bytes, { instrument: options(layout, region) }));
    });
  }
}

const CHANGES = [
  ['callN'],
  ['set', 0],
  ['set', 69],
  ['set', 70],
  ['call', 69],
  ['call', 3],
  ['call', 70],
  ['fill', 60, 10],
  ['fill', 60, 11],
  ['copy', 1, 60, 5],
  ['get', 1],
  ['get', 70],
  ['init', 40, 0, 3],
  ['init', 68, 0, 3],
  ['get', 42],
  ['drop'],
  ['init', 40, 0, 1],
  ['globals'],
  ['callG'],
  ['callN'],
] as const;

typed('a table whose elements cannot be null', parse(TYPED('(ref $v)')), (twins) => {
  twins.undoneAndDone(...CHANGES);
});
typed('a table of one type of function, or null', parse(TYPED('(ref null $v)', GROW)), (twins) => {
  twins.undoneAndDone(...CHANGES, ['grow', 4], ['call', 72], ['set', 72], ['size']);
  twins.undone(['grow', 7], ['fill', 0, 81]);
  for (const at of [73, 74, 75, 80, 81]) twins.call('call', at);
  twins.undoneAndDone(['grow', 3], ['call', 76], ['grow', 200]);
});

test('one whose elements cannot be null, and that grows, is refused', () => {
  // What a rollback takes away could not be made null, and call_indirect would still find it.
  const bytes = parse(TYPED('(ref $v)', GROW));
  const { code, message } = errorOf(() => instrument(bytes, { layout: 'inline' }));
  assert.is(code, 'ERR_BELAY_REFUSED');
  assert.match(
    message,
    /table 0 grows, and its elements cannot be null.* in function \d+.*: table\.grow at byte \d+/,
  );
  const { canRollBack, refusals } = inspect(bytes);
  assert.not(canRollBack);
  assert.is(refusals.length, 1);
  assert.equal([...bytes.subarray(refusals[0]!.offset!, refusals[0]!.offset! + 3)], [0xfc, 15, 0]);
});

test.run();
