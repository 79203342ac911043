/** The state of a guest at any entry of a history, page by page: what questions are answered from. */
import type { Contract } from '../../contract/contract.js';
import { type GuestState, REGISTERS, type StateShape, spaceSize, stateShape } from '../guest/state.js';
import { PageCursor } from './cursor.js';
import type { Source } from './source.js';
import { placeOf } from './store.js';
import type { Past } from './types.js';
import { PAGE_BYTES } from './versions.js';

/** One moment of the past; {@link Moment.seek} moves it. */
export class Moment {
  entry = -1;
  private readonly cursors = new Map<number, PageCursor>();
  private last: PageCursor | undefined;
  private readonly registers: PageCursor;
  /** Cursors asked for since the last {@link forget}: the first `count`, each marked with the number of the round. */
  private readonly touched: PageCursor[] = [];
  private count = 0;
  private round = 0;
  readonly shape: StateShape;

  constructor(
    private readonly source: Source,
    contract: Contract,
  ) {
    this.shape = stateShape(contract);
    this.registers = new PageCursor(source, REGISTERS, 0);
  }

  seek(entry: number): void {
    this.entry = entry;
  }

  forget(): void {
    this.count = 0;
    this.round++;
  }

  /** A page as it was, between two of its bytes. */
  cursor(space: number, page: number, from: number, to: number): PageCursor {
    const { last } = this;
    if (last && last.page === page && last.space === space) return this.touch(last, from, to);
    const place = placeOf(space, page);
    let cursor = place === REGISTERS ? this.registers : this.cursors.get(place);
    if (!cursor) {
      cursor = new PageCursor(this.source, space, page);
      this.cursors.set(place, cursor);
    }
    this.last = cursor;
    return this.touch(cursor, from, to);
  }

  private touch(cursor: PageCursor, from: number, to: number): PageCursor {
    if (cursor.round !== this.round) {
      cursor.round = this.round;
      this.touched[this.count++] = cursor;
    }
    return cursor.want(from, to).seek(this.entry);
  }

  /** Bytes that a space had. */
  size(space: number): number {
    // A registers' page is enough for all but modules with hundreds of globals; sizes come first.
    const registers = this.touch(this.registers, this.shape.sizes, this.shape.globals);
    return spaceSize(this.shape, registers.view, space);
  }

  /** A copy of a part of a space, which must lie in it. */
  read(space: number, address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const page = Math.floor((address + at) / PAGE_BYTES);
      const from = address + at - page * PAGE_BYTES;
      const n = Math.min(PAGE_BYTES - from, length - at);
      bytes.set(this.cursor(space, page, from, from + n).bytes.subarray(from, from + n), at);
      at += n;
    }
    return bytes;
  }

  /** The entry at which a page that was asked for becomes another one. */
  get next(): number {
    let next = Infinity;
    for (let i = 0; i < this.count; i++) next = Math.min(next, this.touched[i]!.seek(this.entry).next);
    return next;
  }

  /** An entry at or before another one, at which the page that was asked for and takes longest is at hand. */
  cheapBefore(entry: number): number | undefined {
    let best: { entry: number; spared: number } | undefined;
    for (const { space, page } of this.touched.slice(0, this.count)) {
      const found = this.source.cheapBefore(space, page, entry);
      if (found && found.spared > (best?.spared ?? 0)) best = found;
    }
    return best?.entry;
  }

  /** Lets go of cursors, when there are many. */
  trim(most = 4096): void {
    if (this.cursors.size > most) {
      this.cursors.clear();
      this.last = undefined;
      this.touched.length = 0;
      this.forget();
    }
  }
}

/** Calls a function of the guest on the state of an entry; undefined where it trapped. */
export type Caller = (
  entry: number,
  name: string,
  args: readonly (number | bigint)[],
) => number | bigint | undefined;

/** An entry and the one before it, for expressions. */
export class TwoMoments implements Past {
  entry = -1;
  readonly call?: (
    name: string,
    args: readonly (number | bigint)[],
    back: 0 | 1,
  ) => number | bigint | undefined;
  private readonly now: Moment;
  private readonly before: Moment;
  /** Whether a function was called, which may have read anything; of the entry before, too. */
  private called = false;
  private calledBefore = false;

  constructor(
    private readonly source: Source,
    contract: Contract,
    caller?: Caller,
  ) {
    this.now = new Moment(source, contract);
    this.before = new Moment(source, contract);
    if (!caller) return;
    this.call = (name, args, back) => {
      this.called = true;
      if (back) this.calledBefore = true;
      return caller(back ? this.entryBefore : this.entry, name, args);
    };
  }

  private get entryBefore(): number {
    return Math.max(this.entry - 1, this.source.first);
  }

  /** Moves on, and forgets what was read. */
  seek(entry: number): void {
    this.entry = entry;
    this.now.seek(entry);
    this.before.seek(this.entryBefore);
    this.now.forget();
    this.before.forget();
    this.called = false;
    this.calledBefore = false;
  }

  page(space: number, page: number, back: 0 | 1, from: number, to: number): DataView {
    return (back ? this.before : this.now).cursor(space, page, from, to).view;
  }

  size(space: number, back: 0 | 1): number {
    return (back ? this.before : this.now).size(space);
  }

  /** @see Moment.cheapBefore */
  cheapBefore(entry: number): number | undefined {
    return this.now.cheapBefore(entry);
  }

  /** The next entry at which something that was read is different, or was one entry before. */
  get next(): number {
    if (!this.called) return Math.min(this.now.next, this.before.next + 1);
    let next = this.entry + 1;
    // An entry that changed nothing gives what the one before it gave.
    if (!this.calledBefore)
      while (next <= this.source.last && this.source.entry(next).pages.length === 0) next++;
    return next;
  }
}

/** The whole state at an entry. */
export function wholeState(source: Source, contract: Contract, entry: number): GuestState {
  const moment = new Moment(source, contract);
  moment.seek(entry);
  const { shape } = moment;
  const state: GuestState = Array.from(
    { length: shape.spaces },
    (_, space) => new Uint8Array(moment.size(space)),
  );
  for (const [space, page] of source.pages()) {
    const target = state[space];
    const at = page * PAGE_BYTES;
    if (!target || at >= target.length) continue;
    const cursor = new PageCursor(source, space, page).want(0, PAGE_BYTES).seek(entry);
    target.set(cursor.bytes.subarray(0, Math.min(PAGE_BYTES, target.length - at)), at);
  }
  return state;
}
