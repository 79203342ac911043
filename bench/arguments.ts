import { parseArgs } from 'node:util';
import { type Effort, FULL, QUICK } from './compare.js';
import { SECTIONS } from './plan.js';

/** One of the scripts that measure. */
export interface Command {
  /** Name of the script in package.json. */
  name: string;
  sections: readonly string[];
  /** The report that it writes. */
  file: string;
}

export const usage = ({ name, sections, file }: Command): string => `npm run ${name} -- [options]

  --only LIST    sections (${sections.join(', ')}), or words: only tasks whose
                 description has one of them ("modules", "sql.js", "inline", …)
  --rounds N     rounds of measuring (default ${FULL.rounds})
  --quick        hardly warmed, few rounds: figures without meaning, to try the bench out
  --json FILE    also write all results as JSON ("-" for standard output)
  --from FILE    begin with results that --json wrote; what is measured replaces them
  --report-only  measure nothing: with --from, write the report anew
  --out FOLDER   where ${file} and its pictures go (default docs; none with --quick or --only)

Without options: measures everything and writes docs/${file}.`;

export interface Arguments {
  only: string[];
  effort: Effort;
  quick: boolean;
  json: string | undefined;
  from: string | undefined;
  reportOnly: boolean;
  /** Folder of the report; undefined for none. */
  out: string | undefined;
  help: boolean;
}

/** @throws an Error of one line for what cannot be */
export function readArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      from: { type: 'string' },
      'report-only': { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const only = (values.only ?? []).flatMap((list) => list.split(',')).filter(Boolean);
  const effort = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? effort.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`--rounds ${values.rounds}: give a whole number from 1`);
  }
  if (values['report-only'] && values.from === undefined) throw new Error('--report-only needs --from FILE');
  const partial = values.quick || (only.length > 0 && values.from === undefined);
  return {
    only,
    effort: { ...effort, rounds },
    quick: values.quick,
    json: values.json,
    from: values.from,
    reportOnly: values['report-only'],
    out: values.out ?? (partial ? undefined : 'docs'),
    help: values.help,
  };
}

/** Whether a task is asked for. */
export function wanted(
  only: readonly string[],
  section: string,
  description: string,
  sections: readonly string[] = SECTIONS,
): boolean {
  if (only.length === 0) return true;
  return only.some((word) => (sections.includes(word) ? word === section : description.includes(word)));
}
