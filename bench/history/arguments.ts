import { parseArgs } from 'node:util';
import { FULL, QUICK as QUICK_ROUNDS } from '../compare.js';
import { SECTIONS } from './plan.js';
import { workloads } from './workloads.js';

export const USAGE = `npm run bench:history -- [options]

  --only LIST        sections (${SECTIONS.join(', ')}) or
                     workloads (${workloads.map(({ name }) => name).join(', ')}); of each kind that is named only those
  --checkpoints N    how many are recorded (default 1000000)
  --seconds N        how long a workload may take, but for notes and counter, which are recorded whole (default 150)
  --rounds N         rounds in which recording and not recording are compared (default ${FULL.rounds})
  --histories FOLDER where histories are kept; those that are there are not recorded again (default: a temporary folder)
  --quick            few checkpoints: figures without meaning, to try the bench out
  --json FILE        also write all results as JSON ("-" for standard output)
  --from FILE        begin with results that --json wrote; what is measured replaces them
  --report-only      measure nothing: with --from, write the report anew
  --out FOLDER       where history.md, its pictures and its results.json go (default docs; none with --quick or --only)

Without options: measures everything, and fills docs/history.md.`;

export interface Arguments {
  sections: string[];
  workloads: string[];
  checkpoints: number;
  seconds: number;
  rounds: number;
  histories: string | undefined;
  quick: boolean;
  json: string | undefined;
  from: string | undefined;
  reportOnly: boolean;
  out: string | undefined;
}

const MILLION = 1_000_000;
const QUICK = { checkpoints: 5000, seconds: 3 };

/** @throws an Error of one line for what cannot be. Undefined where help was asked for. */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      checkpoints: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      histories: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      from: { type: 'string' },
      'report-only': { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const only = (values.only ?? []).flatMap((list) => list.split(',')).filter(Boolean);
  const names = workloads.map(({ name }) => name);
  const unknown = only.filter((word) => !names.includes(word) && !SECTIONS.includes(word as never));
  if (unknown.length > 0) throw new Error(`nothing is called ${unknown.join(', ')}: see --help`);
  const whole = (key: 'checkpoints' | 'seconds' | 'rounds', otherwise: number): number => {
    const text = values[key];
    const value = text === undefined ? otherwise : Number(text);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${key} ${text}: give a whole number from 1`);
    return value;
  };
  if (values['report-only'] && values.from === undefined) throw new Error('--report-only needs --from FILE');
  const { quick } = values;
  const few = quick || (only.length > 0 && values.from === undefined);
  const some = (all: readonly string[]) => {
    const named = all.filter((word) => only.includes(word));
    return named.length > 0 ? named : [...all];
  };
  return {
    sections: some(SECTIONS),
    workloads: some(names),
    checkpoints: whole('checkpoints', quick ? QUICK.checkpoints : MILLION),
    seconds: whole('seconds', quick ? QUICK.seconds : 150),
    rounds: whole('rounds', quick ? QUICK_ROUNDS.rounds : FULL.rounds),
    histories: values.histories,
    quick,
    json: values.json,
    from: values.from,
    reportOnly: values['report-only'],
    out: values.out ?? (few ? undefined : 'docs'),
  };
}
