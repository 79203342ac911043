import { duration, figure, ratio, table } from '../../report/markdown.js';
import { ratioBars } from '../../report/plots.js';
import type { Part } from '../../report/section.js';
import { geometricMean } from '../../statistics.js';
import type { PoliciesResult } from '../jobs/types.js';
import { inSection, type Results } from '../results.js';
import { picture } from './part.js';

type Outcome = PoliciesResult['outcomes'][number];

/** Shares from 0 down have no logarithm. */
const FLOOR = 0.01;
/** Those between the bounds: `none` gains nothing, the oracle everything. */
const bounded = (policy: string) => policy !== 'none' && policy !== 'oracle';

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
const mean = (values: readonly number[]) => geometricMean(values);

/** Policies over traces. */
export function policiesSection(results: Results): Part | undefined {
  const found = inSection(results, 'policies')[0]?.result;
  if (!found) return undefined;
  const { costs, traces, outcomes } = found;
  const names = [...new Set(outcomes.map(({ policy }) => policy))];
  const pictures: Record<string, string> = {};
  const parts = [
    `Traces replayed under every policy (runtime/speculation/replay.ts): which pages it copies, and which fault. The cost is
copies × copy + faults × fault + comparisons × compare + changes of protection × protect, at what these cost here, measured by the mechanism itself;
the time that the policy itself takes is not in it, and stands beside it, with that of the replay. The share is (cost of none − cost) / (cost of none − cost of the oracle).
The oracle copies what will be written and does not weigh changes of protection: a policy that leaves pages open can gain more.

${table(
  ['costs of', 'copy', 'fault', 'compare', 'protect', 'fault / copy'],
  Object.entries(costs).map(([name, { copy, fault, compare, protect = 0 }]) => [
    name,
    ...[copy, fault, compare, protect].map(name === 'thesis' ? figure : duration),
    figure(fault / copy),
  ]),
)}

${table(
  ['trace', 'epochs', 'what it is'],
  traces.map(({ name, epochs, description }) => [name, epochs.toLocaleString('en-US'), description]),
  [0, 2],
)}`,
  ];
  for (const where of Object.keys(costs)) {
    const these = outcomes.filter((outcome) => outcome.costs === where);
    const picked = names.filter(bounded);
    const name = `policies-${where}`;
    pictures[name] = ratioBars(
      these
        .filter(({ policy }) => bounded(policy))
        .map(({ trace, policy, share }) => ({ module: trace, series: policy, ratio: share })),
      picked,
      'share of what the oracle gains over no speculation; 1 = the oracle',
    );
    parts.push(
      `### At the costs of ${where}`,
      meansTable(these, names),
      `Geometric means over the traces. A share of 0 or less has no logarithm: shares are raised to ${FLOOR} where they are lower.`,
      picture(name, `Share of the oracle's gain that each policy reaches, at the costs of ${where}`),
    );
  }
  const first = Object.keys(costs)[0]!;
  parts.push(
    `### Every trace`,
    `At the costs of ${first}. Pages, summed over epochs; held: pre-images at the end of an epoch.`,
    everyTable(outcomes.filter((outcome) => outcome.costs === first)),
  );
  return { title: 'Policies over traces', text: parts.join('\n\n'), pictures };
}

function meansTable(outcomes: readonly Outcome[], names: readonly string[]): string {
  const none = new Map(outcomes.filter(({ policy }) => policy === 'none').map((o) => [o.trace, o]));
  return table(
    [
      'policy',
      'cost, none = 1',
      "share of the oracle's gain",
      'pages held, none = 1',
      'rollback',
      'policy and replay, an epoch',
    ],
    names.map((policy) => {
      const these = outcomes.filter((outcome) => outcome.policy === policy);
      const relative = (pick: (o: Outcome) => number) =>
        mean(these.map((o) => Math.max(pick(o), 1e-9) / Math.max(pick(none.get(o.trace)!), 1e-9)));
      return [
        policy,
        figure(relative(({ cost }) => cost)),
        policy === 'none' ? '–' : percent(mean(these.map(({ share }) => Math.max(share, FLOOR)))),
        figure(relative(({ meanHeld }) => meanHeld)),
        duration(mean(these.map(({ meanRollback }) => Math.max(meanRollback, 1)))),
        duration(mean(these.map(({ nanoseconds }) => Math.max(nanoseconds, 1)))),
      ];
    }),
  );
}

function everyTable(outcomes: readonly Outcome[]): string {
  const count = (value: number) => value.toLocaleString('en-US');
  return table(
    [
      'trace, policy',
      'written',
      'faults',
      'copies',
      'wasted',
      'compared',
      'share',
      'held, mean',
      'peak',
      'rollback',
    ],
    outcomes.map((o) => [
      `${o.trace}, ${o.policy}`,
      count(o.written),
      count(o.faults),
      count(o.copies),
      count(o.wasted),
      count(o.compares),
      percent(o.share),
      figure(o.meanHeld),
      count(o.peakHeld),
      duration(o.meanRollback),
    ]),
  );
}

/** Real runs under policies. */
export function liveSection(results: Results): Part | undefined {
  const rows = inSection(results, 'live').filter(({ result }) => result.points.length > 0);
  if (!rows.length) return undefined;
  const short = (name: string) => name.replace(/^.*\+ /, '');
  const names = [...new Set(rows.flatMap(({ result }) => result.points.map(({ name }) => name)))];
  const cells = rows.flatMap(({ subject, result }) =>
    names.map((name) => {
      const point = result.points.find((p) => p.name === name);
      const pages = result.guests.find((g) => g.name === name)?.pages;
      return [
        `${subject}, ${short(name)}`,
        ratio(point?.compared),
        figure(pages?.faults ?? Number.NaN),
        figure(pages?.ahead ?? Number.NaN),
      ];
    }),
  );
  return {
    title: 'Policies in real runs',
    text: `No replay: programs under \`uffd\`, a checkpoint at every request, time of a request as a ratio to the original module's. The time that the
policies themselves take is in it. The notes service tells what kind of request comes next; sql.js has one kind. The oracle
would need a recording of the very run.

${table(['program, policy', 'ratio', 'faults a request', 'copied ahead a request'], cells)}

${picture('policies-live', 'Overhead of real programs under each policy')}`,
    pictures: {
      'policies-live': ratioBars(
        rows.flatMap(({ subject, result }) =>
          result.points.map(({ name, compared }) => ({
            module: subject!,
            series: short(name),
            ratio: compared.ratio,
          })),
        ),
        names.map(short),
        'time of a request under uffd, original = 1',
      ),
    },
  };
}
