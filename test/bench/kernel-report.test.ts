/** docs/kernel.md is what the script makes of docs/kernel/results.json, and the plan measures every mechanism that there is. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readArguments, USAGE } from '../../bench/kernel/arguments.js';
import { COSTS, PLAIN, POLICIES, plan, SECTIONS, share, USER_LEVEL } from '../../bench/kernel/plan.js';
import { added } from '../../bench/kernel/report/epochs.js';
import { SCRIPT, texts, writeReport } from '../../bench/kernel/report/index.js';
import { overhead } from '../../bench/kernel/report/servers.js';
import { count, MEANING, percent } from '../../bench/kernel/report/words.js';
import { emptyResults, type Results, takeLine } from '../../bench/kernel/results.js';
import { begin, END, fill } from '../../bench/report/fill.js';
import { ROOT } from '../support/engines.js';
import { checkPage, DOCS } from '../support/report.js';

const stored = (): Results => JSON.parse(readFileSync(join(DOCS, 'kernel/results.json'), 'utf8')) as Results;

test('the page and its pictures are those of the stored results', () => {
  checkPage('kernel', (folder) => writeReport(stored(), folder), [
    'epochs-half.svg',
    'epochs-hot.svg',
    'epochs-uniform.svg',
    'servers.svg',
  ]);
});

test('the stored results are of a full run, and complete', () => {
  const results = stored();
  assert.is(results.quick, false);
  const all = Object.values(texts(results)).join('\n');
  assert.not.match(all, /NaN|undefined|Infinity|--quick/);
  for (const name of Object.keys(MEANING)) assert.ok(all.includes(`\`${name}\``), name);
});

test('what must hold on any machine', () => {
  const results = stored();
  for (const writes of [16, 64, 256, 1024]) {
    const cell = { pattern: 'hot', pages: 8192, writes } as const;
    const [eager, oracle, cow] = ['eager', 'smc-oracle', 'smc'].map((name) => added(results, name, cell));
    assert.ok(eager! < oracle! && oracle! < cow!, `${writes} pages`);
  }
  for (const server of ['lighttpd', 'nginx', 'redis']) {
    assert.ok(overhead(results, server, 'smc-oracle') < overhead(results, server, 'smc'), server);
    assert.ok(overhead(results, server, 'smc') < overhead(results, server, 'mprotect'), server);
  }
});

test('every mechanism of kernel-shim/compare is measured, and explained', () => {
  const folder = join(ROOT, 'kernel-shim/compare');
  const sources = readdirSync(folder).filter(
    (name) => /^[a-z_]+\.c$/.test(name) && !name.startsWith('compare_'),
  );
  const names = sources.flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    return [...text.matchAll(/(?:\.name = |SMC\()"([a-z-]+)"/g)].map(([, found]) => found!);
  });
  assert.equal(names.sort(), [...PLAIN, ...USER_LEVEL, ...POLICIES].sort());
  for (const name of names.filter((one) => one !== 'none')) assert.ok(MEANING[name], name);
});

test('texts go between their marks', () => {
  const text = `a\n\n${begin(SCRIPT, 'x')}\n\nold\n\n${END}\n\nb\n\n${begin(SCRIPT, 'y')}\n${END}\n`;
  const filled = fill(text, SCRIPT, { x: 'new $1', y: 'more' });
  assert.is(
    filled,
    `a\n\n${begin(SCRIPT, 'x')}\n\nnew $1\n\n${END}\n\nb\n\n${begin(SCRIPT, 'y')}\n\nmore\n\n${END}\n`,
  );
  assert.is(fill(filled, SCRIPT, { x: 'new $1', y: 'more' }), filled);
  assert.is(fill('nothing here', SCRIPT, {}), 'nothing here');
  assert.is(fill(text, 'bench:other', {}), text, 'marks of another script');
  assert.throws(() => fill(text, SCRIPT, { x: '1' }), /nothing is called "y"/);
  assert.throws(() => fill(`${begin(SCRIPT, 'x')} no end`, SCRIPT, { x: '1' }), /"x" has no end/);
  assert.throws(
    () => fill(`${begin(SCRIPT, 'x')} ${begin(SCRIPT, 'y')} ${END}`, SCRIPT, { x: '1', y: '2' }),
    /"x" has no end/,
  );
});

test('a later finding takes the place of an earlier one', () => {
  const results = emptyResults(false);
  takeLine(results, '# nothing');
  takeLine(results, '{"kernel":"6.1"}');
  for (const each of [1, 2]) {
    takeLine(results, `{"cost":"c","each":${each}}`);
    takeLine(results, `{"mechanism":"m","pattern":"hot","pages":4,"writes":${each},"instructions":${each}}`);
    takeLine(results, `{"server":"s","way":"w","instructions":${each}}`);
  }
  assert.is(results.kernel, '6.1');
  assert.equal(results.costs, [{ cost: 'c', each: 2 }]);
  assert.is(results.epochs.length, 2);
  assert.equal(
    results.serving.map(({ instructions }) => instructions),
    [2],
  );
});

test('every task has a name of its own, and is shared out once', () => {
  const tasks = plan(false);
  assert.is(new Set(tasks.map(({ name }) => name)).size, tasks.length);
  assert.equal([...new Set(tasks.map(({ section }) => section))].sort(), [...SECTIONS].sort());
  assert.ok(plan(true).length < tasks.length);
  const lists = share(tasks, 3);
  assert.is(lists.length, 3);
  assert.equal(new Set(lists.flat()), new Set(tasks));
  assert.is(lists.flat().length, tasks.length);
  assert.is(share([COSTS], 2).length, 1);
});

test('options are checked, and written where they lead', () => {
  assert.is(readArguments(['--help']), undefined);
  for (const section of SECTIONS) assert.ok(USAGE.includes(section), section);
  assert.is(readArguments([])!.out, 'docs');
  assert.is(readArguments(['--quick'])!.out, undefined);
  assert.is(readArguments(['--only', 'costs'])!.out, undefined);
  assert.is(readArguments(['--only', 'costs', '--from', 'f'])!.out, 'docs');
  assert.throws(() => readArguments(['--jobs', '0']), /--jobs 0/);
  assert.throws(() => readArguments(['--report-only']), /needs --from/);
});

test('numbers in words', () => {
  assert.equal([812, 34_100, 1_850_000, Number.NaN].map(count), ['812', '34.1 k', '1.85 M', '–']);
  assert.equal([0.449, 1.81, -0.139, 59.47, Number.NaN].map(percent), [
    '44.9 %',
    '181 %',
    '−13.9 %',
    '5,947 %',
    '–',
  ]);
});

test.run();
