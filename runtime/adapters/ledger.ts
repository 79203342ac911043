/**
 * Which ranges of guest memory the host may write into.
 *
 * Host writes through typed-array views cannot be intercepted, so the adapter says beforehand where they may
 * go. Announcing too much is always sound (it only saves more), announcing too little is not. Three sources
 * feed this ledger: arguments of imports, before each import; ranges that exports hand to the host, when they
 * do; and ranges that the host was given earlier and may still hold (a scratch word allocated once, for one),
 * which are announced at the start of each epoch, because the host may write there before it calls anything.
 */

import { EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { Companion, Guest } from '../types.js';
import type { AdapterOptions, AdapterStats } from './types.js';

interface Frame {
  pointer: number;
  length: number;
}

interface Allocation {
  length: number;
  /** Epoch in which the host last passed its pointer to an export: the least used is forgotten first. */
  used: number;
}

/** Slots of the cache of pointer arguments that came back in a later epoch. A power of two. */
const SLOTS = 64;
/** Allocations of one epoch that are kept track of. */
const YOUNG = 4096;
/** Bytes announced at such a pointer. */
const LEARNED_WINDOW = 64;
/** Values of the stack pointer that the host saved last: a restore to one of them frees stack frames. */
const SAVES = 16;
/** Hardly any toolchain puts data below this address: smaller numbers that cross the boundary are no pointers. */
export const LOWEST = 1024;

export class Ledger implements Companion {
  /** False until the first checkpoint: before it nothing needs to be announced. */
  active = false;

  /** Of it nothing is in a state: it is about objects of the glue's, which are not either. */
  readonly changed = false;

  readonly #remembers: boolean;
  readonly #maxRanges: number;
  readonly #maxLength: number;
  readonly #maxBytes: number;

  #touch: ((pointer: number, length: number) => void) | undefined;
  #pages: (() => number) | undefined;
  #size = 0;
  #epoch = 0;

  /** Allocations of this epoch, which a rollback takes back: pointer → length. */
  readonly #young = new Map<number, number>();
  /** Live allocations of earlier epochs, by pointer. */
  readonly #heap = new Map<number, Allocation>();
  #heapBytes = 0;
  /** What a rollback puts back: the allocation there at the checkpoint, or undefined when there was none. */
  readonly #journal = new Map<number, Allocation | undefined>();
  /** Ranges that the user named: never forgotten, and no rollback changes them. */
  readonly #pinned = new Map<number, number>();
  /** Live stack frames, outermost (highest) first. */
  #stack: Frame[] = [];
  #stackAtCheckpoint: Frame[] = [];
  readonly #saves = new Uint32Array(SAVES);
  #save = 0;

  readonly #slotPointer = new Uint32Array(SLOTS);
  readonly #slotEpoch = new Uint32Array(SLOTS);
  /** Slots whose pointer was passed to exports in two epochs or more. */
  readonly #learned = new Set<number>();

  readonly #deferred: (() => void)[] = [];
  #forgotten = 0;
  #tooLong = 0;
  #announcements = 0;

  constructor(options: AdapterOptions = {}, remembers = true) {
    this.#remembers = remembers;
    this.#maxRanges = options.remember?.ranges ?? 128;
    this.#maxLength = options.remember?.length ?? 65536;
    this.#maxBytes = options.remember?.bytes ?? 1 << 20;
  }

  attach(guest: Guest, exports: WebAssembly.Exports): void {
    this.#touch = exports[EXPORTS.touch(0)] as unknown as (pointer: number, length: number) => void;
    this.#pages = exports[EXPORTS.size(0)] as unknown as () => number;
    guest.join(this);
  }

  /** The guest's memory size in bytes; asks the guest only when `atLeast` lies beyond the last answer. */
  size(atLeast = Number.MAX_SAFE_INTEGER): number {
    if (atLeast > this.#size && this.#pages) this.#size = Number(this.#pages()) * PAGE;
    return this.#size;
  }

  isPointer(value: unknown, lowest = LOWEST): value is number {
    if (typeof value !== 'number' || !Number.isInteger(value)) return false;
    const pointer = value >>> 0;
    return pointer >= lowest && pointer < this.size(pointer + 1);
  }

  /** Announces what of the range lies in memory. */
  readonly touch = (pointer: number, length: number): void => {
    if (!this.active) return;
    const start = Math.max(0, pointer < 0 && pointer >= -2147483648 ? pointer >>> 0 : pointer);
    const end = Math.min(start + length, this.size(start + length));
    if (end <= start) return;
    this.#announcements++;
    this.#touch?.(start, end - start);
  };

  /** A range that the host was given and may write into, now and later. */
  handOut(pointer: number, length: number): void {
    if (length === 0) return;
    this.touch(pointer, length);
    if (!this.#remembers) return;
    // A block that is handed out again was freed meanwhile, by the guest.
    this.#set(pointer, undefined);
    if (length > this.#maxLength) this.#tooLong++;
    else this.#young.set(pointer, length);
    if (this.#young.size > YOUNG) {
      this.#young.delete(this.#young.keys().next().value as number);
      this.#forgotten++;
    }
  }

  /** The same on the stack: gone when the stack pointer is restored above it. */
  handOutFrame(pointer: number, length: number): void {
    this.touch(pointer, length);
    while (this.#stack.length && this.#stack[this.#stack.length - 1]!.pointer < pointer + length)
      this.#stack.pop();
    this.#stack.push({ pointer, length });
  }

  release(pointer: number): void {
    if (!this.#young.delete(pointer)) this.#set(pointer, undefined);
  }

  pin(pointer: number, length: number): void {
    this.#pinned.set(pointer, length);
    this.touch(pointer, length);
  }

  unpin(pointer: number): void {
    this.#pinned.delete(pointer);
  }

  /** Notes a value that may be a saved stack pointer. */
  saved(pointer: number): void {
    this.#save = (this.#save + 1) & (SAVES - 1);
    this.#saves[this.#save] = pointer;
  }

  wasSaved(pointer: number): boolean {
    return this.#saves.includes(pointer);
  }

  lastSaved(): number {
    return this.#saves[this.#save]!;
  }

  restoreStack(pointer: number): void {
    while (this.#stack.length && this.#stack[this.#stack.length - 1]!.pointer < pointer) this.#stack.pop();
  }

  /**
   * Something that the host passed to an export. A pointer that comes back in another epoch is announced in
   * every epoch from then on: it may be scratch space that the host found by other means.
   */
  passed(value: unknown): void {
    if (typeof value !== 'number') return;
    const pointer = value >>> 0;
    const slot = (pointer >>> 3) & (SLOTS - 1);
    if (this.#slotPointer[slot] === pointer && this.#slotEpoch[slot] === this.#epoch) return;
    if (pointer >= LOWEST && this.active) this.#passed(pointer, slot);
  }

  #passed(pointer: number, slot: number): void {
    const allocation = this.#heap.get(pointer);
    if (allocation) {
      allocation.used = this.#epoch;
      return;
    }
    if (!this.isPointer(pointer) || this.#young.has(pointer)) return;
    if (this.#slotPointer[slot] === pointer) this.#learned.add(slot);
    else {
      this.#learned.delete(slot);
      this.#slotPointer[slot] = pointer;
    }
    this.#slotEpoch[slot] = this.#epoch;
  }

  /** Puts a host effect off until the next checkpoint. */
  defer(effect: () => void): void {
    if (this.active) this.#deferred.push(effect);
    else effect();
  }

  save(): null {
    return null;
  }

  load(): never {
    throw new BelayError(
      'ERR_BELAY_STATE',
      'a state does not have the JavaScript objects that glue (Emscripten, wasm-bindgen) keeps for a guest: load it into a guest without glue',
    );
  }

  checkpoint(): void {
    if (this.#young.size) this.#settle();
    if (this.#journal.size) this.#journal.clear();
    if (this.#stack.length || this.#stackAtCheckpoint.length) this.#stackAtCheckpoint = this.#stack.slice();
    this.active = true;
    this.#epoch++;
    this.#announceAll();
    if (this.#deferred.length) for (const effect of this.#deferred.splice(0)) effect();
  }

  rollback(): void {
    this.#young.clear();
    for (const [pointer, allocation] of this.#journal) this.#apply(pointer, allocation);
    this.#journal.clear();
    this.#stack = this.#stackAtCheckpoint.slice();
    this.#deferred.length = 0;
    this.#size = 0;
    this.#announceAll();
  }

  stats(): AdapterStats {
    return {
      remembered: this.#heap.size + this.#young.size + this.#stack.length + this.#pinned.size,
      rememberedBytes:
        this.#heapBytes +
        [...this.#young.values()].reduce((sum, length) => sum + length, 0) +
        this.#stack.reduce((sum, frame) => sum + frame.length, 0) +
        [...this.#pinned.values()].reduce((sum, length) => sum + length, 0),
      forgotten: this.#forgotten,
      tooLong: this.#tooLong,
      announcements: this.#announcements,
      deferred: this.#deferred.length,
    };
  }

  #announceAll(): void {
    for (const [pointer, length] of this.#pinned) this.touch(pointer, length);
    for (const [pointer, { length }] of this.#heap) this.touch(pointer, length);
    for (const frame of this.#stack) this.touch(frame.pointer, frame.length);
    for (const slot of this.#learned) this.touch(this.#slotPointer[slot]!, LEARNED_WINDOW);
  }

  /** Allocations of the epoch that ends are there to stay. */
  #settle(): void {
    for (const [pointer, length] of this.#young) {
      this.#apply(pointer, { length, used: this.#epoch });
      while (this.#heap.size > this.#maxRanges || this.#heapBytes > this.#maxBytes) {
        this.#apply(this.#leastUsed(), undefined);
        this.#forgotten++;
      }
    }
    this.#young.clear();
  }

  #leastUsed(): number {
    let found = -1;
    let used = Number.POSITIVE_INFINITY;
    for (const [pointer, allocation] of this.#heap) {
      if (allocation.used < used) {
        found = pointer;
        used = allocation.used;
      }
    }
    return found;
  }

  #set(pointer: number, allocation: Allocation | undefined): void {
    const before = this.#heap.get(pointer);
    if (before === allocation) return;
    if (this.active && !this.#journal.has(pointer)) this.#journal.set(pointer, before);
    this.#apply(pointer, allocation);
  }

  #apply(pointer: number, allocation: Allocation | undefined): void {
    this.#heapBytes -= this.#heap.get(pointer)?.length ?? 0;
    this.#heap.delete(pointer);
    if (allocation === undefined) return;
    this.#heap.set(pointer, allocation);
    this.#heapBytes += allocation.length;
  }
}
