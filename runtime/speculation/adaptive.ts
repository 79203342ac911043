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
 *                  3 wake      followers, neighbours; for the kind             adaptive/followers.ts
 *                  4 choose    predict all awake; choose, protect, put to sleep, or let coast
 *
 * A page whose choice nothing but a look would change coasts: it is chosen without being visited, until its next look where it
 * was written in each of the last eight epochs, and for `coast` epochs at the most elsewhere; a request of a kind that
 * hardly ever writes it ends that. So a steady program costs
 * a few nanoseconds a page.
 *
 * No random numbers: the same epochs give the same choices.
 *
 * Not handled: more than 15 kinds (they share); sequences of more than seven epochs, unless they are periods; and a
 * phase change is seen page by page, by looks and faults.
 */
import { Coasting } from './adaptive/coasting.js';
import { Estimator, type EstimatorOptions, SHARED } from './adaptive/estimator.js';
import { Followers, type FollowersOptions } from './adaptive/followers.js';
import { HALF, TO_12_BITS, TRAININGS } from './adaptive/logistic.js';
import { Sleep } from './adaptive/sleep.js';
import {
  ACTIVE,
  ALL,
  BORN,
  BY_KIND,
  BY_RECENT,
  CHOSEN,
  DUE,
  FAULTED,
  FLAGS,
  FRESH,
  GAPS,
  HISTORY,
  KEEP,
  KEEP_SHIFT,
  KINDS,
  LAST,
  LEFT,
  LOOK,
  OPEN,
  PAGE,
  PROBABILITY,
  SITUATION,
  Slots,
  STAY,
  VISITED,
  WAITS,
  WRITERS,
} from './adaptive/slots.js';
import { checkCosts, checkOptions, whole } from './options.js';
import type { Costs, Epoch, Policy, PolicyMaker } from './types.js';

export interface AdaptiveOptions extends EstimatorOptions, FollowersOptions {
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
  /** Epochs that a page coasts at most; one that is always written coasts until its look. Default 8; 1: no page coasts. */
  coast: number;
  /** Epochs without a write before a page may sleep. Default 3. */
  quiet: number;
  /**
   * Where protecting costs something: a page that is no longer worth copying is kept open for linger * protect / copy
   * epochs, 15 at most. Default 2; 0: it is protected at once.
   */
  linger: number;
}

/** A page is fresh that was not written for so many epochs before. */
const FRESH_AFTER = 4;
/** Epochs within which a page has to be written again to be kept open. */
const SOON = 15;
/** Epochs that a candidate has to prove itself. */
const TRIAL = 4;
/** Outcomes from which on a kind is known. */
const KNOWN_KIND = 4;
/** Outcomes from which on a situation is known. */
const NEW_TO_ALL = 8;
/** From this probability on, a page is always written. */
const STEADY = 3968;

class Adaptive implements Policy {
  readonly name = 'adaptive';
  private readonly slots = new Slots(SHARED);
  private readonly sleep = new Sleep(this.slots);
  private readonly coasting = new Coasting(this.slots, this.sleep);
  private readonly estimator: Estimator;
  private readonly followers: Followers;
  /** The epoch that begins, and the kind of its request. */
  private epoch = 0;
  private kind = 0;
  /** 12-bit probabilities: above the threshold of its schedule a page is chosen; below, a look is a fault's risk. */
  private readonly thresholds: Int32Array;
  /** The same for a page that has to be opened. */
  private readonly closed: Int32Array;
  /** Bits of a slot's flags: how long a page is kept open. */
  private readonly keep: number;
  private readonly riskBelow: number;
  private readonly sleepBelow: number;
  private readonly lookBelow: number;
  private readonly doubtful: number;
  private readonly awaitFrom: number;
  private readonly coast: number;
  private readonly looks: number;
  private readonly curious: number;
  private readonly quiet: number;

  constructor(options: AdaptiveOptions, { copy, fault, compare, protect = 0 }: Costs) {
    const ratio = (cost: number) => Math.min(4096, Math.floor((4096 * cost) / fault));
    this.thresholds = Int32Array.from({ length: 8 }, (_, g) => ratio(copy + compare / 2 ** g));
    const opening = (cost: number) =>
      Math.min(4096, Math.floor((4096 * (cost + protect)) / (fault + protect)));
    this.closed = Int32Array.from({ length: 8 }, (_, g) => opening(copy + compare / 2 ** g));
    // As long as copying it has not cost more than protecting and opening it again would.
    this.keep = Math.min(15, Math.floor((options.linger * protect) / copy)) << KEEP_SHIFT;
    // A page that is protected for a look is protected, and perhaps opened again.
    this.riskBelow = ratio(Math.max(0, copy + compare - 2 * protect));
    this.sleepBelow = ratio(copy / 2);
    this.awaitFrom = ratio(copy);
    this.doubtful = Math.max(1, Math.floor((options.doubt * compare) / fault));
    const { idle } = options;
    this.lookBelow = idle === 0 ? 0 : 4096 - Math.floor((4096 * compare) / (copy * idle));
    this.coast = options.coast;
    this.looks = options.looks;
    this.curious = options.curious;
    this.quiet = options.quiet;
    this.estimator = new Estimator(this.slots, options, this.thresholds[7]! >> 1);
    this.followers = new Followers(this.slots, this.sleep, this.estimator, this.sleepBelow, options);
  }

  choose(epoch: Epoch, out: Uint32Array): number {
    const { slots, sleep } = this;
    const ended = this.epoch;
    const { faults, faultCount, pages } = epoch;
    const lost = pages < slots.size;
    slots.fit(pages);
    sleep.turn(ended);
    for (let i = 0; i < faultCount; i++) {
      const page = faults[i]!;
      if (page >= pages) continue;
      const s = slots.take(page, ended);
      slots.data[s + FLAGS]! |= FAULTED;
      sleep.wake(s);
    }
    this.coasting.end(ended, lost);
    this.followers.begin();
    this.learn(epoch, ended);
    this.followers.spread(ended);
    const kind = epoch.kind > 0 ? 1 + ((epoch.kind - 1) % (KINDS - 1)) : 0;
    if (kind > 0) {
      sleep.request(kind);
      this.coasting.request(kind, ended + 1);
    }
    this.kind = kind;
    this.epoch = ended + 1;
    return this.select(kind, out);
  }

  /** Takes in what the epoch that ended did to each slot that is awake. */
  private learn(epoch: Epoch, ended: number): void {
    const { estimator, kind } = this;
    const { data, size } = this.slots;
    const { active, count } = this.sleep;
    for (let i = 0; i < count; i++) {
      const s = active[i]!;
      const flags = data[s + FLAGS]!;
      const visited = data[s + VISITED]!;
      let seen = true;
      let outcome = (flags & FAULTED) !== 0 ? 1 : 0;
      if (flags & CHOSEN) {
        seen = (flags & DUE) !== 0 && data[s + PAGE]! < size;
        if (seen) outcome = epoch.changed(data[s + PAGE]!) ? 1 : 0;
        else outcome = data[s + PROBABILITY]! >= HALF ? 1 : 0;
      }
      const open = flags & (CHOSEN | FAULTED) ? OPEN : 0;
      data[s + FLAGS] = (flags & ~(CHOSEN | DUE | FAULTED | FRESH | OPEN)) | open;
      if (seen) {
        if (visited === ended) estimator.train(data, s, kind, outcome);
        if (flags & (CHOSEN | DUE)) this.schedule(data, s, outcome);
      }
      const epochs = ended - visited + 1;
      data[s + HISTORY] = visited < 0 || epochs > 15 ? outcome : (data[s + HISTORY]! << epochs) | outcome;
      if (outcome) this.written(data, s, ended);
    }
  }

  /** When to look at a page again that was looked at. */
  private schedule(data: Int32Array, s: number, outcome: number): void {
    let look = data[s + LOOK]!;
    if (outcome) look = Math.min(this.looks, look + 1);
    else if (data[s + PROBABILITY]! >= HALF) look = Math.max(0, look - 2);
    data[s + LOOK] = look;
    // Odd, so that looks do not always meet the same half of a period.
    data[s + LEFT] = Math.max(1, (1 << look) - 1);
  }

  private written(data: Int32Array, s: number, ended: number): void {
    const born = (data[s + FLAGS]! & BORN) !== 0;
    const since = ended - data[s + LAST]!;
    // A page that was not written for longer than it could be kept open will hardly be sooner this time.
    if (born && since <= SOON) data[s + FLAGS] = (data[s + FLAGS]! & ~KEEP) | this.keep;
    data[s + LAST] = ended;
    data[s + WRITERS]! |= 1 << this.kind;
    if (born) {
      data[s + GAPS] = (Math.min(since, 32767) << 16) | (data[s + GAPS]! >> 16);
      if (since < 2) return;
    } else data[s + FLAGS]! |= BORN;
    this.followers.start(s, ended);
    if (!born || since >= FRESH_AFTER) this.followers.freshen(s);
  }

  /** Predicts all that are awake; chooses, protects, or puts to sleep. */
  private select(kind: number, out: Uint32Array): number {
    const { slots, sleep, coasting, estimator, epoch, thresholds, closed, keep, sleepBelow } = this;
    const { data, size } = slots;
    const { active } = sleep;
    let count = coasting.choose(out);
    let awake = 0;
    for (let i = 0; i < sleep.count; i++) {
      const s = active[i]!;
      const page = data[s + PAGE]!;
      const born = (data[s + FLAGS]! & BORN) !== 0;
      const since = epoch - data[s + LAST]!;
      if (page >= size || (!born && since > TRIAL)) {
        // What is known of a page that memory lost may be of use when it comes back.
        if (born) data[s + FLAGS]! &= ~ACTIVE;
        else slots.release(s);
        continue;
      }
      const p = estimator.predict(data, s, epoch, kind);
      data[s + VISITED] = epoch;
      const flags = data[s + FLAGS]!;
      if (p > (flags & OPEN ? thresholds : closed)[data[s + LOOK]!]!) {
        const manner = this.manner(data, s, p);
        data[s + FLAGS] = (flags & ~KEEP) | keep | manner;
        if (manner & CHOSEN) out[count++] = page;
        if (manner === CHOSEN) {
          const epochs = this.coastsFor(data, s, p);
          if (epochs > 1) {
            coasting.add(s, epoch + epochs);
            continue;
          }
        }
      } else if ((flags & OPEN) !== 0 && (flags & KEEP) !== 0) {
        data[s + FLAGS] = (flags - (1 << KEEP_SHIFT)) | CHOSEN;
        out[count++] = page;
      } else if (born && p < sleepBelow && this.maySleep(data, s, since, kind)) {
        this.awaitKinds(data, s);
        sleep.sleep(s, epoch, since);
        continue;
      }
      active[awake++] = s;
    }
    sleep.count = awake;
    return count;
  }

  /** How a page is chosen: with a look or without; a look that is cheaper by the risk of a fault protects it. */
  private manner(data: Int32Array, s: number, p: number): number {
    if (p < HALF && data[s + LEFT]! > this.doubtful) data[s + LEFT] = this.doubtful;
    if (data[s + LEFT]! > 1 && !this.worthALook(data, s, p)) {
      data[s + LEFT]!--;
      return CHOSEN;
    }
    return p < this.riskBelow ? DUE : CHOSEN | DUE;
  }

  private worthALook(data: Int32Array, s: number, p: number): boolean {
    // Where little is known, of the page or of all pages, anything that is seen teaches much.
    const history = data[s + HISTORY]!;
    const here = data[s + BY_RECENT + (history & 3)]!;
    if ((here & TRAININGS) < this.curious) return true;
    if ((data[data[s + SITUATION]!]! & TRAININGS) < NEW_TO_ALL) return true;
    if (p >= this.lookBelow) return false;
    // What the page did when its last outcome was 0, and the one before what the last is now.
    const after = data[s + BY_RECENT + ((history << 1) & 3)]!;
    return (after & TRAININGS) <= 1 || after >> TO_12_BITS < this.thresholds[data[s + LOOK]!]!;
  }

  /** How many epochs a chosen slot need not be visited for: while nothing but a look, or a kind, would change the choice. */
  private coastsFor(data: Int32Array, s: number, p: number): number {
    const left = data[s + LEFT]!;
    const threshold = this.thresholds[data[s + LOOK]!]!;
    if (left < 2 || this.coast < 2 || p <= 2 * threshold) return 0;
    const history = data[s + HISTORY]!;
    if (p >= STEADY && (history & 255) === 255 && data[s + ALL]! >> TO_12_BITS >= STEADY) return left;
    const likely = p >= HALF ? 1 : 0;
    if (likely && (history & 15) !== 15) return 0;
    // The outcomes that will be assumed must not end it.
    const least = threshold >> 1;
    const next = ((history << 1) | likely) & 3;
    if (speaksAgainst(data[s + BY_RECENT + next]!, least)) return 0;
    if (speaksAgainst(data[s + BY_RECENT + (likely ? 3 : 0)]!, least)) return 0;
    return Math.min(left, this.coast);
  }

  /** A page that this kind of request is known not to write need not be quiet: its own kinds will wake it. */
  private maySleep(data: Int32Array, s: number, since: number, kind: number): boolean {
    if (kind > 0 && (data[s + BY_KIND + kind]! & TRAININGS) >= KNOWN_KIND) return true;
    return since > this.quiet && this.epoch > data[s + STAY]!;
  }

  /** Lets a slot wait for the kinds of request that write it. */
  private awaitKinds(data: Int32Array, s: number): void {
    // All but kind 0, which says nothing.
    let kinds = data[s + WRITERS]! & ~data[s + WAITS]! & ~1;
    while (kinds !== 0) {
      const kind = 31 - Math.clz32(kinds);
      kinds &= ~(1 << kind);
      if (data[s + BY_KIND + kind]! >> TO_12_BITS > this.awaitFrom) this.sleep.await(s, kind);
    }
  }
}

/** Whether a counter knows that what it counts is improbable. */
function speaksAgainst(counter: number, least: number): boolean {
  return counter >> TO_12_BITS <= least && (counter & TRAININGS) > 1;
}

/** Makes adaptive policies. @throws ERR_BELAY_OPTION where an option is unknown or malformed */
export function adaptive(options?: Partial<AdaptiveOptions>): PolicyMaker {
  const checked = checkOptions<AdaptiveOptions>('adaptive', options, {
    looks: whole(5, 0, 7),
    curious: whole(6, 0, 30),
    doubt: whole(300, 1, 2 ** 20),
    idle: whole(4, 0, 1000),
    coast: whole(8, 1, 127),
    quiet: whole(3, 1, 1000),
    linger: whole(2, 0, 1000),
    stay: whole(14, 0, 1000),
    explore: whole(16, 1, 1000),
    memory: whole(250, 1, 1000),
    inputs: whole(7, 0, 7),
    rate: whole(1, 0, 64),
    boost: whole(30, 0, 64),
    boostFor: whole(300, 1, 65535),
  });
  return (costs) => {
    checkCosts(costs);
    return new Adaptive(checked, costs);
  };
}
