/**
 * A program that damages copies of a history, asks each copy everything, and says what came of it; in a process of its
 * own, because a damaged store may end it.
 *
 *     node history-damage.js MODEL SCRATCH FROM TO
 *
 * Prints `N begin WHAT`, and then `N OUTCOME`, for each damage from FROM to TO.
 */
import {
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BelayError } from '../../contract/errors.js';
import { openHistory } from '../../runtime/history/history.js';
import { createHistory } from '../../runtime/history/recorder.js';
import { randomly } from './history.js';
import { act, Expected, small } from './history-crash.js';

export const DAMAGE_PROGRAM = fileURLToPath(import.meta.url);
const OPTIONS = { worker: false } as const;
const PACKED = 260;
export const CHECKPOINTS = 330;

/** A history of which a part is packed, in several transactions, and a part is not. */
export async function makeModel(directory: string, copy: string): Promise<void> {
  const store = await createHistory(directory);
  const toy = small();
  const recorder = store.record(toy.guest, OPTIONS);
  for (let i = 1; i <= CHECKPOINTS; i++) {
    act(toy, i, OPTIONS);
    recorder.note({ request: i, label: `checkpoint ${i}` } as object);
    toy.checkpoint();
    if (i <= PACKED && i % 65 === 0) await recorder.flush();
    if (i === PACKED) await startJournalFile(recorder);
  }
  cpSync(directory, copy, { recursive: true });
  rmSync(join(copy, 'recorder.lock'), { force: true });
  await recorder.close();
  await store.close();
}

/** Has the recorder go on in another file of the journal. */
function startJournalFile(recorder: object): void {
  const inside = recorder as { file?: { at: number } };
  inside.file!.at += 2 ** 30;
}

/** Does the damage of a number, and says what it is. */
export function damage(directory: string, n: number): string {
  const random = randomly(n);
  const journal = join(directory, 'journal');
  const files = [
    join(directory, 'data.mdb'),
    join(directory, 'data.mdb'),
    ...readdirSync(journal)
      .sort()
      .map((name) => join(journal, name)),
  ];
  const file = files[random(files.length)]!;
  const name = file.slice(directory.length + 1);
  const { size } = statSync(file);
  switch (random(10)) {
    case 0: {
      const length = random(size);
      truncateSync(file, length);
      return `${name} cut to ${length} of ${size}`;
    }
    case 1:
      if (name === 'data.mdb') return 'nothing';
      rmSync(file);
      return `${name} removed`;
    case 2: {
      writeFileSync(
        file,
        Uint8Array.from({ length: 100 + random(9000) }, () => random(256)),
      );
      return `${name} is something else`;
    }
    case 3: {
      const at = random(size);
      const length = 1 + random(600);
      change(file, at, (bytes) => bytes.fill(0), Math.min(length, size - at));
      return `${name}: ${length} zeros at ${at}`;
    }
    default: {
      const at = random(size);
      const bit = 1 << random(8);
      change(file, at, (bytes) => {
        bytes[0]! ^= bit;
      });
      return `${name}: bit ${bit} at ${at}`;
    }
  }
}

function change(file: string, at: number, fn: (bytes: Uint8Array) => void, length = 1): void {
  const fd = openSync(file, 'r+');
  const bytes = new Uint8Array(length);
  readSync(fd, bytes, 0, length, at);
  fn(bytes);
  writeSync(fd, bytes, 0, length, at);
  closeSync(fd);
}

class Outcome {
  readonly errors = new Map<string, string>();
  right = 0;
  wrong: string | undefined;
  untyped: string | undefined;

  attempt(what: string, fn: () => string | undefined): void {
    try {
      const wrong = fn();
      if (wrong === undefined) this.right++;
      else this.wrong ??= `${what}: ${wrong}`;
    } catch (error) {
      this.failed(what, error);
    }
  }

  failed(what: string, error: unknown): void {
    if (error instanceof BelayError && error.code.startsWith('ERR_BELAY_HISTORY'))
      this.errors.set(error.code, error.message);
    else this.untyped ??= `${what}: ${(error as Error).stack}`;
  }

  toString(): string {
    if (this.wrong !== undefined) return `WRONG ${this.wrong}`;
    if (this.untyped !== undefined) return `UNTYPED ${this.untyped.replaceAll('\n', ' | ')}`;
    return `${this.errors.size === 0 ? 'right' : [...this.errors.keys()].join(' ')} (${this.right})`;
  }
}

const differs = (got: Uint8Array, wanted: Uint8Array): string | undefined =>
  Buffer.compare(got, wanted) === 0 ? undefined : 'other bytes';

/** Asks everything. */
async function ask(directory: string, expected: Expected, seed: number, what: string): Promise<Outcome> {
  const outcome = new Outcome();
  const random = randomly(seed);
  let told = 0;
  let last = -1;
  try {
    const history = await openHistory(directory);
    try {
      last = history.last;
      outcome.attempt('check', () => {
        told = history.check().length;
        return undefined;
      });
      outcome.attempt('entries', () => {
        let n = 0;
        for (const entry of history.entries()) {
          const wanted = n === 0 ? undefined : n;
          if (entry.number !== n || entry.request !== wanted) return `entry ${n} is ${JSON.stringify(entry)}`;
          n++;
        }
        return undefined;
      });
      outcome.attempt('info', () => void history.info());
      for (let i = 0; i < 40 && last >= 0; i++) {
        const entry = i === 0 ? last : random(last + 1);
        const copy = expected.at(entry);
        outcome.attempt(`state ${entry}`, () => {
          const state = history.state(entry);
          return state.map((bytes, s) => differs(bytes, copy.whole(s))).find((wrong) => wrong !== undefined);
        });
        const at = random(60_000);
        outcome.attempt(`read ${entry}`, () =>
          differs(history.read(entry, at, 5000), copy.read(2, at, 5000)),
        );
        const other = random(last + 1);
        outcome.attempt(`diff ${entry} ${other}`, () => {
          for (const { memory, address, length, before, after } of history.diff(entry, other)) {
            if (memory === undefined) continue;
            const wrong =
              differs(before, copy.read(2 + memory, address, length)) ??
              differs(after, expected.at(other).read(2 + memory, address, length));
            if (wrong) return wrong;
          }
          return undefined;
        });
      }
      outcome.attempt('writes', () => {
        let n = 0;
        for (const { entry, after } of history.writes(0, 4)) {
          n++;
          if (entry !== n || new DataView(after.buffer).getUint32(0, true) !== n)
            return `write ${entry} for ${n}`;
        }
        return n === last || last < 0 ? undefined : `${n} writes in ${last}`;
      });
      outcome.attempt('search', () => {
        const found = [...history.search('u32[0] == entry')];
        return last < 0 || (found.length === 1 && found[0]!.to === last) ? undefined : JSON.stringify(found);
      });
    } finally {
      await history.close();
    }
  } catch (error) {
    outcome.failed('open', error);
  }
  // Checkpoints that are gone must be told of by somebody; but nobody knows of a file that is gone, or was cut off.
  if (outcome.errors.size === 0 && told === 0 && last !== CHECKPOINTS && !/journal.*(cut|removed)/.test(what))
    outcome.wrong ??= `silently, ${last} is the last checkpoint`;
  return outcome;
}

/** Goes on recording, and looks whether that is right. */
async function goOn(directory: string, expected: Expected): Promise<Outcome> {
  const outcome = new Outcome();
  try {
    const store = await createHistory(directory);
    let from = -1;
    try {
      const toy = small();
      for (let i = 1; i <= CHECKPOINTS; i++) act(toy, i, OPTIONS);
      toy.checkpoint();
      const recorder = store.record(toy.guest, OPTIONS);
      from = recorder.stats().next - 1;
      for (let i = CHECKPOINTS + 1; i < CHECKPOINTS + 100; i++) {
        act(toy, i, OPTIONS);
        toy.checkpoint();
      }
      await recorder.close();
    } finally {
      await store.close();
    }
    const history = await openHistory(directory);
    for (let i = 0; i < 100; i++) {
      const copy = expected.at(CHECKPOINTS + i);
      outcome.attempt(`state ${from + i}`, () =>
        history
          .state(from + i)
          .map((bytes, s) => differs(bytes, copy.whole(s)))
          .find((wrong) => wrong !== undefined),
      );
    }
    await history.close();
  } catch (error) {
    outcome.failed('record', error);
  }
  return outcome;
}

async function main(model: string, scratch: string, from: number, to: number): Promise<void> {
  const expected = new Expected(OPTIONS);
  for (let n = from; n < to; n++) {
    const directory = join(scratch, String(n));
    cpSync(model, directory, { recursive: true });
    const what = damage(directory, n);
    process.stdout.write(`${n} begin ${what}\n`);
    const asked = await ask(directory, expected, n, what);
    process.stdout.write(`${n} asked ${asked}\n`);
    if (n % 3 === 0) process.stdout.write(`${n} went on ${await goOn(directory, expected)}\n`);
    process.stdout.write(`${n} end\n`);
    rmSync(directory, { recursive: true, force: true });
  }
}

if (process.argv[1] === DAMAGE_PROGRAM) {
  const [, , model, scratch, from, to] = process.argv;
  await main(model!, scratch!, Number(from), Number(to));
}
