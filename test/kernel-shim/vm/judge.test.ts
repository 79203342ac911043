/** The judgement of a guest: only what was said in full counts as passed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Judge, type Judgement } from '../../../kernel-shim/vm/judge.js';

const GOOD = [
  '@@begin memory',
  '1..2',
  '# page size 4096',
  'ok 1 - a page comes back',
  'ok 2 - two pages come back',
  '@@end memory rc=0 taint=0',
  '@@verdict rc=0',
];

/** Judges lines; those that begin with `kernel|` are the kernel's. */
function judge(
  lines: readonly string[],
  machine: { problem?: string } = {},
  expected = ['memory'],
): Judgement {
  const judge = new Judge(expected);
  for (const line of lines) {
    if (line.startsWith('kernel|')) judge.hear(line.slice(7), 'kernel');
    else judge.hear(line, 'program');
  }
  return judge.end({ seconds: 1, ...machine });
}

/** The good guest, with the lines after `after` replaced or followed by others. */
const after = (line: string, ...others: string[]) =>
  GOOD.flatMap((own) => (own === line ? [own, ...others] : [own]));
const instead = (line: string, ...others: string[]) => GOOD.flatMap((own) => (own === line ? others : [own]));

const outcomes = ({ tests }: Judgement) => tests.map(({ name, outcome }) => `${outcome} ${name}`);

function judgedBad(
  name: string,
  lines: readonly string[],
  problem: RegExp,
  machine?: { problem: string },
): void {
  test(`a failure: ${name}`, () => {
    const { problems } = judge(lines, machine);
    assert.ok(problems.length > 0, 'no problem is seen');
    assert.match(problems.join('\n'), problem);
  });
}

test('a guest that says all it should has passed', () => {
  const good = judge(GOOD);
  assert.equal(good.problems, []);
  assert.equal(outcomes(good), ['passed a page comes back', 'passed two pages come back']);
  assert.ok(good.tests.every(({ program }) => program === 'memory'));
});

test('the plan may come last, and numbers may be absent', () => {
  const lines = ['@@begin memory', 'ok - one', 'ok', '1..2', '@@end memory rc=0 taint=0', '@@verdict rc=0'];
  const good = judge(lines);
  assert.equal(good.problems, []);
  assert.equal(outcomes(good), ['passed one', 'passed test 2']);
});

test('a failed test is one failure, not also an exit code and a verdict', () => {
  const lines = GOOD.map((line) => line.replace(/^ok 2/, 'not ok 2').replace('rc=0', 'rc=1'));
  const failed = judge(lines);
  assert.equal(failed.problems, []);
  assert.equal(outcomes(failed), ['passed a page comes back', 'failed two pages come back']);
});

test('skips keep their reasons', () => {
  const some = judge(instead('ok 2 - two pages come back', 'ok 2 - two pages come back # SKIP no swap'));
  assert.equal(some.problems, []);
  assert.equal(some.tests[1], {
    program: 'memory',
    name: 'two pages come back',
    outcome: 'skipped',
    why: 'no swap',
  });
  const all = judge(['@@begin memory', '1..0 # SKIP no swap', '@@end memory rc=0 taint=0', '@@verdict rc=0']);
  assert.equal(all.problems, []);
  assert.equal(all.tests, [{ program: 'memory', name: 'all', outcome: 'skipped', why: 'no swap' }]);
  const none = judge(['@@begin memory', '1..0', '@@end memory rc=0 taint=0', '@@verdict rc=0']);
  assert.is(none.tests[0]!.outcome, 'failed');
});

test("other lines of programs and of the kernel are nobody's failure", () => {
  const lines = after(
    'ok 1 - a page comes back',
    'okay, this is no test',
    '# not ok as a remark, nor is BUG: here',
    'kernel|[    1.900000] smc: loading out-of-tree module taints kernel.',
    'kernel|[    1.950000] debug: all is well',
  );
  assert.equal(judge(lines).problems, []);
});

for (const complaint of [
  'BUG: unable to handle page fault for address: ffffc90000000000',
  'kernel BUG at mm/rmap.c:1234!',
  'WARNING: CPU: 1 PID: 77 at mm/memory.c:100 smc_fault+0x1/0x2 [smc]',
  'Oops: 0002 [#1] PREEMPT SMP NOPTI',
  'Call Trace:',
  'BUG: Bad page state in process memory  pfn:12345',
  'BUG: Bad rss-counter state mm:0000 type:MM_ANONPAGES val:1',
  'Bad page map in process memory  pte:1 pmd:2',
  'rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:',
  'rcu: INFO: rcu_preempt self-detected stall on CPU',
  'watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [memory:77]',
  'INFO: task memory:77 blocked for more than 120 seconds.',
  'general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] PREEMPT SMP',
  'Kernel panic - not syncing: Fatal exception',
]) {
  const line = `[    2.345678] ${complaint}`;
  judgedBad(`the kernel says ${complaint}`, after('1..2', `kernel|${line}`), /^memory: the kernel says/);
  judgedBad(`the same on the programs' line`, after('1..2', `# page s${line}`), /^memory: the kernel says/);
}

test('of many complaints of the kernel during one program the first is told', () => {
  const lines = after('1..2', 'kernel|[    1.000000] BUG: first', 'kernel|[    1.000001] Call Trace:');
  const { problems } = judge(lines);
  assert.equal(problems, ['memory: the kernel says: [    1.000000] BUG: first']);
});

judgedBad('a taint', instead('@@end memory rc=0 taint=0', '@@end memory rc=0 taint=512'), /tainted: 512/);
judgedBad(
  'a hang',
  GOOD.slice(0, 4),
  /nothing heard for 90 s[\s\S]*did not end[\s\S]*1 ran[\s\S]*no verdict/,
  { problem: 'nothing heard for 90 s' },
);
judgedBad('an end of the machine in the middle', GOOD.slice(0, 4), /did not end/);
judgedBad('a machine that says nothing', [], /memory: it did not run[\s\S]*no verdict/);
judgedBad('a machine that does not end', GOOD, /not done after 240 s/, { problem: 'not done after 240 s' });
judgedBad('no verdict', GOOD.slice(0, -1), /no verdict/);
judgedBad('half a verdict', instead('@@verdict rc=0', '@@verdict rc='), /no verdict/);
judgedBad('a bad verdict without a reason', instead('@@verdict rc=0', '@@verdict rc=1'), /verdict is rc=1/);
judgedBad(
  'an exit code',
  instead('@@end memory rc=0 taint=0', '@@end memory rc=139 taint=0'),
  /exit code 139/,
);
judgedBad('too few tests', instead('ok 2 - two pages come back'), /2 tests are planned, and 1 ran/);
judgedBad(
  'too many tests',
  after('ok 2 - two pages come back', 'ok 3 - more'),
  /2 tests are planned, and 3 ran/,
);
judgedBad(
  'a test twice',
  instead('ok 2 - two pages come back', 'ok 1 - again'),
  /test 1 comes where 2 should/,
);
judgedBad('no plan', instead('1..2'), /no plan/);
judgedBad('two plans', after('1..2', '1..2'), /two plans/);
judgedBad('it bails out', after('1..2', 'Bail out! no device'), /Bail out! no device/);
judgedBad('a test outside of a program', ['ok 1 - who?', ...GOOD], /outside of a program/);
judgedBad(
  'a program without its end before the next',
  ['@@begin other', '1..0 # SKIP none', ...GOOD],
  /other: it did not end/,
);
judgedBad('an end without a beginning', ['@@end other rc=0 taint=0', ...GOOD], /no beginning/);
judgedBad('a program that runs twice', [...GOOD.slice(0, -1), ...GOOD], /ran twice/);
judgedBad(
  'a marker that is broken',
  instead('@@end memory rc=0 taint=0', '@@en'),
  /a marker that nobody knows/,
);
judgedBad(
  'a program that is late',
  after('1..2', '@@late not done after 60 s'),
  /memory: not done after 60 s/,
);
judgedBad('anything after the verdict', [...GOOD, '@@begin other'], /after the verdict/);
judgedBad(
  "a test's line broken by the kernel's",
  instead('ok 2 - two pages come back', 'o[    1.234567] smc: hello', 'k 2 - two pages come back'),
  /2 tests are planned, and 1 ran/,
);
judgedBad(
  'a marker broken by another line',
  instead('@@end memory rc=0 taint=0', '@@end mem# remark', 'ory rc=0 taint=0'),
  /did not end|no beginning/,
);

test('a program that is not expected is judged all the same', () => {
  const { problems, tests } = judge([
    '@@begin other',
    '1..1',
    'not ok 1 - x',
    '@@end other rc=0 taint=0',
    ...GOOD,
  ]);
  assert.equal(problems, []);
  assert.is(tests[0]!.outcome, 'failed');
});

test.run();
