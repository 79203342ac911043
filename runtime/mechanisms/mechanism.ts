import type { MechanismName } from '../../contract/contract.js';

/**
 * Is told a part of a memory; `address` and `length` are bytes. It must not run the guest.
 * @param differing where the mechanism has pre-images of the part: tells what is different
 */
export type Visit = (memory: number, address: number, length: number, differing?: Differing) => void;

/** Tells which words of 4 bytes in a part differ from what they were at the last checkpoint. */
export interface Differing {
  /**
   * Those of [from, to), which lies in one page of 4 KiB; bounds are multiples of 4. Between two words that differ one that
   * does not may be among them. @returns words in {@link runs}
   */
  find(from: number, to: number): number;
  /** What was found: of each run offset in the page << 16 | bytes, then its words as they are. */
  readonly runs: Uint32Array;
}

/** What a mechanism does for one guest; the guest adds the host's side to it. */
export interface Mechanism {
  readonly name: MechanismName;
  /** Begins an epoch. @param kind of the request that it carries out (speculation; 0 where nothing is known) */
  checkpoint(kind: number): void;
  /** Returns to the last checkpoint; the epoch begins anew. */
  rollback(): void;
  /** Saves every region of [pointer, pointer + length) of a memory, which lies within it. */
  touch(memory: number, pointer: number | bigint, length: number | bigint): void;
  /**
   * Calls `visit` for each part of a memory that may have been written since the last checkpoint (or rollback): no byte
   * that differs is left out, more may be said. Parts are not empty, do not overlap, and lie within the memory as the
   * guest sees it, in any order. Before the first checkpoint: all of memory. To be called while no function of the guest
   * is on the stack; changes nothing.
   */
  written(visit: Visit): void;
  /** Bytes of the unit that {@link MechanismStats.regionsSaved} counts. */
  readonly region: number;
  stats(): MechanismStats;
  /** Undo log: whether a store trapped because the log was full, in this epoch. */
  full?(): boolean;
  /** Lets go of what the mechanism holds outside of the module. */
  dispose?(): void;
}

export interface MechanismStats {
  /** Regions saved since instantiation. */
  regionsSaved: number;
  /** Bytes set aside for tags, pre-images, cards, logs or images. */
  supportBytes: number;
  /** Mechanisms of pages, since instantiation: pages saved because of a write. */
  faults?: number;
  /** The same: pages copied at checkpoints because a policy chose them. */
  copiedAhead?: number;
}

/** Everything that a mechanism is made from. */
export interface MechanismParts {
  exports: WebAssembly.Exports;
  memories: readonly WebAssembly.Memory[];
  /** Each memory's size in bytes, as the guest sees it. */
  bytes: (memory: number) => number;
}
