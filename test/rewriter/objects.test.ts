/** Garbage-collected objects that are only made and read: the stores around them are found, and undone. */
import binaryen from 'binaryen';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, instrument } from '../../rewriter/index.js';
import { testUnless } from '../support/engines-skip.js';
import { Twins } from '../support/oracle.js';
import { LAYOUTS, NEEDS_MEMORIES, options } from './support.js';

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

const TYPES = `
  (type $pair (sub (struct (field $a i32) (field $b i8))))
  (type $triple (sub $pair (struct (field $a i32) (field $b i8) (field $c i64))))
  (type $bytes (array i8))
  (type $ints (array i32))
  (type $refs (array funcref))
  (type $f (func (result i32)))`;
const MORE = `
  (memory 1) (data $d "abcdefgh") (elem $e func $seven) (elem declare func $seven)
  (func $seven (type $f) (i32.const 7))
  (func $pair (param i32) (result anyref)
    (if (result anyref) (local.get 0)
      (then (struct.new $triple (local.get 0) (i32.const 200) (i64.const 3))) (else (struct.new_default $pair))))`;

/** Values of type i32, each of an instruction or two on objects. */
const VALUES: Record<string, string> = {
  'struct.get': '(struct.get $pair $a (struct.new $pair (i32.const 5) (i32.const 6)))',
  'struct.get_s': '(struct.get_s $pair $b (struct.new $pair (i32.const 5) (i32.const 255)))',
  'struct.get_u': '(struct.get_u $triple $b (struct.new_default $triple))',
  'array.new': '(array.get_u $bytes (array.new $bytes (i32.const 3) (i32.const 9)) (i32.const 8))',
  'array.new_default': '(array.len (array.new_default $ints (i32.const 9)))',
  'array.new_fixed':
    '(array.get $ints (array.new_fixed $ints 3 (i32.const 3) (i32.const 9) (i32.const 11)) (i32.const 2))',
  'array.new_data':
    '(array.get_s $bytes (array.new_data $bytes $d (i32.const 0) (i32.const 4)) (i32.const 3))',
  'array.new_elem': '(array.len (array.new_elem $refs $e (i32.const 0) (i32.const 1)))',
  'ref.test': '(ref.test (ref $triple) (call $pair (local.get 0)))',
  'ref.test null': '(ref.test (ref null $pair) (call $pair (i32.const 0)))',
  'ref.cast': '(struct.get $pair $a (ref.cast (ref $pair) (call $pair (local.get 0))))',
  'ref.cast that traps':
    '(struct.get_u $triple $b (ref.cast (ref $triple) (call $pair (i32.and (local.get 0) (i32.const 1)))))',
  'ref.eq': '(ref.eq (ref.i31 (i32.const 4)) (ref.i31 (local.get 0)))',
  i31: '(i32.add (i31.get_s (ref.i31 (local.get 0))) (i31.get_u (ref.i31 (i32.const -1))))',
  convert: '(ref.is_null (any.convert_extern (extern.convert_any (call $pair (local.get 0)))))',
  'ref.as_non_null':
    '(struct.get $pair $a (ref.as_non_null (ref.cast (ref null $pair) (call $pair (local.get 0)))))',
  br_on_null: `(block $done (result i32)
    (block $null (br $done (struct.get $pair $a (ref.cast (ref $pair) (br_on_null $null (call $pair (local.get 0)))))))
    (i32.const 5))`,
  br_on_cast: `(struct.get $pair $a (block $is (result (ref $triple))
    (drop (br_on_cast $is anyref (ref $triple) (call $pair (local.get 0)))) (return)))`,
  br_on_cast_fail: `(ref.is_null (block $not (result anyref)
    (drop (br_on_cast_fail $not anyref (ref $triple) (call $pair (local.get 0)))) (ref.null any)))`,
  br_on_non_null: `(struct.get $pair $a (block $some (result (ref $pair))
    (br_on_non_null $some (ref.cast (ref null $pair) (call $pair (local.get 0)))) (unreachable)))`,
  call_ref: '(call_ref $f (ref.func $seven))',
  select: '(ref.is_null (select (result anyref) (ref.null any) (call $pair (local.get 0)) (local.get 0)))',
};
const bytes = parse(`(module ${TYPES} ${MORE}
  ${Object.entries(VALUES)
    .map(
      ([name, value]) => `(func (export "${name}") (param i32) (local i32)
    (i32.store (i32.add (local.get 0) (i32.const 8)) ${value})
    (local.set 1 (i32.mul (local.get 0) (i32.const 3)))
    (i32.store offset=40 (local.get 1) (i32.add (i32.load (local.get 0)) ${value}))
    (i32.store offset=40 (local.get 1) ${value})
    (i32.store offset=12 (local.get 0) (i32.const -1)))`,
    )
    .join('\n')})`);

const UNLESS = WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>)
  ? undefined
  : 'this engine has no garbage collection';

for (const layout of LAYOUTS) {
  testUnless(
    test,
    UNLESS ?? (layout === 'separate' && NEEDS_MEMORIES),
    `stores around objects (${layout})`,
    () => {
      for (const region of [1, 8, 16, 64]) {
        const twins = new Twins(bytes, { instrument: { ...options(layout, region), oracle: true } });
        for (const name of Object.keys(VALUES)) {
          for (const at of [0, 1, 61, 4090, 65530]) twins.undoneAndDone([name, at]);
        }
      }
    },
  );
}

test('such a module can be rolled back', () => {
  assert.equal(inspect(bytes).refusals, []);
  const { report } = instrument(bytes, { layout: 'inline' });
  assert.is(report.stores, 4 * Object.keys(VALUES).length);
});

test.run();
