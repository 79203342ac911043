/** Many read while one records, packs and prunes: in this process and in others; always right. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHistory, type RecordOptions } from '../../../runtime/history/recorder.js';
import { discard, randomly, temporary } from '../../support/history.js';
import { act, Expected, small } from '../../support/history-crash.js';
import { READER, Reader } from '../../support/history-reader.js';

/** Milliseconds of recording. Longer: BELAY_HISTORY_SECONDS=60. */
const DURATION = Number(process.env.BELAY_HISTORY_SECONDS ?? 3) * 1000;

function startReader(directory: string, seed: number) {
  const child = spawn(process.execPath, [READER, directory, String(seed)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const out = Promise.all([text(child.stdout), text(child.stderr)]);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return async (): Promise<number> => {
    child.stdin.end();
    const code = await ended;
    const [stdout, stderr] = await out;
    assert.is(code, 0, stderr);
    return Number(stdout);
  };
}

const kinds: Record<string, RecordOptions> = {
  'a worker packs, keeps some and has a small cache': { cache: 1, retention: { count: 150 } },
  'a worker keeps what is small': { retention: { bytes: 150_000 } },
  'packed by the recorder itself': { worker: false, retention: { count: 300 } },
};

for (const [name, options] of Object.entries(kinds)) {
  test(`read while it is recorded: ${name}`, async () => {
    const directory = temporary();
    try {
      const random = randomly(name.length);
      const store = await createHistory(directory);
      const toy = small();
      const recorder = store.record(toy.guest, options);
      const stops = [1, 2].map((seed) => startReader(directory, seed));
      const expected = new Expected({});
      const readers = [3, 4, 5].map((seed) => new Reader(directory, expected, seed));
      const end = performance.now() + DURATION;
      let i = 1;
      while (performance.now() < end) {
        for (let n = random(30); n > 0; n--, i++) {
          act(toy, i, {});
          recorder.note({ request: i } as object);
          toy.checkpoint();
        }
        if (random(4) === 0) await recorder.flush();
        const reader = readers[random(readers.length)]!;
        await reader.look();
        assert.equal(reader.damage(), []);
        await new Promise((later) => setImmediate(later));
      }
      for (const reader of readers) {
        await reader.look();
        assert.ok(reader.looks > 0);
        await reader.close();
      }
      for (const stop of stops) assert.ok((await stop()) > 0);
      await recorder.close();
      await store.close();
    } finally {
      discard(directory);
    }
  });
}

test.run();
