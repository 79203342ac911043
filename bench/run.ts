/**
 * `npm run bench`: measures everything and writes docs/measurements.md. See arguments.ts for options, compare.ts
 * for the method. Each task is a process of its own, one after the other: nothing else should run meanwhile.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments, USAGE, wanted } from './arguments.js';
import type { Answer } from './child.js';
import { type BenchEngine, benchEngines } from './engines.js';
import type { Job } from './jobs/types.js';
import { type Label, plan, type Task } from './plan.js';
import { Files } from './prepare.js';
import { writeReport } from './report/index.js';
import { emptyResults, type Measured, type Results } from './results.js';
import { ROOT } from './subjects/host.js';

const CHILD = join(ROOT, 'dist', 'bench', 'child.js');
/** Milliseconds after which a task is given up. */
const LIMIT = 300_000;

const describe = ({ section, engine, subject, layout, region, variant }: Label) =>
  [section, engine, subject, layout, region && `region ${region}`, variant].filter(Boolean).join(' / ');

const same = (a: Label, b: Label) => describe(a) === describe(b);

async function main(): Promise<number> {
  const asked = readArguments(process.argv.slice(2));
  if (asked.help) {
    console.log(USAGE);
    return 0;
  }
  const results = asked.from
    ? (JSON.parse(readFileSync(asked.from, 'utf8')) as Results)
    : emptyResults(asked.effort.rounds, asked.quick);
  results.quick ||= asked.quick && !asked.reportOnly;
  const failed = asked.reportOnly ? 0 : await measure(results, asked.only, asked.effort);
  if (asked.json === '-') process.stdout.write(`${JSON.stringify(results, null, 1)}\n`);
  else if (asked.json) writeFileSync(asked.json, `${JSON.stringify(results, null, 1)}\n`);
  if (asked.out !== undefined) {
    for (const path of writeReport(results, asked.out)) console.error(`wrote ${path}`);
  }
  return failed ? 1 : 0;
}

/** Carries out what is asked for; returns how many tasks failed. */
async function measure(
  results: Results,
  only: string[],
  effort: Parameters<typeof plan>[0],
): Promise<number> {
  const engines = await benchEngines((line) => console.error(line));
  const tasks = plan(effort).filter((task) => wanted(only, task.section, describe(task)));
  if (tasks.length === 0) throw new Error(`nothing is called ${only.join(', ')}: see --help`);
  const files = new Files();
  const start = performance.now();
  let failed = 0;
  try {
    for (const [i, task] of tasks.entries()) {
      const engine = engines.find(({ key }) => key === task.engine);
      if (!engine) continue;
      try {
        const answer = await carryOut(task, engine, files);
        const { section, subject, layout, region, variant } = task;
        const label = { section, engine: engine.key, subject, layout, region, variant };
        results.measured = results.measured.filter((other) => !same(other, task));
        results.measured.push({ ...label, result: answer.result } as Measured);
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

async function carryOut(task: Task, engine: BenchEngine, files: Files): Promise<Answer> {
  const job: Job = await task.job(files);
  const [program, ...flags] = engine.command as [string, ...string[]];
  const child = spawn(program, [...flags, CHILD, files.write('json', JSON.stringify(job))], {
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
  return JSON.parse(output.trim().split('\n').pop()!) as Answer;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
