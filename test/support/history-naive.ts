/**
 * A history without any idea: a full copy of the state at every entry (pages that are the same bytes are one array), and
 * answers by looking at all of them. It knows no dirty lists, differences, chunks or journals.
 */
import type { GuestState } from '../../runtime/guest/state.js';
import { HOST, REGISTERS, stateShape } from '../../runtime/guest/state.js';
import type { EntryKind, Interval, Write } from '../../runtime/history/types.js';
import { type Info, TOY_CONTRACT } from './history-toy.js';

export const PAGE = 4096;
const SHAPE = stateShape(TOY_CONTRACT);
const ZEROS = new Uint8Array(PAGE);

interface Space {
  size: number;
  /** Each of {@link PAGE} bytes, with zeros behind. */
  pages: Uint8Array[];
}

/** The state at one entry. */
export class Copy {
  private constructor(readonly spaces: readonly Space[]) {}

  /** @param before shares its pages where they are the same */
  static of(state: GuestState, before?: Copy): Copy {
    return new Copy(
      state.map((bytes, s) => {
        const pages: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; at += PAGE) {
          const page = bytes.subarray(at, at + PAGE);
          const known = before?.spaces[s]?.pages[at / PAGE];
          if (known && page.length === PAGE && Buffer.compare(page, known) === 0) pages.push(known);
          else {
            const copy = new Uint8Array(PAGE);
            copy.set(page);
            pages.push(Buffer.compare(copy, ZEROS) === 0 ? ZEROS : copy);
          }
        }
        return { size: bytes.length, pages };
      }),
    );
  }

  page(space: number, page: number): Uint8Array {
    return this.spaces[space]?.pages[page] ?? ZEROS;
  }

  size(space: number): number {
    return this.spaces[space]!.size;
  }

  /** Bytes from an address on; zeros beyond the size. */
  read(space: number, address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const page = Math.floor((address + at) / PAGE);
      const from = address + at - page * PAGE;
      const n = Math.min(PAGE - from, length - at);
      bytes.set(this.page(space, page).subarray(from, from + n), at);
      at += n;
    }
    return bytes;
  }

  whole(space: number): Uint8Array {
    return this.read(space, 0, this.size(space));
  }

  /** A number in a memory; undefined where it does not lie in it. */
  number(memory: number, address: number, bytes: 1 | 2 | 4 | 8): bigint | undefined {
    if (address < 0 || address + bytes > this.size(2 + memory)) return undefined;
    return this.read(2 + memory, address, bytes).reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
  }

  global(which: 0 | 1): bigint {
    const view = new DataView(this.page(REGISTERS, 0).buffer);
    const at = SHAPE.globals + 16 * which;
    return which === 0 ? BigInt(view.getInt32(at, true)) : view.getBigInt64(at, true);
  }

  /** Pages (space and number) whose bytes are others in `other`, and words that are. */
  changed(other: Copy): { pages: [number, number][]; words: number } {
    const pages: [number, number][] = [];
    let words = 0;
    for (const s of this.spaces.keys()) {
      const count = Math.max(this.spaces[s]!.pages.length, other.spaces[s]!.pages.length);
      for (let p = 0; p < count; p++) {
        const [a, b] = [this.page(s, p), other.page(s, p)];
        if (a === b || Buffer.compare(a, b) === 0) continue;
        pages.push([s, p]);
        for (let i = 0; i < PAGE; i += 4)
          if (Buffer.compare(a.subarray(i, i + 4), b.subarray(i, i + 4))) words++;
      }
    }
    return { pages, words };
  }
}

const NOTHING = Copy.of([
  new Uint8Array(0),
  new Uint8Array(0),
  new Uint8Array(0),
  new Uint8Array(0),
  new Uint8Array(0),
]);

export interface NaiveEntry {
  kind: EntryKind;
  state: Copy;
  info: Info | undefined;
  reason: string | undefined;
  skipped: number;
  /** When it was recorded, at the earliest and at the latest. */
  earliest: number;
  latest: number;
  pages: number;
  words: number;
}

/** What holds at an entry, given the state there, the one before, and its number. */
export type Predicate = (now: Copy, before: Copy, entry: number) => boolean;

export class Naive {
  readonly entries: NaiveEntry[] = [];
  /** Entries before this one were let go. */
  first = 0;
  private info: Info | undefined;
  private left = 0;
  private epochs = 0;
  private every = 1;

  get last(): number {
    return this.entries.length - 1;
  }

  state(entry: number): Copy {
    return this.entries[entry]!.state;
  }

  /** A recorder begins. */
  begin(state: GuestState, every: number, time: [number, number]): void {
    this.info = undefined;
    this.left = 0;
    this.epochs = 0;
    this.every = every;
    this.add('start', Copy.of(state, this.entries.at(-1)?.state), undefined, time);
  }

  note(info: Partial<Info>): void {
    this.info = { ...this.info, ...info };
  }

  /** @param recorded whether the recorder was able to */
  checkpoint(
    state: GuestState,
    following: Info | undefined,
    recorded: boolean,
    time: [number, number],
  ): void {
    this.epochs++;
    if (this.epochs % this.every !== 0 || !recorded) this.left++;
    else {
      const before = this.entries.at(-1)!.state;
      const now = Copy.of(state, before);
      const same = now.changed(before).pages.length === 0;
      if (!same || this.info) this.add('kept', now, undefined, time);
    }
    this.info = following;
  }

  rollback(reason: string | undefined, recorded: boolean, time: [number, number]): void {
    if (this.info) {
      this.epochs++;
      if (this.epochs % this.every !== 0 || !recorded) this.left++;
      else this.add('rolled-back', this.entries.at(-1)!.state, reason, time);
    }
    this.info = undefined;
  }

  private add(
    kind: EntryKind,
    state: Copy,
    reason: string | undefined,
    [earliest, latest]: [number, number],
  ): void {
    const { pages, words } = (this.entries.at(-1)?.state ?? NOTHING).changed(state);
    const { info, left } = this;
    this.entries.push({
      kind,
      state,
      info,
      reason,
      skipped: left,
      earliest,
      latest,
      pages: pages.length,
      words,
    });
    this.left = 0;
  }

  *writes(space: number, address: number, length: number, from: number, to: number): IterableIterator<Write> {
    for (let entry = Math.max(from, this.first + 1); entry <= to; entry++) {
      if (this.state(entry) === this.state(entry - 1)) continue;
      const before = this.state(entry - 1).read(space, address, length);
      const after = this.state(entry).read(space, address, length);
      if (Buffer.compare(before, after) !== 0) yield { entry, before, after };
    }
  }

  holds(predicate: Predicate, entry: number): boolean {
    return predicate(this.state(entry), this.state(Math.max(entry - 1, this.first)), entry);
  }

  search(predicate: Predicate, from: number, to: number): Interval[] {
    const found: Interval[] = [];
    for (let entry = from; entry <= to; entry++) {
      if (!this.holds(predicate, entry)) continue;
      const open = found.at(-1);
      if (open?.to === entry - 1) open.to = entry;
      else found.push({ from: entry, to: entry });
    }
    return found;
  }
}

/** Spaces of the toy, by name. */
export const SPACES = { registers: REGISTERS, host: HOST, memory: 2, second: 3, table: 4 };
