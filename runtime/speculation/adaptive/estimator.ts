/**
 * How probably will a page be written in the epoch that begins? Six counters of what happened before in the same
 * situation, mixed by a logistic unit that learns which of them to believe.
 *
 *     0  all outcomes of the page, which says how hot it is
 *     1  outcomes of the page after its last two outcomes
 *     2  outcomes of the page in requests of this kind
 *     3  all pages with as many epochs since their last write, and such gaps before it: periods, and runs that end
 *     4  all pages with such neighbours: which were written in the last epoch, and which of them were just started; or,
 *        ahead of a run of pages that were just started, how far ahead: allocation that moves on, stacks, sweeps
 *     5  outcomes of the page so many epochs after its leader was started: sequences
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
import { STRETCH, squash, trained, UNTRAINED } from './logistic.js';
import {
  AHEAD,
  BORN,
  BY_KIND,
  BY_LEADER,
  BY_RECENT,
  COASTING,
  COUNTERS,
  INPUTS,
  type Slots,
} from './slots.js';

export interface EstimatorOptions {
  /** Outcomes that the counter of all outcomes of a page remembers. */
  memory: number;
  /** Inputs that count: bit i for input i. */
  inputs: number;
  /** Rate of learning, in 1/2^14; `boost` is added at first, and half of it after `boostFor` outcomes. */
  rate: number;
  boost: number;
  boostFor: number;
}

/** Regions of the table that all pages share. */
const GAPS = 0;
const NEAR = GAPS + 1024;
const FRONT = NEAR + 512;
const SHARED = FRONT + 256;

const SETS = 8;
/** Most outcomes that a counter of one page, or of all, remembers. */
const OWN_MEMORY = 30;
const SHARED_MEMORY = 400;
/** 0.3 and 8. */
const FIRST_WEIGHT = 19660;
const MOST_WEIGHT = 2 ** 19 - 1;
/** A counter trained less often than this counts in part. */
const TRUSTED = 16;
/** Outcomes from which on a page is well known. */
const WELL_KNOWN = 8;

const log2 = (n: number) => 31 - Math.clz32(n);

export class Estimator {
  private readonly shared = new Uint32Array(SHARED).fill(UNTRAINED);
  private readonly weights = new Int32Array(SETS * INPUTS).fill(FIRST_WEIGHT);
  /** By set: outcomes that it was trained with. */
  private readonly trainings = new Uint16Array(SETS);

  constructor(
    private readonly slots: Slots,
    private readonly options: EstimatorOptions,
  ) {}

  /** What pages at this place ahead of a run turned out to be, 12 bits. For candidates. */
  ofCandidates(ahead: number): number {
    return this.shared[FRONT + 2 * ahead]! >>> 20;
  }

  /**
   * The probability, 12 bits, that a slot's page is written in the epoch that begins. Its contexts are kept for
   * {@link train}.
   */
  predict(s: number, epoch: number, kind: number): number {
    const { counters, contexts, inputs } = this.slots;
    const at = s * INPUTS;
    this.look(s, epoch, kind);
    const set = this.setOf(s);
    let dot = 0;
    for (let i = 0; i < INPUTS; i++) {
      const context = contexts[at + i]!;
      const value = i === 3 || i === 4 ? this.shared[context]! : counters[context]!;
      const n = value & 0xffff;
      let input = STRETCH[value >>> 20]!;
      if (n < TRUSTED) input = (input * n) >> 4;
      if (((this.options.inputs >> i) & 1) === 0) input = 0;
      inputs[at + i] = input;
      dot += (input * this.weights[set + i]!) >> 8;
    }
    const p = squash(dot >> 8);
    this.slots.probability[s] = p;
    return p;
  }

  /** Learns from the outcome of the last prediction for a slot. */
  train(s: number, outcome: number): void {
    const { counters, contexts, inputs, probability } = this.slots;
    const { weights, shared, trainings } = this;
    const { rate, boost, boostFor, memory } = this.options;
    const at = s * INPUTS;
    const set = this.setOf(s);
    const n = trainings[set / INPUTS]!;
    if (n < 65535) trainings[set / INPUTS] = n + 1;
    const speed = 16 * rate + Math.floor((16 * boost * boostFor) / (boostFor + n));
    const error = (((outcome << 12) - probability[s]!) * speed) >> 4;
    for (let i = 0; i < INPUTS; i++) {
      const weight = weights[set + i]! + ((inputs[at + i]! * error + 0x2000) >> 14);
      weights[set + i] = Math.max(-MOST_WEIGHT, Math.min(MOST_WEIGHT, weight));
      const context = contexts[at + i]!;
      if (i === 3 || i === 4) shared[context] = trained(shared[context]!, outcome, SHARED_MEMORY);
      else counters[context] = trained(counters[context]!, outcome, i === 0 ? memory : OWN_MEMORY);
    }
  }

  /** Learns how hot a page is, of an outcome that nothing was predicted for. */
  trainHeat(s: number, outcome: number): void {
    const { counters } = this.slots;
    counters[s * COUNTERS] = trained(counters[s * COUNTERS]!, outcome, this.options.memory);
  }

  /** Finds the six contexts of a slot. */
  private look(s: number, epoch: number, kind: number): void {
    const { contexts, flags, history, last, gap, gapBefore, fresh, ahead, page, leader, started } = this.slots;
    const at = s * INPUTS;
    const own = s * COUNTERS;
    const born = flags[s]! & BORN ? 1 : 0;
    const since = born ? epoch - last[s]! : 255;
    const steps = Math.min(7, log2(since) + (since > 2 ? 1 : 0));
    contexts[at] = own;
    contexts[at + 1] = own + BY_RECENT + (history[s]! & 3);
    contexts[at + 2] = own + BY_KIND + kind;
    const g = gap[s]!;
    contexts[at + 3] =
      GAPS +
      steps * 128 +
      Math.min(7, g < 3 ? g : 1 + log2(g)) * 16 +
      (since === g ? 8 : 0) +
      (since === gapBefore[s] ? 4 : 0) +
      (g === gapBefore[s] ? 2 : 0) +
      (since > g ? 1 : 0);
    if (flags[s]! & AHEAD) {
      flags[s]! &= ~AHEAD;
      contexts[at + 4] = FRONT + 2 * ahead[s]! + born;
    } else {
      const sides = this.near(page[s]! - 1, epoch) * 3 + this.near(page[s]! + 1, epoch);
      contexts[at + 4] = NEAR + sides * 32 + steps * 4 + fresh[s]! * 2 + born;
    }
    const lead = leader[s]!;
    const ago = lead < 0 ? 0 : Math.min(7, epoch - started[lead]!);
    // How long the page has been written in a row: 1, 2, more; or it was not written.
    const row = since === 1 ? Math.min(3, epoch - started[s]!) - 1 : 3;
    contexts[at + 5] = own + BY_LEADER + ago * 4 + row;
  }

  /** Whether a neighbour was written in the epoch that ended: 0 no, 1 yes, 2 after several without. */
  private near(page: number, epoch: number): number {
    const { slotOf, size, flags, last, fresh } = this.slots;
    if (page < 0 || page >= size) return 0;
    const s = slotOf[page]!;
    if (s < 0) return 0;
    if (flags[s]! & COASTING) return 1;
    if (last[s] !== epoch - 1 || (flags[s]! & BORN) === 0) return 0;
    return 1 + fresh[s]!;
  }

  private setOf(s: number): number {
    const { history, counters } = this.slots;
    const known = (counters[s * COUNTERS]! & 0xffff) > WELL_KNOWN ? 4 : 0;
    return INPUTS * ((history[s]! & 3) + known);
  }
}

