/**
 * How probably will a page be written in the epoch that begins? Three counters of what happened before in the same
 * situation, mixed by a logistic unit that learns which of them to believe.
 *
 *     0  outcomes of the page in requests of this kind; of all requests, where kinds are not told
 *     1  outcomes of the page so many epochs after its leader was started: sequences
 *     2  all pages with as many epochs since their last write, and such gaps before it: periods, and runs that end. Or,
 *        ahead of a run of pages that were just started, how far ahead: allocation that moves on, stacks, sweeps
 *
 *     p = squash(sum of weight[i] * stretch(counter[i]))           a counter that is hardly trained counts less
 *     weight[i] += rate * (outcome - p) * stretch(counter[i])
 *
 * There are eight sets of weights, selected by the last two outcomes, and whether the page is well known. The rate falls
 * from `rate + boost` to `rate`, for a high one finds the weights and a low one holds them.
 *
 * All in whole numbers: probabilities have 12 or 16 bits, stretched ones 8 bits after the point, weights 16. Loops over
 * inputs are written out, for this is most of what a visit costs.
 *
 * @see Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression, 2005
 */
import { STRETCH, squash, TO_12_BITS, TRAININGS, trained } from './logistic.js';
import {
  AFTER_LEADER,
  AGAINST,
  ALL,
  BORN,
  BY_KIND,
  BY_LEADER,
  BY_RECENT,
  FLAGS,
  GAPS,
  HISTORY,
  INPUT,
  LAST,
  LEADER,
  PLACE,
  PROBABILITY,
  SITUATION,
  type Slots,
  STARTED,
} from './slots.js';

export interface EstimatorOptions {
  /** Outcomes that the counter of all outcomes of a page remembers. Default 250. */
  memory: number;
  /** Inputs that count: bit i for input i. Default 7, all. */
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
const RHYTHMS = 0;
const FRONT = RHYTHMS + 1024;
/** How many they are. */
export const SHARED = FRONT + 128;

const SETS = 8;
/** Weights of a set: one is not used. */
const SET = 4;
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
  private readonly weights = new Int32Array(SETS * SET).fill(FIRST_WEIGHT);
  /** By set: outcomes that it was trained with, and the rate of learning, in 1/2^18, that follows. */
  private readonly trainings = new Int32Array(SETS);
  private readonly speeds = new Int32Array(SETS);
  /** By input: -1, or 0 where it does not count. */
  private readonly mask0: number;
  private readonly mask1: number;
  private readonly mask2: number;
  private readonly memory: number;

  /** @param least 12-bit probability; a kind is against a page that it writes no more often */
  constructor(
    private readonly slots: Slots,
    private readonly options: EstimatorOptions,
    private readonly least: number,
  ) {
    const { inputs, memory } = options;
    this.mask0 = -(inputs & 1);
    this.mask1 = -((inputs >> 1) & 1);
    this.mask2 = -((inputs >> 2) & 1);
    this.memory = memory;
  }

  /** How often pages at this place ahead of a run were written, that never were before; 12 bits. */
  atPlace(place: number): number {
    return this.slots.data[FRONT + place]! >> TO_12_BITS;
  }

  /**
   * The probability, 12 bits, that a slot's page is written in the epoch that begins. What it came from is kept for
   * {@link train}.
   */
  predict(data: Int32Array, s: number, epoch: number, kind: number): number {
    const { weights } = this;
    const ofKind = data[s + BY_KIND + kind]!;
    const after = afterLeader(data, s, epoch);
    const situation = situationOf(data, s, epoch);
    const input0 = inputOf(ofKind) & this.mask0;
    const input1 = inputOf(data[after]!) & this.mask1;
    const input2 = inputOf(data[situation]!) & this.mask2;
    const set = setOf(data[s + HISTORY]!, data[s + ALL]!);
    const dot =
      ((input0 * weights[set]!) >> 8) +
      ((input1 * weights[set + 1]!) >> 8) +
      ((input2 * weights[set + 2]!) >> 8);
    const p = squash(dot >> 8);
    data[s + AFTER_LEADER] = after;
    data[s + SITUATION] = situation;
    data[s + INPUT] = input0;
    data[s + INPUT + 1] = input1;
    data[s + INPUT + 2] = input2;
    data[s + PROBABILITY] = p;
    return p;
  }

  /** Learns from the outcome of the last prediction for a slot. @param kind that it was for */
  train(data: Int32Array, s: number, kind: number, outcome: number): void {
    const { weights, memory } = this;
    const own = s + BY_KIND + kind;
    const history = data[s + HISTORY]!;
    const set = setOf(history, data[s + ALL]!);
    const error = (((outcome << 12) - data[s + PROBABILITY]!) * this.speedOf(set >> 2)) >> 4;
    weights[set] = bounded(weights[set]! + ((data[s + INPUT]! * error + 0x2000) >> 14));
    weights[set + 1] = bounded(weights[set + 1]! + ((data[s + INPUT + 1]! * error + 0x2000) >> 14));
    weights[set + 2] = bounded(weights[set + 2]! + ((data[s + INPUT + 2]! * error + 0x2000) >> 14));
    const after = data[s + AFTER_LEADER]!;
    const situation = data[s + SITUATION]!;
    const recent = s + BY_RECENT + (history & 3);
    data[s + ALL] = trained(data[s + ALL]!, outcome, memory);
    if (kind > 0) {
      const counter = trained(data[own]!, outcome, OWN_MEMORY);
      data[own] = counter;
      const against = counter >> TO_12_BITS <= this.least && (counter & TRAININGS) > 1;
      data[s + AGAINST] = against ? data[s + AGAINST]! | (1 << kind) : data[s + AGAINST]! & ~(1 << kind);
    }
    data[after] = trained(data[after]!, outcome, OWN_MEMORY);
    data[recent] = trained(data[recent]!, outcome, OWN_MEMORY);
    data[situation] = trained(data[situation]!, outcome, SHARED_MEMORY);
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
}

/** What a counter adds to the sum: less, where it was hardly trained. */
function inputOf(counter: number): number {
  const n = counter & TRAININGS;
  const input = STRETCH[counter >> TO_12_BITS]!;
  return n < TRUSTED ? (input * n) >> 3 : input;
}

function bounded(weight: number): number {
  return weight > MOST_WEIGHT ? MOST_WEIGHT : weight < -MOST_WEIGHT ? -MOST_WEIGHT : weight;
}

/** Where the set of weights begins. */
function setOf(history: number, all: number): number {
  return ((history & 3) + ((all & TRAININGS) > WELL_KNOWN ? 4 : 0)) * SET;
}

/** The counter of a slot for what its leader did, and for how long the page has been written in a row: 1, 2, more, or not. */
function afterLeader(data: Int32Array, s: number, epoch: number): number {
  const leader = data[s + LEADER]!;
  const ago = leader === 0 ? 0 : Math.min(7, epoch - data[leader + STARTED]!);
  const row = epoch - data[s + LAST]! === 1 ? Math.min(3, epoch - data[s + STARTED]!) - 1 : 3;
  return s + BY_LEADER + ago * 4 + row;
}

/** The shared counter for a slot's gaps; of a page that was never written, for its place ahead of a run. */
function situationOf(data: Int32Array, s: number, epoch: number): number {
  if ((data[s + FLAGS]! & BORN) === 0) return FRONT + data[s + PLACE]!;
  const since = epoch - data[s + LAST]!;
  const gap = data[s + GAPS]! >> 16;
  const before = data[s + GAPS]! & 0xffff;
  return (
    RHYTHMS +
    (since < 3 ? since - 1 : stepsOf(since)) * 128 +
    stepsOf(gap) * 16 +
    (since > gap ? 1 : since === gap ? 8 : 0) +
    (since === before ? 4 : 0) +
    (gap === before ? 2 : 0)
  );
}

/** Eight steps for lengths of time: 0, 1, 2, then doublings. */
function stepsOf(epochs: number): number {
  return epochs < 3 ? epochs : epochs >= 64 ? 7 : 32 - Math.clz32(epochs);
}
