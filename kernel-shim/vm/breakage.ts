/**
 * `npm run kernel:breakage`: deliberate faults in the kernel module, to see whether the tests notice.
 *
 *     npm run kernel:breakage -- [--jobs 2] [WORD...]
 *
 * Each fault of faults.ts is put into a copy of the sources, built and booted, and the program that should notice it
 * runs. Words choose the faults whose description, file or program has one of them. Exit code 0 when all were
 * noticed, and the same programs find nothing wrong with the module as it is.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyFolder, ROOT, scratchFolder, Unavailable } from './cache.js';
import { FAULTS, type ModuleFault } from './faults.js';
import { type MachineReport, runSuite } from './run.js';
import { SUITE } from './suite.js';

const MODULE = join(ROOT, 'kernel-shim/module');

/** Seconds after which a program, and a machine, are ended: a fault that makes them hang is noticed, too. */
const PROGRAM_LIMIT = 60;
const MACHINE_LIMIT = 110;

/** What became of one fault. */
export interface Noticed {
  fault: ModuleFault;
  /** The first test that failed, or what the kernel or the machine had to complain of; absent: nothing was noticed. */
  first?: string;
  /** Why the run says nothing, where it does not. */
  problem?: string;
  seconds: number;
}

/**
 * The text of a source file with the fault in it.
 *
 * @throws {Error} where the fault does not fit the sources any more.
 */
export function broken({ file, from, to }: ModuleFault): string {
  const parts = readFileSync(join(MODULE, file), 'utf8').split(from);
  if (parts.length !== 2) throw new Error(`${file}: "${from}" is there ${parts.length - 1} times`);
  return parts.join(to);
}

/**
 * Builds the module with a fault, or as it is, and runs programs with it.
 *
 * @param worker number of this run among those at the same time.
 */
async function run(fault: ModuleFault | undefined, by: readonly string[], worker: number) {
  const programs = SUITE.filter((program) => program.always || by.includes(program.name)).map((program) => ({
    ...program,
    limit: PROGRAM_LIMIT,
  }));
  for (const name of by)
    if (!programs.some((p) => p.name === name)) throw new Error(`no program is called ${name}`);
  const scratch = scratchFolder();
  try {
    const sources = join(scratch, 'module');
    mkdirSync(sources);
    copyFolder(MODULE, sources);
    if (fault) writeFileSync(join(sources, fault.file), broken(fault));
    const [report] = await runSuite(
      {
        cpus: [fault?.cpus ?? 1],
        only: '',
        seconds: 5,
        programs,
        module: { sources, name: `broken-${worker}` },
        timeoutSeconds: MACHINE_LIMIT,
      },
      () => {},
    );
    return report!;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The first thing that a machine found wrong, apart from loading the module. */
function firstWrong({ tests, problems }: MachineReport): string | undefined {
  const failed = tests.find(({ outcome, program }) => outcome === 'failed' && program !== 'load');
  return failed ? `${failed.program}: ${failed.name}` : problems[0];
}

/** Tries one fault. */
export async function tryFault(fault: ModuleFault, worker = 0): Promise<Noticed> {
  const started = performance.now();
  let report: MachineReport;
  try {
    report = await run(fault, [fault.by], worker);
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    return { fault, problem: `it cannot be run: ${error}`, seconds: (performance.now() - started) / 1000 };
  }
  const seconds = (performance.now() - started) / 1000;
  const loaded = report.tests.some(({ program, outcome }) => program === 'load' && outcome === 'passed');
  if (!loaded) return { fault, problem: 'the module does not load', seconds };
  const first = firstWrong(report);
  return { fault, seconds, ...(first !== undefined && { first }) };
}

/** What the programs of these faults find wrong with the module as it is: undefined where all is well. */
export async function intact(faults: readonly ModuleFault[]): Promise<string | undefined> {
  return firstWrong(await run(undefined, [...new Set(faults.map(({ by }) => by))], 0));
}

/** Tries faults, some at the same time; resolves in their order. */
export async function tryFaults(
  faults: readonly ModuleFault[],
  jobs: number,
  hear: (noticed: Noticed) => void = () => {},
): Promise<Noticed[]> {
  const results: Noticed[] = [];
  let next = 0;
  const worker = async (_: unknown, number: number) => {
    for (let i = next++; i < faults.length; i = next++) {
      results[i] = await tryFault(faults[i]!, number);
      hear(results[i]!);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

async function main(): Promise<number> {
  const { values, positionals: words } = parseArgs({
    allowPositionals: true,
    options: { jobs: { type: 'string', default: '2' } },
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs ${values.jobs}: give a number from 1`);
  const isAsked = ({ what, file, by }: ModuleFault) =>
    words.length === 0 || words.some((word) => [what, file, by].some((text) => text.includes(word)));
  const faults = FAULTS.filter(isAsked);
  if (faults.length === 0) throw new Error(`no fault has ${words.join(' or ')} in its description`);
  for (const fault of faults) broken(fault);

  const wrong = await intact(faults);
  console.log(`${'(the module as it is)'.padEnd(74)} ${wrong ?? 'nothing is wrong'}`);
  const results = await tryFaults(faults, jobs, ({ fault, first, problem, seconds }) => {
    const said = problem ?? first ?? `NOTHING FAILS in ${fault.by}`;
    console.log(`${fault.what.padEnd(74)} ${said} (${seconds.toFixed(0)} s)`);
  });
  const bad = results.filter(({ first }) => first === undefined).length;
  console.log(`\n${results.length - bad} of ${results.length} faults are noticed`);
  return bad || wrong !== undefined ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (error instanceof Unavailable) {
      console.log(`SKIPPED: ${error.message}`);
    } else {
      console.error(`kernel:breakage: ${error instanceof Error ? error.message : error}`);
      process.exitCode = 1;
    }
  }
}
