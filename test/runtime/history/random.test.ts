/** Random histories: every answer is that of a naive one, which keeps a full copy of every state. */
import fc from 'fast-check';
import { test } from 'uvu';
import { check, live, lives, longLife, sessions } from '../../support/history.js';

/** More of it: BELAY_HISTORY_RUNS=1000. */
const RUNS = Number(process.env.BELAY_HISTORY_RUNS ?? 40);
/** Of a long life: BELAY_HISTORY_OPS=100000. */
const OPS = Number(process.env.BELAY_HISTORY_OPS ?? 6000);

test('random histories, packed while the guest waits', async () => {
  await check(
    fc.asyncProperty(lives, sessions, async (ops, session) => live(ops, { ...session, worker: false })),
    RUNS,
  );
});

test('random histories, packed by a worker', async () => {
  await check(
    fc.asyncProperty(lives, sessions, async (ops, session) => live(ops, { ...session, worker: true }, 5)),
    Math.ceil(RUNS / 6),
  );
});

test('a long history: many pieces of everything', async () => {
  await live(longLife(1, OPS), { worker: false }, 30);
});

test.run();
