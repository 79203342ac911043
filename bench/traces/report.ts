/**
 * What each policy gains on each trace, and what it takes to decide: the tables of docs/speculation.md.
 *
 *     node dist/bench/traces/report.js [--traces FOLDER] [--synthetic] [--seed 1] [--epochs 2000]
 *                                      [--faults 8,35,75] [--compare 0.5] [--net | --without]
 *
 * Replays the traces of a folder, bench/traces/data unless another is given, and with `--synthetic` the generated ones that the
 * folder does not have. Shares are of what the oracle gains over no speculation, in percent; a negative one means that speculating cost
 * more than it gained. `--without` prints instead what adaptive gains without each part.
 *
 * `--net` prints instead what is left of it when the time that a policy takes to decide is subtracted, on a machine where
 * a copy costs 130 ns, a fault 4500 ns and a comparison 150 ns: (none - cost - time) / (none - oracle).
 *
 * Times are of `choose` alone, for each page copied ahead or faulted. What the policy was told in the replay is kept and told
 * it again, so that one clock reading serves a whole trace; the best of several runs counts, less what telling takes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type AdaptiveOptions, adaptive } from '../../runtime/speculation/adaptive.js';
import { policyNamed } from '../../runtime/speculation/index.js';
import { type Outcome, replay, type Trace, type TraceEpoch } from '../../runtime/speculation/replay.js';
import { readTrace } from '../../runtime/speculation/trace.js';
import type { Costs, Epoch, Policy, PolicyMaker } from '../../runtime/speculation/types.js';
import { ROOT } from '../subjects/host.js';
import { synthetic } from './synthetic.js';

const NAMES = ['active-rnd', 'active-cks', 'gspec', 'adaptive'] as const;
/** Of a machine that faults by userfaultfd, in nanoseconds. */
const MEASURED: Costs = { copy: 130, fault: 4500, compare: 150 };
/** A share below this counts as this in the geometric mean, which has no place for losses. */
const LEAST = 0.01;
const RUNS = 15;

const { values } = parseArgs({
  options: {
    traces: { type: 'string', default: join(ROOT, 'bench', 'traces', 'data') },
    synthetic: { type: 'boolean', default: false },
    epochs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    faults: { type: 'string', default: '8,35,75' },
    compare: { type: 'string', default: '0.5' },
    net: { type: 'boolean', default: false },
    without: { type: 'boolean', default: false },
  },
});

interface Group {
  name: string;
  traces: Trace[];
}

/** The traces of the folder, then generated ones. */
function groups(): Group[] {
  const folder = readdirSync(values.traces)
    .filter((file) => file.endsWith('trace'))
    .sort()
    .map((file) => readTrace(new Uint8Array(readFileSync(join(values.traces, file)))));
  const names = new Set(folder.map(({ name }) => name));
  const made = values.synthetic ? synthetic(Number(values.seed), Number(values.epochs)) : [];
  return [
    { name: 'trace', traces: folder },
    { name: 'synthetic trace', traces: made.filter(({ name }) => !names.has(name)) },
  ].filter(({ traces }) => traces.length > 0);
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

/** An epoch as a policy was told of it. */
class Told implements Epoch {
  pages = 0;
  faults: Uint32Array = new Uint32Array(0);
  faultCount = 0;
  kind = 0;
  now = 0;
  wrote = new Uint32Array(0);
  changed(page: number): boolean {
    return this.wrote[page] === this.now;
  }
}

interface Timed {
  outcome: Outcome;
  /** Nanoseconds of all calls of `choose`, and for each page copied ahead or faulted. */
  time: number;
  aPage: number;
}

function timed(trace: Trace, maker: PolicyMaker, costs: Costs): Timed {
  const faults: Uint32Array[] = [];
  const keeping: PolicyMaker = (given) => {
    const policy = maker(given);
    return {
      name: policy.name,
      choose(epoch, out) {
        faults.push(epoch.faults.slice(0, epoch.faultCount));
        return policy.choose(epoch, out);
      },
    };
  };
  const outcome = replay(trace, keeping, costs);
  const idle: PolicyMaker = () => ({ name: 'idle', choose: () => 0 });
  const time = Math.max(0, best(trace, faults, maker, costs) - best(trace, faults, idle, costs));
  return { outcome, time, aPage: time / Math.max(1, outcome.copies + outcome.faults) };
}

/** Nanoseconds of the quickest of several runs. */
function best(trace: Trace, faults: readonly Uint32Array[], maker: PolicyMaker, costs: Costs): number {
  const most = Math.max(0, ...trace.epochs.map(({ pages }) => pages));
  const out = new Uint32Array(most);
  const told = new Told();
  told.wrote = new Uint32Array(most);
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    told.wrote.fill(0);
    told.now = 0;
    const policy = maker(costs);
    const begin = performance.now();
    for (let n = 0; n < faults.length; n++) tell(policy, told, trace.epochs[n]!, faults[n]!, out);
    least = Math.min(least, performance.now() - begin);
  }
  return least * 1e6;
}

function tell(policy: Policy, told: Told, epoch: TraceEpoch, faults: Uint32Array, out: Uint32Array): void {
  const { written } = epoch;
  told.faults = faults;
  told.faultCount = faults.length;
  told.pages = epoch.pages;
  told.kind = epoch.kind;
  policy.choose(told, out);
  told.now++;
  for (let i = 0; i < written.length; i++) told.wrote[written[i]!] = told.now;
}

function shares(costs: Costs): void {
  for (const { name, traces } of groups()) {
    head([
      `${name}; a fault costs ${costs.fault}`,
      'pages an epoch',
      ...NAMES,
      'adaptive: faults, in vain, looks of 100 writes',
    ]);
    const sums: number[][] = NAMES.map(() => []);
    for (const trace of traces) {
      const results = NAMES.map((policy) => replay(trace, policyNamed(policy), costs));
      for (const [i, { share }] of results.entries()) sums[i]!.push(share);
      const outcome = results.at(-1)!;
      const of = (count: number) => ((100 * count) / outcome.written).toFixed(1);
      row([
        trace.name,
        (outcome.written / outcome.epochs).toFixed(1),
        ...results.map(({ share }) => percent(share)),
        `${of(outcome.faults)}, ${of(outcome.wasted)}, ${of(outcome.compares)}`,
      ]);
    }
    row(['geometric mean', '', ...sums.map((list) => percent(mean(list))), '']);
  }
}

function net(costs: Costs): void {
  const names = ['gspec', 'adaptive'] as const;
  for (const { name, traces } of groups()) {
    head([name, ...names.flatMap((policy) => [`${policy}: share`, 'ns a page', 'net share'])]);
    const sums: number[][] = names.flatMap(() => [[], []]);
    for (const trace of traces) {
      const cells = names.flatMap((policy, i) => {
        const { outcome, time, aPage } = timed(trace, policyNamed(policy), costs);
        const left = outcome.share - time / (outcome.written * (costs.fault - costs.copy));
        sums[2 * i]!.push(outcome.share);
        sums[2 * i + 1]!.push(left);
        return [percent(outcome.share), aPage.toFixed(0), percent(left)];
      });
      row([trace.name, ...cells]);
    }
    const means = sums.map((list) => percent(mean(list)));
    row(['geometric mean', ...names.flatMap((_, i) => [means[2 * i]!, '', means[2 * i + 1]!])]);
  }
}

/** Each part of adaptive, and the options that leave it out. */
const PARTS: readonly (readonly [string, Partial<AdaptiveOptions>])[] = [
  ['all of it', {}],
  ['without kinds and how hot a page is', { inputs: 7 - 1 }],
  ['without leaders', { inputs: 7 - 2 }],
  ['without gaps', { inputs: 7 - 4 }],
  ['kinds and how hot a page is, alone', { inputs: 1 }],
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
else if (values.net) net(MEASURED);
else for (const costs of sets) shares(costs);
