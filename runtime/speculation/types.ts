/**
 * Speculation: which pages to copy at a checkpoint because they will probably be written, so that their first
 * write needs no fault. This is writable working set estimation: a policy sees what a real system can see,
 * and nothing else.
 *
 *     epoch n                checkpoint                           epoch n + 1
 *     writes ── faults ───>  policy.choose(faults, kind)  ──────> chosen pages: copied now, writable
 *                                                                 all others: write-protected, a write faults
 *
 * @see Vogt et al., Speculative Memory Checkpointing, Middleware 2015
 */

/** What one page costs, in one unit (nanoseconds, where they were measured). All are greater than 0. */
export interface Costs {
  /** Copying a page at the checkpoint. */
  copy: number;
  /** A write that faults: the fault and the copy made in it. */
  fault: number;
  /** Comparing a page with its pre-image. */
  compare: number;
  /**
   * Changing a page's protection at a checkpoint: opening one that is chosen and was protected, or protecting one that
   * was written or chosen and is not chosen again. A system call each, from user space; next to nothing in a kernel.
   * Default 0.
   */
  protect?: number;
}

/** What a policy is told at a checkpoint. */
export interface Epoch {
  /** Pages of 4 KiB that memory has now. */
  readonly pages: number;
  /** The pages that faulted in the epoch that ends, in order of their faults: the first `faultCount` elements. */
  readonly faults: Uint32Array;
  readonly faultCount: number;
  /**
   * The kind of the request that the next epoch carries out: a small integer, 0 where nothing is known. What a
   * service knows before it runs a request (method and route, for one).
   */
  readonly kind: number;
  /**
   * Whether a page's content differs from its pre-image. Only for pages that the last epoch saved: chosen at
   * the last checkpoint, or faulted since. Each call costs {@link Costs.compare}; a page that was written
   * with what it held counts as unchanged.
   */
  changed(page: number): boolean;
}

/** Chooses pages at checkpoints. One policy serves one memory. */
export interface Policy {
  readonly name: string;
  /**
   * Called once at each checkpoint. Writes the pages that are to be copied ahead into `out` (which has room for
   * every page of memory), each once, all below `epoch.pages`, and returns how many they are.
   */
  choose(epoch: Epoch, out: Uint32Array): number;
}

/** Makes a policy when the costs of the machine are known. */
export type PolicyMaker = (costs: Costs) => Policy;
