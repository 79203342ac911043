/**
 * What the native addon (kernel-shim/native) offers. It watches the pages of a WebAssembly.Memory from outside,
 * so that the module's stores need no instrumentation.
 */

export const NATIVE_MECHANISMS = ['mprotect', 'uffd', 'uffd-async'] as const;
export type NativeMechanism = (typeof NATIVE_MECHANISMS)[number];

/** Bytes of a page of the native mechanisms and of page-cow. */
export const PAGE_BYTES = 4096;

export interface NativeStats {
  /** Writes that faulted, since attach. */
  faults: number;
  /** Pages copied at checkpoints because a policy chose them, since attach. */
  copiedAhead: number;
  /** Pages saved since attach, on faults, ahead, and for host writes. */
  pagesSaved: number;
  /** Times that all of memory had to be opened because the kernel ran out of mappings (vm.max_map_count). */
  openedWhole: number;
  /** Bytes that hold pre-images (or a second image) now, as far as they were ever touched. */
  supportBytes: number;
}

/** One watched memory. It keeps the memory's buffer alive, and is for the thread that attached it. */
export interface WatchedMemory {
  /**
   * Begins an epoch: what memory holds now is what {@link rollback} returns to. Copies `ahead[0 .. count)` now and
   * leaves them writable; protects every other page. `uffd-async` takes no pages ahead.
   */
  checkpoint(ahead?: Uint32Array, count?: number): void;
  /** Puts back every page saved since the checkpoint; they stay saved and writable. Returns how many. */
  rollback(): number;
  /** Saves the pages of [offset, offset + length) and opens them, so that the kernel can write there, too. */
  touch(offset: number, length: number): void;
  /** Tells that the memory has grown: its buffer is a new one now. Pages that are new have a pre-image of zeros. */
  resized(buffer: ArrayBuffer): void;
  /**
   * Writes the numbers of the pages that faulted (or were touched) since the checkpoint into `out`, in order,
   * and returns how many they are (also when `out` is too short for all). `uffd-async`: the pages written.
   */
  faulted(out: Uint32Array): number;
  /**
   * Writes the numbers of all pages that may differ from the checkpoint into `out`, each once, and returns how many they
   * are (also when `out` is too short for all): those copied ahead, faulted, touched, or filled before resized();
   * `uffd-async`: the pages written. Before the first checkpoint none.
   */
  written(out: Uint32Array): number;
  /** Whether a page that this epoch saved differs from its pre-image. */
  changed(page: number): boolean;
  stats(): NativeStats;
  /** Opens all pages and forgets the memory. Nothing else may be called afterwards. May be called twice. */
  detach(): void;
}

export interface NativeAddon {
  /** Why a mechanism cannot be used on this machine, in words that say what is missing; undefined where it can. */
  unavailable(mechanism: NativeMechanism): string | undefined;
  /**
   * Watches a memory's buffer. Before the first checkpoint all pages are writable and nothing is saved.
   * @throws Error with a `code` of the operating system ('ENOMEM', 'EPERM', …) and a message
   */
  attach(buffer: ArrayBuffer, mechanism: NativeMechanism): WatchedMemory;
}
