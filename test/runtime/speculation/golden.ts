/**
 * The golden results: small traces, and what each policy does on them to the last bit. An implementation in another
 * language checks itself against them; docs/trace-format.md says how.
 *
 *     node dist/test/runtime/speculation/golden.js           says what differs
 *     node dist/test/runtime/speculation/golden.js --write   writes traces and results anew
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { policyNamed } from '../../../runtime/speculation/index.js';
import { oracleOf, replay, type Trace } from '../../../runtime/speculation/replay.js';
import { writeTrace } from '../../../runtime/speculation/trace.js';
import type { Costs, PolicyMaker } from '../../../runtime/speculation/types.js';
import { hotTrace, periodicTrace, phaseTrace, randomTrace } from './support.js';

/** In the sources: what is committed, not what was compiled. */
export const FOLDER = join(
  dirname(fileURLToPath(import.meta.url)),
  '../../../../test/runtime/speculation/golden',
);

/** The traces, by file name. */
export const goldenTraces = (): Record<string, Trace> => ({
  random: randomTrace(11),
  phases: phaseTrace(12),
  periodic: periodicTrace(13),
  hot: hotTrace(14),
});

const COST_SETS: readonly Costs[] = [
  { copy: 1, fault: 8, compare: 1 },
  { copy: 2, fault: 70, compare: 1 },
];

/** Policies with options, so that each path of GSpec is there. */
const CASES = [
  ['none', {}],
  ['active-rnd', { seed: 1 }],
  ['active-rnd', { seed: 7, interval: 10, samples: 3, initialSize: 4, count: 'listed' }],
  ['active-cks', {}],
  ['active-cks', { misses: 1 }],
  ['gspec', { seed: 1 }],
  ['gspec', { seed: 5, population: 8, parents: 'roulette', crossover: 'uniform', bestIsParent: false }],
  ['adaptive', {}],
  ['oracle', {}],
] as const;

/** One line of results.json. */
export interface Golden {
  trace: string;
  policy: string;
  options: object;
  costs: Costs;
  copies: number;
  faults: number;
  wasted: number;
  compares: number;
  cost: number;
  peakHeld: number;
  /** In hexadecimal, eight digits. */
  hash: string;
}

/** What every policy does now. */
export function goldenResults(): Golden[] {
  const results: Golden[] = [];
  for (const [file, trace] of Object.entries(goldenTraces())) {
    for (const costs of COST_SETS) {
      for (const [policy, options] of CASES) {
        const maker: PolicyMaker =
          policy === 'oracle' ? oracleOf(trace) : policyNamed(policy, options as never);
        const { copies, faults, wasted, compares, cost, peakHeld, hash } = replay(trace, maker, costs);
        const hex = hash.toString(16).padStart(8, '0');
        const counts = { copies, faults, wasted, compares, cost, peakHeld };
        results.push({ trace: file, policy, options, costs, ...counts, hash: hex });
      }
    }
  }
  return results;
}

/** One result a line, so that a change is seen in a diff. */
export const resultsText = (results: readonly Golden[]): string =>
  `[\n${results.map((result) => `  ${JSON.stringify(result)}`).join(',\n')}\n]\n`;

/** The committed results. */
export const readResults = (): string => readFileSync(join(FOLDER, 'results.json'), 'utf8');

function main(): void {
  const results = resultsText(goldenResults());
  if (process.argv.includes('--write')) {
    mkdirSync(FOLDER, { recursive: true });
    for (const [file, trace] of Object.entries(goldenTraces())) {
      writeFileSync(join(FOLDER, `${file}.belaytrace`), writeTrace(trace));
    }
    writeFileSync(join(FOLDER, 'results.json'), results);
    return;
  }
  const committed = readResults().split('\n');
  const differ = results.split('\n').filter((line, i) => line !== committed[i]);
  for (const line of differ) console.log(line);
  if (differ.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
