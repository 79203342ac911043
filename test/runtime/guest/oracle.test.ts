/** A debug build stops at the first store of a byte that was not saved, and attempt() says which it was. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument, toBinary } from '../../../rewriter/index.js';
import { instantiate } from '../../../runtime/index.js';

const TEXT = `(module (memory (export "memory") 1)
  (func (export "set") (param i32) (i32.store (local.get 0) (i32.const 1)))
  (func (export "both") (f32.store (i32.const 4) (f32.const 1)) (i32.store (i32.const 4096) (i32.const 1))))`;

const binary = () => toBinary(new TextEncoder().encode(TEXT));

test('a store without its check is named', async () => {
  const { wasm } = instrument(await binary(), { oracle: true, omit: ['store'] });
  const guest = await instantiate<{ set(p: number): void; both(): void } & WebAssembly.Exports>(wasm);
  const failed = (fn: () => void) => {
    try {
      guest.attempt(fn);
    } catch (error) {
      return error as Error & { code: string };
    }
    throw new Error('the oracle did not notice');
  };
  const error = failed(() => guest.exports.set(64));
  assert.is(error.code, 'ERR_BELAY_ORACLE');
  assert.match(error.message, 'store 0 of function 0');
  assert.match(failed(() => guest.exports.both()).message, 'store 1 of function 1');
});

test('with every check in place it has nothing to say', async () => {
  const { wasm } = instrument(await binary(), { oracle: true });
  const guest = await instantiate<{ set(p: number): void; both(): void } & WebAssembly.Exports>(wasm);
  guest.attempt(() => guest.exports.set(64));
  guest.attempt(() => guest.exports.both());
  assert.throws(
    () => guest.attempt(() => guest.exports.set(-1)),
    (error: Error) => error instanceof WebAssembly.RuntimeError,
  );
});

test.run();
