/**
 * What may follow a page that is written after some epochs without: pages whose leader it is, and pages beside it. It
 * finds leaders, and wakes followers and neighbours.
 *
 * Started: written after an epoch without. A page's leader is a page that was started shortly before it; it is kept
 * while that holds, and replaced when it does not. Fresh: written after three epochs or more without. Beyond each
 * end of a run of fresh pages, as many pages are woken as the run is long.
 */
import { grown } from '../page-list.js';
import type { Estimator } from './estimator.js';
import { UNTRAINED } from './logistic.js';
import type { Sleep } from './sleep.js';
import {
  BORN,
  BY_LEADER,
  BY_RECENT,
  COASTING,
  FLAGS,
  FOLLOWER,
  FOLLOWERS,
  FRESH,
  LAST,
  LEADER,
  PAGE,
  PLACE,
  type Slots,
  STARTED,
  STAY,
  TRUST,
} from './slots.js';

export interface FollowersOptions {
  /** Epochs that a page stays awake that a neighbour or leader woke. Default 14. */
  stay: number;
  /** Unknown neighbours are tried one time in so many, where they have proved useless. Default 16. */
  explore: number;
}

/** Longest run of fresh pages that is followed, in pages, and most epochs between leader and follower. */
const RUN = 8;
const LEAD = 7;
const FIRST_TRUST = 2;
const MOST_TRUST = 7;
/** The slots started last; and how many of them are tried as leaders. */
const RECENT = 8;
const TRIED = 4;

export class Followers {
  /** Slots that the epoch that ended wrote, fresh. */
  private fresh = new Int32Array(64);
  private freshCount = 0;
  /** The slots started last, a ring, as of the epoch before the one that ended; and those of that one. */
  private readonly recent = new Int32Array(RECENT);
  private recentAt = 0;
  private readonly starting = new Int32Array(RECENT);
  private startingCount = 0;
  private candidates = 0;
  private turns = 0;

  /** @param useless 12-bit probability below which neighbours are not woken, but to explore */
  constructor(
    private readonly slots: Slots,
    private readonly sleep: Sleep,
    private readonly estimator: Estimator,
    private readonly useless: number,
    private readonly options: FollowersOptions,
  ) {}

  /** Before an epoch's outcomes: what was started in the one before may lead now. */
  begin(): void {
    const { recent, starting } = this;
    const count = Math.min(RECENT, this.startingCount);
    for (let i = 0; i < count; i++) {
      recent[this.recentAt++ % RECENT] = starting[i]!;
    }
    this.startingCount = 0;
    this.freshCount = 0;
  }

  /** A page is fresh. */
  freshen(s: number): void {
    this.slots.data[s + FLAGS]! |= FRESH;
    if (this.freshCount === this.fresh.length) this.fresh = grown(this.fresh, this.freshCount + 1);
    this.fresh[this.freshCount++] = s;
  }

  /** A page is started: was its leader started before? If it rarely was, another is tried. */
  start(s: number, ended: number): void {
    const { data } = this.slots;
    const lead = data[s + LEADER]!;
    if (lead > 0) {
      const ago = ended - data[lead + STARTED]!;
      if (ago >= 1 && ago < LEAD) data[s + TRUST] = Math.min(MOST_TRUST, data[s + TRUST]! + 1);
      else if (data[s + TRUST]! > 0) data[s + TRUST]!--;
    }
    if (lead === 0 || data[s + TRUST] === 0) this.follow(s, ended);
    data[s + STARTED] = ended;
    this.starting[this.startingCount++ % RECENT] = s;
  }

  /** Wakes what may follow the pages that are fresh. */
  spread(ended: number): void {
    const stay = ended + this.options.stay;
    for (let i = 0; i < this.freshCount; i++) {
      const s = this.fresh[i]!;
      for (let k = 0; k < FOLLOWERS; k++) {
        const follower = this.slots.data[s + FOLLOWER + k]!;
        if (follower === 0) continue;
        this.sleep.wake(follower);
        this.slots.data[follower + STAY] = stay;
      }
      const page = this.slots.data[s + PAGE]!;
      this.front(page, 1, ended);
      this.front(page, -1, ended);
    }
  }

  /** Finds a leader among the slots that were started last: by turns, so that each is tried in time. */
  private follow(s: number, ended: number): void {
    const { data } = this.slots;
    const turn = this.turns++;
    for (let i = 0; i < TRIED; i++) {
      const other = this.recent[(this.recentAt + RECENT - 1 - ((turn + i) % TRIED)) % RECENT]!;
      const ago = ended - data[other + STARTED]!;
      if (other === 0 || other === s || ago < 1 || ago >= LEAD) continue;
      data[s + LEADER] = other;
      data[s + TRUST] = FIRST_TRUST;
      data[other + FOLLOWER + (data[s + PAGE]! % FOLLOWERS)] = s;
      data.fill(UNTRAINED, s + BY_LEADER, s + BY_RECENT);
      return;
    }
  }

  /** At the end of a run of fresh pages, wakes as many as the run is long beyond it. */
  private front(page: number, step: 1 | -1, ended: number): void {
    const { slots, sleep } = this;
    if (this.isFresh(page + step, ended)) return;
    let run = 1;
    while (run < RUN && this.isFresh(page - step * run, ended)) run++;
    for (let distance = 1; distance <= run; distance++) {
      const beyond = page + step * distance;
      if (beyond < 0 || beyond >= slots.size) return;
      const place = (distance - 1) * RUN + run - 1 + (step < 0 ? RUN * RUN : 0);
      let s = slots.slotOf[beyond]!;
      if (s === 0) {
        const useless = this.estimator.atPlace(place) < this.useless;
        if (useless && ++this.candidates % this.options.explore !== 0) return;
        s = slots.take(beyond, ended + 1);
      } else if (slots.data[s + FLAGS]! & COASTING) return;
      if ((slots.data[s + FLAGS]! & BORN) === 0) slots.data[s + PLACE] = place;
      slots.data[s + STAY] = ended + this.options.stay;
      sleep.wake(s);
    }
  }

  private isFresh(page: number, ended: number): boolean {
    const { data, slotOf, size } = this.slots;
    if (page < 0 || page >= size) return false;
    const s = slotOf[page]!;
    return s > 0 && (data[s + FLAGS]! & FRESH) !== 0 && data[s + LAST] === ended;
  }
}
