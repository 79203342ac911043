/** Glue without a hook: the one instantiation that is taken over, and that everything is put back. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { divert, type Taker } from '../../../runtime/adapters/divert.js';

const EMPTY = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 0, 3, 1, 120, 0]);
const { instantiate, Instance } = WebAssembly;

function taker(): Taker & { imports: unknown[] } {
  const imports: unknown[] = [];
  const made = new Instance(EMPTY, {});
  const take = (given: unknown) => {
    imports.push(given);
    return made;
  };
  return {
    imports,
    guest: Promise.resolve({ module: EMPTY }),
    instantiate: async (given) => take(given),
    instantiateSync: take,
  };
}

test.after.each(() => {
  assert.is(WebAssembly.instantiate, instantiate);
  assert.is(WebAssembly.Instance, Instance);
});

test('new WebAssembly.Instance gives a real Instance', () => {
  const taken = taker();
  const imports = { m: {} };
  const instance = divert(taken, () => {
    const made = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
    assert.ok(made instanceof WebAssembly.Instance);
    assert.is(WebAssembly.Instance, Instance, 'put back as soon as it was used');
    return made;
  });
  assert.ok(instance instanceof Instance);
  assert.equal(taken.imports, [imports]);
});

test('WebAssembly.instantiate answers as it was asked: for bytes with both, for a module with the instance', async () => {
  const both = await divert(taker(), () => WebAssembly.instantiate(bytes, {}));
  assert.ok(both.instance instanceof WebAssembly.Instance);
  assert.is(both.module, EMPTY);
  const alone = await divert(taker(), () => WebAssembly.instantiate(EMPTY, {}));
  assert.ok(alone instanceof WebAssembly.Instance);
});

test('WebAssembly.instantiateStreaming does not read the response', async () => {
  if (typeof WebAssembly.instantiateStreaming !== 'function') return;
  const response = new Response('not a module');
  const { instance } = await divert(taker(), () => WebAssembly.instantiateStreaming(response, {}));
  assert.ok(instance instanceof WebAssembly.Instance);
});

test('only the first instantiation is taken', async () => {
  const taken = taker();
  await divert(taken, async () => {
    await WebAssembly.instantiate(bytes, {});
    await WebAssembly.instantiate(bytes, {});
  });
  assert.is(taken.imports.length, 1);
});

test('glue that instantiates nothing is an error', async () => {
  const code = (error: Error) => (error as { code?: string }).code === 'ERR_BELAY_OPTION';
  assert.throws(() => divert(taker(), () => 1), code);
  try {
    await divert(taker(), async () => 1);
    assert.unreachable();
  } catch (error) {
    assert.ok(code(error as Error), String(error));
  }
});

test('what the glue throws comes through', async () => {
  assert.throws(
    () =>
      divert(taker(), () => {
        throw new Error('glue');
      }),
    'glue',
  );
  try {
    await divert(taker(), () => Promise.reject(new Error('glue')));
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'glue');
  }
});

test.run();
