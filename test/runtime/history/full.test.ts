/** The disk is full: nothing recorded before is lost, and recording goes on when there is room. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openHistory } from '../../../runtime/history/history.js';
import { createHistory } from '../../../runtime/history/recorder.js';
import { testUnless } from '../../support/engines-skip.js';
import { assertBytes, randomly } from '../../support/history.js';
import { type SmallDisk, smallDisk } from '../../support/history-full.js';
import { Copy, PAGE } from '../../support/history-naive.js';
import { Toy } from '../../support/history-toy.js';

const MIB = 2 ** 20;
const probe = smallDisk(MIB);
const why = typeof probe === 'string' ? probe : undefined;
if (typeof probe !== 'string') probe.remove();

const random = randomly(5);
const noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));

interface Failure extends Error {
  code?: string;
}

async function on(bytes: number, fn: (disk: SmallDisk) => Promise<void>): Promise<void> {
  const disk = smallDisk(bytes);
  assert.ok(typeof disk !== 'string', String(disk));
  try {
    await fn(disk as SmallDisk);
  } finally {
    (disk as SmallDisk).remove();
  }
}

async function assertHistory(directory: string, states: readonly Copy[]): Promise<void> {
  const history = await openHistory(directory);
  try {
    assert.is(history.last, states.length - 1);
    for (let entry = history.first; entry <= history.last; entry++) {
      history
        .state(entry)
        .forEach((bytes, space) =>
          assertBytes(bytes, states[entry]!.whole(space), `space ${space} at ${entry}`),
        );
    }
    assert.equal(history.check(), []);
  } finally {
    await history.close();
  }
}

for (const worker of [false, true]) {
  testUnless(test, why, `a full disk, and room again, ${worker ? 'with a worker' : 'inline'}`, () =>
    on(16 * MIB, async ({ directory, fill, clear }) => {
      const store = await createHistory(directory);
      const toy = new Toy();
      const recorder = store.record(toy.guest, { worker });
      const states = [Copy.of(toy.whole())];
      const attempt = (): Failure | undefined => {
        const copy = Copy.of(toy.whole(), states.at(-1));
        try {
          toy.checkpoint();
        } catch (error) {
          return error as Failure;
        }
        states.push(copy);
        return undefined;
      };
      let failures = 0;
      for (let round = 0; round < 4; round++) {
        fill(random(20_000));
        for (let i = 0; i < 12; i++) {
          toy.write(0, random(14) * PAGE, noise(random(2 * PAGE) + 1));
          toy.globals[0] = BigInt(random(1000));
          const failure = attempt();
          if (!failure) continue;
          failures++;
          assert.is(failure.code, 'ERR_BELAY_HISTORY_FULL', failure.stack);
          assert.match(failure.message, new RegExp(`checkpoint ${states.length} could not be recorded`));
          // The guest is where it was: it may be tried again, or rolled back.
          if (random(2)) toy.rollback('the disk is full');
          else assert.is(attempt()?.code, 'ERR_BELAY_HISTORY_FULL');
        }
        assert.ok(failures > round, 'the disk was full');
        await assertHistory(directory, states);
        clear();
        toy.write(0, 100, noise(50));
        assert.is(attempt(), undefined, 'there is room again');
      }
      await recorder.close();
      await store.close();
      await assertHistory(directory, states);
    }),
  );

  testUnless(test, why, `a full disk, and the guest goes on, ${worker ? 'with a worker' : 'inline'}`, () =>
    on(16 * MIB, async ({ directory, fill, clear }) => {
      const store = await createHistory(directory);
      const toy = new Toy();
      const errors: Failure[] = [];
      const recorder = store.record(toy.guest, { worker, onError: (error) => errors.push(error) });
      const states = [Copy.of(toy.whole())];
      const checkpoint = (): void => {
        const copy = Copy.of(toy.whole(), states.at(-1));
        const { next } = recorder.stats();
        toy.checkpoint();
        if (recorder.stats().next > next) states.push(copy);
      };
      for (let round = 0; round < 3; round++) {
        fill(random(20_000));
        for (let i = 0; i < 12; i++) {
          toy.write(0, random(14) * PAGE, noise(random(2 * PAGE) + 1));
          checkpoint();
        }
        assert.ok(errors.length > 0);
        for (const error of errors) assert.is(error.code, 'ERR_BELAY_HISTORY_FULL', error.stack);
        errors.length = 0;
        clear();
        toy.write(0, 100, noise(50));
        checkpoint();
        assert.is(errors.length, 0, 'there is room again');
        toy.globals[0] = BigInt(round);
        checkpoint();
      }
      await recorder.close();
      await store.close();
      await assertHistory(directory, states);
      const history = await openHistory(directory);
      assert.ok([...history.entries()].some(({ skipped }) => skipped > 0));
      assert.is(history.registers(history.last)[history.registers(0).length - 1], 0);
      await history.close();
    }),
  );

  testUnless(
    test,
    why,
    `a disk that is full when packing, with all in the journal, ${worker ? 'with a worker' : 'inline'}`,
    () =>
      on(12 * MIB, async ({ directory, fill, clear }) => {
        const states: Copy[] = [];
        const store = await createHistory(directory);
        const toy = new Toy();
        const recorder = store.record(toy.guest, { worker });
        states.push(Copy.of(toy.whole()));
        for (let i = 0; i < 60; i++) {
          toy.write(0, random(15) * PAGE, noise(PAGE));
          states.push(Copy.of(toy.whole(), states.at(-1)));
          toy.checkpoint();
        }
        fill(0);
        const failure = await recorder.flush().then(
          () => undefined,
          (error: Failure) => error,
        );
        assert.is(failure?.code, 'ERR_BELAY_HISTORY_FULL', failure?.stack);
        await assertHistory(directory, states);
        clear();
        await recorder.flush();
        await recorder.close();
        await store.close();
        await assertHistory(directory, states);
      }),
  );
}

test.run();
