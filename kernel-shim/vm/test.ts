/**
 * `npm run kernel:test`: the kernel module's tests in virtual machines, from nothing to a verdict.
 *
 *     npm run kernel:test -- [--cpus 1,2] [--only NAME] [--seconds N] [--keep]
 *
 * Prints what fails and last `N passed, N failed, N skipped`; exit code 0 when nothing failed and something passed,
 * or nothing could be run on this machine, which is said loudly.
 */
import { parseArgs } from 'node:util';
import { Unavailable } from './cache.js';
import { type MachineReport, runSuite } from './run.js';

/** Lines of a guest that are printed when something fails there. */
const SHOWN = 300;

function readArguments() {
  const { values } = parseArgs({
    options: {
      cpus: { type: 'string', default: '1,2' },
      only: { type: 'string', default: '' },
      seconds: { type: 'string', default: '5' },
      keep: { type: 'boolean', default: false },
    },
  });
  const cpus = values.cpus.split(',').map((text) => wholeNumber('--cpus', text, 1, 8));
  const seconds = wholeNumber('--seconds', values.seconds, 1, 86_400);
  return { cpus: [...new Set(cpus)], only: values.only, seconds, keep: values.keep };
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new Error(`${option} ${text}: give whole numbers from ${least} to ${most}`);
}

function print(report: MachineReport): { passed: number; failed: number; skipped: number } {
  const { cpus, tests, problems, transcript } = report;
  const count = (outcome: string) => tests.filter((test) => test.outcome === outcome).length;
  const failed = tests.filter((test) => test.outcome === 'failed');
  console.log(`\ncpus=${cpus}: ${count('passed')} passed in ${report.seconds.toFixed(1)} s`);
  for (const { program, name, outcome, why } of tests) {
    if (outcome === 'skipped') console.log(`  SKIPPED ${program}: ${name}: ${why}`);
  }
  if (failed.length > 0 || problems.length > 0) {
    console.log(transcript.slice(-SHOWN).join('\n').replace(/^/gm, '       | '));
    for (const { program, name } of failed) console.log(`  FAIL ${program}: ${name}`);
    for (const problem of problems) console.log(`  FAIL ${problem}`);
  }
  return { passed: count('passed'), failed: failed.length + problems.length, skipped: count('skipped') };
}

// An exit takes the machines along (machine.ts); a signal alone would leave them running.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

try {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const started = performance.now();
  const say = (line: string) =>
    console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  for (const report of await runSuite(readArguments(), say)) {
    const counts = print(report);
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
} catch (error) {
  if (error instanceof Unavailable) {
    console.log(`\nSKIPPED the kernel module's tests: ${error.message}`);
    console.log('0 passed, 0 failed, 1 skipped');
  } else {
    console.error(`kernel:test: ${error instanceof Error ? error.message : error}`);
    console.log('0 passed, 1 failed, 0 skipped');
    process.exitCode = 1;
  }
}
