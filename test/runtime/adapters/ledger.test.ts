/** What is announced, and when: with a guest that only notes what it is told. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Ledger } from '../../../runtime/adapters/ledger.js';
import type { AdapterOptions } from '../../../runtime/adapters/types.js';
import type { Companion, Guest } from '../../../runtime/types.js';

function setUp(options: AdapterOptions = {}) {
  const announced: [number, number][] = [];
  let pages = 2;
  let companion!: Companion;
  const guest = {
    join: (joined: Companion) => {
      companion = joined;
    },
  } as unknown as Guest;
  const ledger = new Ledger(options);
  ledger.attach(guest, {
    'belay:size:0': () => pages,
    'belay:touch:0': (pointer: number, length: number) => announced.push([pointer, length]),
  } as unknown as WebAssembly.Exports);
  const take = () => announced.splice(0);
  return { ledger, take, companion, grow: (n: number) => (pages = n) };
}

test('nothing is announced before the first checkpoint', () => {
  const { ledger, take } = setUp();
  ledger.handOut(4096, 10);
  ledger.touch(8192, 10);
  assert.equal(take(), []);
});

test('what was handed out before a checkpoint is announced after it, and after a rollback', () => {
  const { ledger, take, companion } = setUp();
  ledger.handOut(4096, 10);
  companion.checkpoint();
  assert.equal(take(), [[4096, 10]]);
  companion.rollback();
  assert.equal(take(), [[4096, 10]]);
});

test('what was released is not', () => {
  const { ledger, take, companion } = setUp();
  ledger.handOut(4096, 10);
  ledger.release(4096);
  companion.checkpoint();
  assert.equal(take(), []);
});

test('a rollback takes back what was handed out and released since the checkpoint', () => {
  const { ledger, take, companion } = setUp();
  ledger.handOut(4096, 10);
  companion.checkpoint();
  ledger.release(4096);
  ledger.handOut(8192, 20);
  ledger.handOut(4096, 5);
  companion.rollback();
  take();
  companion.checkpoint();
  assert.equal(take(), [[4096, 10]]);
});

test('a restored stack pointer ends the frames below it, and a rollback brings them back', () => {
  const { ledger, take, companion } = setUp();
  ledger.handOutFrame(9000, 16);
  ledger.handOutFrame(8000, 16);
  companion.checkpoint();
  assert.equal(take(), [
    [9000, 16],
    [8000, 16],
  ]);
  ledger.restoreStack(9000);
  companion.checkpoint();
  assert.equal(take(), [[9000, 16]]);
  ledger.restoreStack(100000);
  companion.rollback();
  assert.equal(take(), [[9000, 16]]);
});

test('a new frame ends those that lie below its end', () => {
  const { ledger, take, companion } = setUp();
  ledger.handOutFrame(8000, 16);
  ledger.handOutFrame(8500, 16);
  companion.checkpoint();
  assert.equal(take(), [[8500, 16]]);
});

test('a pointer that comes back in another epoch is announced from then on', () => {
  const { ledger, take, companion } = setUp();
  companion.checkpoint();
  ledger.passed(5000);
  companion.checkpoint();
  assert.equal(take(), []);
  ledger.passed(5000);
  companion.checkpoint();
  assert.equal(take(), [[5000, 64]]);
});

test('ranges are cut off at the end of memory, and addresses are unsigned', () => {
  const { ledger, take, companion, grow } = setUp();
  companion.checkpoint();
  ledger.touch(131000, 1000);
  ledger.touch(200000, 10);
  ledger.touch(-10, 5);
  assert.equal(take(), [[131000, 72]]);
  grow(4);
  ledger.touch(200000, 10);
  assert.equal(take(), [[200000, 10]]);
});

test('a rollback is told of a smaller memory', () => {
  const { ledger, take, companion, grow } = setUp();
  companion.checkpoint();
  grow(4);
  assert.ok(ledger.isPointer(200000));
  grow(2);
  companion.rollback();
  assert.not(ledger.isPointer(200000));
  ledger.touch(200000, 10);
  assert.equal(take(), []);
});

test('past the limit the least used range is forgotten, and counted', () => {
  const { ledger, take, companion } = setUp({ remember: { ranges: 2 } });
  companion.checkpoint();
  ledger.handOut(4000, 1);
  ledger.handOut(5000, 1);
  companion.checkpoint();
  ledger.passed(4000);
  ledger.handOut(6000, 1);
  take();
  companion.checkpoint();
  assert.equal(take(), [
    [4000, 1],
    [6000, 1],
  ]);
  assert.is(ledger.stats().forgotten, 1);
});

test('an epoch with very many allocations keeps the newest', () => {
  const { ledger, companion } = setUp({ remember: { ranges: 10000 } });
  companion.checkpoint();
  for (let i = 0; i < 5000; i++) ledger.handOut(2048 + 16 * i, 16);
  const { remembered, forgotten } = ledger.stats();
  assert.is(remembered, 4096);
  assert.is(forgotten, 904);
  companion.rollback();
  assert.is(ledger.stats().remembered, 0);
});

test('a range past the limit of length is announced once', () => {
  const { ledger, take, companion } = setUp({ remember: { length: 100 } });
  companion.checkpoint();
  ledger.handOut(4000, 101);
  assert.equal(take(), [[4000, 101]]);
  companion.checkpoint();
  assert.equal(take(), []);
  assert.is(ledger.stats().tooLong, 1);
});

test('pinned ranges stay, whatever is rolled back', () => {
  const { ledger, take, companion } = setUp();
  companion.checkpoint();
  ledger.pin(4000, 8);
  take();
  companion.rollback();
  assert.equal(take(), [[4000, 8]]);
  ledger.unpin(4000);
  companion.checkpoint();
  assert.equal(take(), []);
});

test('effects that were put off happen at the checkpoint, and never after a rollback', () => {
  const { ledger, companion } = setUp();
  const done: string[] = [];
  ledger.defer(() => done.push('at once'));
  companion.checkpoint();
  ledger.defer(() => done.push('dropped'));
  companion.rollback();
  ledger.defer(() => done.push('later'));
  assert.equal(done, ['at once']);
  companion.checkpoint();
  assert.equal(done, ['at once', 'later']);
});

test.run();
