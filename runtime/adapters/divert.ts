/** For glue that has no hook: puts an adapter in the way of its one use of WebAssembly's constructors. */
import { BelayError } from '../../contract/errors.js';

/** Who takes the instantiation over. */
export interface Taker {
  /** Resolves once instantiated. */
  readonly guest: Promise<{ readonly module: WebAssembly.Module }>;
  instantiate(imports?: WebAssembly.Imports): Promise<WebAssembly.Instance>;
  instantiateSync(imports?: WebAssembly.Imports): WebAssembly.Instance;
}

/**
 * Runs `load`; the first instantiation within it, sync or async, is the adapter's. The originals are put back
 * as soon as that happened, or when `load` has ended without.
 * @throws ERR_BELAY_OPTION when `load` ends without having instantiated a module.
 */
export function divert<T>(taker: Taker, load: () => T): T {
  const { instantiate, instantiateStreaming, Instance } = WebAssembly;
  let taken = false;
  const restore = () => {
    WebAssembly.instantiate = instantiate;
    if (typeof instantiateStreaming === 'function') WebAssembly.instantiateStreaming = instantiateStreaming;
    WebAssembly.Instance = Instance;
  };
  const take = () => {
    taken = true;
    restore();
  };
  const finish = () => {
    restore();
    if (!taken) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        'The glue instantiated nothing. Perhaps it was loaded before and keeps its instance: load a fresh copy.',
      );
    }
  };

  WebAssembly.instantiate = (async (source: unknown, imports?: WebAssembly.Imports) => {
    take();
    const instance = await taker.instantiate(imports);
    return source instanceof WebAssembly.Module ? instance : { instance, module: (await taker.guest).module };
  }) as typeof WebAssembly.instantiate;
  if (typeof instantiateStreaming === 'function') {
    WebAssembly.instantiateStreaming = (async (source: unknown, imports?: WebAssembly.Imports) => {
      take();
      // The response is of no use; its connection is.
      const response = (await source) as Response | undefined;
      await response?.body?.cancel();
      return { instance: await taker.instantiate(imports), module: (await taker.guest).module };
    }) as unknown as typeof WebAssembly.instantiateStreaming;
  }
  WebAssembly.Instance = new Proxy(Instance, {
    construct(_target, [, imports]: [unknown, WebAssembly.Imports | undefined]) {
      take();
      return taker.instantiateSync(imports);
    },
  });

  let result: T;
  try {
    result = load();
  } catch (error) {
    restore();
    throw error;
  }
  if (!(result instanceof Promise)) {
    finish();
    return result;
  }
  return result.then(
    (value) => {
      finish();
      return value;
    },
    (error) => {
      restore();
      throw error;
    },
  ) as T;
}
