/**
 * A process that records is killed at any moment: what it had recorded is there, byte for byte, and recording goes on
 * from there.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { discard, randomly, temporary } from '../../support/history.js';
import { type CrashOptions, Expected, PROGRAM, progressOf, verify } from '../../support/history-crash.js';

/** Times that each is killed. Hundreds: BELAY_HISTORY_KILLS=300. */
const KILLS = Number(process.env.BELAY_HISTORY_KILLS ?? 6);

/** Starts the program and kills it, some milliseconds after it has begun to record, or before. */
function killed(directory: string, progress: string, options: CrashOptions, delay: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, directory, progress, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const kill = () => child.kill('SIGKILL');
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    // Also while it starts: `delay` below zero.
    const early = delay < 0 ? setTimeout(kill, 400 + delay) : undefined;
    child.stdout.once('data', () => setTimeout(kill, Math.max(0, delay)));
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(early);
      if (signal === 'SIGKILL') resolve(said);
      else reject(new Error(`it ended by itself, with ${code ?? signal}: ${said}`));
    });
  });
}

async function killAgainAndAgain(options: CrashOptions, kills: number, seed: number): Promise<number> {
  const random = randomly(seed);
  const parent = temporary();
  const [directory, progress] = [join(parent, 'history'), join(parent, 'progress')];
  const expected = new Expected(options);
  let entries = 0;
  let { begun, done } = { begun: 0, done: 0 };
  try {
    for (let i = 0; i < kills; i++) {
      await killed(
        directory,
        progress,
        options,
        random(8) === 0 ? -random(400) : random(random(2) ? 150 : 900),
      );
      ({ begun, done } = progressOf(progress));
      if (done > 0) entries = await verify(directory, expected, { begun, done }, i);
    }
    entries = await verify(directory, expected, { begun, done }, seed, true);
  } finally {
    discard(parent);
  }
  return entries;
}

const kinds: Record<string, CrashOptions> = {
  'with a worker that packs often': { worker: true, flushEvery: 20, cache: 1 },
  'with a worker that packs when it likes to': { worker: true },
  'while the guest waits, often': { worker: false, flushEvery: 13 },
  'with large records, many files of the journal and little room': {
    worker: true,
    pages: 12,
    retention: { bytes: 300_000 },
  },
};

for (const [name, options] of Object.entries(kinds)) {
  test(`killed again and again, ${name}`, async () => {
    assert.ok((await killAgainAndAgain(options, KILLS, name.length)) > 0);
  });
}

test('killed once, in fresh directories', async () => {
  for (let i = 0; i < KILLS / 2; i++) {
    await killAgainAndAgain({ worker: i % 2 === 0, flushEvery: 1 + (i % 5) }, 1, i);
  }
});

test.run();
