import { parseArgs } from 'node:util';
import { SECTIONS } from './plan.js';

export const USAGE = `npm run bench:kernel -- [options]

  --only LIST    sections (${SECTIONS.join(', ')}), or words: only tasks whose
                 name has one of them ("smc-gspec", "redis", …)
  --quick        few epochs: figures without meaning, to try the bench out
  --json FILE    also write all results as JSON ("-" for standard output)
  --from FILE    begin with results that --json wrote; what is measured replaces them
  --report-only  measure nothing: with --from, write the report anew
  --out FOLDER   where kernel.md, its pictures and its results.json go (default docs; none with --quick or --only)
  --jobs N       machines at the same time (default 2)

Without options: measures everything, and fills docs/kernel.md.`;

export interface Arguments {
  only: string[];
  quick: boolean;
  json: string | undefined;
  from: string | undefined;
  reportOnly: boolean;
  out: string | undefined;
  jobs: number;
}

/** @throws an Error of one line for what cannot be. Undefined where help was asked for. */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      from: { type: 'string' },
      'report-only': { type: 'boolean', default: false },
      out: { type: 'string' },
      jobs: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const only = (values.only ?? []).flatMap((list) => list.split(',')).filter(Boolean);
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1)
    throw new Error(`--jobs ${values.jobs}: give a whole number from 1`);
  if (values['report-only'] && values.from === undefined) throw new Error('--report-only needs --from FILE');
  const partial = values.quick || (only.length > 0 && values.from === undefined);
  return {
    only,
    quick: values.quick,
    json: values.json,
    from: values.from,
    reportOnly: values['report-only'],
    out: values.out ?? (partial ? undefined : 'docs'),
    jobs,
  };
}
