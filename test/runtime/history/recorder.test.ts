/** Short histories that were once recorded wrongly. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import type { Codec } from '../../../runtime/history/codec.js';
import { createHistory, openHistory } from '../../../runtime/history/index.js';
import type { JournalRecord } from '../../../runtime/history/journal.js';
import { Packer } from '../../../runtime/history/pack.js';
import type { Store } from '../../../runtime/history/store.js';
import type { EpochInfo } from '../../../runtime/types.js';
import { discard, live, type Op, pattern, temporary } from '../../support/history.js';
import { Toy } from '../../support/history-toy.js';

const checkpoint: Op = { do: 'checkpoint', info: undefined };
const write = (at: number, ...bytes: number[]): Op => ({
  do: 'write',
  memory: 0,
  at,
  bytes: Uint8Array.from(bytes),
});
const again = (guest: 'same' | 'fresh' | 'restored'): Op => ({ do: 'again', session: {}, guest });

for (const worker of [false, true]) {
  const name = (what: string) => `${what}${worker ? ', with a worker' : ''}`;

  test(name('a page that was packed earlier gets more versions'), async () => {
    await live([write(0, 1), checkpoint, again('same'), write(1, 2), checkpoint], { worker, cache: 1 });
  });
}

test('state that became smaller and larger again has zeros, and not what it had', async () => {
  const host = (bytes: Uint8Array): Op[] => [{ do: 'host', bytes }, checkpoint];
  await live([...host(pattern(100, 1)), ...host(pattern(20, 1)), ...host(new Uint8Array(100))], {
    worker: false,
  });
});

test('a fresh guest has less memory than the one before had', async () => {
  const grow: Op[] = [{ do: 'grow', memory: 0 }, write(70_000, 1, 2, 3, 4, 5)];
  await live([...grow, checkpoint, again('fresh'), { do: 'grow', memory: 0 }, checkpoint], {
    worker: false,
  });
});

test('a loaded state has less memory, which grows again', async () => {
  const large: Op[] = [{ do: 'grow', memory: 0 }, write(70_000, 1, 2, 3, 4, 5), checkpoint];
  const small: Op = { do: 'load', seed: 0 };
  for (const every of [1, 2, 3])
    await live([...large, checkpoint, small, { do: 'grow', memory: 0 }, checkpoint, checkpoint, checkpoint], {
      worker: false,
      every,
    });
});

test('a rollback undoes what was written before recording began', async () => {
  const rollback: Op = { do: 'rollback', reason: undefined };
  await live([write(0, 1, 2, 3, 4, 5), again('same'), rollback, write(100, 1), checkpoint], {
    worker: false,
  });
});

test('many parts of one page in one checkpoint', async () => {
  const parts = Array.from({ length: 30 }, (_, i) => write(i * 136, 255 - i, i));
  const others = parts.map((_, i) => write(i * 136 + 64, i));
  await live([...parts, checkpoint, ...others, checkpoint, write(5, 5), checkpoint, ...parts, checkpoint], {
    worker: false,
  });
});

test('what is as it was when it was last recorded has no entry, whatever checkpoints saw meanwhile', async () => {
  const there: Op[] = [write(0, 2), checkpoint];
  const back: Op[] = [write(0, 1), checkpoint];
  await live([write(0, 1), checkpoint, checkpoint, ...there, ...back, ...there, checkpoint], {
    worker: false,
    every: 2,
  });
});

test('what comes while something is packed waits for the next time', async () => {
  const directory = temporary();
  const history = await createHistory(directory);
  try {
    const toy = new Toy();
    const recorder = history.record(toy.guest, { worker: false });
    const { store, codec } = history as unknown as { store: Store; codec: Codec };
    let packs = 0;
    /** A guest that is never idle. */
    class Busy extends Packer {
      override pack(records: readonly JournalRecord[]): void {
        super.pack(records);
        if (++packs > 50) return;
        toy.write(0, packs, Uint8Array.of(packs));
        toy.checkpoint();
      }
    }
    await new Busy(store, codec, directory).packJournal();
    assert.is(packs, 1);
    assert.is(recorder.stats().next, 2);
  } finally {
    await history.close();
    discard(directory);
  }
});

test('what an entry cannot say of a request is refused before anything is done', async () => {
  const directory = temporary();
  const store = await createHistory(directory);
  try {
    const toy = new Toy();
    const recorder = store.record(toy.guest, { worker: false });
    const refused: readonly [EpochInfo, RegExp][] = [
      [{ request: 2 ** 51 }, /from 0 to 2\^51 - 1; it is 2251799813685248/],
      [{ request: -1 }, /it is -1/],
      [{ request: 1.5 }, /it is 1.5/],
      [{ digest: '00ff' }, /16 hexadecimal digits .* it is "00ff"/],
      [{ digest: '00000000000000fg' }, /it is "00000000000000fg"/],
    ];
    for (const [info, message] of refused) {
      const says = (error: BelayError) => error.code === 'ERR_BELAY_OPTION' && message.test(error.message);
      assert.throws(() => toy.checkpoint(info), says);
      assert.throws(() => recorder.note(info), says);
    }
    assert.is(recorder.stats().next, 1);
    toy.write(0, 0, Uint8Array.of(1));
    const info = { request: 2 ** 51 - 1, digest: '00000000000000FF' };
    toy.checkpoint(info);
    toy.checkpoint({ request: 0 });
    const history = await openHistory(directory);
    const told = () => {
      history.refresh();
      return [...history.entries()].map(({ request, digest }) => [request, digest]);
    };
    const inJournal = told();
    await recorder.flush();
    assert.equal(told(), inJournal, 'packed or not');
    assert.equal(inJournal[2], [2 ** 51 - 1, '00000000000000ff']);
    await history.close();
  } finally {
    await store.close();
    discard(directory);
  }
});

test.run();
