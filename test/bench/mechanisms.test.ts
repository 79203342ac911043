/** The comparison of mechanisms: its report from stored results, its parts by themselves, and each section as --quick. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { usage, wanted } from '../../bench/arguments.js';
import { pageSets } from '../../bench/mechanisms/page-sets.js';
import { describe, plan, SECTIONS } from '../../bench/mechanisms/plan.js';
import { BEGIN, END, withTable } from '../../bench/mechanisms/report/choose.js';
import { crossings } from '../../bench/mechanisms/report/crossings.js';
import { writeReport } from '../../bench/mechanisms/report/index.js';
import type { Results } from '../../bench/mechanisms/results.js';
import { apart } from '../../bench/report/labelled.js';
import { MECHANISMS } from '../../contract/contract.js';
import { engines, ROOT } from '../support/engines.js';

const RUN = join(ROOT, 'dist', 'bench', 'mechanisms', 'run.js');
const EFFORT = { rounds: 31, batch: 10e6, warm: [0.6e9, 1.8e9] as [number, number] };
const stored = (): Results =>
  JSON.parse(readFileSync(join(ROOT, 'test', 'bench', 'mechanisms.json'), 'utf8')) as Results;

function inFolder(fn: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'belay-mechanisms-'));
  try {
    fn(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the report of stored results: every section, table and picture', () => {
  inFolder((folder) => {
    writeFileSync(join(folder, 'mechanisms.md'), `words\n\n${BEGIN}\n\nstale\n\n${END}\n\nmore words\n`);
    const written = writeReport(stored(), folder);
    const report = readFileSync(join(folder, 'mechanisms-measured.md'), 'utf8');
    for (const title of [
      'Reach',
      'Cost of an epoch',
      'Size of memory',
      'Frequency of checkpoints',
      'Memory over one long epoch',
      'Policies over traces',
      'Policies in real runs',
    ]) {
      assert.match(report, new RegExp(`^## ${title}`, 'm'));
    }
    assert.match(report, /Written by `npm run bench:mechanisms`/);
    assert.match(report, /Made with `--quick`/);
    assert.match(report, /- up to K ≈ [\d,.]+ `\w/);
    assert.match(report, /raised to 0\.01/);
    assert.not.match(report, /NaN|undefined|Infinity/);
    const pictures = readdirSync(join(folder, 'mechanisms')).sort();
    assert.equal(pictures, [
      'frequency-brotli-wasm.svg',
      'frequency-quickjs-calls.svg',
      'memory-size.svg',
      'memory.svg',
      'pages-no-rollback.svg',
      'pages.svg',
      'policies-live.svg',
      'policies-mprotect.svg',
      'policies-uffd.svg',
    ]);
    for (const name of pictures) {
      assert.ok(report.includes(`(mechanisms/${name})`), name);
      const svg = readFileSync(join(folder, 'mechanisms', name), 'utf8');
      assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
      assert.not.match(svg, /NaN|undefined|Infinity/);
    }
    assert.ok(written.includes(join(folder, 'mechanisms.md')));
    const guide = readFileSync(join(folder, 'mechanisms.md'), 'utf8');
    assert.match(guide, /^words\n/);
    assert.match(guide, /more words\n$/);
    assert.not.match(guide, /stale/);
    for (const name of MECHANISMS) assert.match(guide, new RegExp(`^\\| \`${name}\` \\|`, 'm'));
    assert.match(guide, /npm run bench:mechanisms/);
  });
});

test('a part of the results makes a part of the report, and costs that are missing are dashes', () => {
  inFolder((folder) => {
    const results = stored();
    results.measured = results.measured.filter(({ section }) => section === 'memory');
    writeReport(results, folder);
    const report = readFileSync(join(folder, 'mechanisms-measured.md'), 'utf8');
    assert.not.match(report, /## Reach/);
    assert.match(withTable(`${BEGIN}${END}`, results), /\| `lmc` \|.*\| – \| – \| – \|/);
  });
});

test('a document without marks stays as it is', () => {
  assert.is(withTable('nothing here', stored()), 'nothing here');
});

test('the help names the sections, and sections and words choose tasks', () => {
  const help = usage({ name: 'bench:mechanisms', sections: SECTIONS, file: 'x.md' });
  for (const section of SECTIONS) assert.ok(help.includes(section), section);
  assert.match(help, /npm run bench:mechanisms --/);
  assert.ok(wanted(['reach'], 'reach', 'reach / node24', SECTIONS));
  assert.not(wanted(['reach'], 'pages', 'pages / reach', SECTIONS));
});

test('every task has a name of its own; a quick plan is shorter', () => {
  const names = plan(EFFORT, false).map(describe);
  assert.is(new Set(names).size, names.length);
  assert.equal([...new Set(plan(EFFORT, false).map(({ section }) => section))], [...SECTIONS]);
  assert.ok(plan(EFFORT, true).length < names.length);
});

test('pages are drawn without repetition, the same each time, and not from where the list lies', () => {
  const { list, pages } = pageSets(2 ** 22, 64, 10);
  assert.is(pages.length, 10);
  assert.equal(pageSets(2 ** 22, 64, 10).list, list);
  for (const [n, set] of pages.entries()) {
    assert.is(new Set(set).size, 64);
    set.forEach((page, i) => {
      assert.is(list[n * 64 + i]! >>> 12, page);
      assert.ok(page * 4096 >= list.byteLength && page < 1024, String(page));
      assert.is(list[n * 64 + i]! % 8, 0);
    });
  }
  assert.is(pageSets(2 ** 22, 64, 1).pages.length, 1);
  assert.throws(() => pageSets(2 ** 16, 64, 1), /do not fit/);
});

test('crossings are between the points that are apart', () => {
  const curve = (name: string, ...ys: number[]) => ({
    name,
    points: ys.map((y, i) => ({ x: 10 ** i, y })),
  });
  const [found] = crossings([curve('flat', 10, 10, 10), curve('steep', 1, 10, 100)]);
  assert.equal({ ...found, x: Math.round(found!.x) }, { below: 'steep', above: 'flat', x: 10 });
  assert.equal(crossings([curve('a', 10, 10), curve('b', 10.1, 9.9)]), []);
});

test('names are moved apart, and no further', () => {
  assert.equal(apart([0, 10, 20], 5), [0, 10, 20]);
  assert.equal(apart([10, 10, 40], 4), [8, 12, 40]);
  const moved = apart([3, 1, 2, 2.5], 2)
    .slice()
    .sort((a, b) => a - b);
  moved.slice(1).forEach((value, i) => assert.ok(value - moved[i]! >= 2 - 1e-9));
});

test('each section runs with --quick', async () => {
  const node24 = engines().find(({ name }) => name === 'node24') ?? engines()[0]!;
  const ready = await node24.prepare();
  if (typeof ready === 'string' || Number.parseInt(ready.version.slice(1), 10) < 24) return;
  const only = [
    'pages / node24 / 64 MiB / K 1 / no rollback',
    'reach / node24 / 64 MiB / K 256 / steady / rollback',
    'size / node24 / 1 MiB',
    'frequency / node24 / wasmboy frames / cards',
    'memory / node24',
    'policies',
    'live / node24 / notes',
  ];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [RUN, '--quick', '--json', '-', '--only', only.join(',')],
    { maxBuffer: 2 ** 26 },
  );
  const results = JSON.parse(stdout) as Results;
  const found = new Set(results.measured.map(({ section }) => section));
  assert.equal(
    SECTIONS.filter((section) => !found.has(section)),
    [],
  );
  inFolder((folder) => {
    writeReport(results, folder);
    assert.not.match(readFileSync(join(folder, 'mechanisms-measured.md'), 'utf8'), /NaN|undefined|Infinity/);
  });
});

test.run();
