/**
 * Plays random histories: a toy guest (history-toy.ts), a recorder of it, and a naive history (history-naive.ts) that is
 * told the same; and compares every answer of the one with that of the other.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { GuestState } from '../../runtime/guest/state.js';
import { chunkPlace, openChunk } from '../../runtime/history/chunks.js';
import { loadCodec } from '../../runtime/history/codec.js';
import { type History, openHistory } from '../../runtime/history/history.js';
import { openStore } from '../../runtime/history/open.js';
import {
  createHistory,
  type HistoryStore,
  type Recorder,
  type RecordOptions,
} from '../../runtime/history/recorder.js';
import { type Copy, Naive, PAGE, type Predicate, SPACES } from './history-naive.js';
import { type Info, TOY_CONTRACT, Toy, WASM_PAGE } from './history-toy.js';

/** What happens. Places are taken modulo what there is. */
export type Op =
  | { do: 'write'; memory: 0 | 1; at: number; bytes: Uint8Array }
  /** A whole page of a content by number; 0: zeros. */
  | { do: 'fill'; memory: 0 | 1; page: number; content: number }
  | { do: 'copy'; memory: 0 | 1; page: number; to: number }
  | { do: 'grow'; memory: 0 | 1 }
  | { do: 'global'; which: 0 | 1; value: bigint }
  | { do: 'table'; index: number; value: number }
  | { do: 'growTable' }
  | { do: 'host'; bytes: Uint8Array }
  | { do: 'drop'; segment: 0 | 1 }
  | { do: 'note'; info: Info }
  | { do: 'checkpoint'; info: Info | undefined }
  | { do: 'rollback'; reason: string | undefined }
  /** A state from the past is loaded. */
  | { do: 'load'; seed: number }
  /** Checkpoints with a small write each. */
  | { do: 'burst'; count: number; at: number }
  /** All that is recorded is packed. */
  | { do: 'pack' }
  | { do: 'prune'; part: number }
  /** The recorder ends and another one begins, with the same guest, a fresh one, or one that goes on from the history. */
  | { do: 'again'; session: Session; guest: 'same' | 'fresh' | 'restored' }
  /** Somebody asks, while it is recorded. */
  | { do: 'ask'; seed: number };

export type Session = Pick<RecordOptions, 'every' | 'worker' | 'retention' | 'cache' | 'lag' | 'maxLag'>;

const info: fc.Arbitrary<Info> = fc.record(
  {
    request: fc.oneof(fc.nat({ max: 10 }), fc.nat({ max: 2 ** 48 })),
    kind: fc.constantFrom('GET /', 'POST /notes', ''),
    label: fc.oneof(fc.constantFrom('one', 'two'), fc.string({ unit: 'grapheme', maxLength: 40 })),
    digest: fc.constantFrom('00000000000000ff', 'ffffffffffffffff', '0123456789abcdef'),
  },
  { requiredKeys: [] },
);
const memory = fc.constantFrom<0 | 1>(0, 0, 0, 1);
/** Few pages are written often; the ends of pages matter. */
const page = fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: 63 }));
const at = fc
  .tuple(page, fc.oneof(fc.constantFrom(0, 4, 4090, 4095), fc.nat({ max: 4095 })))
  .map(([p, i]) => p * PAGE + i);
const bytes = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 40 }) },
  { weight: 1, arbitrary: fc.nat({ max: 6000 }).map((n) => new Uint8Array(n + 1)) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat({ max: 6000 }), fc.nat({ max: 255 })).map(([n, b]) => pattern(n + 1, b)),
  },
);

export const sessions: fc.Arbitrary<Session> = fc.record(
  {
    every: fc.constantFrom(1, 1, 2, 3),
    retention: fc.oneof(
      { weight: 3, arbitrary: fc.constant({}) },
      { weight: 1, arbitrary: fc.record({ count: fc.integer({ min: 1, max: 60 }) }) },
      { weight: 1, arbitrary: fc.record({ age: fc.integer({ min: 1, max: 20_000 }) }) },
      { weight: 1, arbitrary: fc.record({ bytes: fc.integer({ min: 1, max: 200_000 }) }) },
    ),
    // A cache that keeps nothing, and one that keeps all.
    cache: fc.constantFrom(1, 20_000, 64 * 2 ** 20),
  },
  { requiredKeys: [] },
);

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('write'), memory, at, bytes }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fill'), memory, page, content: fc.nat({ max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('copy'), memory, page, to: page }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('grow'), memory }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('global'),
      which: fc.constantFrom<0 | 1>(0, 1),
      value: fc.oneof(
        fc.bigInt({ min: -3n, max: 9n }),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('table'), index: fc.nat({ max: 9 }), value: fc.nat({ max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('growTable') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('host'), bytes }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop'), segment: fc.constantFrom<0 | 1>(0, 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('note'), info }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('checkpoint'), info: fc.option(info, { nil: undefined }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('rollback'),
      reason: fc.option(fc.constantFrom('it threw', 'it took too long'), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('load'), seed: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('burst'), count: fc.integer({ min: 1, max: 40 }), at }),
  },
) as fc.Arbitrary<Op>;

const seldom: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ do: fc.constant('pack') }),
  fc.record({ do: fc.constant('prune'), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({
    do: fc.constant('again'),
    session: sessions,
    guest: fc.constantFrom('same', 'fresh', 'restored'),
  }),
  fc.record({ do: fc.constant('ask'), seed: fc.nat() }),
) as fc.Arbitrary<Op>;

/** What happens in a short life. */
export const lives: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof({ weight: 14, arbitrary: op }, { weight: 1, arbitrary: seldom }),
  { maxLength: 120, size: 'max' },
);

/** A long life: the same for the same seed. */
export const longLife = (seed: number, ops: number): Op[] => fc.sample(op, { seed, numRuns: ops });

export function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >> 8)) & 255);
}

/** Whole numbers that look random, the same for the same seed (mulberry32). */
export function randomly(seed: number): (below: number) => number {
  let a = seed | 0;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export const temporary = (): string => mkdtempSync(join(tmpdir(), 'belay-history-'));
export const discard = (directory: string): void => rmSync(directory, { recursive: true, force: true });

/** A clock that goes as it is told. */
export class Clock {
  now = 1_700_000_000_000;
  private readonly real = Date.now;

  start(): void {
    Date.now = () => this.now;
  }

  stop(): void {
    Date.now = this.real;
  }
}

/** A guest, its recorder, and the naive history of it. */
export class Play {
  readonly naive = new Naive();
  toy = new Toy();
  private store!: HistoryStore;
  recorder!: Recorder;
  private asked: History | undefined;

  private constructor(
    readonly directory: string,
    private session: Session,
    private readonly clock?: Clock,
  ) {}

  static async open(directory: string, session: Session, clock?: Clock): Promise<Play> {
    const play = new Play(directory, session, clock);
    await play.begin();
    return play;
  }

  private async begin(): Promise<void> {
    this.store = await createHistory(this.directory);
    const from = Date.now();
    this.recorder = this.store.record(this.toy.guest, this.session);
    this.naive.begin(this.toy.whole(), this.session.every ?? 1, [from, Date.now()]);
  }

  async step(what: Op): Promise<void> {
    const { toy, naive, recorder } = this;
    switch (what.do) {
      case 'write':
        toy.write(what.memory, what.at % toy.memory(what.memory).length, what.bytes);
        break;
      case 'fill': {
        const content = what.content === 0 ? new Uint8Array(PAGE) : pattern(PAGE, what.content);
        toy.write(what.memory, this.pageOf(what.memory, what.page), content);
        break;
      }
      case 'copy': {
        const from = this.pageOf(what.memory, what.page);
        toy.write(0, this.pageOf(0, what.to), toy.memory(what.memory).slice(from, from + PAGE));
        break;
      }
      case 'grow':
        toy.grow(what.memory, 1);
        break;
      case 'global':
        toy.globals[what.which] = what.which === 0 ? BigInt.asIntN(32, what.value) : what.value;
        break;
      case 'table':
        toy.setTable(what.index, what.value);
        break;
      case 'growTable':
        if (toy.table.length < 2000) toy.growTable(what.do.length);
        break;
      case 'host':
        toy.setHost(what.bytes);
        break;
      case 'drop':
        toy.dropped[what.segment] = 1;
        break;
      case 'note':
        recorder.note(what.info);
        naive.note(what.info);
        break;
      case 'checkpoint':
        this.checkpoint(what.info);
        break;
      case 'rollback':
        this.rollback(what.reason);
        break;
      case 'load': {
        const { first, entries } = naive;
        const copy = naive.state(first + (what.seed % (entries.length - first)));
        const state = copy.spaces.map((_, space) => copy.whole(space));
        this.noted(state, undefined, () => toy.state.load(state));
        break;
      }
      case 'burst':
        for (let i = 0; i < what.count; i++) {
          const address = (what.at + (i % 3)) % toy.memory(0).length;
          toy.write(0, address, Uint8Array.of(i + 1, (i * 7) & 255));
          this.checkpoint(i % 5 === 0 ? { request: i } : undefined);
        }
        break;
      case 'pack':
        await recorder.flush();
        break;
      case 'prune':
        await this.prune(what.part);
        break;
      case 'again':
        await this.again(what.session, what.guest);
        break;
      case 'ask':
        await this.ask(what.seed);
        break;
    }
  }

  private pageOf(memory: 0 | 1, page: number): number {
    return (page * PAGE) % this.toy.memory(memory).length;
  }

  private timed(fn: () => void): [number, number] {
    if (this.clock) this.clock.now += (this.naive.entries.length * 7919) % 1000;
    const from = Date.now();
    fn();
    return [from, Date.now()];
  }

  checkpoint(following?: Info): void {
    this.noted(this.toy.whole(), following, () => this.toy.checkpoint(following));
  }

  private noted(state: GuestState, following: Info | undefined, fn: () => void): void {
    const { skipped } = this.recorder.stats();
    const time = this.timed(fn);
    this.naive.checkpoint(state, following, this.recorder.stats().skipped === skipped, time);
  }

  rollback(reason?: string): void {
    const { skipped } = this.recorder.stats();
    const time = this.timed(() => this.toy.rollback(reason));
    this.naive.rollback(reason, this.recorder.stats().skipped === skipped, time);
  }

  private async prune(part: number): Promise<void> {
    await this.end();
    const history = await openHistory(this.directory);
    const first = history.first + Math.floor(part * (history.last - history.first + 1) * 0.999);
    await history.prune(first);
    assert.is(history.first, first);
    this.naive.first = first;
    await compare(history, this.naive, 1, 2);
    await history.close();
    await verifyStore(this.directory, true);
    await this.begin();
  }

  private async again(session: Session, guest: 'same' | 'fresh' | 'restored'): Promise<void> {
    await this.end();
    if (guest === 'fresh') this.toy = new Toy();
    if (guest === 'restored') {
      this.toy = new Toy();
      const history = await openHistory(this.directory);
      this.toy.state.load(history.state(history.last));
      await history.close();
    }
    this.session = { ...session, ...(this.session.worker !== undefined && { worker: this.session.worker }) };
    await this.begin();
  }

  /** Compares while the recorder is at work. */
  async ask(seed: number): Promise<void> {
    if (this.asked) this.asked.refresh();
    else this.asked = await openHistory(this.directory);
    this.followRetention(this.asked, false);
    await compare(this.asked, this.naive, seed, 3);
  }

  /** What retention may have let go of. */
  private followRetention(history: History, packed: boolean): void {
    const { naive, session } = this;
    assert.is(history.last, naive.last, 'the last entry');
    const { count, age, bytes } = session.retention ?? {};
    const first = history.first;
    assert.ok(first >= naive.first, `the first entry goes back from ${naive.first} to ${first}`);
    // The age is that at the time of packing, which was when the last entry was recorded or later.
    const keptAt = (now: number): number => {
      const since = naive.entries.findIndex(({ latest }) => latest >= now - age!);
      return Math.max(
        naive.first,
        count === undefined ? 0 : naive.entries.length - count,
        age === undefined ? 0 : since < 0 ? naive.last : since,
      );
    };
    if (bytes === undefined) {
      assert.ok(first <= keptAt(Date.now()), `${first} is the first entry; retention keeps more`);
      const least = keptAt(naive.entries.at(-1)!.earliest);
      if (packed)
        assert.ok(
          first >= least,
          `${first} is the first entry; ${JSON.stringify(session.retention)} keeps those from ${least} on`,
        );
    }
    naive.first = first;
  }

  private async end(): Promise<void> {
    await this.asked?.close();
    this.asked = undefined;
    await this.store.close();
    const history = await openHistory(this.directory);
    this.followRetention(history, true);
    await history.close();
  }

  /** Ends all, and compares what is there now. */
  async close(seed: number, questions = 20): Promise<void> {
    await this.end();
    const history = await openHistory(this.directory);
    assert.is(history.info().unpacked, 0);
    await compare(history, this.naive, seed, questions);
    assert.equal(history.check(), []);
    await history.close();
    await verifyStore(this.directory);
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Asks a history everything, at random places. */
export async function compare(
  history: History,
  naive: Naive,
  seed: number,
  questions: number,
): Promise<void> {
  const random = randomly(seed);
  assert.is(history.last, naive.last, 'the last entry');
  const { first, last } = history;
  const some = () => first + random(last - first + 1);
  compareInfo(history, naive);
  compareEntries(history, naive, first, last);
  for (let i = 0; i < questions; i++) {
    const entry = i === 0 ? last : i === 1 ? first : some();
    compareState(history, naive, entry);
    compareReads(history, naive, some(), random);
    compareTimes(history, naive, some());
    // Near and far, forward and back.
    compareDiff(history, naive, entry, some(), random(8));
    compareDiff(history, naive, entry, Math.min(last, entry + random(3)), 3);
    compareWrites(history, naive, some(), some(), random);
    compareSearch(history, naive, some(), some(), random);
    compareBisect(history, naive, some(), some(), random);
  }
}

export function compareState(history: History, naive: Naive, entry: number): void {
  const state = history.state(entry);
  const copy = naive.state(entry);
  assert.is(state.length, copy.spaces.length);
  state.forEach((bytes, space) => {
    assert.is(bytes.length, copy.size(space), `size of space ${space} at ${entry}`);
    assertBytes(bytes, copy.whole(space), `space ${space} at ${entry}`);
  });
  assertBytes(history.registers(entry), copy.whole(SPACES.registers), `registers at ${entry}`);
  assertBytes(history.host(entry), copy.whole(SPACES.host), `host at ${entry}`);
}

export function assertBytes(got: Uint8Array, wanted: Uint8Array, what: string): void {
  if (same(got, wanted)) return;
  const place = wanted.findIndex((byte, i) => got[i] !== byte);
  assert.unreachable(
    `${what}: ${got.length} bytes for ${wanted.length}; from byte ${place} on ${got.subarray(place, place + 16)} for ${wanted.subarray(place, place + 16)}`,
  );
}

function compareInfo(history: History, naive: Naive): void {
  const info = history.info();
  const { first, last } = history;
  assert.is(info.first, first);
  assert.is(info.last, last);
  assert.is(info.entries, last - first + 1);
  assert.is(info.firstTime, history.entry(first).time);
  assert.is(info.lastTime, history.entry(last).time);
  assert.is(info.memoryBytes, naive.state(last).size(SPACES.memory) + naive.state(last).size(SPACES.second));
  assert.is(
    info.bytesRaw,
    naive.entries.reduce((sum, { pages }) => sum + pages * PAGE, 0),
  );
  assert.is(info.module, TOY_CONTRACT.module);
  assert.ok(info.bytesOnDisk >= info.unpacked && info.bytesStored >= info.unpacked);
}

function compareEntries(history: History, naive: Naive, first: number, last: number): void {
  const entries = [...history.entries()];
  assert.is(entries.length, last - first + 1);
  entries.forEach((entry, i) => {
    const wanted = naive.entries[first + i]!;
    const { time, bytes, ...rest } = entry;
    const said = wanted.kind === 'start' ? {} : wanted.info;
    const { kind: route, ...more } = said ?? {};
    assert.equal(rest, {
      number: first + i,
      kind: wanted.kind,
      ...more,
      ...(route !== undefined && { route }),
      ...(wanted.reason !== undefined && { reason: wanted.reason }),
      skipped: wanted.skipped,
      pages: wanted.pages,
    });
    assert.ok(wanted.earliest <= time && time <= wanted.latest, `time of entry ${first + i}`);
    // Runs may take a word along that is the same.
    assert.ok(
      wanted.words * 4 <= bytes && bytes <= wanted.words * 8,
      `${bytes} bytes for ${wanted.words} words`,
    );
  });
}

function compareReads(
  history: History,
  naive: Naive,
  entry: number,
  random: (below: number) => number,
): void {
  const memory = random(2);
  const copy = naive.state(entry);
  const size = copy.size(2 + memory);
  assert.is(history.memorySize(entry, memory), size);
  const address = random(size);
  const length = random(Math.min(size - address, random(4) === 0 ? 30_000 : 200) + 1);
  assertBytes(
    history.read(entry, address, length, memory),
    copy.read(2 + memory, address, length),
    `${length} bytes at ${address} of memory ${memory} at ${entry}`,
  );
  assert.throws(
    () => history.read(entry, size - 3, 4, memory),
    (error: { code?: string }) => error.code === 'ERR_BELAY_RANGE',
  );
}

function compareTimes(history: History, naive: Naive, entry: number): void {
  const { time } = history.entry(entry);
  let wanted = entry;
  while (wanted < naive.last && history.entry(wanted + 1).time <= time) wanted++;
  assert.is(history.at(time), wanted);
  assert.is(history.find(new Date(time).toISOString()), wanted);
  assert.is(history.find(entry), entry);
  assert.is(history.find(`-${naive.last - entry}`), entry);
  assert.is(history.find('last'), naive.last);
}

/** What is told differs, and nothing else does. */
function compareDiff(history: History, naive: Naive, from: number, to: number, gap: number): void {
  const [a, b] = [naive.state(from), naive.state(to)];
  const parts = new Map<number, Uint8Array>();
  const whole = (space: number): Uint8Array => {
    let bytes = parts.get(space);
    if (!bytes) {
      const length = Math.max(a.size(space), b.size(space));
      bytes = a.read(space, 0, length);
      parts.set(space, bytes);
    }
    return bytes;
  };
  const what = `diff of ${from} and ${to}`;
  let last: { space: number; end: number } | undefined;
  for (const range of history.diff(from, to, { gap })) {
    const space = spaceOf(range.memory, range.what);
    const { address, length, before, after } = range;
    assertBytes(before, a.read(space, address, length), `${what}: before, space ${space}, ${address}`);
    assertBytes(after, b.read(space, address, length), `${what}: after, space ${space}, ${address}`);
    assert.is.not(before[0], after[0], `${what}: a range begins where it differs`);
    assert.is.not(before[length - 1], after[length - 1], `${what}: a range ends where it differs`);
    for (let i = 0, alike = 0; i < length; i++) {
      alike = before[i] === after[i] ? alike + 1 : 0;
      assert.ok(alike <= gap, `${what}: ${alike} bytes alike in a range`);
    }
    if (last) {
      assert.ok(space > last.space || (space === last.space && address >= last.end), `${what}: the order`);
      if (space === last.space && range.memory !== undefined)
        assert.ok(address - last.end > gap, `${what}: two ranges that are one`);
    }
    last = { space, end: address + length };
    whole(space).set(after, address);
  }
  for (const space of a.spaces.keys()) {
    const length = Math.max(a.size(space), b.size(space));
    assertBytes(whole(space), b.read(space, 0, length), `${what}: space ${space}`);
  }
}

function spaceOf(memory: number | undefined, what: string | undefined): number {
  if (memory !== undefined) return 2 + memory;
  if (what === 'host state') return SPACES.host;
  return /^table table\[/.test(what!) ? SPACES.table : SPACES.registers;
}

function compareWrites(
  history: History,
  naive: Naive,
  a: number,
  b: number,
  random: (below: number) => number,
): void {
  const [from, to] = [Math.min(a, b), Math.max(a, b)];
  const memory = random(4) === 0 ? 1 : 0;
  // Where pages meet, too.
  const address = Math.max(0, random(20) * PAGE - random(16));
  const length = 1 + random(random(5) === 0 ? 3 * PAGE : 32);
  const wanted = [...naive.writes(2 + memory, address, length, from, to)];
  const got = [...history.writes(address, length, { memory, from, to })];
  const what = `writes to ${length} bytes at ${address} of memory ${memory} in ${from} to ${to}`;
  assert.equal(
    got.map(({ entry }) => entry),
    wanted.map(({ entry }) => entry),
    what,
  );
  got.forEach(({ before, after }, i) => {
    assertBytes(before, wanted[i]!.before, `${what}: before`);
    assertBytes(after, wanted[i]!.after, `${what}: after`);
  });
}

/** A condition, as text and as a function over copies. */
function condition(random: (below: number) => number): { text: string; predicate: Predicate } {
  const address = Math.max(0, random(3) * PAGE - random(3) + random(8) * 4);
  const width = ([1, 2, 4, 8] as const)[random(4)]!;
  const memory = random(4) === 0 ? 1 : 0;
  const prefix = memory === 1 ? 'memory[1].' : '';
  const name = `${prefix}u${width * 8}[${address}]`;
  const value = (copy: Copy) => copy.number(memory, address, width)!;
  const constant = BigInt(random(3) === 0 ? 0 : random(256));
  switch (random(9)) {
    case 0:
      return { text: `${name} == ${constant}`, predicate: (now) => value(now) === constant };
    case 1:
      return { text: `${name} != old(${name})`, predicate: (now, before) => value(now) !== value(before) };
    case 2:
      return { text: `${name} > old(${name})`, predicate: (now, before) => value(now) > value(before) };
    case 3:
      return {
        text: `g > ${constant % 10n} || h < g`,
        predicate: (now) => now.global(0) > constant % 10n || now.global(1) < now.global(0),
      };
    case 4:
      return { text: `g != old(g)`, predicate: (now, before) => now.global(0) !== before.global(0) };
    case 5: {
      // A pointer that may lead out of memory: then it does not hold.
      const follow = (copy: Copy) => {
        const pointer = copy.number(0, address, 2)! * 3n;
        const found = copy.number(0, Number(pointer), 1);
        return found !== undefined && found > 3n;
      };
      return { text: `u8[u16[${address}] * 3] > 3`, predicate: follow };
    }
    case 6:
      return {
        text: `size > old(size) || memory[1].size > ${WASM_PAGE}`,
        predicate: (now, before) => now.size(2) > before.size(2) || now.size(3) > WASM_PAGE,
      };
    case 7:
      return {
        text: `entry % 3 == 1 && ${name} % 2 == 0`,
        predicate: (now, _, entry) => entry % 3 === 1 && value(now) % 2n === 0n,
      };
    default:
      return { text: `${name} >= ${constant}`, predicate: (now) => value(now) >= constant };
  }
}

function compareSearch(
  history: History,
  naive: Naive,
  a: number,
  b: number,
  random: (below: number) => number,
): void {
  const [from, to] = random(3) === 0 ? [naive.first, naive.last] : [Math.min(a, b), Math.max(a, b)];
  const { text, predicate } = condition(random);
  assert.equal(
    [...history.search(text, { from, to })],
    naive.search(predicate, from, to),
    `${text} in ${from} to ${to}`,
  );
}

function compareBisect(
  history: History,
  naive: Naive,
  a: number,
  b: number,
  random: (below: number) => number,
): void {
  const [from, to] = [Math.min(a, b), Math.max(a, b)];
  const { text, predicate } = condition(random);
  const { first, last, turn, evaluated } = history.bisect(text, { from, to });
  const what = `bisect ${text} in ${from} to ${to}`;
  assert.is(first, naive.holds(predicate, from), what);
  assert.is(last, naive.holds(predicate, to), what);
  // Where there are many entries, up to a quarter away from the middle.
  const many = Math.max(0, Math.log((to - from + 1) / 256) / Math.log(4 / 3));
  const few = Math.log2(Math.min(256, to - from + 1));
  assert.ok(evaluated <= 2 + Math.ceil(many + few), `${what}: ${evaluated} steps`);
  if (first === last) {
    assert.is(turn, undefined, what);
    return;
  }
  assert.ok(turn !== undefined && turn > from && turn <= to, what);
  assert.is(naive.holds(predicate, turn!), last, `${what}: ${turn}`);
  assert.is(naive.holds(predicate, turn! - 1), first, `${what}: before ${turn}`);
}

/** What a store has to be in itself: all that is kept is needed, as often as it says. */
export async function verifyStore(directory: string, pruned = false): Promise<void> {
  const codec = await loadCodec();
  const history = await openHistory(directory);
  const { first } = history;
  await history.close();
  const store = openStore(directory);
  const snapshot = store.snapshot();
  try {
    const references = new Map<string, number>();
    let before: { space: number; page: number; first: number } | undefined;
    for (const { key, value } of snapshot.from('chunks', new Uint8Array(1))) {
      const place = chunkPlace(key);
      const what = `page ${place.page} of space ${place.space} from ${place.first} on`;
      const versions = openChunk(codec, key, value, () => what);
      assert.ok(versions.count > 0, `${what}: no versions`);
      assert.is(versions.entries[0], place.first, `${what}: its first version`);
      const goesOn = before?.space === place.space && before.page === place.page;
      if (pruned && goesOn) assert.ok(place.first > first, `${what} makes the one before it needless`);
      for (const hash of versions.contents()) {
        const name = Buffer.from(hash).toString('hex');
        references.set(name, (references.get(name) ?? 0) + 1);
      }
      before = place;
    }
    for (const { key, value } of snapshot.from('contents', new Uint8Array(1))) {
      const name = Buffer.from(key).toString('hex');
      const count = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
      assert.is(count, references.get(name) ?? 0, `references to ${name}`);
      references.delete(name);
    }
    assert.is(references.size, 0, 'contents that are referred to and not there');
  } finally {
    snapshot.done();
    await store.close();
  }
}

/** Checks a property, and says with what is wrong why. */
export async function check<T extends [unknown, ...unknown[]]>(
  property: fc.IAsyncProperty<T>,
  numRuns: number,
): Promise<void> {
  try {
    // Where only whether it holds is of interest: always the same, and the first failure will do.
    const quick = process.env.BELAY_HISTORY_QUICK ? { seed: 1, endOnFailure: true } : {};
    await fc.assert(property, { numRuns, ...quick });
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(`${(cause as Error)?.stack}\n${message}`);
  }
}

/** Plays a life in a directory of its own, and compares at its end. */
export async function live(ops: readonly Op[], session: Session, questions = 20): Promise<void> {
  const directory = temporary();
  const clock = session.worker === false ? new Clock() : undefined;
  clock?.start();
  try {
    const play = await Play.open(directory, session, clock);
    for (const what of ops) await play.step(what);
    await play.close(ops.length, questions);
  } finally {
    clock?.stop();
    discard(directory);
  }
}
