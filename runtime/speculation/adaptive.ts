/**
 * Adaptive: copy a page ahead if that is probably cheaper than its fault. The rest is to know the probability, and to pay
 * little for knowing it.
 *
 *     not chosen   costs P * fault             (its copy included); whether it was written is seen for free
 *     chosen       costs copy + compare / 2^g  where every 2^g-th outcome is looked at, for it is not seen otherwise
 *
 *     choose  ⟺  P > (copy + compare / 2^g) / fault
 *
 * P comes from adaptive/estimator.ts. It learns from outcomes, and those of chosen pages have a price. They are looked at
 *
 * - on schedule: every 2^g - 1 epochs, where g grows with each look that finds a page written, up to `looks`, and
 *   falls by two when a page was not written although that was probable; more often where it is improbable (`doubt`);
 * - at once, where little is known: the page was seen less than `curious` times after such outcomes, or any page was
 *   hardly ever seen after such a gap;
 * - at once, where the answer is worth it: if the page, once seen unwritten, would not be chosen any more, and
 *   (1 - P) * idle * copy > compare, with `idle` the epochs that such a page stays unwritten.
 *
 * A look is either a comparison with the pre-image (copy + compare), or the page is not chosen, and its fault or none
 * tells (P * fault): whichever is cheaper. An outcome that was not looked at counts as what was predicted.
 *
 *     checkpoint:  1 wake      pages that faulted, whose time has come         adaptive/sleep.ts
 *                  2 learn     outcomes of all awake                           adaptive/estimator.ts
 *                  3 wake      what may follow: neighbours, followers, the kind
 *                  4 choose    predict all awake; choose, protect, or put to sleep
 *
 * A page that was written in each of the last eight epochs, and is nearly sure to be, coasts: it is chosen without being
 * visited until its next look. So a steady program costs a few nanoseconds a page.
 *
 * Started: written after an epoch without. A page's leader is a page that was started shortly before it; it is kept
 * while that holds, and replaced when it does not. No random numbers: the same epochs give the same choices.
 *
 * Not handled: more than 15 kinds (they share); sequences of more than seven epochs, unless they are periods; and a
 * phase change is seen page by page, by looks and faults.
 */
import { Estimator, type EstimatorOptions, SHARED } from './adaptive/estimator.js';
import { TO_12_BITS, TRAININGS, UNTRAINED } from './adaptive/logistic.js';
import { Sleep } from './adaptive/sleep.js';
import {
  ACTIVE,
  AHEAD,
  ALL,
  BORN,
  BY_KIND,
  BY_LEADER,
  BY_RECENT,
  CHOSEN,
  COASTING,
  CONTEXT,
  DUE,
  FAULTED,
  FLAGS,
  FOLLOWER,
  FOLLOWERS,
  FRESH,
  GAP,
  GAP_BEFORE,
  HISTORY,
  KINDS,
  LAST,
  LEADER,
  LEFT,
  LOOK,
  PAGE,
  PLACE,
  PROBABILITY,
  Slots,
  STARTED,
  STAY,
  TRUST,
  VISITED,
  WAITS,
  WRITERS,
} from './adaptive/slots.js';
import { between, checkCosts, checkOptions, whole } from './options.js';
import { grown } from './page-list.js';
import type { Costs, Epoch, Policy, PolicyMaker } from './types.js';

export interface AdaptiveOptions extends EstimatorOptions {
  /** Chosen pages are looked at every 2^looks - 1 epochs at the least. Default 5. */
  looks: number;
  /** Epochs that a page which was seen unwritten is expected to stay so; 0: no look is worth more than another. Default 4. */
  idle: number;
  /**
   * A chosen page that is probably not written is looked at every doubt * compare / fault epochs at the least: every 18, where
   * a fault costs 16 comparisons. Default 300.
   */
  doubt: number;
  /** Outcomes of a page, of each two before, that are looked at before its schedule counts. Default 6. */
  curious: number;
  /** Probability from which on a steady page coasts. Default 0.96875; 1 turns it off. */
  coast: number;
  /** Epochs without a write before a page may sleep. Default 3. */
  quiet: number;
  /** Epochs that a page stays awake that a neighbour or leader woke. Default 14. */
  stay: number;
  /** Unknown neighbours are tried one time in so many, where they have proved useless. Default 16. */
  explore: number;
}

/** A page is fresh that was not written for so many epochs before. */
const FRESH_AFTER = 4;
/** Longest run of fresh pages that is followed, in pages, and most epochs between leader and follower. */
const RUN = 8;
const LEAD = 7;
/** Epochs that a candidate has to prove itself. */
const TRIAL = 4;
const FIRST_TRUST = 2;
const MOST_TRUST = 7;
/** The slots started last; and how many of them are tried as leaders. */
const RECENT = 8;
const TRIED = 4;
/** Outcomes from which on a kind is known. */
const KNOWN_KIND = 4;
/** Outcomes from which on a situation is known. */
const NEW_TO_ALL = 8;

class Adaptive implements Policy {
  readonly name = 'adaptive';
  private readonly slots = new Slots(SHARED);
  private readonly sleep = new Sleep(this.slots);
  private readonly estimator: Estimator;
  /** Slots that coast. */
  private coasting = new Int32Array(64);
  private coastingCount = 0;
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
  /** The epoch that begins, and the kind of its request. */
  private epoch = 0;
  private kind = 0;
  /** 12-bit probabilities: above the threshold of its schedule a page is chosen; below, a look is a fault's risk. */
  private readonly thresholds: Int32Array;
  private readonly riskBelow: number;
  private readonly sleepBelow: number;
  private readonly lookBelow: number;
  private readonly doubtful: number;
  private readonly coastFrom: number;

  constructor(
    private readonly options: AdaptiveOptions,
    { copy, fault, compare }: Costs,
  ) {
    this.estimator = new Estimator(this.slots, options);
    const ratio = (cost: number) => Math.min(4096, Math.floor((4096 * cost) / fault));
    this.thresholds = Int32Array.from({ length: 8 }, (_, g) => ratio(copy + compare / 2 ** g));
    this.riskBelow = ratio(copy + compare);
    this.sleepBelow = ratio(copy / 4);
    this.doubtful = Math.max(1, Math.floor((options.doubt * compare) / fault));
    const { idle } = options;
    this.lookBelow = idle === 0 ? 0 : 4096 - Math.floor((4096 * compare) / (copy * idle));
    this.coastFrom = Math.floor(4096 * options.coast);
  }

  choose(epoch: Epoch, out: Uint32Array): number {
    const { slots, sleep } = this;
    const ended = this.epoch;
    const { faults, faultCount } = epoch;
    slots.fit(epoch.pages);
    sleep.turn(ended);
    for (let i = 0; i < faultCount; i++) {
      const page = faults[i]!;
      if (page >= epoch.pages) continue;
      const s = slots.take(page, ended);
      slots.data[s + FAULTED] = ended;
      sleep.wake(s);
    }
    this.endCoasting(ended);
    this.learn(epoch, ended);
    for (let i = 0; i < this.freshCount; i++) this.spread(this.fresh[i]!, ended);
    const kind = epoch.kind > 0 ? 1 + ((epoch.kind - 1) % (KINDS - 1)) : 0;
    sleep.request(kind);
    this.kind = kind;
    this.epoch = ended + 1;
    return this.select(kind, out);
  }

  /** Pages that coast go on, except those whose look is due now. */
  private endCoasting(ended: number): void {
    const { data, size } = this.slots;
    let keep = 0;
    for (let i = 0; i < this.coastingCount; i++) {
      const s = this.coasting[i]!;
      if (data[s + PAGE]! < size && --data[s + LEFT]! > 0) {
        this.coasting[keep++] = s;
        continue;
      }
      data[s + FLAGS]! &= ~COASTING;
      this.sleep.wake(s);
      data[s + FLAGS]! |= CHOSEN | DUE;
      data[s + VISITED] = ended;
      data[s + LAST] = ended - 1;
    }
    this.coastingCount = keep;
  }

  /** Takes in what the epoch that ended did to each slot that is awake. */
  private learn(epoch: Epoch, ended: number): void {
    const { slots, sleep, estimator } = this;
    const { data } = slots;
    for (let i = 0; i < Math.min(RECENT, this.startingCount); i++) {
      this.recent[this.recentAt++ % RECENT] = this.starting[i]!;
    }
    this.startingCount = 0;
    this.freshCount = 0;
    for (let i = 0; i < sleep.count; i++) {
      const s = sleep.active[i]!;
      const flag = data[s + FLAGS]!;
      let seen = true;
      let outcome = data[s + FAULTED] === ended ? 1 : 0;
      if (flag & CHOSEN) {
        seen = (flag & DUE) !== 0 && data[s + PAGE]! < slots.size;
        if (seen) outcome = epoch.changed(data[s + PAGE]!) ? 1 : 0;
        else outcome = data[s + PROBABILITY]! >= 2048 ? 1 : 0;
      }
      if (data[s + VISITED]! >= 0) {
        const epochs = ended - data[s + VISITED]! + 1;
        if (seen) {
          if (epochs === 1) estimator.train(s, outcome);
          else estimator.trainHeat(s, outcome);
          if (flag & (CHOSEN | DUE)) this.schedule(s, outcome);
        }
        data[s + HISTORY] = epochs > 15 ? outcome : (data[s + HISTORY]! << epochs) | outcome;
      } else data[s + HISTORY] = outcome;
      data[s + FRESH] = 0;
      if (outcome) this.written(s, ended);
      data[s + FLAGS]! &= ~(CHOSEN | DUE);
    }
  }

  /** When to look at a page again that was looked at. */
  private schedule(s: number, outcome: number): void {
    const { data } = this.slots;
    if (outcome) data[s + LOOK] = Math.min(this.options.looks, data[s + LOOK]! + 1);
    else if (data[s + PROBABILITY]! >= 2048) data[s + LOOK] = Math.max(0, data[s + LOOK]! - 2);
    // Odd, so that looks do not always meet the same half of a period.
    data[s + LEFT] = Math.max(1, (1 << data[s + LOOK]!) - 1);
  }

  private written(s: number, ended: number): void {
    const { data } = this.slots;
    const born = (data[s + FLAGS]! & BORN) !== 0;
    const since = ended - data[s + LAST]!;
    if (born) {
      data[s + GAP_BEFORE] = data[s + GAP]!;
      data[s + GAP] = Math.min(since, 65535);
    }
    if (!born || since >= 2) this.start(s, ended);
    if (!born || since >= FRESH_AFTER) {
      data[s + FRESH] = 1;
      if (this.freshCount === this.fresh.length) this.fresh = grown(this.fresh, this.freshCount + 1);
      this.fresh[this.freshCount++] = s;
    }
    data[s + LAST] = ended;
    data[s + WRITERS]! |= 1 << this.kind;
    data[s + FLAGS]! |= BORN;
  }

  /** A page is written after it was not: was its leader started before? If it rarely was, another is tried. */
  private start(s: number, ended: number): void {
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
      data.fill(UNTRAINED, s + BY_LEADER, s + PLACE);
      return;
    }
  }

  /** Wakes what may follow a fresh page. */
  private spread(s: number, ended: number): void {
    const { data } = this.slots;
    for (let i = 0; i < FOLLOWERS; i++) {
      const follower = data[s + FOLLOWER + i]!;
      if (follower === 0) continue;
      this.sleep.wake(follower);
      data[follower + STAY] = ended + this.options.stay;
    }
    this.front(data[s + PAGE]!, 1, ended);
    this.front(data[s + PAGE]!, -1, ended);
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
      const ahead = (distance - 1) * RUN + run - 1 + (step < 0 ? RUN * RUN : 0);
      let s = slots.slotOf[beyond]!;
      const flags = s > 0 ? slots.data[s + FLAGS]! : 0;
      if (flags & COASTING) return;
      if ((flags & ACTIVE) === 0) {
        const useless = this.estimator.ofNeighbours(ahead, s > 0 ? 1 : 0) < this.sleepBelow;
        if (useless && ++this.candidates % this.options.explore !== 0) return;
        if (s === 0) s = slots.take(beyond, ended + 1);
      }
      const { data } = slots;
      data[s + PLACE] = ahead;
      data[s + FLAGS]! |= AHEAD;
      data[s + STAY] = ended + this.options.stay;
      sleep.wake(s);
    }
  }

  private isFresh(page: number, ended: number): boolean {
    const { data, slotOf, size } = this.slots;
    if (page < 0 || page >= size) return false;
    const s = slotOf[page]!;
    return s > 0 && data[s + FRESH] === 1 && data[s + LAST] === ended;
  }

  /** Predicts all that are awake; chooses, protects, or puts to sleep. */
  private select(kind: number, out: Uint32Array): number {
    const { slots, sleep, estimator, epoch, thresholds } = this;
    const { data } = slots;
    let count = 0;
    for (; count < this.coastingCount; count++) out[count] = data[this.coasting[count]! + PAGE]!;
    let awake = 0;
    for (let i = 0; i < sleep.count; i++) {
      const s = sleep.active[i]!;
      const born = (data[s + FLAGS]! & BORN) !== 0;
      const since = epoch - data[s + LAST]!;
      if (data[s + PAGE]! >= slots.size || (!born && since > TRIAL)) {
        // What is known of a page that memory lost may be of use when it comes back.
        if (born) data[s + FLAGS]! &= ~(ACTIVE | AHEAD);
        else slots.release(s);
        continue;
      }
      const p = estimator.predict(s, epoch, kind);
      data[s + VISITED] = epoch;
      if (p > thresholds[data[s + LOOK]!]!) {
        data[s + FLAGS]! |= this.manner(s, p);
        if (data[s + FLAGS]! & CHOSEN) out[count++] = data[s + PAGE]!;
        if (this.coasts(s, p)) continue;
      } else if (born && p < this.sleepBelow && this.maySleep(s, since, kind)) {
        this.awaitKinds(s);
        sleep.sleep(s, epoch, since);
        continue;
      }
      sleep.active[awake++] = s;
    }
    sleep.count = awake;
    return count;
  }

  /** How a page is chosen: with a look or without; a look that is cheaper by the risk of a fault protects it. */
  private manner(s: number, p: number): number {
    const { data } = this.slots;
    // What the page did when its last outcome was 0, and the one before what the last is now.
    const after = data[s + BY_RECENT + ((data[s + HISTORY]! << 1) & 3)]!;
    const known = (after & TRAININGS) > 1;
    const decisive =
      p < this.lookBelow && (!known || after >> TO_12_BITS < this.thresholds[data[s + LOOK]!]!);
    // Where little is known, of the page or of all pages, anything that is seen teaches much.
    const here = data[s + BY_RECENT + (data[s + HISTORY]! & 3)]!;
    const curious =
      (here & TRAININGS) < this.options.curious || (data[data[s + CONTEXT + 4]!]! & TRAININGS) < NEW_TO_ALL;
    if (p < 2048 && data[s + LEFT]! > this.doubtful) data[s + LEFT] = this.doubtful;
    if (data[s + LEFT]! > 1 && !decisive && !curious) {
      data[s + LEFT]!--;
      return CHOSEN;
    }
    return p < this.riskBelow ? DUE : CHOSEN | DUE;
  }

  /** Lets a chosen slot coast, if it is steady. */
  private coasts(s: number, p: number): boolean {
    const { data } = this.slots;
    const steady = p >= this.coastFrom && (data[s + HISTORY]! & 255) === 255;
    if (!steady || data[s + FLAGS]! & DUE || data[s + ALL]! >> TO_12_BITS < this.coastFrom) return false;
    data[s + FLAGS]! = (data[s + FLAGS]! & ~(CHOSEN | ACTIVE)) | COASTING;
    // Which counts its epochs itself, this one too.
    data[s + LEFT]!++;
    if (this.coastingCount === this.coasting.length) {
      this.coasting = grown(this.coasting, this.coastingCount + 1);
    }
    this.coasting[this.coastingCount++] = s;
    return true;
  }

  /** A page that this kind of request is known not to write need not be quiet: its own kinds will wake it. */
  private maySleep(s: number, since: number, kind: number): boolean {
    const { data } = this.slots;
    if (kind > 0 && (data[s + BY_KIND + kind]! & TRAININGS) >= KNOWN_KIND) return true;
    return since > this.options.quiet && this.epoch > data[s + STAY]!;
  }

  /** Lets a slot wait for the kinds of request that write it. */
  private awaitKinds(s: number): void {
    const { data } = this.slots;
    // All but kind 0, which says nothing.
    let kinds = data[s + WRITERS]! & ~data[s + WAITS]! & ~1;
    while (kinds !== 0) {
      const kind = 31 - Math.clz32(kinds);
      kinds &= ~(1 << kind);
      if (data[s + BY_KIND + kind]! >> TO_12_BITS > this.sleepBelow) this.sleep.await(s, kind);
    }
  }
}

/** Makes adaptive policies. @throws ERR_BELAY_OPTION where an option is unknown or malformed */
export function adaptive(options?: Partial<AdaptiveOptions>): PolicyMaker {
  const checked = checkOptions<AdaptiveOptions>('adaptive', options, {
    looks: whole(5, 0, 7),
    curious: whole(6, 0, 30),
    doubt: whole(300, 1, 2 ** 20),
    idle: whole(4, 0, 1000),
    coast: between(0.96875, 0, 1),
    quiet: whole(3, 1, 1000),
    stay: whole(14, 0, 1000),
    explore: whole(16, 1, 1000),
    memory: whole(250, 1, 1000),
    inputs: whole(63, 0, 63),
    rate: whole(1, 0, 64),
    boost: whole(30, 0, 64),
    boostFor: whole(300, 1, 65535),
  });
  return (costs) => {
    checkCosts(costs);
    return new Adaptive(checked, costs);
  };
}
