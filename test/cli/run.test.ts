/** The test run's own bookkeeping: nothing that went wrong may count as passed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { countsOf, skipLines, skipsOf } from '../support/engines-count.js';
import { judge } from '../support/engines-run.js';

const summary = (total: number, passed: number, skipped: number) =>
  `\u001b[32m• • \u001b[39m  (${passed} / ${total})\n\n  Total:     ${total}\u001b[32m\n  Passed:    ${passed}\u001b[39m\n` +
  `  Skipped:   \u001b[33m${skipped}\u001b[39m\n  Duration:  1.23ms\n\n`;

test('counts are read from the summary, colours or not', () => {
  assert.equal(countsOf(summary(5, 5, 2)), { passed: 5, failed: 0, skipped: 2 });
  assert.equal(countsOf(summary(5, 3, 0)), { passed: 3, failed: 2, skipped: 0 });
});

test('tests that never ran because a before hook threw are failures', () => {
  assert.equal(judge(summary(4, 0, 0), undefined), { passed: 0, failed: 4, skipped: 0 });
});

test('no summary is a failure, whatever the exit code', () => {
  assert.is(countsOf('hello'), undefined);
  assert.is(judge('hello', undefined).failed, 1);
  assert.match(judge('', undefined).problem ?? '', /no summary/);
  assert.is(judge('', 'it was killed by SIGSEGV').problem, 'it was killed by SIGSEGV');
});

test('a crash after the summary is a failure', () => {
  assert.equal(judge(summary(2, 2, 0), 'it ended with exit code 3'), {
    passed: 2,
    failed: 1,
    skipped: 0,
    problem: 'it ended with exit code 3',
  });
});

test('failed tests are not counted twice', () => {
  assert.is(judge(summary(2, 1, 0), 'it ended with exit code 1').failed, 1);
});

test('reasons for skipping are collected and grouped', () => {
  const skips = skipsOf('• •\nSKIP a\tno disk\n•\nSKIP b: c\tone memory\nSKIP d\tone memory\n');
  assert.equal(skips, [
    { name: 'a', why: 'no disk' },
    { name: 'b: c', why: 'one memory' },
    { name: 'd', why: 'one memory' },
  ]);
  assert.equal(skipLines(skips, 5), [
    'skipped "a": no disk',
    'skipped 2 tests: one memory',
    'skipped 2 tests that give no reason',
  ]);
});

test.run();
