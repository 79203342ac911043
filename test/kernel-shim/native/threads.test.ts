/** Worker threads: each watches memories of its own, at the same time, and may end at any time. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import { addon, Guest, MISSING, NATIVE_MECHANISMS, randomFrom, runAs, unavailable } from './support.js';

const USABLE = NATIVE_MECHANISMS.filter((name) => unavailable(name) === undefined);

/** Random operations on some memories; the number of mismatches. */
function play(module: WebAssembly.Module, seed: number, operations: number): number {
  const random = randomFrom(seed);
  const make = () => {
    const guest = Guest.of(module);
    const watched = addon.attach(guest.memory.buffer, USABLE[random(USABLE.length)]!);
    watched.checkpoint();
    return { guest, watched, before: guest.copy() };
  };
  const all = Array.from({ length: 6 }, make);
  let wrong = 0;
  for (let n = 0; n < operations; n++) {
    const which = random(all.length);
    const { guest, watched, before } = all[which]!;
    const size = guest.bytes.length;
    const kind = random(100);
    if (kind < 60) guest.exports.poke(random(size), random(256));
    else if (kind < 70) guest.exports.fill(random(size >> 1), random(256), random(size >> 1));
    else if (kind < 80) {
      watched.rollback();
      if (guest.differs(before) !== -1) wrong++;
    } else if (kind < 90) {
      watched.checkpoint();
      all[which]!.before = guest.copy();
    } else if (kind < 93) {
      try {
        guest.exports.poke(size + random(100000), 1);
        wrong++;
      } catch (error) {
        if (!(error instanceof WebAssembly.RuntimeError)) wrong++;
      }
    } else if (kind < 95 && size < 40 * 65536) {
      guest.exports.grow(1);
      watched.resized(guest.memory.buffer);
    } else if (kind < 96) {
      if (random(2) === 0) watched.detach(); // or left to the collector
      all[which] = make();
    }
  }
  return wrong;
}

if (isMainThread) {
  testUnless(test, MISSING, 'five workers and the main thread at once', async () => {
    const module = await Guest.module(8, 64);
    const workers = [1, 2, 3, 4, 5].map(
      (seed) => new Worker(new URL(import.meta.url), { workerData: { module, seed } }),
    );
    const results = workers.map(
      (worker) =>
        new Promise<number>((resolve, reject) => {
          worker.on('message', resolve);
          worker.on('error', reject);
        }),
    );
    assert.is(play(module, 99, 1500), 0);
    assert.equal(await Promise.all(results), [0, 0, 0, 0, 0]);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  testUnless(test, MISSING, 'a worker that is terminated in the middle', async () => {
    const module = await Guest.module(8, 64);
    for (let n = 0; n < 5; n++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: { module, seed: n, endless: true } });
      await new Promise((resolve) => worker.on('message', resolve));
      await worker.terminate();
      assert.is(play(module, n, 200), 0);
    }
  });

  testUnless(test, MISSING, 'a process in which only a worker had loaded the addon', () => {
    const { status, output } = runAs('late', new URL('threads-child.js', import.meta.url).href);
    assert.is(status, 0, output);
    assert.match(output, /RuntimeError after the worker/);
  });

  test.run();
} else {
  const { module, seed, endless } = workerData as {
    module: WebAssembly.Module;
    seed: number;
    endless?: boolean;
  };
  do parentPort!.postMessage(play(module, seed, endless ? 100 : 1500));
  while (endless);
}
