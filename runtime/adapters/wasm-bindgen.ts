/**
 * wasm-bindgen's JavaScript glue, of any target, with an instrumented module. See docs/adapters.md for what is
 * tracked and what is not.
 */
import { Glue } from './glue.js';
import type { Adapter, AdapterOptions } from './types.js';

/**
 * An adapter for one instance of a wasm-bindgen module. Works in every engine. How it meets the glue depends
 * on the target that the glue was made for:
 *
 * ```js
 * const adapter = wasmBindgen(wasm);
 * // bundler: the glue has a setter
 * bg.__wbg_set_wasm((await adapter.instantiate({ './x_bg.js': bg })).exports);
 * // web, deno, nodejs: the glue instantiates by itself
 * await adapter.divert(() => init(anything));
 * const x = adapter.divert(() => require('x/pkg.node/x.js'));
 * ```
 *
 * Guests release JavaScript objects by an import; that is put off until the next checkpoint, so that a
 * rolled-back guest finds them again.
 */
export function wasmBindgen<E extends WebAssembly.Exports = WebAssembly.Exports>(
  wasm: BufferSource | WebAssembly.Module,
  options: AdapterOptions = {},
): Adapter<E> {
  return new Glue<E>(wasm, options, {
    growsFromHost: false,
    // What its glue allocates belongs to the guest as soon as it is passed on.
    remembers: false,
    // Its imports take (pointer, length) throughout, so that a long length is meant.
    pair: 1 << 24,
    defer: (_module, name) => name.includes('__wbindgen_object_drop_ref'),
  });
}
