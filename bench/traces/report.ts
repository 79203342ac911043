/**
 * What each policy gains on each trace, and what it takes to decide: the tables of docs/speculation.md.
 *
 *     node dist/bench/traces/report.js [--traces folder] [--epochs 2000] [--seed 1] [--faults 8,35,75] [--compare 0.5] [--without]
 *
 * Replays the traces of a folder (of record-by-comparison.js, or from elsewhere) and the synthetic ones. Shares are of what the oracle
 * gains over no speculation, in percent; a negative one means that speculating cost more than it gained. Times are of
 * `choose` alone, the best of three replays. `--without` prints instead what adaptive gains without each part.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type AdaptiveOptions, adaptive } from '../../runtime/speculation/adaptive.js';
import { policyNamed } from '../../runtime/speculation/index.js';
import { type Outcome, replay, type Trace } from '../../runtime/speculation/replay.js';
import { readTrace } from '../../runtime/speculation/trace.js';
import type { Costs, PolicyMaker } from '../../runtime/speculation/types.js';
import { synthetic } from './synthetic.js';

const NAMES = ['active-rnd', 'active-cks', 'gspec', 'adaptive'] as const;
/** A share below this counts as this in the geometric mean, which has no place for losses. */
const LEAST = 0.01;

const { values } = parseArgs({
  options: {
    traces: { type: 'string' },
    epochs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    faults: { type: 'string', default: '8,35,75' },
    compare: { type: 'string', default: '0.5' },
    without: { type: 'boolean', default: false },
  },
});

/** Recorded traces, then synthetic ones. */
function groups(): { name: string; traces: Trace[] }[] {
  const folder = values.traces;
  const recorded = folder
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.belaytrace'))
        .sort()
        .map((file) => readTrace(new Uint8Array(readFileSync(join(folder, file)))))
    : [];
  const all = [
    { name: 'recorded', traces: recorded },
    { name: 'synthetic', traces: synthetic(Number(values.seed), Number(values.epochs)) },
  ];
  return all.filter(({ traces }) => traces.length > 0);
}

const mean = (shares: readonly number[]): number =>
  Math.exp(shares.reduce((sum, share) => sum + Math.log(Math.max(share, LEAST)), 0) / shares.length);
const percent = (share: number): string => (100 * share).toFixed(1);
const row = (cells: readonly string[]): void => console.log(`| ${cells.join(' | ')} |`);

function head(cells: readonly string[]): void {
  console.log();
  row(cells);
  row(cells.map((_, i) => (i === 0 ? '---' : '--:')));
}

/** Replays with a clock around `choose`; nanoseconds for each page copied ahead or faulted. */
function timed(trace: Trace, maker: PolicyMaker, costs: Costs): { outcome: Outcome; nanoseconds: number } {
  let best = Number.POSITIVE_INFINITY;
  let outcome!: Outcome;
  for (let run = 0; run < 3; run++) {
    let time = 0;
    const clocked: PolicyMaker = (given) => {
      const policy = maker(given);
      return {
        name: policy.name,
        choose(epoch, out) {
          const begin = performance.now();
          const count = policy.choose(epoch, out);
          time += performance.now() - begin;
          return count;
        },
      };
    };
    outcome = replay(trace, clocked, costs);
    best = Math.min(best, time);
  }
  return { outcome, nanoseconds: (best * 1e6) / Math.max(1, outcome.copies + outcome.faults) };
}

function shares(costs: Costs): void {
  for (const { name, traces } of groups()) {
    head([
      `${name}, a fault costs ${costs.fault}`,
      'pages an epoch',
      ...NAMES,
      'adaptive: faults, in vain, looks of 100 writes',
      'ns a page',
    ]);
    const sums: number[][] = NAMES.map(() => []);
    for (const trace of traces) {
      const results = NAMES.map((policy) => timed(trace, policyNamed(policy), costs));
      for (const [i, { outcome }] of results.entries()) sums[i]!.push(outcome.share);
      const { outcome, nanoseconds } = results.at(-1)!;
      const of = (count: number) => ((100 * count) / outcome.written).toFixed(1);
      row([
        trace.name,
        (outcome.written / outcome.epochs).toFixed(1),
        ...results.map((result) => percent(result.outcome.share)),
        `${of(outcome.faults)}, ${of(outcome.wasted)}, ${of(outcome.compares)}`,
        nanoseconds.toFixed(0),
      ]);
    }
    row(['geometric mean', '', ...sums.map((list) => percent(mean(list))), '', '']);
  }
}

/** Each part of adaptive, and the options that leave it out. */
const PARTS: readonly (readonly [string, Partial<AdaptiveOptions>])[] = [
  ['all of it', {}],
  ['without how hot a page is', { inputs: 63 - 1 }],
  ['without the last two outcomes', { inputs: 63 - 2 }],
  ['without kinds', { inputs: 63 - 4 }],
  ['without leaders', { inputs: 63 - 8 }],
  ['without gaps', { inputs: 63 - 16 }],
  ['without neighbours', { inputs: 63 - 32 }],
  ['how hot a page is, alone', { inputs: 1 }],
  ['a rate that does not fall', { rate: 10, boost: 0 }],
  ['looks by schedule alone', { curious: 0, doubt: 2 ** 20, idle: 0 }],
  ['looks always', { looks: 0 }],
  ['no coasting', { coast: 1 }],
  ['sleep as soon as may be', { quiet: 1, stay: 0 }],
];

function without(sets: readonly Costs[]): void {
  const all = groups();
  head(['adaptive', ...sets.flatMap(({ fault }) => all.map(({ name }) => `${name}, ${fault}`))]);
  for (const [part, options] of PARTS) {
    const means = sets.flatMap((costs) =>
      all.map(({ traces }) => mean(traces.map((trace) => replay(trace, adaptive(options), costs).share))),
    );
    row([part, ...means.map(percent)]);
  }
}

const sets = values.faults
  .split(',')
  .map((fault) => ({ copy: 1, fault: Number(fault), compare: Number(values.compare) }));
if (values.without) without(sets);
else for (const costs of sets) shares(costs);
