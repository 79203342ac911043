/**
 * How probably will a page be written in the epoch that begins? Six counters of what happened before in the same
 * situation, mixed by a logistic unit that learns which of them to believe.
 *
 *     0  all outcomes of the page, which says how hot it is
 *     1  outcomes of the page after its last two outcomes
 *     2  outcomes of the page in requests of this kind
 *     3  outcomes of the page so many epochs after its leader was started: sequences
 *     4  all pages with as many epochs since their last write, and such gaps before it: periods, and runs that end
 *     5  all pages with such neighbours: which were written in the last epoch, and which of them were just started; or,
 *        ahead of a run of pages that were just started, how far ahead: allocation that moves on, stacks, sweeps
 *
 *     p = squash(sum of weight[i] * stretch(counter[i]))           a counter that is hardly trained counts less
 *     weight[i] += rate * (outcome - p) * stretch(counter[i])
 *
 * There are eight sets of weights, selected by the last two outcomes, and whether the page is well known. The rate falls
 * from `rate + boost` to `rate`, for a high one finds the weights and a low one holds them.
 *
 * All in whole numbers: probabilities have 12 or 16 bits, stretched ones 8 bits after the point, weights 16.
 *
 * @see Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression, 2005
 */
import { STRETCH, squash, TO_12_BITS, TRAININGS, trained } from './logistic.js';
import {
  AHEAD,
  ALL,
  BORN,
  BY_KIND,
  BY_LEADER,
  BY_RECENT,
  COASTING,
  CONTEXT,
  FLAGS,
  FRESH,
  GAP,
  GAP_BEFORE,
  HISTORY,
  INPUT,
  INPUTS,
  LAST,
  LEADER,
  PAGE,
  PLACE,
  PROBABILITY,
  type Slots,
  STARTED,
} from './slots.js';

export interface EstimatorOptions {
  /** Outcomes that the counter of all outcomes of a page remembers. Default 250. */
  memory: number;
  /** Inputs that count: bit i for input i. Default 63, all. */
  inputs: number;
  /**
   * Rate of learning, in 1/2^14, default 1; `boost` is added at first, default 30, and half of it after `boostFor` outcomes, default
   * 300.
   */
  rate: number;
  boost: number;
  boostFor: number;
}

/** Regions of the counters that all pages share. */
const GAPS = 0;
const NEAR = GAPS + 1024;
const FRONT = NEAR + 512;
/** How many they are. */
export const SHARED = FRONT + 256;

const SETS = 8;
/** Most outcomes that a counter of one page, or of all, remembers. */
const OWN_MEMORY = 30;
const SHARED_MEMORY = 400;
/** 0.3 and 8. */
const FIRST_WEIGHT = 19660;
const MOST_WEIGHT = 2 ** 19 - 1;
/** A counter trained less often than this counts in part. */

const TRUSTED = 8;
/** Outcomes from which on a page is well known. */
const WELL_KNOWN = 8;

export class Estimator {
  private readonly weights = new Int32Array(SETS * INPUTS).fill(FIRST_WEIGHT);
  /** By set: outcomes that it was trained with, and the rate of learning, in 1/2^18, that follows. */
  private readonly trainings = new Int32Array(SETS);
  private readonly speeds = new Int32Array(SETS);
  /** By input: -1, or 0 where it does not count. */
  private readonly masks: Int32Array;
  /** By input: most outcomes that its counters remember. */
  private readonly memories: Int32Array;

  constructor(
    private readonly slots: Slots,
    private readonly options: EstimatorOptions,
  ) {
    this.masks = Int32Array.from({ length: INPUTS }, (_, i) => -((options.inputs >> i) & 1));
    const own = OWN_MEMORY;
    this.memories = Int32Array.of(options.memory, own, own, own, SHARED_MEMORY, SHARED_MEMORY);
  }

  /** How often pages at this place ahead of a run were written, 12 bits. @param born 1 of pages that were ever written, or 0 */
  ofNeighbours(place: number, born: number): number {
    return this.slots.data[FRONT + 2 * place + born]! >> TO_12_BITS;
  }

  /**
   * The probability, 12 bits, that a slot's page is written in the epoch that begins. Its contexts are kept for
   * {@link train}.
   */
  predict(s: number, epoch: number, kind: number): number {
    const { data } = this.slots;
    const { weights, masks } = this;
    this.look(data, s, epoch, kind);
    const from = setOf(data, s) * INPUTS;
    let dot = 0;
    for (let i = 0; i < INPUTS; i++) {
      const value = data[data[s + CONTEXT + i]!]!;
      const n = value & TRAININGS;
      let input = STRETCH[value >> TO_12_BITS]! & masks[i]!;
      if (n < TRUSTED) input = (input * n) >> 3;
      data[s + INPUT + i] = input;
      dot = (dot + ((input * weights[from + i]!) >> 8)) | 0;
    }
    const p = squash(dot >> 8);
    data[s + PROBABILITY] = p;
    return p;
  }

  /** Learns from the outcome of the last prediction for a slot. */
  train(s: number, outcome: number): void {
    const { data } = this.slots;
    const miss = (outcome << 12) - data[s + PROBABILITY]!;
    const { weights, memories } = this;
    const set = setOf(data, s);
    const from = set * INPUTS;
    const error = (miss * this.speedOf(set)) >> 4;
    for (let i = 0; i < INPUTS; i++) {
      const weight = (weights[from + i]! + ((data[s + INPUT + i]! * error + 0x2000) >> 14)) | 0;
      weights[from + i] = weight > MOST_WEIGHT ? MOST_WEIGHT : weight < -MOST_WEIGHT ? -MOST_WEIGHT : weight;
      const context = data[s + CONTEXT + i]!;
      data[context] = trained(data[context]!, outcome, memories[i]!);
    }
  }

  /** Learns how hot a page is, of an outcome that nothing was predicted for. */
  trainHeat(s: number, outcome: number): void {
    const { data } = this.slots;
    data[s + ALL] = trained(data[s + ALL]!, outcome, this.options.memory);
  }

  /** The rate for a set, in 1/2^18, which is computed anew after each 16 trainings. */
  private speedOf(set: number): number {
    const { trainings, speeds } = this;
    const n = trainings[set]!;
    if (n < 65536) {
      if ((n & 15) === 0) {
        const { rate, boost, boostFor } = this.options;
        speeds[set] = 16 * rate + Math.floor((16 * boost * boostFor) / (boostFor + n));
      }
      trainings[set] = n + 1;
    }
    return speeds[set]!;
  }

  /** Finds the six contexts of a slot. */
  private look(data: Int32Array, s: number, epoch: number, kind: number): void {
    const flags = data[s + FLAGS]!;
    const born = flags & BORN ? 1 : 0;
    const since = born ? epoch - data[s + LAST]! : 255;
    const steps = since < 3 ? since - 1 : since >= 64 ? 7 : 32 - Math.clz32(since);
    data[s + CONTEXT] = s + ALL;
    data[s + CONTEXT + 1] = s + BY_RECENT + (data[s + HISTORY]! & 3);
    data[s + CONTEXT + 2] = s + BY_KIND + kind;
    const leader = data[s + LEADER]!;
    const ago = leader === 0 ? 0 : Math.min(7, epoch - data[leader + STARTED]!);
    // How long the page has been written in a row: 1, 2, more; or it was not written.
    const row = since === 1 ? Math.min(3, epoch - data[s + STARTED]!) - 1 : 3;
    data[s + CONTEXT + 3] = s + BY_LEADER + ago * 4 + row;
    const gap = data[s + GAP]!;
    const before = data[s + GAP_BEFORE]!;
    data[s + CONTEXT + 4] =
      GAPS +
      steps * 128 +
      (gap < 3 ? gap : gap >= 64 ? 7 : 32 - Math.clz32(gap)) * 16 +
      (since === gap ? 8 : 0) +
      (since === before ? 4 : 0) +
      (gap === before ? 2 : 0) +
      (since > gap ? 1 : 0);
    if (flags & AHEAD) {
      data[s + FLAGS] = flags & ~AHEAD;
      data[s + CONTEXT + 5] = FRONT + 2 * data[s + PLACE]! + born;
      return;
    }
    const page = data[s + PAGE]!;
    const sides = this.near(data, page - 1, epoch) * 3 + this.near(data, page + 1, epoch);
    data[s + CONTEXT + 5] = NEAR + sides * 32 + steps * 4 + data[s + FRESH]! * 2 + born;
  }

  /** Whether a neighbour was written in the epoch that ended: 0 no, 1 yes, 2 after several without. */
  private near(data: Int32Array, page: number, epoch: number): number {
    if (page < 0 || page >= this.slots.size) return 0;
    const s = this.slots.slotOf[page]!;
    if (s === 0) return 0;
    const flags = data[s + FLAGS]!;
    if (flags & COASTING) return 1;
    if (data[s + LAST] !== epoch - 1 || (flags & BORN) === 0) return 0;
    return 1 + data[s + FRESH]!;
  }
}

function setOf(data: Int32Array, s: number): number {
  return (data[s + HISTORY]! & 3) + ((data[s + ALL]! & TRAININGS) > WELL_KNOWN ? 4 : 0);
}
