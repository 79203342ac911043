/** docs/history.md has what the script makes of docs/history/results.json; and what is measured is what it says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readArguments, USAGE } from '../../bench/history/arguments.js';
import { RECORDING, SECTIONS } from '../../bench/history/plan.js';
import { texts, writeReport } from '../../bench/history/report/index.js';
import { each, saved } from '../../bench/history/report/size.js';
import { targets } from '../../bench/history/report/targets.js';
import { percent, size, time } from '../../bench/history/report/words.js';
import { emptyResults, type Results } from '../../bench/history/results.js';
import { dice, timed } from '../../bench/history/timing.js';
import { addedId, CYCLE, kindOf, notesLoad, workloads } from '../../bench/history/workloads.js';
import { checkPage, DOCS } from '../support/report.js';

const stored = (): Results => JSON.parse(readFileSync(join(DOCS, 'history/results.json'), 'utf8')) as Results;

test('the page and its picture are those of the stored results', () => {
  checkPage('history', (folder) => writeReport(stored(), folder), ['growth.svg']);
});

test('the stored results are of a full run', () => {
  const results = stored();
  assert.is(results.quick, false);
  for (const [name, text] of Object.entries(texts(results))) {
    assert.ok(text, name);
    assert.not.match(text, /NaN|undefined|Infinity|--quick/, name);
  }
  assert.equal(
    results.size.map(({ workload }) => workload),
    workloads.map(({ name }) => name),
  );
  for (const { engine } of results.recording) assert.ok(RECORDING.includes(engine), engine);
  for (const { workload, entries, asked, limit } of results.size)
    assert.ok(entries >= asked || limit !== undefined, `${workload} is whole`);
  assert.ok(targets(results).length >= 10);
});

test('what must hold on any machine', () => {
  for (const found of stored().size) {
    assert.ok(saved(found) > 0.9, found.workload);
    assert.ok(found.journaled < found.raw && found.stored <= found.disk, found.workload);
    const parts = Object.values(found.tables).reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(parts <= found.stored, found.workload);
    if (found.workload === 'counter') assert.ok(each(found) < 64);
  }
});

test('a page without marks, and without results, stays as it is', () => {
  const all = texts(emptyResults(true));
  assert.match(all.circumstances!, /--quick/);
  for (const section of SECTIONS) assert.is(all[section], '', section);
});

test('the load of the notes goes on for ever and stays small', () => {
  const added: number[] = [];
  const there = new Set<number>();
  const kinds = new Set<string>();
  const said = new Set<string>();
  let next = 100;
  let most = 0;
  for (let n = 0; n < 20 * CYCLE; n++) {
    const request = notesLoad(n, added);
    kinds.add(kindOf(request));
    if (request[0] === 'POST') {
      assert.not.ok(said.has(request[2]!), 'each note is another one');
      said.add(request[2]!);
      there.add(++next);
      added.push(addedId(request, `HTTP/1.1 201 Created\r\n\r\n{"id":${next},"text":"a"}`)!);
    } else if (request[0] === 'DELETE') assert.ok(there.delete(Number(request[1].split('/')[2])), request[1]);
    most = Math.max(most, there.size);
  }
  assert.is(there.size, 0);
  assert.is(most, CYCLE / 5);
  assert.equal([...kinds].sort(), [
    'DELETE /notes/:id',
    'GET /notes',
    'GET /notes/:id',
    'GET /search',
    'POST /notes',
  ]);
  assert.is(addedId(['GET', '/notes/1'], '{"id":1}'), undefined);
});

test('options are checked, and written where they lead', () => {
  assert.is(readArguments(['--help']), undefined);
  for (const word of [...SECTIONS, ...workloads.map(({ name }) => name)])
    assert.ok(USAGE.includes(word), word);
  const all = readArguments([])!;
  assert.is(all.out, 'docs');
  assert.is(all.checkpoints, 1_000_000);
  assert.equal(all.sections, [...SECTIONS]);
  const some = readArguments(['--only', 'size,notes', '--checkpoints', '7'])!;
  assert.equal([some.sections, some.workloads, some.checkpoints], [['size'], ['notes'], 7]);
  assert.is(some.out, undefined);
  assert.is(readArguments(['--only', 'size', '--from', 'f'])!.out, 'docs');
  assert.ok(readArguments(['--quick'])!.checkpoints < 10_000);
  assert.throws(() => readArguments(['--only', 'sizes']), /nothing is called sizes/);
  assert.throws(() => readArguments(['--checkpoints', '0']), /--checkpoints 0/);
  assert.is(readArguments(['--rounds', '7'])!.rounds, 7);
  assert.throws(() => readArguments(['--seconds', 'x']), /--seconds x/);
  assert.throws(() => readArguments(['--report-only']), /needs --from/);
});

test('numbers in words', () => {
  assert.equal([0.5, 812, 34_100, 3 * 2 ** 20].map(size), ['0.50 B', '812 B', '33.3 KiB', '3.00 MiB']);
  assert.equal([0.0123, 4.5, 2340, Number.NaN].map(time), ['12.3 µs', '4.50 ms', '2.34 s', '–']);
  assert.equal([0.99971, 0.42, 0.056, -0.02, Number.NaN].map(percent), [
    '99.97 %',
    '42 %',
    '5.6 %',
    '−2.0 %',
    '–',
  ]);
});

test('times are those of each call', () => {
  let calls = 0;
  const { time: took, last } = timed(5, (i) => {
    calls++;
    return i;
  });
  assert.equal([calls, last, took.times], [5, 4, 5]);
  assert.ok(took.most >= took.median && took.median >= 0);
  const [a, b] = [dice(3), dice(3)];
  for (let i = 0; i < 50; i++) {
    const value = a(10);
    assert.is(value, b(10));
    assert.ok(Number.isInteger(value) && value >= 0 && value < 10);
  }
});

test.run();
