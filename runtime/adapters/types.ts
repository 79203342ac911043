/** The public face of the adapters. Everything here works wherever the runtime does. */
import type { Guest, InstantiateOptions, Pointer } from '../types.js';

/** Announces a range of the guest's first memory: the host is about to write there. */
export type Touch = (pointer: number, length: number) => void;

/**
 * Says what one import writes, given its arguments. Called before the import; a range that lies outside of
 * memory is cut off, not an error.
 */
export type Announcer = (args: readonly unknown[], touch: Touch, view: () => DataView) => void;

export interface AdapterOptions extends InstantiateOptions {
  /** What imports write, by `module.name` or `name`: takes the place of the built-in knowledge. */
  announce?: Record<string, Announcer>;
  /**
   * Exports that return a pointer to a buffer which the host fills, and its length in bytes. It is announced
   * in every epoch from then on.
   */
  buffers?: Record<string, number>;
  /**
   * Imports without a result whose effect is put off until the next checkpoint, and dropped by a rollback:
   * for those that release host objects. Names (`module.name` or `name`), or a function that chooses.
   */
  defer?: readonly string[] | ((module: string, name: string, fn: (...args: never[]) => unknown) => boolean);
  /** Bytes announced at each pointer-like argument of an import that is not known. Default 512. */
  window?: number;
  /** Longest range in bytes taken from a (pointer, length) pair of an unknown import. */
  pair?: number;
  /** Bytes announced at a pointer that an export returns, allocators aside. Default 64, 0 for none. */
  results?: number;
  /** Ranges handed to the host that are announced again in every epoch. */
  remember?: {
    /** How many at most. Default 128; past that the one least used is forgotten. */
    ranges?: number;
    /** Bytes of one range at most: a longer one is announced once, when it is handed out. Default 65536. */
    length?: number;
    /** Bytes of all of them at most. Default 1 MiB. */
    bytes?: number;
  };
}

export interface AdapterStats {
  /** Ranges announced again in every epoch, and their bytes. */
  remembered: number;
  rememberedBytes: number;
  /** Ranges that were dropped because there were too many. Writes into them need {@link Adapter.announce}. */
  forgotten: number;
  /** Ranges that were too long to be remembered. Writes in later epochs need {@link Adapter.announce}. */
  tooLong: number;
  /** Announcements made. */
  announcements: number;
  /** Host effects put off until the next checkpoint. */
  deferred: number;
}

/** One instrumented module, made to work with the glue code that was written for the original. */
export interface Adapter<E extends WebAssembly.Exports = WebAssembly.Exports> {
  /** Settles when the glue has instantiated the module. */
  readonly guest: Promise<Guest<E>>;
  /**
   * Instantiates with the glue's imports and gives what glue expects: a real Instance, whose `exports` are
   * interposed. For glue that has a hook of its own (`__wbg_set_wasm(instance.exports)`, for one).
   * @throws ERR_BELAY_OPTION when called twice: an adapter serves one instance.
   */
  instantiate(imports?: WebAssembly.Imports): Promise<WebAssembly.Instance>;
  /** The same at once, where the engine allows it (browsers limit the size on the main thread). */
  instantiateSync(imports?: WebAssembly.Imports): WebAssembly.Instance;
  /**
   * For glue without any hook: while `load` runs (or its promise is pending), the first use of
   * WebAssembly.instantiate, .instantiateStreaming or `new WebAssembly.Instance` gets this adapter's instance,
   * whatever module it named. Don't load another module meanwhile.
   * @throws ERR_BELAY_OPTION when `load` never instantiated anything.
   */
  divert<T>(load: () => T): T;
  /** Announces that the host will write there before the next checkpoint. @throws ERR_BELAY_RANGE */
  announce(pointer: Pointer, length: number): void;
  /** Announces a range now and again in every epoch. */
  remember(pointer: number, length: number): void;
  /** Ends {@link remember} for the range that begins there. */
  forget(pointer: number): void;
  stats(): AdapterStats;
}
