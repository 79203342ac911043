/**
 * Compares ways of doing the same thing, in one process, because two processes differ by more than what is to
 * be measured. The contenders take turns, a batch of requests each, with the baseline in between:
 *
 *     base  A  base  B  base  C  base        one round; the next goes C, B, A
 *
 * Each batch gives one ratio, to the mean of the two baseline batches around it; the result is the median over
 * all rounds. So what is slow for a while (a neighbour, a hot processor) is slow for both sides.
 *
 * Before that everything is warmed until the engine has optimised what it will: three rounds in a row must
 * agree.
 */
import { median, quantile } from './statistics.js';

/** One way of doing it. */
export interface Contender {
  name: string;
  /** Carries out `count` requests, after and before what need not be timed, and returns nanoseconds. */
  batch(count: number): number | Promise<number>;
  /** Most requests of a batch. */
  most?: number;
  /** Requests of a batch are a multiple of this: what happens once in so many is in every batch, then. */
  multiple?: number;
  /** Slow and rough anyway: is not asked to become steady, and takes part in some rounds only. */
  rough?: boolean;
}

export interface Effort {
  rounds: number;
  /** Nanoseconds that a batch should take. */
  batch: number;
  /** Nanoseconds of warming, for each contender: at least, and at most. */
  warm: [least: number, most: number];
}

export const FULL: Effort = { rounds: 31, batch: 10e6, warm: [0.6e9, 1.8e9] };
/** For trying the bench out: says nothing. */
export const QUICK: Effort = { rounds: 3, batch: 3e6, warm: [0.05e9, 0.1e9] };

export interface Compared {
  name: string;
  /** Nanoseconds of a request: the median. */
  nanoseconds: number;
  /** Median, and quartiles, of the ratios to the baseline. */
  ratio: number;
  low: number;
  high: number;
}

export interface Comparison {
  base: Compared;
  others: Compared[];
  rounds: number;
  /** Whether warming ended because the times had become steady. */
  steady: boolean;
}

/** A rough contender takes part in one round of this many. */
const ROUGH = 3;

/** Times of three rounds agree when the longest is at most this much above the shortest. */
const AGREE = 1.05;

/** Batches by which one contender may grow in a round of warming. */
const TRIES = 12;

interface Entry {
  contender: Contender;
  count: number;
  recent: number[];
  times: number[];
  ratios: number[];
}

export async function compare(
  base: Contender,
  others: readonly Contender[],
  effort: Effort,
): Promise<Comparison> {
  const entries = [base, ...others].map(
    (contender): Entry => ({ contender, count: counted(contender, 1), recent: [], times: [], ratios: [] }),
  );
  const [first, ...rest] = entries as [Entry, ...Entry[]];
  const steady = await warm(entries, effort);
  for (let round = 0; round < effort.rounds; round++) {
    const fit = round % ROUGH ? rest.filter(({ contender }) => !contender.rough) : rest;
    const order = round % 2 ? [...fit].reverse() : fit;
    let before = await run(first);
    first.times.push(before);
    for (const entry of order) {
      const time = await run(entry);
      const after = await run(first);
      first.times.push(after);
      entry.times.push(time);
      entry.ratios.push(time / ((before + after) / 2));
      before = after;
    }
  }
  return { base: summary(first), others: rest.map(summary), rounds: effort.rounds, steady };
}

/** As many requests as a contender can take in a batch. */
function counted({ most = Infinity, multiple = 1 }: Contender, count: number): number {
  return Math.max(1, Math.floor(Math.min(count, most) / multiple)) * multiple;
}

/** Nanoseconds of one request. */
async function run({ contender, count }: Entry): Promise<number> {
  return (await contender.batch(count)) / count;
}

async function warm(entries: readonly Entry[], { batch, warm: [least, most] }: Effort): Promise<boolean> {
  const fine = entries.filter(({ contender }) => !contender.rough);
  let spent = 0;
  for (let round = 0; ; round++) {
    for (const entry of round < 3 ? entries : fine) {
      // A fast one reaches the length of a batch at once: others may be so slow that there are few rounds.
      for (let grown = true, tries = 0; grown && tries < TRIES; tries++) {
        const time = await run(entry);
        entry.recent.push(time);
        if (!entry.contender.rough) spent += time * entry.count;
        const before = entry.count;
        entry.count = counted(entry.contender, Math.min(Math.round(batch / Math.max(time, 1)), before * 4));
        grown = entry.count >= before * 2;
      }
    }
    const all = fine.length;
    const steady = fine.every(({ recent }) => {
      const last = recent.slice(-3);
      return last.length === 3 && Math.max(...last) <= AGREE * Math.min(...last);
    });
    if (spent >= least * all && steady) return true;
    if (spent >= most * all) return false;
  }
}

function summary({ contender, times, ratios }: Entry): Compared {
  return {
    name: contender.name,
    nanoseconds: median(times),
    ratio: ratios.length ? median(ratios) : 1,
    low: ratios.length ? quantile(ratios, 0.25) : 1,
    high: ratios.length ? quantile(ratios, 0.75) : 1,
  };
}
