/** wasm-bindgen's glue, by each way in: nodejs, web and bundler targets. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { wasmBindgen } from '../../../runtime/adapters/index.js';
import { codeOf, compiled, freshGlue, fromText, inBothLayouts, ROOT } from './support.js';

interface Brotli {
  compress(input: Uint8Array, options?: object): Uint8Array;
  decompress(input: Uint8Array): Uint8Array;
}

const text = (n: number) => new TextEncoder().encode('all work and no play '.repeat(n));

inBothLayouts(test, 'nodejs target: loaded by require()', async (layout) => {
  const adapter = wasmBindgen(await compiled('brotli-wasm/pkg.node/brotli_wasm_bg.wasm', layout), {
    audit: true,
  });
  const brotli = adapter.divert(() => freshGlue<Brotli>('brotli-wasm/pkg.node/brotli_wasm.js'));
  const guest = await adapter.guest;
  for (let n = 1; n < 6; n++) {
    guest.checkpoint();
    const packed = brotli.compress(text(n * 20), { quality: n });
    guest.rollback();
    assert.equal(brotli.compress(text(n * 20), { quality: n }), packed);
    assert.equal(brotli.decompress(packed), text(n * 20));
    assert.throws(() => brotli.decompress(text(3)));
    guest.rollback();
    assert.equal(brotli.decompress(packed), text(n * 20));
  }
});

inBothLayouts(test, 'a large input, which grows memory', async (layout) => {
  const adapter = wasmBindgen(await compiled('brotli-wasm/pkg.node/brotli_wasm_bg.wasm', layout), {
    audit: true,
  });
  const brotli = adapter.divert(() => freshGlue<Brotli>('brotli-wasm/pkg.node/brotli_wasm.js'));
  const guest = await adapter.guest;
  guest.checkpoint();
  const before = guest.stats().memoryBytes;
  const input = text(200_000);
  const packed = brotli.compress(input, { quality: 1 });
  assert.ok(guest.stats().memoryBytes > before);
  guest.rollback();
  assert.is(guest.stats().memoryBytes, before);
  assert.equal(brotli.decompress(packed), input);
});

inBothLayouts(test, 'web target: init() instantiates by itself', async (layout) => {
  const module = await compiled('brotli-wasm/pkg.web/brotli_wasm_bg.wasm', layout);
  const adapter = wasmBindgen(module, { audit: true });
  // A copy of its own for each layout: the glue keeps its instance.
  const source = readFileSync(`${ROOT}node_modules/brotli-wasm/pkg.web/brotli_wasm.js`, 'utf8');
  const glue = (await import(
    `data:text/javascript,${encodeURIComponent(`${source}\n// ${layout}`)}`
  )) as Brotli & { default: (input: unknown) => Promise<WebAssembly.Exports> };
  const exports = await adapter.divert(() => glue.default(module));
  const guest = await adapter.guest;
  assert.is(exports.memory, guest.memory);
  guest.checkpoint();
  const packed = glue.compress(text(50));
  guest.rollback();
  assert.equal(glue.decompress(packed), text(50));
});

/** A guest with one object of the host's, as wasm-bindgen's bundler target would have it. */
const OBJECTS = `(module
  (import "./x_bg.js" "__wbindgen_object_drop_ref" (func $drop (param i32)))
  (import "./x_bg.js" "__wbg_use_0a1b" (func $use (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $mine (mut i32) (i32.const 0))
  (func (export "keep") (param i32) (global.set $mine (local.get 0)))
  (func (export "use") (result i32) (call $use (global.get $mine)))
  (func (export "drop") (call $drop (global.get $mine)) (global.set $mine (i32.const 0))))`;

inBothLayouts(
  test,
  'bundler target: an object that a rolled-back guest dropped is still there',
  async (layout) => {
    const heap = new Map<number, string>([[36, 'an object']]);
    const bg = {
      exports: undefined as unknown as { keep(i: number): void; use(): number; drop(): void },
      __wbg_set_wasm(exports: unknown) {
        bg.exports = exports as typeof bg.exports;
      },
      __wbindgen_object_drop_ref: (i: number) => void heap.delete(i),
      __wbg_use_0a1b: (i: number) => heap.get(i)?.length ?? -1,
    };
    const adapter = wasmBindgen(await fromText(OBJECTS, layout), { audit: true });
    bg.__wbg_set_wasm((await adapter.instantiate({ './x_bg.js': bg as never })).exports);
    const guest = await adapter.guest;
    bg.exports.keep(36);
    guest.checkpoint();
    bg.exports.drop();
    assert.is(adapter.stats().deferred, 1);
    guest.rollback();
    assert.is(bg.exports.use(), 9);
    bg.exports.drop();
    assert.is(heap.size, 1);
    guest.checkpoint();
    assert.is(heap.size, 0);
  },
);

test('glue that was loaded before is noticed', async () => {
  const adapter = wasmBindgen(await compiled('brotli-wasm/pkg.node/brotli_wasm_bg.wasm', 'inline'));
  assert.is(await codeOf(() => adapter.divert(() => undefined)), 'ERR_BELAY_OPTION');
});

test.run();
