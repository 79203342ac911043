/**
 * `npm run bench:kernel`: mechanisms of checkpoints side by side in virtual machines whose clock counts instructions, and
 * docs/kernel.md. Figures do not depend on what else this machine does; how long it takes does.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Unavailable } from '../../kernel-shim/vm/cache.js';
import { type MachineReport, runSuite } from '../../kernel-shim/vm/run.js';
import type { GuestProgram } from '../../kernel-shim/vm/suite.js';
import { wanted } from '../arguments.js';
import { readArguments, USAGE } from './arguments.js';
import { COSTS, plan, SECTIONS, share, type Task } from './plan.js';
import { writeReport } from './report/index.js';
import { emptyResults, type Results, takeLine } from './results.js';

/** Time in the guest counts instructions, addresses are the same in each run, and every page is one of 4 KiB. */
const MACHINE = {
  icount: true,
  append: 'norandmaps transparent_hugepage=never',
  cpus: [1],
  only: '',
  seconds: 60,
};

const LOAD: GuestProgram = { name: 'load', command: () => ['load'], always: true };
const UNLOAD: GuestProgram = { name: 'unload', command: () => ['unload'], always: true };

/** Carries tasks out, and takes what they find into the results. Returns what went wrong. */
async function measure(tasks: readonly Task[], jobs: number, results: Results): Promise<string[]> {
  const started = performance.now();
  const say = (line: string) =>
    console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`);
  const others = tasks.filter((task) => task !== COSTS);
  const lists = others.length > 0 ? share(others, jobs) : [[]];
  const machines = await Promise.all(
    lists.map((list) => runSuite({ ...MACHINE, programs: [LOAD, COSTS, ...list, UNLOAD] }, say)),
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
