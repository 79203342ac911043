/**
 * Emscripten's JavaScript glue, minified or not, with an instrumented module. See docs/adapters.md for what is
 * tracked and what is not.
 */
import { Glue } from './glue.js';
import type { Adapter, AdapterOptions } from './types.js';

/** What to merge into the object that an Emscripten factory takes. */
export interface EmscriptenModule {
  /** Emscripten's hook: instantiates the instrumented module with the glue's imports. */
  instantiateWasm(
    imports: WebAssembly.Imports,
    receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): object;
  /**
   * For builds that import their memory, in the inline layout: a memory with room for tags and shadow.
   * Otherwise undefined: the glue makes its own.
   */
  readonly wasmMemory: WebAssembly.Memory | undefined;
}

export interface EmscriptenAdapter<E extends WebAssembly.Exports = WebAssembly.Exports> extends Adapter<E> {
  readonly module: EmscriptenModule;
}

/**
 * An adapter for one instance of an Emscripten module. Works in every engine.
 *
 * ```js
 * const adapter = emscripten(wasm);
 * const SQL = await initSqlJs(adapter.module);
 * const guest = await adapter.guest;
 * ```
 *
 * The hook is asynchronous; builds with -sWASM_ASYNC_COMPILATION=0 need {@link Adapter.divert}.
 *
 * @param wasm the instrumented module. Where the glue reads `wasmMemory`, bytes are compiled at once: pass a
 *   WebAssembly.Module where that is not allowed.
 */
export function emscripten<E extends WebAssembly.Exports = WebAssembly.Exports>(
  wasm: BufferSource | WebAssembly.Module,
  options: AdapterOptions = {},
): EmscriptenAdapter<E> {
  const configs = new Set<object>();
  let wasmMemory: WebAssembly.Memory | undefined;
  const glue = new Glue<E>(wasm, options, {
    growsFromHost: true,
    pair: 65536,
    nameOf: (fn) => nameIn(configs, fn),
  });
  const module: EmscriptenModule = {
    instantiateWasm(this: unknown, imports, receive) {
      configs.add(module);
      // Some factories copy what they are given; most call the hook as a method of their own object.
      if (typeof this === 'object' && this !== null) configs.add(this);
      glue.instantiate(imports).then(async (instance) => {
        receive(instance, (await glue.guest).module);
      }, reportTo(configs));
      return {};
    },
    get wasmMemory() {
      const { import: imported, total } = glue.contract().memories[0] ?? {};
      if (!imported || total === undefined) return undefined;
      wasmMemory ??= new WebAssembly.Memory({ initial: total, maximum: total });
      return wasmMemory;
    },
  };
  return Object.assign(glue, { module });
}

/** The name without minification: glue puts each export on its object as `_name`. */
function nameIn(configs: Iterable<object>, fn: unknown): string | undefined {
  for (const config of configs) {
    for (const [name, value] of Object.entries(config)) {
      if (value === fn) return name.replace(/^_/, '');
    }
  }
  return undefined;
}

/** Emscripten's hook has no way to fail: tell its abort handlers, and leave the rest to `adapter.guest`. */
function reportTo(configs: Iterable<object>): (error: unknown) => void {
  return (error) => {
    for (const config of configs) {
      const { onAbort } = config as { onAbort?: (reason: unknown) => void };
      if (typeof onAbort === 'function') onAbort(error);
    }
  };
}
