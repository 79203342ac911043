/**
 * What a mechanism is to the rewriter: where its support data lie, what stands before a store, and the text of
 * its support functions. One file each; instrument.ts knows them by this interface alone.
 *
 * Each memory k of the guest may get memories of its own beside it, which support text calls $t<k> and $s<k> (in
 * the inline layout both are the guest's memory), and has to have these functions:
 *
 *     $ensure $extend $resized    see support/size.ts (and $sync, $grow, $size, which come from there)
 *     $setup                      from support/size.ts; runs once, before the start function
 *     $checkpoint $rollback       of this memory
 *     $within $touch              bounds of a range; the same and save it
 *     $fill                       memory.fill
 */
import type { MechanismName, Placement } from '../../contract/contract.js';
import type { Address } from '../address.js';
import type { Check } from '../analyse.js';
import type { Write } from '../find.js';
import type { Geometry } from '../layout.js';
import type { Settings } from '../options.js';
import type { SupportMemory, SupportSpec } from '../support/spec.js';
import type { Writer } from '../wasm/writer.js';

/** What a guard needs to know of the memory that it is for. */
export interface GuardTarget {
  geometry: Geometry;
  /** Index of the memory that holds tags, cards or log. */
  support: number;
  /** Indices of a support function and of a global of this memory, by name (without the memory's number). */
  fn(name: string): number;
  global(name: string): number;
}

/** Emits what stands before a write; returns the offsets of instructions to be hinted as unlikely. */
export type Guard = (
  w: Writer,
  target: GuardTarget,
  address: Address,
  check: Check,
  write: Write,
) => number[];

/** Which writes need a guard, and what one guard may cover. */
export interface GuardPlan {
  /** Every write has its own, whatever was saved before. */
  every: boolean;
  /** The guard is also what makes a write outside of the guest's view trap: it covers nothing above its write. */
  exact: boolean;
  /** Lowering the stack pointer saves the frame (stack.ts). */
  stack: boolean;
}

export interface StoreMechanism {
  readonly names: readonly MechanismName[];
  /** Memories beside each of the guest's, in the separate layout. */
  readonly supportMemories: 0 | 1 | 2;
  /** Bytes of a region, as the contract tells them. */
  region(settings: Settings): number;
  /**
   * @param memory its address type, and (inline) the pages that it may grow to
   * @throws ERR_BELAY_OPTION where it does not fit
   */
  geometry(
    layout: Placement,
    memory: { is64: boolean; reservePages: number },
    settings: Settings & { logLimit: number },
  ): Geometry;
  /** Separate layout: pages that the support memories begin with, for a guest of `pages`. */
  pages(geometry: Geometry, pages: number): number[];
  plan(layout: Placement, settings: Settings): GuardPlan;
  /** Absent where stores are left alone. */
  guard?: Guard;
  text(spec: SupportSpec, memory: SupportMemory, k: number): string;
  /** Support functions (without the memory's number) that the runtime calls, with their exported names. */
  exports(geometry: Geometry): Readonly<Record<string, (n: number) => string>>;
}
