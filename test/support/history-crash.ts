/**
 * A program that records a sequence of checkpoints, always the same one, until it is killed, and goes on where it was when
 * it is started again; and what a history that it leaves has to be.
 *
 *     node history-crash.js DIRECTORY PROGRESS OPTIONS
 *
 * PROGRESS is a file of two numbers (u32): checkpoints begun, and done. They are written before and after each.
 */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { type History, openHistory } from '../../runtime/history/history.js';
import { createHistory, type RecordOptions } from '../../runtime/history/recorder.js';
import { assertBytes, randomly } from './history.js';
import { Copy, PAGE } from './history-naive.js';
import { Toy } from './history-toy.js';

export const PROGRAM = fileURLToPath(import.meta.url);

export interface CrashOptions extends Pick<RecordOptions, 'worker' | 'cache' | 'retention'> {
  /** Pages written by each checkpoint, whole and incompressible. */
  pages?: number;
  /** All is packed after so many checkpoints. */
  flushEvery?: number;
}

export const small = (): Toy => new Toy([1, 1], 1);

/** What the guest does before checkpoint `i`. */
export function act(toy: Toy, i: number, { pages = 0 }: CrashOptions): void {
  const random = randomly(i);
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, i, true);
  toy.write(0, 0, number);
  toy.write(0, random(16) * PAGE + random(PAGE), Uint8Array.of(random(256), random(256), random(256)));
  if (i % 5 === 0) toy.write(1, random(3) * PAGE, new Uint8Array(PAGE).fill(random(3)));
  if (i % 7 === 0) toy.setHost(new Uint8Array(random(300)).fill(i));
  for (let p = 0; p < pages; p++)
    toy.write(
      0,
      random(16) * PAGE,
      Uint8Array.from({ length: PAGE }, () => random(256)),
    );
  toy.globals[0] = BigInt(i);
}

/** The states after each checkpoint. */
export class Expected {
  private readonly toy = small();
  private readonly copies: Copy[] = [Copy.of(this.toy.whole())];

  constructor(private readonly options: CrashOptions) {}

  at(i: number): Copy {
    while (this.copies.length <= i) {
      act(this.toy, this.copies.length, this.options);
      this.copies.push(Copy.of(this.toy.whole(), this.copies.at(-1)));
    }
    return this.copies[i]!;
  }
}

/** The checkpoint (number of {@link act}) whose state an entry has. */
function checkpointOf(history: History, entry: number): number {
  for (let n = entry; n >= history.first; n--) {
    const { request } = history.entry(n);
    if (request !== undefined) return request;
  }
  // Only entries of which nothing is said: the state itself tells.
  return history.entry(entry).number === 0
    ? 0
    : Number(new DataView(history.read(entry, 0, 4).buffer).getUint32(0, true));
}

/**
 * Whether a history has all that was done, and is right: `all` of it, or the end and some of the rest.
 * @returns entries
 */
export async function verify(
  directory: string,
  expected: Expected,
  { begun, done }: { begun: number; done: number },
  seed: number,
  all = false,
): Promise<number> {
  const history = await openHistory(directory);
  try {
    const { first, last } = history;
    if (last < first) {
      assert.is(done, 0, 'nothing is there, and something was recorded');
      return 0;
    }
    const reached = checkpointOf(history, last);
    assert.ok(reached >= done, `checkpoint ${done} was recorded, and ${reached} is the last one there`);
    assert.ok(reached <= begun, `checkpoint ${reached} is there, and ${begun} was the last one begun`);
    const random = randomly(seed);
    const count = last - first + 1;
    const some = all
      ? Array.from({ length: count }, (_, i) => first + i)
      : Array.from({ length: 24 }, (_, i) => (i < 12 ? Math.max(first, last - i) : first + random(count)));
    let before = -1;
    for (const entry of some) {
      const checkpoint = checkpointOf(history, entry);
      const copy = expected.at(checkpoint);
      if (all)
        assert.ok((checkpoint >= before && checkpoint <= before + 1) || before < 0, 'one after the other');
      before = checkpoint;
      history
        .state(entry)
        .forEach((bytes, space) =>
          assertBytes(bytes, copy.whole(space), `space ${space} of entry ${entry}, checkpoint ${checkpoint}`),
        );
    }
    assert.equal(history.check(), []);
    return count;
  } finally {
    await history.close();
  }
}

export function progressOf(path: string): { begun: number; done: number } {
  if (!existsSync(path)) return { begun: 0, done: 0 };
  const bytes = readFileSync(path);
  if (bytes.length < 8) return { begun: 0, done: 0 };
  return { begun: bytes.readUInt32LE(0), done: bytes.readUInt32LE(4) };
}

async function main(directory: string, progress: string, options: CrashOptions): Promise<void> {
  const { worker, cache, retention, flushEvery = Infinity } = options;
  const store = await createHistory(directory);
  const toy = small();
  let i = 0;
  // Where it was.
  const history = await openHistory(directory).catch(() => undefined);
  if (history && history.last >= history.first) {
    i = checkpointOf(history, history.last);
    for (let k = 1; k <= i; k++) act(toy, k, options);
    toy.checkpoint();
  }
  await history?.close();
  const file = openSync(progress, existsSync(progress) ? 'r+' : 'w+');
  const numbers = new Uint32Array(1);
  const say = (at: number, n: number): void => {
    numbers[0] = n;
    writeSync(file, new Uint8Array(numbers.buffer), 0, 4, at);
  };
  say(0, i);
  say(4, i);
  const recorder = store.record(toy.guest, {
    ...(worker !== undefined && { worker }),
    ...(cache !== undefined && { cache }),
    ...(retention && { retention }),
  });
  process.stdout.write('.');
  for (i++; ; i++) {
    act(toy, i, options);
    recorder.note({ request: i } as object);
    say(0, i);
    toy.checkpoint();
    say(4, i);
    if (i % flushEvery === 0) await recorder.flush();
    else if (i % 64 === 0) await new Promise((later) => setImmediate(later));
    if (i > 1e6) break;
  }
  closeSync(file);
}

if (process.argv[1] === PROGRAM) {
  await main(process.argv[2]!, process.argv[3]!, JSON.parse(process.argv[4]!) as CrashOptions);
}
