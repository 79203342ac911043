/**
 * `npm run bench:kernel`: mechanisms of checkpoints side by side in virtual machines whose clock counts instructions, and
 * docs/kernel.md. Figures do not depend on what else this machine does; how long it takes does.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { Unavailable } from '../../kernel-shim/vm/cache.js';
import { type MachineReport, runSuite } from '../../kernel-shim/vm/run.js';
import type { GuestProgram } from '../../kernel-shim/vm/suite.js';
import { wanted } from '../arguments.js';
import { plan, SECTIONS, share, type Task } from './plan.js';
import { writeReport } from './report/index.js';
import { emptyResults, type Results, takeLine } from './results.js';

const USAGE = `npm run bench:kernel -- [options]

  --only LIST    sections (${SECTIONS.join(', ')}), or words: only tasks whose
                 name has one of them ("smc-gspec", "redis", …)
  --quick        few epochs: figures without meaning, to try the bench out
  --json FILE    also write all results as JSON ("-" for standard output)
  --from FILE    begin with results that --json wrote; what is measured replaces them
  --report-only  measure nothing: with --from, write the report anew
  --out FOLDER   where kernel.md, its pictures and its results.json go (default docs; none with --quick or --only)
  --jobs N       machines at the same time (default 2)

Without options: measures everything, and fills docs/kernel.md.`;

interface Arguments {
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

/** Time in the guest counts instructions, and addresses are the same in each run. */
const MACHINE = { icount: true, append: 'norandmaps', cpus: [1], only: '', seconds: 60 };

const LOAD: GuestProgram = { name: 'load', command: () => ['load'], always: true };
const UNLOAD: GuestProgram = { name: 'unload', command: () => ['unload'], always: true };

/** Carries tasks out, and takes what they find into the results. Returns what went wrong. */
async function measure(tasks: readonly Task[], jobs: number, results: Results): Promise<string[]> {
  const started = performance.now();
  const say = (line: string) =>
    console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`);
  const machines = await Promise.all(
    share(tasks, jobs).map((list) => runSuite({ ...MACHINE, programs: [LOAD, ...list, UNLOAD] }, say)),
  );
  const reports = machines.flat();
  for (const line of reports.flatMap(({ transcript }) => transcript)) takeLine(results, line);
  for (const { name, why } of skipped(reports)) results.missing.push({ what: name, why });
  results.seconds += (performance.now() - started) / 1000;
  return reports.flatMap(({ problems, tests }) => [
    ...problems,
    ...tests.filter(({ outcome }) => outcome === 'failed').map(({ program, name }) => `${program}: ${name}`),
  ]);
}

const skipped = (reports: readonly MachineReport[]) =>
  reports.flatMap(({ tests }) =>
    tests.flatMap(({ outcome, name, why }) => (outcome === 'skipped' ? [{ name, why: why ?? '' }] : [])),
  );

async function main(): Promise<number> {
  const asked = readArguments(process.argv.slice(2));
  if (!asked) {
    console.log(USAGE);
    return 0;
  }
  const { only, quick, json, from, reportOnly, out, jobs } = asked;
  const results = from ? (JSON.parse(readFileSync(from, 'utf8')) as Results) : emptyResults(quick);
  let problems: string[] = [];
  if (!reportOnly) {
    results.quick ||= quick;
    const tasks = plan(quick).filter((task) => wanted(only, task.section, task.name, SECTIONS));
    if (tasks.length === 0) throw new Error(`nothing is called ${only.join(', ')}: see --help`);
    problems = await measure(tasks, jobs, results);
  }
  for (const problem of problems) console.error(`FAILED ${problem}`);
  const text = `${JSON.stringify(results, null, 1)}\n`;
  if (json === '-') process.stdout.write(text);
  else if (json) {
    mkdirSync(dirname(json), { recursive: true });
    writeFileSync(json, text);
  }
  if (out !== undefined && problems.length === 0) {
    for (const path of writeReport(results, out)) console.error(`wrote ${path}`);
  }
  return problems.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof Unavailable) console.error(`SKIPPED bench:kernel: ${error.message}`);
  else {
    console.error(`bench:kernel: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
