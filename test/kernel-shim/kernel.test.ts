/**
 * The kernel module's tests, run in virtual machines with one and with two processors: each test of a guest
 * program is a test here. Where no machine can be had they are skipped, with the reason.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Unavailable } from '../../kernel-shim/vm/cache.js';
import { runSuite } from '../../kernel-shim/vm/run.js';
import { testUnless } from '../support/engines-skip.js';

/** Seconds of each stress program, and of a machine: fewer than a test file may take (engines-run.ts). */
const SECONDS = process.env.CI ? 30 : 5;
const TIMEOUT = 500;

try {
  const options = { cpus: [1, 2], only: '', seconds: SECONDS, timeoutSeconds: TIMEOUT };
  const reports = await runSuite(options, (line) => console.log(line));
  for (const { cpus, tests, problems, transcript } of reports) {
    const machine = `cpus=${cpus}`;
    if (problems.length > 0 || tests.some(({ outcome }) => outcome === 'failed')) {
      console.log(`${machine}: what the guest said\n${transcript.join('\n')}`);
    }
    test(`${machine}: the machine and all its programs come to a good end`, () => assert.equal(problems, []));
    for (const { program, name, outcome, why } of tests) {
      testUnless(test, outcome === 'skipped' && why, `${machine} ${program}: ${name}`, () =>
        assert.is(outcome, 'passed'),
      );
    }
  }
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  testUnless(test, error.message, 'the kernel module in virtual machines', () => {});
}

test.run();
