/** Two imports that are one memory or one table: refused, because a rollback would go wrong. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../../contract/errors.js';
import { instrument, toBinary } from '../../../rewriter/index.js';
import { instantiateSync } from '../../../runtime/index.js';
import { HAS_MEMORIES, testUnless } from '../../support/engines-skip.js';

async function load(text: string, imports: WebAssembly.ModuleImports): Promise<string> {
  const bytes = await toBinary(new TextEncoder().encode(text));
  const { wasm } = instrument(bytes);
  try {
    instantiateSync(wasm as Uint8Array<ArrayBuffer>, { env: imports });
    return 'taken';
  } catch (error) {
    assert.instance(error, BelayError);
    assert.match((error as BelayError).message, "'env' 'a' and 'env' 'b' are one object");
    return (error as BelayError).code;
  }
}

const memory = () => new WebAssembly.Memory({ initial: 1, maximum: 2 });
const table = () => new WebAssembly.Table({ initial: 1, maximum: 2, element: 'anyfunc' });

testUnless(
  test,
  !HAS_MEMORIES && 'this engine has one memory a module',
  'one memory, imported twice',
  async () => {
    const text = `(module (import "env" "a" (memory $a 1 2)) (import "env" "b" (memory $b 1 2))
    (func (export "f") (i32.store $a (i32.const 0) (i32.const 1)) (i32.store $b (i32.const 0) (i32.const 2))))`;
    const one = memory();
    assert.is(await load(text, { a: one, b: one }), 'ERR_BELAY_IMPORT');
    assert.is(await load(text, { a: memory(), b: memory() }), 'taken');
  },
);

test('one table, imported twice', async () => {
  const text = `(module (import "env" "a" (table $a 1 2 funcref)) (import "env" "b" (table $b 1 2 funcref))
    (func (export "f") (table.set $a (i32.const 0) (ref.null func)) (table.set $b (i32.const 0) (ref.null func))))`;
  const one = table();
  assert.is(await load(text, { a: one, b: one }), 'ERR_BELAY_IMPORT');
  assert.is(await load(text, { a: table(), b: table() }), 'taken');
});

test.run();
