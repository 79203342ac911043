/** `belay history`: each verb on histories of which every byte is known; what it prints, its exit codes, its JSON. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Entry } from '../../runtime/history/types.js';
import { ROOT, readDoc } from '../docs/blocks.js';
import { assertFails, belay, inFolder, type Run, shell } from './belay.js';
import { type NamedToy, recordToy } from './history-toy.js';

const test = suite('belay history');
const folder = mkdtempSync(join(tmpdir(), 'belay-history-'));
const notes = join(folder, 'notes');
const COUNTER = 0x1000;

/**
 *     0       start
 *     1..6    request n adds 1 to the counter at 0x1000, and to the global `hits`
 *     7       request 7 was rolled back
 *     8..12   requests 8 to 12 as before; 8 is labelled, 10 writes a string, 11 sets an element of the table
 */
async function recordNotes(directory: string): Promise<void> {
  await recordToy(directory, (toy) => {
    for (let n = 1; n <= 12; n++) {
      const route = n % 4 === 0 ? 'POST /notes' : 'GET /notes';
      toy.checkpoint({
        request: n,
        kind: route,
        digest: `${n}`.padStart(16, '0'),
        ...(n === 8 && { label: 'import' }),
      });
      toy.u32(COUNTER, n);
      toy.hits = n;
      if (n === 10) toy.write(0, 0x2000, Buffer.from('hello world\0bye\0'));
      if (n === 11) toy.setTable(1, 3);
      if (n === 7) toy.rollback('trap');
    }
    toy.checkpoint();
  });
}

test.before(() => recordNotes(notes));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const ask = (verb: string, ...args: string[]): Run => belay(['history', verb, ...args]);
const json = (run: Run): Record<string, unknown> => JSON.parse(run.out);

/** What was printed, with times and the folder's name made the same everywhere. */
function assertPrints(run: Run, expected: string, code = 0): void {
  assert.is(run.err, '');
  assert.is(run.code, code);
  const shown = run.out
    .replaceAll(folder, 'F')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<time>')
    .replace(/ \(\d+(\.\d+)? s\)/, ' (<span>)');
  assert.fixture(shown, expected.replace(/^\n/, ''));
}

// What there is.

test('info: how many, and how large', () => {
  const run = ask('info', notes);
  const expected = `
F/notes: 13 checkpoints, 0 to 12
  recorded        <time> to <time> (<span>)
  written pages   `;
  assertPrints({ ...run, out: run.out.replace(/(pages {2,})\d[\s\S]*/, '$1') }, expected);
  for (const row of ['stored', 'on disk', 'contents', 'chunks', 'not yet packed', 'memory', 'format']) {
    assert.match(run.out, new RegExp(`^  ${row}  +\\S`, 'm'));
  }
  assert.match(run.out, /^ {2}stored .* bytes a checkpoint, \d+\.\d % saved$/m);
  assert.match(run.out, /^ {2}module {10}(5a){32}\n {18}not in the history$/m);
});

test('info --json has what History.info() says', () => {
  const about = json(ask('info', notes, '--json'));
  assert.is(about.entries, 13);
  assert.is(about.first, 0);
  assert.is(about.last, 12);
  assert.is(about.memoryBytes, 65536);
  assert.is(about.module, '5a'.repeat(32));
  assert.is(about.moduleBytes, undefined);
  assert.is(about.damage, undefined);
  for (const key of [
    'version',
    'firstTime',
    'lastTime',
    'bytesOnDisk',
    'bytesStored',
    'bytesRaw',
    'unpacked',
  ]) {
    assert.type(about[key], 'number', key);
  }
});

test('info --check: all of it can be read', () => {
  const run = ask('info', notes, '--check');
  assert.is(run.code, 0);
  assert.ok(run.out.endsWith('\n  all of it can be read\n'), run.out);
  assert.equal(json(ask('info', notes, '--check', '--json')).damage, []);
});

test('info --check lists what is lost, with exit code 1', () =>
  inFolder(async (directory) => {
    const random = Buffer.alloc(4096);
    let x = 1;
    for (let i = 0; i < random.length; i++) {
      x = (x * 48271) % 2147483647;
      random[i] = x >> 8;
    }
    await recordToy(directory, (toy) => {
      toy.checkpoint({ request: 1 });
      toy.write(0, 0x4000, random);
      toy.checkpoint();
    });
    const file = join(directory, 'data.mdb');
    const bytes = readFileSync(file);
    const at = bytes.indexOf(random.subarray(100, 132));
    assert.ok(at > 0, 'a page of noise is stored as it is');
    bytes[at]! ^= 1;
    writeFileSync(file, bytes);
    const run = ask('info', directory, '--check');
    assert.is(run.code, 1);
    assert.is(run.err, '');
    assert.match(run.out, /\n {2}1 part cannot be read:\n {2}- page 4 of space 2 from checkpoint \d+ on\n$/);
    const checked = ask('info', directory, '--check', '--json');
    assert.is(checked.code, 1);
    assert.is((json(checked).damage as unknown[]).length, 1);
    assert.is(ask('info', directory).code, 0, 'only --check looks');
    assertFails(ask('show', directory, '0x4000'), 1, 'ERR_BELAY_HISTORY_DAMAGED');
  }));

test('list: the last ones, with what became of them', () => {
  assertPrints(
    ask('list', notes, '--last', '6'),
    `
F/notes: 13 checkpoints, 0 to 12
  number  time    request  route        kind         pages  bytes  notes
       7  <time>        7  GET /notes   rolled back      0      0  trap
       8  <time>        8  POST /notes  kept             2     12  import
       9  <time>        9  GET /notes   kept             2     12
      10  <time>       10  GET /notes   kept             3     28
      11  <time>       11  GET /notes   kept             3     16
      12  <time>       12  POST /notes  kept             2     12
`.replaceAll('time    ', 'time                      '),
  );
});

test('list leaves out columns that have nothing in them', () => {
  assertPrints(
    ask('list', notes, '--to', '0'),
    `
F/notes: 13 checkpoints, 0 to 12
  number  time                      kind   pages  bytes
       0  <time>  start      1     12
`,
  );
});

const numbers = (...args: string[]): number[] =>
  (json(ask('list', notes, '--json', ...args)).entries as { number: number }[]).map(({ number }) => number);

test('list: which ones', () => {
  assert.equal(numbers('--kind', 'rolled-back'), [7]);
  assert.equal(numbers('--kind', 'start'), [0]);
  assert.equal(numbers('--reason', 'tra'), [7]);
  assert.equal(numbers('--label', 'mpor'), [8]);
  assert.equal(numbers('--request', '5'), [5]);
  assert.equal(numbers('--route', 'POST'), [4, 8, 12]);
  assert.equal(numbers('--route', 'POST', '--last', '2'), [8, 12]);
  assert.equal(numbers('--route', 'POST', '--to', '-1'), [4, 8]);
  assert.equal(numbers('--digest', '000000000000001'), [10, 11, 12]);
  assert.equal(numbers('--from', '3', '--to', '5'), [3, 4, 5]);
  assert.equal(numbers('--from', '-2'), [10, 11, 12]);
  assert.equal(numbers('--from', '3', '--last', '1'), [12]);
  assert.equal(numbers('--label', 'nothing'), []);
});

test('list --json', () => {
  const { entries, ...all } = json(ask('list', notes, '--json', '--request', '7'));
  assert.equal(all, { count: 13, first: 0, last: 12 });
  const [{ time, ...entry }] = entries as [{ time: number }];
  assert.ok(Math.abs(Date.now() - time) < 600_000);
  assert.equal(entry, {
    number: 7,
    kind: 'rolled-back',
    request: 7,
    route: 'GET /notes',
    digest: '0000000000000007',
    reason: 'trap',
    skipped: 0,
    pages: 0,
    bytes: 0,
  });
});

test('a time finds the checkpoint of then', () => {
  const { entries } = json(ask('list', notes, '--json', '--request', '12'));
  const [{ time, number }] = entries as [{ time: number; number: number }];
  const entry = json(ask('show', notes, '--at', new Date(time).toISOString(), '--json')).entry;
  assert.is((entry as { number: number }).number, number);
  assertFails(ask('show', notes, '--at', '2001-01-01'), 1, 'ERR_BELAY_HISTORY', /the history begins at/);
});

// What it was.

test('show: a checkpoint', () => {
  assertPrints(
    ask('show', notes, '--at', '8'),
    `
checkpoint 8: kept
  time      <time>
  request   8
  route     POST /notes
  label     import
  digest    0000000000000008
  changed   12 bytes in 2 pages
  memory 0  65,536 bytes (64.0 KiB), memory
  table 0   3 elements, handlers
globals
  index  name  type  value
      0  hits  i32   8 (0x8)
      4        f64   2
`,
  );
});

test('show --json: a checkpoint', () => {
  const { entry, ...state } = json(ask('show', notes, '--at', '-2', '--json'));
  assert.is((entry as { number: number }).number, 10);
  assert.equal(state, {
    memories: [{ name: 'memory', bytes: 65536 }],
    tables: [{ index: 0, name: 'handlers', elements: 3 }],
    globals: [
      { index: 0, name: 'hits', type: 'i32', value: 10 },
      { index: 4, type: 'f64', value: 2.5 },
    ],
    hostBytes: 0,
    dropped: { data: [], elements: [] },
  });
});

test('show: memory as bytes, rows that repeat left out', () => {
  assertPrints(
    ask('show', notes, '0x2000:80'),
    `
00002000  68 65 6c 6c 6f 20 77 6f  72 6c 64 00 62 79 65 00  |hello world.bye.|
00002010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00002040  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
`,
  );
  assertPrints(
    ask('show', notes, '8190:4'),
    '00001ffe  00 00 68 65                                       |..he|\n',
  );
  assert.is(ask('show', notes, '0x2000', '--at', '9').out.split('\n')[0]!.slice(-18), '|................|');
});

test('show: as integers, floats and strings', () => {
  const shown = (...args: string[]) => ask('show', notes, '--at', 'last', ...args).out;
  assert.is(shown('0x1000:8', '--as', 'u8'), '00001000   12   0   0   0   0   0   0   0\n');
  assert.is(shown('0x1000:4', '--as', 'i16'), '00001000      12      0\n');
  assert.is(shown('0x1000:8', '--as', 'u32'), '00001000          12          0\n');
  assert.is(shown('0x2000:8', '--as', 'i64'), '00002000   8031924123371070824\n');
  assert.is(shown('0x1000:4', '--as', 'f32'), '00001000          1.7e-44\n');
  assert.is(shown('0x1000:8', '--as', 'f64'), '00001000                    6e-323\n');
  assert.is(shown('0x2000', '--as', 'string'), '00002000  "hello world"\n');
  assert.is(shown('0x2000:32', '--as', 'string'), '00002000  "hello world"\n0000200c  "bye"\n');
});

test('show --json: memory', () => {
  const { entry: _, ...shown } = json(ask('show', notes, '0x1000:8', '--as', 'u32', '--json'));
  const place = { memory: 0, address: 4096, length: 8 };
  assert.equal(shown, { ...place, as: 'u32', bytes: '0c00000000000000', values: [12, 0] });
  const long = json(ask('show', notes, '0x2000:8', '--as', 'u64', '--json'));
  assert.equal(long.values, ['8031924123371070824'], 'more than 53 bits are a string');
  const { entry: __, ...strings } = json(ask('show', notes, '0x2000', '--as', 'string', '--json'));
  assert.equal(strings, {
    ...{ memory: 0, address: 8192, length: 11, as: 'string' },
    bytes: Buffer.from('hello world').toString('hex'),
    values: [{ address: 8192, text: 'hello world' }],
  });
});

test('show: an address that is computed is that of the checkpoint', () => {
  const at = (entry: string, address: string) =>
    json(ask('show', notes, address, '--at', entry, '--json')).address;
  assert.is(at('5', 'hits * 16 + 0x10:4'), 96);
  assert.is(at('12', 'u32[0x1000] + 1'), 13);
  assert.is(at('12', '(hits > 3 ? 0x20 : 8):2'), 32);
});

test('--symbols: variables by name', () => {
  const map = join(folder, 'app.map');
  writeFileSync(map, '00001000 D counter\n00002000 D greeting\n');
  const symbols = ['--symbols', map];
  assert.is(json(ask('show', notes, 'greeting:11', '--json', ...symbols)).address, 0x2000);
  assert.is(json(ask('search', notes, 'u32[counter] > 5', '--count', '--json', ...symbols)).count, 7);
  assert.is(json(ask('bisect', notes, 'u32[counter] > 5', '--json', ...symbols)).turn, 6);
  const writes = json(ask('writes', notes, '--at', 'counter:4', '--json', ...symbols)).writes;
  assert.is((writes as unknown[]).length, 11);
  const unknown = ask('show', notes, 'greetin:11', ...symbols);
  assert.is(unknown.code, 2);
  assert.match(unknown.err, /did you mean 'greeting'/);
  writeFileSync(map, 'no map at all\n');
  const wrong = ask('show', notes, 'greeting:11', ...symbols);
  assert.is(wrong.code, 2);
  assert.match(wrong.err, /app\.map has no symbols as they are known here/);
});

test('diff: memory by address, the rest by name', () => {
  assertPrints(
    ask('diff', notes, '9', 'last'),
    `
checkpoint 9: GET /notes, request 9, <time>
checkpoint 12: POST /notes, request 12, <time>
global hits: 9 to 12
global 4: 2.25 to 3
table handlers[1]: null to function 17
memory 0
  address   bytes  before                               after
  00001000      1  09 |.|                               0c |.|
  00002000     15  00 00 00 00 00 00 00 00 |........|…  68 65 6c 6c 6f 20 77 6f |hello wo|…
16 bytes in 2 ranges, and 3 other changes
`,
  );
});

test('diff: --gap, --limit, backwards, and nothing', () => {
  const ranges = (...args: string[]) => json(ask('diff', notes, ...args, '--json'));
  assert.is(ranges('9', '12', '--gap', '0').rangeCount, 3);
  const limited = ask('diff', notes, '9', '12', '--gap', '0', '--limit', '1').out;
  assert.match(limited, /\n {2}… and 2 ranges more\n15 bytes in 3 ranges, and 3 other changes\n$/);
  assert.match(ask('diff', notes, '12', '9').out, /^global hits: 12 to 9$/m);
  assert.match(ask('diff', notes, '6', '7').out, /\nnothing is different\n$/);
});

test('diff --json', () => {
  const { from, to, ...rest } = json(ask('diff', notes, '4', '5', '--json'));
  assert.equal(
    [from, to].map((entry) => (entry as { number: number }).number),
    [4, 5],
  );
  assert.equal(rest, {
    changes: [
      { what: 'global hits', before: 4, after: 5 },
      { what: 'global 4', before: 1, after: 1.25 },
    ],
    ranges: [{ memory: 0, address: 4096, length: 1, before: '04', after: '05' }],
    rangeCount: 1,
    byteCount: 1,
  });
});

// When it became so.

test('writes: which request changed this?', () => {
  assertPrints(
    ask('writes', notes, '--at', '0x1000:4', '--as', 'u32', '--from', '6', '--to', '9'),
    `
4 bytes at 0x00001000 of memory 0, checkpoints 6 to 9
  number  time                      request  route        before  after  notes
       6  <time>        6  GET /notes        5      6
       8  <time>        8  POST /notes       6      8  import
       9  <time>        9  GET /notes        8      9
3 changes
`,
  );
  assertPrints(
    ask('writes', notes, '--at', '8192:12'),
    `
12 bytes at 0x00002000 of memory 0, checkpoints 0 to 12
  number  time                      request  route       before                               after
      10  <time>       10  GET /notes  00 00 00 00 00 00 00 00 |........|…  68 65 6c 6c 6f 20 77 6f |hello wo|…
1 change
`,
  );
  assert.match(ask('writes', notes, '--at', '0x3000').out, /\nnothing changed them\n$/);
  assert.match(ask('writes', notes, '--at', '0x1000', '--limit', '2').out, /\nthe first 2\n$/);
});

test('writes --json', () => {
  const asked = json(ask('writes', notes, '--at', '0x2000:16', '--as', 'string', '--json'));
  const { writes, ...rest } = asked;
  assert.equal(rest, { memory: 0, address: 8192, length: 16, from: 0, to: 12, as: 'string' });
  const [{ entry, before, after, ...values }] = writes as [Record<string, unknown>];
  assert.is((entry as { request: number }).request, 10);
  assert.is(before, '00'.repeat(16));
  assert.is(after, Buffer.from('hello world\0bye\0').toString('hex'));
  assert.equal(values, { beforeValue: '', afterValue: 'hello world' });
});

test('search: when does it hold?', () => {
  const run = ask('search', notes, 'u32[0x1000] % 4 == 0 || u32[0x1000] == 5');
  assertPrints(
    run,
    `
0                1 checkpoint, from start, <time>
4-5              2 checkpoints, from POST /notes, request 4, <time>
8                1 checkpoint, from POST /notes, request 8, <time>, import
12               1 checkpoint, from POST /notes, request 12, <time>
`,
  );
  const intervals = (...args: string[]) =>
    ask('search', notes, ...args)
      .out.trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0]);
  assert.equal(intervals('hits > 3'), ['4-12']);
  assert.equal(intervals('hits > 3', '--to', '9'), ['4-9']);
  assert.equal(intervals('hits % 2 == 0', '--first'), ['0']);
  assert.equal(intervals('hits % 2 == 0', '--last'), ['12']);
  assert.equal(intervals('hits % 2 == 0', '--limit', '2', '--from', '3'), ['4', '6-8']);
  assert.equal(intervals('u32[0x1000] > 5 && old(u32[0x1000]) <= 5'), ['6']);
  assert.equal(intervals('str[0x2000] == "hello world"'), ['10-12']);
});

test('search: exit codes as of grep, and --count', () => {
  assertPrints(ask('search', notes, 'hits > 3', '--count'), '9\n');
  assertPrints(ask('search', notes, 'hits > 300', '--count'), '0\n', 1);
  assertPrints(ask('search', notes, 'hits > 300'), '', 1);
  const nowhere = ask('search', notes, 'u32[70000] == 0');
  assert.is(nowhere.code, 1);
  assert.match(nowhere.err, /^belay: it had no value \d+ times that it was evaluated: docs/);
});

test('search --json', () => {
  const asked = ask('search', notes, 'u8[0x1000] == 6', '--json');
  assert.is(asked.code, 0);
  assert.equal(json(asked), {
    ...{ expression: 'u8[0x1000] == 6', from: 0, to: 12 },
    intervals: [{ from: 6, to: 7 }],
    ...{ count: 2, withoutValue: 0 },
  });
  const none = ask('search', notes, 'hits < 0', '--json', '--count');
  assert.is(none.code, 1);
  assert.equal(json(none), { expression: 'hits < 0', from: 0, to: 12, count: 0, withoutValue: 0 });
});

test('bisect: since when?', () => {
  const run = ask('bisect', notes, 'hits > 7');
  assertPrints(
    { ...run, out: run.out.replace(/^\(\d /m, '(5 ') },
    `
false up to 7, true from 8 on: POST /notes, request 8, <time>, import
(5 of 13 checkpoints were looked at)
`,
  );
  assert.match(
    ask('bisect', notes, 'hits < 3').out,
    /^true up to 2, false from 3 on: GET \/notes, request 3, /,
  );
});

test('bisect: both ends are alike', () => {
  const text = 'it turns an even number of times, or never; search says when it holds\n';
  assertPrints(ask('bisect', notes, 'hits >= 0'), `true at both ends, 0 and 12: ${text}`, 1);
  assertPrints(ask('bisect', notes, 'hits == 5', '--from', '2'), `false at both ends, 2 and 12: ${text}`, 1);
});

test('bisect --json', () => {
  const { entry, evaluated, ...rest } = json(ask('bisect', notes, 'hits > 7', '--json'));
  assert.is((entry as { label: string }).label, 'import');
  assert.type(evaluated, 'number');
  assert.equal(rest, {
    ...{ expression: 'hits > 7', from: 0, to: 12 },
    ...{ first: false, last: true, turn: 8, withoutValue: 0 },
  });
  const alike = json(ask('bisect', notes, 'hits > 70', '--json'));
  assert.is(alike.turn, undefined);
  assert.is(alike.first, false);
});

// What is let go.

test('prune: entries keep their numbers', () =>
  inFolder(async (directory) => {
    await recordNotes(directory);
    const run = ask('prune', directory, '--keep', '5');
    assert.is(run.code, 0, run.err);
    assert.match(
      run.out,
      /: 8 checkpoints removed, 5 checkpoints left \(8 to 12\); \S+ .?.?B stored, now \S+ /,
    );
    assert.match(ask('list', directory).out, /: 5 checkpoints, 8 to 12\n/);
    assert.is(ask('show', directory, '0x1000:4', '--as', 'u32', '--at', 'first').out.slice(-3), ' 8\n');
    const { removed, entries, first, last } = json(ask('prune', directory, '--before', '10', '--json'));
    assert.equal([removed, entries, first, last], [2, 3, 10, 12]);
    assert.equal(json(ask('prune', directory, '--keep', '99', '--json')).removed, 0);
    assertFails(ask('prune', directory, '--before', '3'), 1, 'ERR_BELAY_HISTORY', /those from 10 to 12/);
  }));

test('prune: not while somebody records', () =>
  inFolder(async (directory) => {
    await recordToy(directory, (toy: NamedToy) => {
      toy.checkpoint({ request: 1 });
      toy.u32(0, 1);
      toy.checkpoint();
      assertFails(ask('prune', directory, '--keep', '1'), 1, 'ERR_BELAY_HISTORY', /records into/);
      assert.match(ask('list', directory).out, /: 2 checkpoints, 0 to 1\n/, 'but one may look');
    });
  }));

// What can go wrong.

test('a directory that holds no history', () =>
  inFolder((directory) => {
    for (const verb of ['info', 'list', 'show']) {
      assertFails(ask(verb, directory), 1, 'ERR_BELAY_HISTORY', /holds no history: record one/);
      assertFails(ask(verb, join(directory, 'nowhere')), 1, 'ERR_BELAY_HISTORY', /nowhere holds no history/);
    }
    mkdirSync(join(directory, 'foreign'));
    writeFileSync(join(directory, 'foreign', 'data.mdb'), Buffer.alloc(20000, 7));
    assertFails(
      ask('info', join(directory, 'foreign')),
      1,
      'ERR_BELAY_HISTORY_VERSION',
      /something else than a history/,
    );
    // What a recorder leaves that is killed as it begins.
    writeFileSync(join(directory, 'foreign', 'data.mdb'), '');
    assertFails(ask('list', join(directory, 'foreign')), 1, 'ERR_BELAY_HISTORY', /holds no history/);
  }));

test('a checkpoint that there is not', () => {
  const gone = /there is no checkpoint \S+: the history has those from 0 to 12/;
  for (const at of ['13', '-13', '99999999']) {
    assertFails(ask('show', notes, '--at', at), 1, 'ERR_BELAY_HISTORY', gone);
  }
  assertFails(ask('diff', notes, '1', '13'), 1, 'ERR_BELAY_HISTORY', gone);
  assertFails(ask('list', notes, '--from', '13'), 1, 'ERR_BELAY_HISTORY', gone);
  for (const at of ['one', '1.5', '', '--']) {
    assertFails(ask('show', notes, `--at=${at}`), 2, 'ERR_BELAY_OPTION', /It is a number, first, last, -N/);
  }
  assertFails(ask('diff', notes, 'a', '1'), 2, 'ERR_BELAY_OPTION', /'a' is invalid/);
  assertFails(
    ask('list', notes, '--from', '5', '--to', '3'),
    2,
    'ERR_BELAY_OPTION',
    /--from 5 .* after --to 3/,
  );
});

test('bytes that there are not', () => {
  assertFails(ask('show', notes, '65536'), 1, 'ERR_BELAY_RANGE', /which had 65536 bytes at checkpoint 12/);
  assertFails(ask('show', notes, '65530:10'), 1, 'ERR_BELAY_RANGE', /10 bytes at 65530/);
  assertFails(ask('show', notes, '0', '--memory', '1'), 1, 'ERR_BELAY_RANGE', /there is no memory 1/);
  assertFails(ask('writes', notes, '--at', '0xffff:2'), 1, 'ERR_BELAY_RANGE');
  assertFails(ask('show', notes, '0x1000:6', '--as', 'u32'), 2, 'ERR_BELAY_OPTION', /no whole number of u32/);
  assertFails(ask('show', notes, 'hits / 0.5'), 2, 'ERR_BELAY_OPTION', /no integer/);
  assertFails(ask('show', notes, '1 / (hits - 12)'), 2, 'ERR_BELAY_OPTION', /has no value at checkpoint 12/);
  assertFails(ask('writes', notes, '--at', '0x2000', '--as', 'string'), 2, 'ERR_BELAY_OPTION', /0x2000:64/);
});

test('an expression that is wrong is shown, and where', () => {
  for (const [verb, args] of [
    ['search', [notes, 'u32[hit] > 5']],
    ['bisect', [notes, 'u32[hit] > 5']],
    ['show', [notes, 'u32[hit] > 5']],
    ['writes', [notes, '--at', 'u32[hit] > 5']],
  ] as const) {
    const run = ask(verb, ...args);
    assert.is(run.code, 2, verb);
    assert.is(run.out, '');
    assert.match(
      run.err,
      /^belay: column 5: nothing is called 'hit'; did you mean 'hits'\? \(ERR_BELAY_EXPRESSION\)\n {2}u32\[hit\] > 5\n {6}\^\^\^\n$/,
    );
  }
  assert.match(ask('search', notes, 'hits').err, /a condition is expected/);
});

test('search and bisect fail with 2, whatever it is', () => {
  for (const verb of ['search', 'bisect']) {
    assertFails(ask(verb, join(folder, 'nowhere'), 'hits == 1'), 2, 'ERR_BELAY_HISTORY');
    assertFails(ask(verb, notes, 'hits == 1', '--from', '77'), 2, 'ERR_BELAY_HISTORY');
    assertFails(ask(verb, notes), 2, 'ERR_BELAY_OPTION', /missing required argument 'expression'/);
  }
  assertFails(ask('search', notes, 'hits == 1', '--first', '--last'), 2, 'ERR_BELAY_OPTION', /give one/);
});

test('a command line that is wrong', () => {
  assertFails(
    ask('serch', notes),
    2,
    'ERR_BELAY_OPTION',
    /'serch'; did you mean search\? see belay history --help/,
  );
  assertFails(ask('list', notes, '--lats', '3'), 2, 'ERR_BELAY_OPTION', /did you mean --last\?/);
  assertFails(ask('list', notes, '--last', '0'), 2, 'ERR_BELAY_OPTION', /at least 1/);
  assertFails(ask('list', notes, '--kind', 'lost'), 2, 'ERR_BELAY_OPTION', /start, kept, rolled-back/);
  assertFails(ask('show', notes, '0', '--as', 'u128'), 2, 'ERR_BELAY_OPTION', /u8, i8/);
  assertFails(ask('writes', notes), 2, 'ERR_BELAY_OPTION', /--at/);
  assertFails(ask('prune', notes), 2, 'ERR_BELAY_OPTION', /one of them/);
  assertFails(ask('prune', notes, '--keep', '3', '--before', '5'), 2, 'ERR_BELAY_OPTION', /one of them/);
  const none = belay(['history']);
  assert.is(none.code, 2);
  assert.is(none.out, '');
  assert.match(none.err, /^Usage: belay history <verb>/);
});

test('help: every verb has examples, all of whose options exist', () => {
  const { out } = belay(['history', '--help']);
  assert.is(belay(['history', 'help']).out, out);
  assert.is(belay(['help', 'history']).out, out);
  assert.is(belay(['history', 'help', 'list']).out, ask('list', '--help').out);
  for (const verb of ['info', 'list', 'show', 'diff', 'writes', 'search', 'bisect', 'call', 'prune']) {
    assert.match(out, new RegExp(`^ {2}${verb} `, 'm'));
    const run = ask(verb, '--help');
    assert.is(run.code, 0);
    const [usage = '', examples = ''] = run.out.split('Examples:');
    assert.match(examples, new RegExp(`\\$ belay history ${verb} `));
    for (const [flag] of examples.matchAll(/(?<= )--[a-z-]+/g)) assert.ok(usage.includes(flag), flag);
  }
});

// A real guest.

test('the notes service: the examples of docs/cli.md', () =>
  inFolder((directory) => {
    const examples = [
      ...readDoc('docs/cli.md').matchAll(/^ {4}\$ (belay history .*)\n((?: {4}(?!\$ ).*\n)*)/gm),
    ];
    assert.ok(examples.length > 8);
    const run = belay([
      ...['run', join(ROOT, 'samples/notes/notes.wasm'), '--record', join(directory, 'history')],
      ...['--requests', join(ROOT, 'samples/notes/requests.txt')],
    ]);
    assert.is(run.code, 0, run.err);
    for (const [, command, text] of examples) {
      const asked = shell(`cd ${directory} && ${command!.replace(/^belay/, '$BELAY')}`);
      assert.is(asked.code, 0, asked.err);
      const promised = text!.replace(/^ {4}/gm, '');
      // The rest of a long answer; sizes depend on packages, times on the machine.
      const isShort = promised.endsWith('  …\n');
      const lines = promised.split('\n').length - 2;
      const shown = isShort ? `${asked.out.split('\n').slice(0, lines).join('\n')}\n  …\n` : asked.out;
      assert.fixture(comparable(shown), comparable(promised), command);
    }
  }));

const comparable = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/\d+(\.\d+)? (s|[KM]iB|%)/g, '<n> $2')
    .replace(/[\d,]+ bytes a checkpoint/, '<n> bytes a checkpoint');

test('the notes service: who wrote this?', () =>
  inFolder((directory) => {
    const requests = join(directory, 'requests.txt');
    const history = join(directory, 'history');
    writeFileSync(
      requests,
      'POST /notes one\nPOST /notes sesquipedalian\nPOST /crash/scribble\nGET /notes\n',
    );
    const run = belay([
      ...['run', join(ROOT, 'samples/notes/notes.wasm'), '--requests', requests, '--record', history],
    ]);
    assert.is(run.code, 0, run.err);
    const { entries } = json(ask('list', history, '--json')) as { entries: Entry[] };
    assert.equal(
      entries.map(({ kind, request, route }) => [kind, request, route]),
      [
        ['start', undefined, undefined],
        ['kept', 1, 'POST /notes'],
        ['kept', 2, 'POST /notes'],
        ['rolled-back', 3, 'POST /crash'],
        ['kept', 4, 'GET /notes'],
      ],
    );
    const { memories } = json(ask('show', history, '--json')) as { memories: { bytes: number }[] };
    const { bytes } = json(ask('show', history, `0:${memories[0]!.bytes}`, '--json')) as { bytes: string };
    const at = Buffer.from(bytes, 'hex').indexOf('sesquipedalian');
    assert.ok(at > 0);
    const { writes } = json(ask('writes', history, '--at', `${at}:14`, '--as', 'string', '--json')) as {
      writes: { entry: Entry; afterValue: string }[];
    };
    const wrote = writes.find(({ afterValue }) => afterValue === 'sesquipedalian');
    assert.ok(wrote && wrote.entry.request! >= 2);
    const turn = ask('bisect', history, `str(${at}, 14) == 'sesquipedalian'`);
    assert.match(turn.out, /^false up to \d, true from \d on: /);
    assert.match(ask('show', history).out, /^ +\d+ {2}__stack_pointer {2}i32 {3}\d+ \(0x[\da-f]+\)$/m);
  }));

// What is safe.

test('whoever reads may have seen enough', () =>
  inFolder(async (directory) => {
    const many = join(directory, 'many');
    await recordToy(many, (toy) => {
      for (let n = 1; n <= 6000; n++) {
        toy.checkpoint({ request: n, kind: 'GET /' });
        toy.u32(COUNTER, n);
      }
      toy.checkpoint();
    });
    const first = (command: string) => shell(`{ $BELAY history ${command}; echo $? >&2; } | head -n 2`);
    for (const command of [
      `list ${many} --from 0`,
      `list ${many} --from 0 --json`,
      `writes ${many} --at 0x1000`,
      `search ${many} 'u32[0x1000] % 2 == 0'`,
      `diff ${many} first last`,
      `show ${many} 0:65536 --as u8`,
    ]) {
      const run = first(command);
      assert.is(run.out.split('\n').length, 3, command);
      assert.is(run.err, '0\n', command);
    }
    const all = ask('list', many, '--from', '0', '--json');
    assert.is((json(all).entries as unknown[]).length, 6001);
    assert.is(ask('search', many, 'u32[0x1000] % 2 == 0', '--count').out, '3001\n');
  }));

test('what a client or guest said does nothing to the terminal', () =>
  inFolder(async (directory) => {
    const evil = '\u001b[2J\u009b1m\nbelay: \u202eok';
    await recordToy(directory, (toy) => {
      toy.checkpoint({ request: 1, kind: `GET /${evil}`, label: evil });
      toy.write(0, 0x1000, Buffer.from(`${evil}\0`));
      toy.checkpoint();
    });
    for (const run of [
      ask('list', directory),
      ask('show', directory),
      ask('show', directory, '0x1000'),
      ask('show', directory, '0x1000', '--as', 'string'),
      ask('diff', directory, 'first', 'last'),
      ask('writes', directory, '--at', '0x1000:8', '--as', 'string'),
      ask('search', directory, 'true'),
      ask('search', directory, 'u8[0x1000] != 0'),
      ask('bisect', directory, 'u8[0x1000] != 0'),
    ]) {
      assert.is(run.code, 0, run.err);
      assert.not.match(run.out, /[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u);
      assert.not.match(run.out, /^belay:/m);
    }
  }));

test('a history of nothing yet', () =>
  inFolder(async (directory) => {
    await recordToy(directory, () => {});
    assert.match(ask('list', directory).out, /: 1 checkpoint, 0 to 0\n/);
    assert.match(ask('info', directory).out, /: 1 checkpoint, 0 to 0\n/);
    assert.match(ask('bisect', directory, 'hits == 0').out, /^true at both ends, 0 and 0/);
  }));

test.run();
