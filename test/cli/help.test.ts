/** Help for people who do not know the command yet. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { belay } from './belay.js';

test('--version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  for (const flag of ['--version', '-V']) {
    const run = belay([flag]);
    assert.is(run.code, 0);
    assert.is(run.out, `${version}\n`);
  }
});

test('--help names the verbs, the exit codes and examples', () => {
  for (const args of [['--help'], ['-h'], ['help']]) {
    const run = belay(args);
    assert.is(run.code, 0);
    assert.is(run.err, '');
    for (const verb of ['instrument', 'inspect', 'serve'])
      assert.match(run.out, new RegExp(`^ {2}${verb}`, 'm'));
    assert.match(run.out, /Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 /);
    assert.match(run.out, /Examples:\n {2}\$ belay /);
  }
});

for (const verb of ['instrument', 'inspect', 'serve']) {
  test(`${verb} --help has examples, all of whose options exist`, () => {
    const run = belay([verb, '--help']);
    assert.is(run.code, 0);
    const [usage = '', examples = ''] = run.out.split('Examples:');
    assert.match(examples, new RegExp(`\\$ .*belay ${verb} `));
    const belayOnly = examples.split('\n').filter((line) => line.includes(`$ belay ${verb}`));
    for (const [flag] of belayOnly.join('\n').matchAll(/(?<= )--[a-z-]+/g)) {
      assert.ok(usage.includes(flag), `${flag} is documented`);
    }
    assert.equal(belay(['help', verb]).out, run.out);
  });
}

test.run();
