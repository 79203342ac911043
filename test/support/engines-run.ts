/** Runs one test file in one engine and counts. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { runInChromium } from './chromium.js';
import { type ReadyEngine, ROOT } from './engines.js';
import { endGroup, track } from './engines-children.js';
import { type Counts, countsOf, type Skip, skipsOf } from './engines-count.js';

export interface FileResult extends Counts {
  file: string;
  seconds: number;
  output: string;
  /** Why the file counts as failed apart from its failed tests. */
  problem?: string;
  skips: Skip[];
}

/** Milliseconds that a test file may take. */
export const FILE_TIMEOUT = 10 * 60_000;

const KEPT_OUTPUT = 200_000;

/** Runs `file` (compiled, absolute path); a crash, a timeout or a missing summary is a failure. */
export async function runFile(
  engine: ReadyEngine,
  file: string,
  env: Record<string, string>,
  timeout = FILE_TIMEOUT,
): Promise<FileResult> {
  const started = performance.now();
  const { output, problem } = engine.browser
    ? await runInChromium(engine.browser, file, join(ROOT, 'dist', 'test', 'fixtures'), timeout)
    : await runProcess([...engine.command!, file], { ...env, ...engine.env }, timeout);
  const seconds = (performance.now() - started) / 1000;
  return { file, seconds, output, skips: skipsOf(output), ...judge(output, problem) };
}

/** Counts of a file that ended with `problem`, or well. */
export function judge(output: string, problem: string | undefined): Counts & { problem?: string } {
  const counts = countsOf(output);
  if (!counts) {
    return {
      passed: 0,
      failed: 1,
      skipped: 0,
      problem: problem ?? 'it printed no summary: did it call test.run()?',
    };
  }
  // A process that fails after all its tests passed is a failure of its own; failed tests already say so.
  if (problem && counts.failed === 0) return { ...counts, failed: 1, problem };
  return { ...counts, ...(problem && { problem }) };
}

function runProcess(
  [program, ...args]: string[],
  env: Record<string, string>,
  timeout: number,
): Promise<{ output: string; problem?: string }> {
  return new Promise((resolve) => {
    // In a process group of its own, so that what it starts ends with it.
    const child = spawn(program!, args, {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    let problem: string | undefined;
    const keep = (chunk: string) => {
      output = (output + chunk).slice(-KEPT_OUTPUT);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    track(child);
    const timer = setTimeout(() => {
      problem = `it was ended after ${timeout / 1000} s`;
      endGroup(child);
    }, timeout);
    child.on('error', (error) => {
      problem ??= `it could not be started: ${error.message}`;
    });
    child.on('exit', (code, signal) => {
      if (code !== 0) problem ??= signal ? `it was killed by ${signal}` : `it ended with exit code ${code}`;
      // What it left running would keep our pipes open.
      endGroup(child);
    });
    child.on('close', () => {
      clearTimeout(timer);
      resolve({ output, ...(problem && { problem }) });
    });
  });
}
