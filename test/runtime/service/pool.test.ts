/** Guests in threads: what a thread's death means. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createPool } from '../../../runtime/service/pool.js';
import type { RollbackPolicy } from '../../../runtime/service/types.js';
import { reactor } from './guests.js';
import { guestRequest, text, until } from './support.js';

// A thread that is being replaced does not keep the process alive; in a service the open port does.
const alive = setInterval(() => {}, 1000);
test.after(() => clearInterval(alive));

async function started(rollback: RollbackPolicy, deadline = 0) {
  const module = await WebAssembly.compile(await reactor());
  const lost: Error[] = [];
  const pool = await createPool(
    { module, load: {}, run: { rollback, deadline } },
    1,
    (error) => void lost.push(error),
  );
  const get = async (target: string) => text((await pool.run(guestRequest({ target }))).response!.body);
  return { pool, lost, get };
}

for (const rollback of ['on-failure', 'always'] as const) {
  test(`a thread that dies at work fails its request; its state is lost, which matters if ${rollback}`, async () => {
    const { pool, lost, get } = await started(rollback);
    assert.is(await get('/c'), '0102');
    const looping = get('/l').then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
    await pool.threads[0]!.terminate();
    assert.is(await looping, 'ERR_BELAY_SERVICE');
    assert.is(lost.length > 0, rollback === 'on-failure');
    // Whoever goes on finds a fresh guest.
    await until('there is a thread again', () => pool.threads.length === 1);
    assert.is(await get('/c'), '0102');
    await pool.close();
  });
}

test('a program that does not start is an error that says so', async () => {
  const module = await WebAssembly.compile(await reactor());
  try {
    await createPool({ module, load: {}, run: { rollback: 'never' as never } });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'ERR_BELAY_OPTION');
  }
  try {
    await createPool({ module, load: { dirs: {} }, run: {} });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'ERR_BELAY_OPTION');
    assert.match((error as Error).message, 'wasi node');
  }
});

test.run();
