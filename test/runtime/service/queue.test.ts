/** The queue in front of a guest. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createQueue } from '../../../runtime/service/queue.js';
import { deferred } from './support.js';

const NEVER = { concurrency: 1, limit: 8, blocking: false };

test('jobs run in order, so many at a time', async () => {
  const queue = createQueue({ ...NEVER, concurrency: 2 });
  const gates = [deferred(), deferred(), deferred(), deferred()];
  const started: number[] = [];
  const done = gates.map((gate, i) =>
    queue.run(() => {
      started.push(i);
      return gate.promise;
    }),
  );
  assert.equal(started, [0, 1]);
  assert.is(queue.running, 2);
  assert.is(queue.waiting, 2);
  gates[1]!.resolve();
  await done[1];
  await Promise.resolve();
  assert.equal(started, [0, 1, 2]);
  for (const gate of gates) gate.resolve();
  await Promise.all(done);
  assert.equal(started, [0, 1, 2, 3]);
  await queue.idle();
  assert.is(queue.running + queue.waiting, 0);
});

test('past the limit a job is refused', async () => {
  const queue = createQueue({ ...NEVER, limit: 1 });
  const gate = deferred();
  const first = queue.run(() => gate.promise);
  const second = queue.run(() => 'second');
  assert.ok(queue.full);
  assert.equal(await queue.run(() => 'third'), { notRun: 'full' });
  gate.resolve();
  await first;
  assert.equal(await second, { value: 'second' });
});

test('a limit of 0 lets nothing wait, and runs what needs not', async () => {
  const queue = createQueue({ ...NEVER, limit: 0 });
  const gate = deferred();
  const first = queue.run(() => gate.promise);
  assert.equal(await queue.run(() => 1), { notRun: 'full' });
  gate.resolve();
  await first;
  await queue.idle();
  assert.equal(await queue.run(() => 2), { value: 2 });
});

test('a waiting job whose signal aborts never runs', async () => {
  const queue = createQueue(NEVER);
  const gate = deferred();
  const first = queue.run(() => gate.promise);
  const hangUp = new AbortController();
  let ran = false;
  const second = queue.run(() => {
    ran = true;
  }, hangUp.signal);
  const third = queue.run(() => 'third');
  hangUp.abort();
  assert.equal(await second, { notRun: 'aborted' });
  assert.is(queue.waiting, 1);
  gate.resolve();
  await first;
  assert.equal(await third, { value: 'third' });
  assert.not(ran);
});

test('a running job whose signal aborts goes on', async () => {
  const queue = createQueue(NEVER);
  const gate = deferred<string>();
  const hangUp = new AbortController();
  const job = queue.run(() => gate.promise, hangUp.signal);
  hangUp.abort();
  gate.resolve('done');
  assert.equal(await job, { value: 'done' });
});

test('a job that throws frees its place', async () => {
  const queue = createQueue(NEVER);
  let message = '';
  await queue
    .run(() => {
      throw new Error('no');
    })
    .catch((error: Error) => {
      message = error.message;
    });
  assert.is(message, 'no');
  assert.equal(await queue.run(() => 1), { value: 1 });
});

test('between two blocking jobs the event loop turns', async () => {
  const queue = createQueue({ ...NEVER, blocking: true });
  const events: string[] = [];
  const first = queue.run(() => {
    events.push('first');
    setImmediate(() => events.push('loop'));
  });
  const second = queue.run(() => void events.push('second'));
  await Promise.all([first, second]);
  assert.equal(events, ['first', 'loop', 'second']);
});

test.run();
