/** Short histories that were once recorded wrongly. */
import { test } from 'uvu';
import { live, type Op } from '../../support/history.js';

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

test.run();
