/**
 * What `npm run bench` and `npm run bench:mechanisms` have in common: tasks, each a process of its own, one after
 * the other (nothing else should run meanwhile), and results that can be stored, continued and reported.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Command, readArguments, usage, wanted } from './arguments.js';
import type { Effort } from './compare.js';
import { type BenchEngine, benchEngines, type EngineKey } from './engines.js';
import { Files } from './prepare.js';
import { emptyResults, type Results } from './results.js';

/** The last line of a child's output. */
export interface Answer<R> {
  result: R;
  node: string;
  v8: string;
  clock: string;
}

/** What names a task, and its result. */
export interface BaseLabel {
  section: string;
  engine: EngineKey;
}

/** A task: its label, and what its process is told. */
export type TaskOf<L extends BaseLabel, J> = L & { job(files: Files): Promise<J> };

export interface Suite<L extends BaseLabel, J, R> {
  command: Command;
  /** The script of a task's process: see child.ts. */
  child: string;
  /** A line that tells a label from all others. */
  describe(label: L): string;
  /** Every task, in the order in which they are carried out. */
  plan(effort: Effort, quick: boolean): TaskOf<L, J>[];
  /** Writes the report into a folder; returns the paths. */
  write(results: Results<L & { result: R }>, folder: string): string[];
}

/** Milliseconds after which a task is given up. */
const LIMIT = 300_000;

/** Does what the arguments say. Returns the process's exit code. */
export async function runSuite<L extends BaseLabel, J, R>(
  suite: Suite<L, J, R>,
  args: readonly string[],
): Promise<number> {
  const asked = readArguments(args);
  if (asked.help) {
    console.log(usage(suite.command));
    return 0;
  }
  const results = asked.from
    ? (JSON.parse(readFileSync(asked.from, 'utf8')) as Results<L & { result: R }>)
    : emptyResults<L & { result: R }>(asked.effort.rounds, asked.quick);
  results.quick ||= asked.quick && !asked.reportOnly;
  const failed = asked.reportOnly ? 0 : await measure(suite, results, asked);
  if (asked.json === '-') process.stdout.write(`${JSON.stringify(results, null, 1)}\n`);
  else if (asked.json) writeFileSync(asked.json, `${JSON.stringify(results, null, 1)}\n`);
  if (asked.out !== undefined) {
    for (const path of suite.write(results, asked.out)) console.error(`wrote ${path}`);
  }
  return failed ? 1 : 0;
}

/** The same as a program: errors are one line. */
export async function main<L extends BaseLabel, J, R>(suite: Suite<L, J, R>): Promise<void> {
  try {
    process.exitCode = await runSuite(suite, process.argv.slice(2));
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}

/** Carries out what is asked for; returns how many tasks failed. */
async function measure<L extends BaseLabel, J, R>(
  suite: Suite<L, J, R>,
  results: Results<L & { result: R }>,
  { only, effort, quick }: ReturnType<typeof readArguments>,
): Promise<number> {
  const engines = await benchEngines((line) => console.error(line));
  const { describe } = suite;
  const tasks = suite
    .plan(effort, quick)
    .filter((task) => wanted(only, task.section, describe(task), suite.command.sections));
  if (tasks.length === 0) throw new Error(`nothing is called ${only.join(', ')}: see --help`);
  const files = new Files();
  const start = performance.now();
  let failed = 0;
  try {
    for (const [i, task] of tasks.entries()) {
      const engine = engines.find(({ key }) => key === task.engine);
      if (!engine) continue;
      const { job, ...label } = task;
      try {
        const answer = await carryOut<R>(await job(files), engine, files, suite.child);
        results.measured = results.measured.filter((other) => describe(other) !== describe(task));
        results.measured.push({ ...(label as unknown as L), result: answer.result });
        results.engines[engine.key] = { title: engine.title, node: answer.node, v8: answer.v8 };
        results.clock = answer.clock;
      } catch (error) {
        failed++;
        console.error(`FAILED ${describe(task)}: ${(error as Error).message}`);
      }
      const seconds = Math.round((performance.now() - start) / 1000);
      console.error(`${i + 1}/${tasks.length} ${seconds} s  ${describe(task)}`);
    }
  } finally {
    files.remove();
  }
  results.seconds += (performance.now() - start) / 1000;
  return failed;
}

async function carryOut<R>(
  job: unknown,
  engine: BenchEngine,
  files: Files,
  script: string,
): Promise<Answer<R>> {
  const [program, ...flags] = engine.command as [string, ...string[]];
  const child = spawn(program, [...flags, script, files.write('json', JSON.stringify(job))], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT,
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
  });
  child.stderr.on('data', (part: Buffer) => {
    errors += part.toString();
  });
  const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  if (code !== 0) {
    const why = errors.split('\n').find((line) => /Error/.test(line)) ?? errors.trim().split('\n').pop();
    throw new Error(why || `the process ended with ${String(code)}`);
  }
  return JSON.parse(output.trim().split('\n').pop()!) as Answer<R>;
}
