/**
 * What `adaptive` knows, in one array of 32-bit numbers: counters that all pages share, and then a slot for each page that
 * was ever written or is a candidate. A slot is named by its offset, so that 0 means none.
 *
 *     data    [ shared counters | slot | slot | ...
 *     slot    [ state, 16 | counters by kind, 16 | by leader, 32 | by the last outcomes, and what is rarely used, 32 ]
 *     page ──slotOf──> offset
 *
 * 16 numbers are a cache line. A visit reads the state, a counter by kind and one by leader, the leader's state, and
 * a shared counter.
 *
 * 384 bytes a known page, and four for each page of memory. A slot whose page was written is kept for good; a candidate that is
 * not written after all gives its slot back.
 */
import { grown } from '../page-list.js';
import { UNTRAINED } from './logistic.js';

/** Inputs of the estimator. */
export const INPUTS = 3;
/** Kinds that are told apart. */
export const KINDS = 16;
/** Pages that a page is remembered to be followed by. */
export const FOLLOWERS = 4;

/** Fields of a slot: data[slot + FIELD]. */
export const PAGE = 0;
/** See below. */
export const FLAGS = 1;
/** The last 16 outcomes, the latest in bit 0; those that were not seen as they were predicted. */
export const HISTORY = 2;
/** Epoch of the last write that was seen or assumed; of a candidate, the epoch in which it became one. */
export const LAST = 3;
/** Epoch of the last write after an epoch without. */
export const STARTED = 4;
/** Epoch that the last prediction was for; -1 before the first. */
export const VISITED = 5;
/** Epochs between the last two writes, times 2^16, and between the two before. */
export const GAPS = 6;
/** Slot that is started before this one, or 0. */
export const LEADER = 7;
/** Looks come every 2^LOOK - 1 epochs; the next is LEFT epochs away. */
export const LOOK = 8;
export const LEFT = 9;
/** The last prediction, 12 bits; and the inputs and counters that it came from (that of the kind is known). */
export const PROBABILITY = 10;
export const INPUT = 11;
export const AFTER_LEADER = INPUT + INPUTS;
export const SITUATION = AFTER_LEADER + 1;
/** Counters: by kind, the first of all outcomes; by what the leader did. */
export const BY_KIND = 16;
export const ALL = BY_KIND;
export const BY_LEADER = BY_KIND + KINDS;
/** Counters by the last two outcomes, which say what a look is worth. */
export const BY_RECENT = BY_LEADER + 32;
/** How well the leader has held, from 0 to 7. */
export const TRUST = BY_RECENT + 4;
/** Not to sleep before this epoch. */
export const STAY = TRUST + 1;
/** Pages that this one leads. */
export const FOLLOWER = STAY + 1;
/** Kinds that hardly ever write the page, that ever wrote it, and that are waited for, a bit each. */
export const AGAINST = FOLLOWER + FOLLOWERS;
export const WRITERS = AGAINST + 1;
export const WAITS = WRITERS + 1;
/** Of a page that was never written and lies beyond a run of fresh ones: how far, of how long a run, in which direction. */
export const PLACE = WAITS + 1;
/** Where the flag LISTED is set: the bucket, and the slots beside this one in it. NEXT is also that of free slots. */
export const BUCKET = PLACE;
export const PREVIOUS = BUCKET + 1;
export const NEXT = PREVIOUS + 1;
/** By kind from 1 on: the next slot that waits for it. */
export const NEXT_OF_KIND = NEXT;
const FIELDS = 96;

/** Flags. */
export const CHOSEN = 1;
/** The outcome of the epoch that begins will be looked at. */
export const DUE = 2;
/** Will be visited at the next checkpoint. */
export const ACTIVE = 4;
/** In a bucket of the wheel. */
export const LISTED = 8;
/** The page was written at least once. */
export const BORN = 16;
/** Chosen without being visited until its look is due. */
export const COASTING = 32;
/** Faulted in the epoch that ends. */
export const FAULTED = 64;
/** The epoch that ended wrote the page after three or more without. */
export const FRESH = 128;

/** Open in the epoch that ends: chosen, or written. */
export const OPEN = 256;
/** Four bits: epochs for which the page is still kept open although its writing is improbable. */
export const KEEP_SHIFT = 12;
export const KEEP = 15 << KEEP_SHIFT;

const LONG_AGO = -(2 ** 20);

export class Slots {
  data: Int32Array<ArrayBuffer>;
  /** By page: its slot, or 0. */
  slotOf = new Int32Array(0);
  /** Pages of memory. */
  size = 0;
  private end: number;
  private free = 0;

  /** @param shared counters before the first slot, at least one */
  constructor(shared: number) {
    this.data = new Int32Array(shared + 64 * FIELDS).fill(UNTRAINED, 0, shared);
    this.end = shared;
  }

  /** Follows memory to another size. */
  fit(pages: number): void {
    if (pages > this.slotOf.length) this.slotOf = grown(this.slotOf, pages);
    this.size = pages;
  }

  /** The slot of a page, new where it had none. May replace `data`. */
  take(page: number, epoch: number): number {
    const known = this.slotOf[page]!;
    if (known > 0) return known;
    let s = this.free;
    if (s > 0) this.free = this.data[s + NEXT]!;
    else {
      s = this.end;
      this.end += FIELDS;
      if (this.end > this.data.length) this.data = grown(this.data, this.end);
    }
    const { data } = this;
    this.slotOf[page] = s;
    data.fill(0, s, s + FIELDS);
    data.fill(UNTRAINED, s + BY_KIND, s + TRUST);
    data[s + PAGE] = page;
    data[s + LAST] = epoch;
    data[s + STARTED] = LONG_AGO;
    data[s + VISITED] = -1;
    data[s + LEFT] = 1;
    return s;
  }

  /** Forgets a candidate. Only for slots that are in no list. */
  release(s: number): void {
    this.slotOf[this.data[s + PAGE]!] = 0;
    this.data[s + FLAGS] = 0;
    this.data[s + NEXT] = this.free;
    this.free = s;
  }
}
