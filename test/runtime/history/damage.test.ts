/**
 * Damaged histories: every answer is right, or an error that names what is lost, or a check lists it. What is damaged in
 * the tree of the store itself, which LMDB does not check, may end the process (docs/history.md); nothing else may.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openHistory } from '../../../runtime/history/history.js';
import { journalFiles } from '../../../runtime/history/journal.js';
import { openStore } from '../../../runtime/history/open.js';
import { createHistory } from '../../../runtime/history/recorder.js';
import type { Table } from '../../../runtime/history/store.js';
import { assertBytes, discard, randomly, temporary } from '../../support/history.js';
import { act, Expected, small } from '../../support/history-crash.js';
import { CHECKPOINTS, DAMAGE_PROGRAM, makeModel } from '../../support/history-damage.js';
import { Toy } from '../../support/history-toy.js';

/** Damages. Thousands: BELAY_HISTORY_DAMAGES=5000. */
const DAMAGES = Number(process.env.BELAY_HISTORY_DAMAGES ?? 30);

const root = temporary();
const model = join(root, 'model');

test.before(async () => {
  await makeModel(join(root, 'made'), model);
  mkdirSync(join(root, 'scratch'));
});
test.after(() => discard(root));

test('random damage: right, or told of', () => {
  let crashes = 0;
  for (let from = 0; from < DAMAGES; ) {
    const { stdout, stderr, status, signal } = spawnSync(
      process.execPath,
      [DAMAGE_PROGRAM, model, join(root, 'scratch'), String(from), String(DAMAGES)],
      { encoding: 'utf8', timeout: 300_000, maxBuffer: 2 ** 28 },
    );
    const bad = stdout.split('\n').filter((line) => /WRONG|UNTYPED/.test(line));
    assert.equal(bad, []);
    const begun = [...stdout.matchAll(/^(\d+) begin (.*)$/gm)].at(-1);
    assert.ok(begun, stderr);
    if (status === 0) break;
    assert.ok(
      signal !== null && begun![2]!.startsWith('data.mdb'),
      `${begun![0]}: ended with ${signal ?? status}: ${stderr}`,
    );
    crashes++;
    from = Number(begun![1]) + 1;
  }
  assert.ok(crashes < DAMAGES / 4, `${crashes} of ${DAMAGES} end the process`);
});

let copies = 0;
function copy(): string {
  const directory = join(root, `copy ${copies++}`);
  cpSync(model, directory, { recursive: true });
  return directory;
}

const coded =
  (code: string, message: RegExp) =>
  (error: { code?: string; message: string }): boolean =>
    error.code === code && message.test(error.message);

async function refused(fn: () => Promise<unknown>, code: string, message: RegExp): Promise<void> {
  let caught: { code?: string; message: string } | undefined;
  try {
    await fn();
  } catch (error) {
    caught = error as Error;
  }
  assert.ok(caught && coded(code, message)(caught), JSON.stringify(caught?.message));
}

test('a bit of any value is another: it is named, and nothing is wrong', async () => {
  const directory = copy();
  const random = randomly(3);
  const expected = new Expected({});
  const store = openStore(directory);
  const keys: [Table, Uint8Array][] = [];
  const change = (table: Table, key: Uint8Array, at: number, bit: number): void => {
    const snapshot = store.snapshot();
    const value = Uint8Array.from(snapshot.get(table, key)!);
    snapshot.done();
    value[at % value.length]! ^= bit;
    store.write((t) => t.put(table, key, value));
  };
  const snapshot = store.snapshot();
  for (const table of ['entries', 'chunks', 'contents'] as const)
    for (const key of snapshot.keys(table, new Uint8Array(1))) keys.push([table, Uint8Array.from(key)]);
  snapshot.done();
  const history = await openHistory(directory);
  const ask = (fn: () => void): void => {
    try {
      fn();
    } catch (error) {
      assert.is((error as { code?: string }).code, 'ERR_BELAY_HISTORY_DAMAGED', (error as Error).stack);
    }
  };
  for (const [table, key] of keys) {
    // The count of references, which comes first, is no part of what is checked.
    const at = table === 'contents' ? 4 + random(6) : random(1000);
    const bit = 1 << random(8);
    change(table, key, at, bit);
    history.refresh();
    assert.ok(history.check().length > 0, `${table} ${Buffer.from(key).toString('hex')}, byte ${at}`);
    for (let i = 0; i < 4; i++) {
      const entry = random(history.last + 1);
      ask(() => {
        const state = history.state(entry);
        for (const [space, bytes] of state.entries())
          assertBytes(bytes, expected.at(entry).whole(space), 'state');
      });
      ask(() => assert.is(history.entry(entry).label, entry === 0 ? undefined : `checkpoint ${entry}`));
    }
    change(table, key, at, bit);
  }
  history.refresh();
  assert.equal(history.check(), []);
  await history.close();
  await store.close();
});

test('a journal that is damaged in its middle: what is before is there, and the rest is named', async () => {
  const directory = copy();
  const { path } = journalFiles(directory).at(-1)!;
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 2)]! ^= 4;
  writeFileSync(path, bytes);
  const history = await openHistory(directory);
  assert.ok(history.last > 260 && history.last < CHECKPOINTS);
  assert.equal(history.check(), [
    { what: `the journal from checkpoint ${history.last + 1} on`, entry: history.last + 1 },
  ]);
  await history.close();
});

test('the last record of a journal is cut off: that checkpoint is lost, and nothing is damaged', async () => {
  const directory = copy();
  const { path } = journalFiles(directory).at(-1)!;
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, bytes.length - 3));
  const history = await openHistory(directory);
  assert.is(history.last, CHECKPOINTS - 1);
  assert.equal(history.check(), []);
  await history.close();
});

test('a file of the journal is gone: the gap is named, and recording goes on before it', async () => {
  const directory = copy();
  // What is not packed is in three files, and the second one goes.
  const all = readFileSync(journalFiles(directory).at(-1)!.path);
  const expected = new Expected({});
  const store = await createHistory(directory);
  const toy = small();
  for (let i = 1; i <= CHECKPOINTS; i++) act(toy, i, {});
  toy.checkpoint();
  const recorder = store.record(toy.guest, { worker: false });
  act(toy, CHECKPOINTS + 1, {});
  toy.checkpoint();
  const next = recorder.stats().next;
  const files = journalFiles(directory);
  const gone = join(directory, 'journal', `${String(next + 5).padStart(12, '0')}.log`);
  writeFileSync(gone, all);
  const history = await openHistory(directory);
  assert.is(history.last, next - 1);
  assert.equal(
    history.check().map(({ entry }) => entry),
    [next],
  );
  await history.close();
  await refused(
    () => recorder.close(),
    'ERR_BELAY_HISTORY_DAMAGED',
    new RegExp(`entries ${next} to ${next + 4}`),
  );
  await store.close().catch(() => {});
  assert.ok(files.length > 0);

  const again = await createHistory(directory);
  const other = again.record(toy.guest, { worker: false });
  assert.is(other.stats().next, next + 1);
  for (let i = CHECKPOINTS + 2; i < CHECKPOINTS + 12; i++) {
    act(toy, i, {});
    toy.checkpoint();
  }
  await other.close();
  await again.close();
  assert.ok(readdirSync(join(directory, 'journal')).some((name) => name.endsWith('.lost')));
  const after = await openHistory(directory);
  assert.equal(after.check(), []);
  assert.is(after.last, next + 10);
  assert.equal(after.state(after.last)[2], expected.at(CHECKPOINTS + 11).whole(2));
  await after.close();
});

test('foreign files, and other versions', async () => {
  const journal = copy();
  writeFileSync(journalFiles(journal).at(-1)!.path, 'something else, and long enough');
  await refused(() => openHistory(journal), 'ERR_BELAY_HISTORY_VERSION', /no journal of a history/);

  const newer = copy();
  const { path } = journalFiles(newer).at(-1)!;
  const bytes = readFileSync(path);
  bytes.writeUInt16LE(77, 6);
  writeFileSync(path, bytes);
  await refused(() => openHistory(newer), 'ERR_BELAY_HISTORY_VERSION', /journal of version 77/);

  const foreign = copy();
  writeFileSync(join(foreign, 'data.mdb'), Buffer.alloc(50_000, 'no store'));
  await refused(() => openHistory(foreign), 'ERR_BELAY_HISTORY_VERSION', /something else/);

  const more = copy();
  writeFileSync(join(more, 'journal', 'notes.txt'), 'mine');
  appendFileSync(join(more, 'README'), 'mine');
  const history = await openHistory(more);
  assert.is(history.last, CHECKPOINTS);
  await history.close();

  await refused(() => openHistory(join(root, 'nowhere')), 'ERR_BELAY_HISTORY', /holds no history/);
});

test('the history of another module is not recorded into', async () => {
  const store = await createHistory(copy());
  const toy = new Toy();
  const guest = {
    ...toy,
    contract: { ...toy.contract, module: 'f'.repeat(64) },
  } as unknown as typeof toy.guest;
  assert.throws(() => store.record(guest), coded('ERR_BELAY_HISTORY', /another module/));
  await store.close();
});

test.run();
