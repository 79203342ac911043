/**
 * The public face of WASI preview 1 for guests: two providers, `createWasi` (files in memory, every engine)
 * and `createNodeWasi` (real files, Node), behind one interface.
 */
import type { Guest } from '../types.js';

/** Options of both providers. */
export interface WasiOptions {
  /** The program's arguments, its own name first. Default `['app']`. */
  args?: readonly string[];
  /** Environment variables. Default: none. */
  env?: Readonly<Record<string, string>>;
  /** What the program reads from file descriptor 0. Default: empty. */
  stdin?: Uint8Array | string;
  /** Bytes of pending output of each of stdout and stderr; a write past it gives ENOSPC. Default 16 MiB. */
  outputLimit?: number;
  /** Milliseconds after which a sleep ends early. Default: never. A sleep blocks the thread. */
  maxSleep?: number;
  /** Nanoseconds since 1970; for reproducible runs. Default: the system's clock. */
  now?: () => bigint;
  /** Fills its argument with random bytes; for reproducible runs. Default: `crypto.getRandomValues`. */
  random?: (bytes: Uint8Array) => void;
}

/** Options of the in-memory provider. */
export interface MemoryWasiOptions extends WasiOptions {
  /** Directories that the guest may use: its name for them → path in {@link MemoryFiles}. Default `{'/': '/'}`. */
  preopens?: Readonly<Record<string, string>>;
  /** Absolute path → content; directories above are made. */
  files?: Readonly<Record<string, Uint8Array | string>>;
  /** Absolute paths of directories to make (those of `preopens` are made anyway). */
  directories?: readonly string[];
  /**
   * The instrumented file-system module, where it cannot be loaded from beside this file (bundles, workers):
   * `dist/runtime/wasi/wasmer.separate.wasm` or `wasmer.inline.wasm`.
   */
  module?: WebAssembly.Module;
  /** As in InstantiateOptions, for the file-system module. */
  audit?: boolean;
}

/** Options of the node:wasi provider. */
export interface NodeWasiOptions extends WasiOptions {
  /** Directories that the guest may use: its name for them → path on this machine. Default: none. */
  preopens?: Readonly<Record<string, string>>;
}

/** The host's view of the in-memory file system. All paths are absolute. All of it goes back in a rollback. */
export interface MemoryFiles {
  /** @throws ERR_BELAY_WASI when there is no such file. */
  read(path: string): Uint8Array;
  /** Creates or replaces. @throws ERR_BELAY_WASI when the directory is missing. */
  write(path: string, content: Uint8Array | string): void;
  /** Makes a directory and those above it; one that is there is left alone. */
  makeDirectory(path: string): void;
  /** Names of the entries, sorted. @throws ERR_BELAY_WASI */
  list(path: string): string[];
  remove(path: string): void;
  removeDirectory(path: string): void;
  rename(from: string, to: string): void;
  exists(path: string): boolean;
}

/**
 * WASI for one guest. Its state (pending input and output, arguments, environment, descriptors and, where
 * {@link reversible}, files) joins the guest: checkpoint() and rollback() of the guest cover it.
 */
export interface Wasi {
  /** Whether a rollback of the guest undoes everything that the guest did through WASI. */
  readonly reversible: boolean;
  /** What a rollback does not undo, and no saved state holds, in words; empty when {@link reversible}. */
  readonly irreversible: readonly string[];
  /** The file system, where it is in memory. */
  readonly files?: MemoryFiles;
  /**
   * The imports for `guest`, for `instantiate(wasm, (guest) => wasi.imports(guest))`; joins the guest.
   * @throws ERR_BELAY_WASI when this WASI serves another guest already.
   */
  imports(guest: Guest): WebAssembly.Imports;
  /** Replaces what is left of the input. */
  setStdin(input: Uint8Array | string): void;
  /** Replaces all arguments. @throws ERR_BELAY_OPTION for a NUL character. */
  setArgs(args: readonly string[]): void;
  /** Replaces the whole environment. @throws ERR_BELAY_OPTION for a NUL character, or `=` in a name. */
  setEnv(env: Readonly<Record<string, string>>): void;
  /** Pending output of file descriptor 1; afterwards none is pending. */
  takeStdout(): Uint8Array;
  /** Pending output of file descriptor 2; afterwards none is pending. */
  takeStderr(): Uint8Array;
  /**
   * Runs a command program (`_start`) to its end and returns its exit code. A trap is thrown on.
   * May be called again after a rollback. @throws ERR_BELAY_WASI when the module has no `_start`.
   */
  start(guest: Guest): number;
  /** Runs a reactor's `_initialize`, if it has one. @throws WasiExit when the program exits in it. */
  initialize(guest: Guest): void;
}
