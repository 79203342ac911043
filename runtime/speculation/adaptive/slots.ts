/**
 * What `adaptive` knows of each page: a slot of numbers in typed arrays, for pages that were ever written or that are
 * candidates. About 350 bytes a known page, and four for each page of memory.
 *
 *     page ──slotOf──> slot ──> page, flags, history, counters, ...
 *
 * A slot whose page was written is kept for good. A candidate that is not written after all gives its slot back.
 */
import { grown } from '../page-list.js';
import { UNTRAINED } from './logistic.js';

/** Flags of a slot. */
export const CHOSEN = 1;
/** Its outcome in the epoch that begins will be looked at. */
export const DUE = 2;
/** In the list of slots that are visited at the next checkpoint. */
export const ACTIVE = 4;
/** In a bucket of the wheel. */
export const LISTED = 8;
/** The page was written at least once. */
export const BORN = 16;
/** Chosen without being visited until its look is due. */
export const COASTING = 32;
/** Lies ahead of a run of pages that were just started. */
export const AHEAD = 64;

/** Inputs of the estimator. */
export const INPUTS = 6;
/** Kinds that are told apart. */
export const KINDS = 16;
/** Pages that a page is remembered to be followed by. */
export const FOLLOWERS = 4;

/** Counters of a slot: all outcomes; by the last two outcomes; by kind; by the leader. */
export const BY_RECENT = 1;
export const BY_KIND = 5;
export const BY_LEADER = BY_KIND + KINDS;
export const COUNTERS = BY_LEADER + 32;

/** More than 2^15 epochs ago. */
export const LONG_AGO = -(2 ** 20);

const FIRST = 64;

export class Slots {
  /** By page: its slot, or -1. */
  slotOf = new Int32Array(0);
  /** Pages of memory. */
  size = 0;

  page = new Uint32Array(FIRST);
  flags = new Uint8Array(FIRST);
  /** Outcomes, the latest in bit 0; those that were not seen as they were predicted. */
  history = new Uint16Array(FIRST);
  /** Epoch of the last write that was seen or assumed; of a candidate, the epoch in which it became one. */
  last = new Int32Array(FIRST);
  /** Epoch of the last write after an epoch without. */
  started = new Int32Array(FIRST);
  /** Whether the epoch that ended wrote the page after three or more without. */
  fresh = new Uint8Array(FIRST);
  /** Epoch that the last prediction was for; -1 before the first. */
  visited = new Int32Array(FIRST);
  /** Epoch of the last fault. */
  faulted = new Int32Array(FIRST);
  /** Epochs between the last two writes, and between the two before. */
  gap = new Uint16Array(FIRST);
  gapBefore = new Uint16Array(FIRST);
  /** Looks come every 2^look epochs; the next is `left` epochs away. */
  look = new Uint8Array(FIRST);
  left = new Uint8Array(FIRST);
  /** Not to sleep before this epoch. */
  stay = new Int32Array(FIRST);
  /** AHEAD: how far, of how long a run, in which direction. */
  ahead = new Uint8Array(FIRST);
  /** Slot that is started before this one, or -1; and how well that has held, from 0 to 7. */
  leader = new Int32Array(FIRST);
  trust = new Uint8Array(FIRST);
  followers = new Int32Array(FIRST * FOLLOWERS);
  /** The last prediction, 12 bits; the contexts and inputs that it was made from. */
  probability = new Uint16Array(FIRST);
  contexts = new Int32Array(FIRST * INPUTS);
  inputs = new Int16Array(FIRST * INPUTS);
  counters = new Uint32Array(FIRST * COUNTERS);
  /** Next slot of the bucket, or of the free list; and of the list of each kind that bit k of `waits` says. */
  next = new Int32Array(FIRST);
  waits = new Uint16Array(FIRST);
  nextOfKind = new Int32Array(FIRST * KINDS);

  private count = 0;
  private free = -1;

  /** Follows memory to another size. */
  fit(pages: number): void {
    const known = this.slotOf.length;
    if (pages > known) {
      this.slotOf = grown(this.slotOf, pages);
      this.slotOf.fill(-1, known);
    }
    this.size = pages;
  }

  /** The slot of a page, new where it had none. */
  take(page: number, epoch: number): number {
    const known = this.slotOf[page]!;
    if (known >= 0) return known;
    let s = this.free;
    if (s >= 0) this.free = this.next[s]!;
    else {
      s = this.count++;
      if (s === this.page.length) this.grow(2 * s);
    }
    this.slotOf[page] = s;
    this.page[s] = page;
    this.flags[s] = 0;
    this.history[s] = 0;
    this.last[s] = epoch;
    this.started[s] = LONG_AGO;
    this.fresh[s] = 0;
    this.visited[s] = -1;
    this.faulted[s] = -1;
    this.gap[s] = 0;
    this.gapBefore[s] = 0;
    this.look[s] = 0;
    this.left[s] = 1;
    this.stay[s] = 0;
    this.leader[s] = -1;
    this.trust[s] = 0;
    this.waits[s] = 0;
    this.followers.fill(-1, s * FOLLOWERS, (s + 1) * FOLLOWERS);
    this.counters.fill(UNTRAINED, s * COUNTERS, (s + 1) * COUNTERS);
    return s;
  }

  /** Forgets a candidate. Only for slots that are in no list. */
  release(s: number): void {
    this.slotOf[this.page[s]!] = -1;
    this.flags[s] = 0;
    this.next[s] = this.free;
    this.free = s;
  }

  private grow(n: number): void {
    this.page = grown(this.page, n);
    this.flags = grown(this.flags, n);
    this.history = grown(this.history, n);
    this.last = grown(this.last, n);
    this.started = grown(this.started, n);
    this.fresh = grown(this.fresh, n);
    this.visited = grown(this.visited, n);
    this.faulted = grown(this.faulted, n);
    this.gap = grown(this.gap, n);
    this.gapBefore = grown(this.gapBefore, n);
    this.look = grown(this.look, n);
    this.left = grown(this.left, n);
    this.stay = grown(this.stay, n);
    this.ahead = grown(this.ahead, n);
    this.leader = grown(this.leader, n);
    this.trust = grown(this.trust, n);
    this.followers = grown(this.followers, n * FOLLOWERS);
    this.probability = grown(this.probability, n);
    this.contexts = grown(this.contexts, n * INPUTS);
    this.inputs = grown(this.inputs, n * INPUTS);
    this.counters = grown(this.counters, n * COUNTERS);
    this.next = grown(this.next, n);
    this.waits = grown(this.waits, n);
    this.nextOfKind = grown(this.nextOfKind, n * KINDS);
  }
}
