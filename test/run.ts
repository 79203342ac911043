/**
 * `npm test`: every test file in its own process, on this Node and on each engine of support/engines.ts.
 *
 *     npm test -- [--engine node,deno] [--only substring] [--jobs 2]
 *
 * Prints one line a file, the output of files that fail, one line an engine and, last, the sum:
 * `N passed, N failed, N skipped`. Exit code 1 when anything failed or nothing ran.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { type Engine, engines, isFor, ROOT } from './support/engines.js';
import { endWithThisProcess } from './support/engines-children.js';
import { type Counts, skipLines } from './support/engines-count.js';
import { type FileResult, runFile } from './support/engines-run.js';
import { writeFixtures } from './support/fixtures.js';

const TESTS = join(ROOT, 'dist', 'test');

interface Arguments {
  engines: Engine[];
  only: string;
  jobs: number;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      engine: { type: 'string', multiple: true },
      only: { type: 'string', default: '' },
      jobs: { type: 'string', default: '2' },
    },
  });
  const known = engines();
  const names = (values.engine ?? []).flatMap((list) => list.split(','));
  for (const name of names) {
    if (!known.some((engine) => engine.name === name)) {
      throw new Error(`no engine is called ${name}; there are ${known.map((e) => e.name).join(', ')}`);
    }
  }
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs ${values.jobs}: give a number from 1`);
  return {
    engines: names.length === 0 ? known : known.filter((engine) => names.includes(engine.name)),
    only: values.only,
    jobs,
  };
}

/**
 * Compiled test files, in a stable order: what is named `*.test.ts`, and whatever else runs a uvu suite, so
 * that a name cannot hide a test. Starts from the sources: a compiled file that lost its source is stale.
 */
function testFiles(only: string): string[] {
  return (readdirSync(join(ROOT, 'test'), { recursive: true }) as string[])
    .filter((name) => name.endsWith('.ts') && (name.endsWith('.test.ts') || runsSuite(name)))
    .map((name) => name.replace(/\.ts$/, '.js'))
    .filter((name) => name.includes(only))
    .sort()
    .map((name) => join(TESTS, name));
}

function runsSuite(name: string): boolean {
  const source = readFileSync(join(ROOT, 'test', name), 'utf8');
  return /from 'uvu'/.test(source) && /^\s*\w+\.run\(\);/m.test(source);
}

const sum = (results: readonly Counts[]): Counts => ({
  passed: results.reduce((n, r) => n + r.passed, 0),
  failed: results.reduce((n, r) => n + r.failed, 0),
  skipped: results.reduce((n, r) => n + r.skipped, 0),
});

const text = (c: Counts) => `${c.passed} passed, ${c.failed} failed, ${c.skipped} skipped`;

function print(result: FileResult): void {
  const failed = result.failed > 0;
  const name = relative(TESTS, result.file);
  console.log(`  ${failed ? 'FAIL' : 'ok  '} ${name}: ${text(result)} (${result.seconds.toFixed(1)} s)`);
  if (!failed) return;
  if (result.problem) console.log(`       ${result.problem}`);
  console.log(result.output.replace(/^/gm, '       | '));
}

async function runAll(files: readonly string[], jobs: number, one: (file: string) => Promise<FileResult>) {
  const queue = [...files];
  const results: FileResult[] = [];
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await one(file);
      results.push(result);
      print(result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

/** Tests known to be in `files` from an engine that ran them; one a file where none did. */
function testsIn(files: readonly string[], ran: Map<string, number>): number {
  return files.reduce((n, file) => n + (ran.get(file) ?? 1), 0);
}

async function main(): Promise<number> {
  const { engines: chosen, only, jobs } = readArguments();
  const files = testFiles(only);
  if (files.length === 0) throw new Error(`no test file has "${only}" in its path`);
  const all: { line: string; counts: Counts; why: string[] }[] = [];
  try {
    await writeFixtures();
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    console.log(`FAIL fixtures: ${why}`);
    all.push({ line: 'fixtures', counts: { passed: 0, failed: 1, skipped: 0 }, why: [] });
  }
  const cache = mkdtempSync(join(tmpdir(), 'belay-test-cache-'));
  const ran = new Map<string, number>();
  try {
    for (const engine of chosen) {
      const suited = files.filter((file) => isFor(engine, relative(TESTS, file)) !== false);
      if (suited.length === 0) continue;
      const ready = await engine.prepare();
      if (typeof ready === 'string') {
        const counts = { passed: 0, failed: 0, skipped: testsIn(suited, ran) };
        all.push({ line: engine.name, counts, why: [`not run: ${ready}`] });
        console.log(`\n${engine.name}: SKIPPED, ${ready}`);
        continue;
      }
      console.log(`\n${engine.name} (${ready.version})`);
      const own = suited.filter((file) => isFor(engine, relative(TESTS, file)) === true);
      const env = { BELAY_CACHE_DIR: join(cache, engine.name) };
      const results = await runAll(own, jobs, (file) => runFile(ready, file, env));
      for (const { file, passed, failed, skipped } of results) {
        if (!ran.has(file)) ran.set(file, passed + failed + skipped);
      }
      const counts = sum(results);
      const skips = results.flatMap((result) => result.skips);
      const why = skipLines(skips, counts.skipped);
      for (const file of suited.filter((f) => !own.includes(f))) {
        const name = relative(TESTS, file);
        const tests = testsIn([file], ran);
        counts.skipped += tests;
        why.push(`skipped ${tests} of ${name}: ${isFor(engine, name)}`);
      }
      const others = files.length - suited.length;
      if (others > 0) why.push(`not for this engine: ${others} files`);
      all.push({ line: `${engine.name} (${ready.version})`, counts, why });
    }
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
  console.log('');
  for (const { line, counts, why } of all) {
    console.log(`${line}: ${text(counts)}`);
    for (const reason of why) console.log(`    ${reason}`);
  }
  const total = sum(all.map((engine) => engine.counts));
  console.log(`\n${text(total)}`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

endWithThisProcess();
try {
  process.exitCode = await main();
} catch (error) {
  console.error(`test: ${error instanceof Error ? error.message : error}`);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exitCode = 1;
}
