/**
 * `npm run bench:history`: records histories of real programs, asks them, and fills docs/history.md. See arguments.ts for
 * options, jobs/ for what is measured.
 */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type BenchEngine, benchEngines, type EngineKey } from '../engines.js';
import { Files } from '../prepare.js';
import { ROOT } from '../subjects/host.js';
import { type Arguments, readArguments, USAGE } from './arguments.js';
import type { Told } from './child.js';
import { ENGINE, type Job, MAIN, RECORDING, type Section } from './plan.js';
import { writeReport } from './report/index.js';
import {
  type Compression,
  emptyResults,
  type Materialisation,
  type Questions,
  type Recording,
  type Results,
  type Size,
} from './results.js';
import { type Workload, workloads } from './workloads.js';

const CHILD = join(ROOT, 'dist', 'bench', 'history', 'child.js');

class Bench {
  private readonly started = performance.now();
  private readonly files = new Files();
  private readonly temporary = mkdtempSync(join(tmpdir(), 'belay-histories-'));
  private readonly folder: string;
  failed = 0;

  constructor(
    private readonly asked: Arguments,
    private readonly results: Results,
    private readonly engines: readonly BenchEngine[],
  ) {
    this.folder = asked.histories ?? this.temporary;
  }

  async all(): Promise<void> {
    const { asked, results } = this;
    try {
      for (const workload of workloads) {
        if (!asked.workloads.includes(workload.name)) continue;
        await this.workload(workload);
        // What was found is not lost with what is to come.
        if (asked.json && asked.json !== '-') store(results, asked.json);
      }
      if (this.wants('recording')) for (const key of RECORDING) await this.recording(key);
    } finally {
      this.files.remove();
      rmSync(this.temporary, { recursive: true, force: true });
      results.seconds += (performance.now() - this.started) / 1000;
    }
  }

  private wants(section: Section): boolean {
    return this.asked.sections.includes(section);
  }

  private async workload(workload: Workload): Promise<void> {
    const { results, asked } = this;
    const { name } = workload;
    const { quick } = asked;
    const compresses = this.wants('compression') && name === MAIN;
    const asks = (['size', 'questions', 'partial'] as const).some((section) => this.wants(section));
    if (!asks && !compresses) return;
    const directory = join(this.folder, name);
    const size = join(this.folder, `${name}.json`);
    if (!existsSync(size)) {
      rmSync(directory, { recursive: true, force: true });
      const module = await this.module(workload, ENGINE);
      const { checkpoints, seconds } = asked;
      const limit = workload.whole ? {} : { limit: seconds };
      const job: Job = { kind: 'record', workload: name, module, directory, checkpoints, ...limit };
      const found = await this.job<Size>(`${name}: recording`, ENGINE, job);
      if (!found) return;
      mkdirSync(this.folder, { recursive: true });
      writeFileSync(size, JSON.stringify(found));
    }
    if (this.wants('size')) {
      const found = JSON.parse(readFileSync(size, 'utf8')) as Size;
      results.size = placed(results.size, found, ({ workload: other }) => other === name);
    }
    if (this.wants('questions')) {
      const job: Job = { kind: 'questions', workload: name, directory, quick };
      const found = await this.job<Questions>(`${name}: questions`, ENGINE, job);
      if (found)
        results.questions = placed(results.questions, found, ({ workload: other }) => other === name);
    }
    if (this.wants('partial')) {
      const job: Job = { kind: 'partial', workload: name, directory, quick };
      const found = await this.job<Materialisation[]>(`${name}: materialisation`, ENGINE, job);
      if (found)
        results.partial = [...results.partial.filter(({ workload: other }) => other !== name), ...found];
    }
    if (compresses) {
      const job: Job = { kind: 'compression', directory, quick };
      const found = await this.job<Compression[]>(`${name}: compression`, ENGINE, job);
      if (found) results.compression = found;
    }
    if (asked.histories === undefined) rmSync(directory, { recursive: true, force: true });
  }

  private async recording(engine: EngineKey): Promise<void> {
    const { results, asked, temporary } = this;
    const module = await this.module(workloads.find(({ name }) => name === MAIN)!, engine);
    const { quick, rounds } = asked;
    const directory = join(temporary, engine);
    mkdirSync(directory, { recursive: true });
    const rate = engine === ENGINE;
    const job: Job = { kind: 'recording', engine, module, directory, rounds, rate, quick };
    const found = await this.job<Recording>(`recording, ${engine}`, engine, job);
    if (found) results.recording = placed(results.recording, found, ({ engine: other }) => other === engine);
  }

  /** The module as the engine can have it: Node 20 has one memory only. */
  private module({ name, bytes, reserve }: Workload, engine: EngineKey): Promise<string> {
    const options =
      engine === 'node20' ? { layout: 'inline' as const, reserve } : { layout: 'separate' as const };
    return this.files.module(name, bytes, options);
  }

  /** What a process of its own answers; undefined where it fails, which is told. */
  private async job<R>(title: string, key: EngineKey, job: Job): Promise<R | undefined> {
    const say = (text: string): void => {
      const seconds = ((performance.now() - this.started) / 1000).toFixed(0).padStart(5);
      console.error(`${seconds} s  ${title}${text && `: ${text}`}`);
    };
    const engine = this.engines.find((one) => one.key === key);
    if (!engine) return undefined;
    this.results.load = Math.max(this.results.load, loadavg()[0]!);
    const [execPath, ...execArgv] = engine.command as [string, ...string[]];
    const child = fork(CHILD, { execPath, execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    say('');
    try {
      const told = await new Promise<Exclude<Told, { progress: string }>>((done, fail) => {
        child.on('message', (message: Told) => {
          if ('progress' in message) say(message.progress);
          else done(message);
        });
        child.once('error', fail);
        child.once('exit', (code, signal) => fail(new Error(`the process ended with ${signal ?? code}`)));
        child.send(job);
      });
      if ('error' in told) throw new Error(told.error);
      this.results.engines[key] = { title: engine.title, node: told.node, v8: told.v8 };
      return told.result as R;
    } catch (error) {
      this.failed++;
      console.error(`FAILED ${title}: ${(error as Error).message}`);
      return undefined;
    }
  }
}

/** The list with `found` in the place of the one that it replaces. */
function placed<T>(list: readonly T[], found: T, same: (other: T) => boolean): T[] {
  return list.some(same) ? list.map((other) => (same(other) ? found : other)) : [...list, found];
}

function store(results: Results, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results, null, 1)}\n`);
}

async function main(): Promise<number> {
  const asked = readArguments(process.argv.slice(2));
  if (!asked) {
    console.log(USAGE);
    return 0;
  }
  const { from, quick, reportOnly, json, out } = asked;
  const results = from ? (JSON.parse(readFileSync(from, 'utf8')) as Results) : emptyResults(quick);
  let failed = 0;
  if (!reportOnly) {
    results.quick ||= quick;
    const bench = new Bench(asked, results, await benchEngines((line) => console.error(line)));
    await bench.all();
    failed = bench.failed;
  }
  if (json === '-') process.stdout.write(`${JSON.stringify(results, null, 1)}\n`);
  else if (json) store(results, json);
  if (out !== undefined && failed === 0) {
    for (const path of writeReport(results, out)) console.error(`wrote ${path}`);
  }
  return failed > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench:history: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
