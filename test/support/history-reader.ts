/**
 * Reads a history again and again while it is recorded (by history-crash.ts's sequence, in a fresh directory), and looks
 * whether all is right; as a program, until its standard input ends:
 *
 *     node history-reader.js DIRECTORY SEED
 */
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import type { Damage } from '../../runtime/history/check.js';
import { type History, openHistory } from '../../runtime/history/history.js';
import { assertBytes, randomly } from './history.js';
import { Expected } from './history-crash.js';

export const READER = fileURLToPath(import.meta.url);

/** One look at a history: opened, or refreshed, or neither, and read at random. */
export class Reader {
  looks = 0;
  private readonly random: (below: number) => number;
  private history: History | undefined;
  private last = -1;

  constructor(
    private readonly directory: string,
    private readonly expected: Expected,
    seed: number,
  ) {
    this.random = randomly(seed);
  }

  async look(): Promise<void> {
    const { random, expected } = this;
    if (this.history && random(8) === 0) await this.close();
    this.history ??= await openHistory(this.directory);
    const { history } = this;
    if (random(2)) history.refresh();
    const { first, last } = history;
    assert.ok(last >= this.last, `the last checkpoint was ${this.last}, and is ${last}`);
    this.last = last;
    if (last < first) return;
    const some = () => first + random(last - first + 1);
    const entry = random(3) === 0 ? last : some();
    const copy = expected.at(entry);
    history
      .state(entry)
      .forEach((bytes, space) => assertBytes(bytes, copy.whole(space), `space ${space} at ${entry}`));
    const { request } = history.entry(entry);
    assert.is(request, entry === 0 ? undefined : entry);
    const other = some();
    const at = random(60_000);
    assertBytes(history.read(other, at, 500), expected.at(other).read(2, at, 500), `a part at ${other}`);
    const [from, to] = [Math.min(entry, other), Math.max(entry, other)];
    const found = [...history.writes(0, 4, { from, to })].map((write) => write.entry);
    assert.is(found.length, to - Math.max(from, first + 1) + 1, `writes from ${from} to ${to}`);
    assert.equal([...history.search(`u32[0] == entry`, { from, to })], [{ from, to }]);
    // Another process's recorder is in the middle of a write, sometimes.
    if (random(4) === 0) assert.equal(this.damage(), []);
    this.looks++;
  }

  /** What a check finds; nothing, where all is well, whatever is being written. */
  damage(): Damage[] {
    return this.history?.check() ?? [];
  }

  async close(): Promise<void> {
    await this.history?.close();
    this.history = undefined;
    this.last = -1;
  }
}

if (process.argv[1] === READER) {
  let going = true;
  process.stdin.once('end', () => {
    going = false;
  });
  process.stdin.resume();
  const reader = new Reader(process.argv[2]!, new Expected({}), Number(process.argv[3]));
  do {
    await reader.look();
    await new Promise((later) => setImmediate(later));
  } while (going);
  await reader.close();
  process.stdout.write(`${reader.looks}\n`);
}
