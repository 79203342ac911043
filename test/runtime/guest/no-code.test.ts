/** Hosts that compile modules ahead of time and forbid it at run time, as workerd does. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument, toBinary } from '../../../rewriter/index.js';
import { instantiate } from '../../../runtime/index.js';
import type { Guest } from '../../../runtime/types.js';

const test = suite('no code at run time');
const TEXT = `(module
  (memory (export "memory") 1)
  (func (export "spin") (param i32)
    (i32.store (i32.const 0) (local.get 0))
    (loop $again
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0)))))`;

type Exports = { memory: WebAssembly.Memory; spin: (turns: number) => void };
const first = (guest: Guest<Exports>) => new Uint32Array(guest.exports.memory.buffer)[0];

/** Makes a guest where `new WebAssembly.Module` and `WebAssembly.compile` are forbidden. */
async function precompiled(steps: boolean): Promise<Guest<Exports>> {
  const module = new WebAssembly.Module(
    instrument(await toBinary(new TextEncoder().encode(TEXT)), { steps }).wasm as BufferSource,
  );
  const { Module, compile } = WebAssembly;
  const forbidden = () => {
    throw new WebAssembly.CompileError('Wasm code generation disallowed by embedder');
  };
  WebAssembly.Module = new Proxy(Module, { construct: forbidden });
  WebAssembly.compile = forbidden;
  try {
    return await instantiate<Exports>(module);
  } finally {
    WebAssembly.Module = Module;
    WebAssembly.compile = compile;
  }
}

test('a module made ahead of time is taken, run and rolled back', async () => {
  const guest = await precompiled(false);
  guest.checkpoint();
  guest.exports.spin(3);
  assert.is(first(guest), 3);
  guest.rollback();
  assert.is(first(guest), 0);
});

test('steps are limited without a callback', async () => {
  const guest = await precompiled(true);
  guest.exports.spin(10_000);
  guest.limit({ steps: 1000 });
  guest.attempt(() => guest.exports.spin(500));
  assert.not.ok(guest.overrun);
  const overrun = () => guest.attempt(() => guest.exports.spin(1100));
  assert.throws(overrun, (error: { code: string }) => error.code === 'ERR_BELAY_OVERRUN');
  assert.is(first(guest), 500);
  assert.not.ok(guest.overrun);
  assert.throws(overrun, (error: { code: string }) => error.code === 'ERR_BELAY_OVERRUN');
  guest.limit();
  guest.attempt(() => guest.exports.spin(500));
  assert.is(first(guest), 500);
});

test('a deadline is refused', async () => {
  const guest = await precompiled(true);
  assert.throws(
    () => guest.limit({ deadline: 10 }),
    (error: { code: string }) => error.code === 'ERR_BELAY_ENGINE',
  );
});

test.run();
