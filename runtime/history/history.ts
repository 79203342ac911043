/**
 * The past of a guest, and questions about it. See docs/history.md.
 *
 * All of it is read from one snapshot, taken when the history is opened and by {@link History.refresh}; recording goes on
 * meanwhile, and is not held up.
 *
 * @see Vogt, Giuffrida, Bos, Tanenbaum: Checkpoint-assisted time travel (DeLorean), ISSRE 2016
 */
import { resolve } from 'node:path';
import type { Contract } from '../../contract/contract.js';
import { type GuestState, HOST, memorySpace, REGISTERS } from '../guest/state.js';
import { check, type Damage } from './check.js';
import { type Codec, loadCodec } from './codec.js';
import { changedPages, type DiffOptions, diff } from './diff.js';
import { entryOf, type PagePlace } from './entries.js';
import { historyError } from './errors.js';
import {
  type CompileOptions,
  compile,
  type Expression,
  type ModuleNames,
  namesOf,
} from './expression/index.js';
import { HISTORY_VERSION, readIdentity } from './meta.js';
import { lockRecorder, openStore } from './open.js';
import { Packer } from './pack.js';
import { type Caller, Moment, wholeState } from './past.js';
import { type CallResult, Replica, type ReplicaOptions } from './replica.js';
import { bisect, type SearchOptions, search } from './search.js';
import { Source } from './source.js';
import type { Store } from './store.js';
import type { BisectResult, ChangedRange, Entry, HistoryInfo, Interval, Range, Write } from './types.js';
import { PAGE_BYTES } from './versions.js';
import { writes } from './writes.js';

export interface CallOptions {
  /** The entry; default: the last. */
  at?: number;
  /** What the function can read from its standard input. */
  stdin?: Uint8Array | string;
}

export interface HistoryOptions {
  /** Addresses by name, for expressions, beside those that the module exports: {@link parseSymbols} reads them from a file. */
  symbols?: ReadonlyMap<string, number>;
}

/** Opens the history of a directory, to read it; somebody else may be recording into it. */
export async function openHistory(directory: string, options: HistoryOptions = {}): Promise<History> {
  const codec = await loadCodec();
  const store = openStore(directory);
  try {
    return new History(resolve(directory), store, codec, options);
  } catch (error) {
    await store.close();
    throw error;
  }
}

export class History implements AsyncDisposable {
  /** What the module that was recorded says of itself. */
  readonly contract: Contract;
  /** The module as it was instrumented, where it was recorded. */
  readonly module: Uint8Array | undefined;
  private source: Source;
  private known: ModuleNames | undefined;
  private replica: Replica | undefined;

  /** @see openHistory */
  constructor(
    readonly directory: string,
    private readonly store: Store,
    private readonly codec: Codec,
    private readonly options: HistoryOptions = {},
  ) {
    this.source = new Source(store, codec, directory);
    const snapshot = store.snapshot();
    const { contract, module } = readIdentity(snapshot);
    snapshot.done();
    this.contract = contract;
    this.module = module;
  }

  /** The first entry that is kept. */
  get first(): number {
    return this.source.first;
  }

  /** The last entry; less than {@link first} when nothing was recorded. */
  get last(): number {
    return this.source.last;
  }

  /** Sees what has been recorded since. */
  refresh(): void {
    const fresh = new Source(this.store, this.codec, this.directory);
    this.source.done();
    this.source = fresh;
  }

  /** How large it is, and how large it would be. */
  info(): HistoryInfo {
    const { source, contract } = this;
    const { pairs, stored, file } = this.store.stats();
    const moment = new Moment(source, contract);
    const empty = this.last < this.first;
    if (!empty) moment.seek(this.last);
    return {
      version: HISTORY_VERSION,
      entries: this.last - this.first + 1,
      first: this.first,
      last: this.last,
      firstTime: empty ? 0 : this.entry(this.first).time,
      lastTime: empty ? 0 : this.entry(this.last).time,
      bytesOnDisk: file + source.unpacked,
      bytesStored: stored + source.unpacked,
      bytesRaw: source.raw,
      contents: pairs.contents,
      chunks: pairs.chunks,
      memoryBytes: empty ? 0 : contract.memories.reduce((sum, _, k) => sum + moment.size(memorySpace(k)), 0),
      module: contract.module,
      unpacked: source.unpacked,
    };
  }

  /** @throws ERR_BELAY_HISTORY for an entry that is not kept */
  entry(number: number): Entry {
    return entryOf(number, this.source.entry(this.checked(number)));
  }

  /** Entries in order. */
  *entries(range: Range = {}): IterableIterator<Entry> {
    const { from, to } = this.range(range);
    for (let number = from; number <= to; number++) yield this.entry(number);
  }

  /**
   * The entry that a text means: a number, `first`, `last`, a number from the end (`-1` is the last but one), or a time
   * (anything that Date takes): the last entry that is not later.
   * @throws ERR_BELAY_HISTORY
   */
  find(text: string | number): number {
    const word = String(text).trim();
    if (word === 'last' || word === '') return this.checked(this.last);
    if (word === 'first') return this.checked(this.first);
    if (/^-\d+$/.test(word)) return this.checked(this.last + Number(word));
    if (/^\d+$/.test(word)) return this.checked(Number(word));
    const time = Date.parse(word);
    if (Number.isNaN(time)) {
      throw historyError(
        'ERR_BELAY_HISTORY',
        `'${word}' is no checkpoint: give a number, first, last, -N (from the end), or a time such as 2026-01-31T12:00`,
      );
    }
    return this.at(time);
  }

  /** The last entry that is not later than a time, in milliseconds since 1970. @throws ERR_BELAY_HISTORY */
  at(time: number): number {
    let low = this.checked(this.first);
    let high = this.last;
    if (this.entry(low).time > time) {
      throw historyError(
        'ERR_BELAY_HISTORY',
        `the history begins at ${new Date(this.entry(low).time).toISOString()}, after ${new Date(time).toISOString()}`,
      );
    }
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.entry(middle).time <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Bytes of a memory at an entry: reads what has them, and nothing else.
   * @throws ERR_BELAY_RANGE when they did not lie in it
   */
  read(entry: number, address: number, length: number, memory = 0): Uint8Array {
    const moment = new Moment(this.source, this.contract);
    moment.seek(this.checked(entry));
    this.checkMemory(memory);
    const size = moment.size(memorySpace(memory));
    if (!(address >= 0 && length >= 0 && address + length <= size)) {
      throw historyError(
        'ERR_BELAY_RANGE',
        `${length} bytes at ${address} do not lie in memory ${memory}, which had ${size} bytes at checkpoint ${entry}`,
      );
    }
    return moment.read(memorySpace(memory), address, length);
  }

  /** The registers (runtime/guest/state.ts) at an entry. */
  registers(entry: number): Uint8Array {
    return this.space(entry, REGISTERS);
  }

  /** The host's state at an entry, as companions saved it. */
  host(entry: number): Uint8Array {
    return this.space(entry, HOST);
  }

  /** A whole space (runtime/guest/state.ts) at an entry. */
  space(entry: number, space: number): Uint8Array {
    const moment = new Moment(this.source, this.contract);
    moment.seek(this.checked(entry));
    return moment.read(space, 0, moment.size(space));
  }

  /** Pages (space and number) that may differ between two entries, in order. */
  changed(from: number, to: number): PagePlace[] {
    return changedPages(this.source, this.checked(from), this.checked(to));
  }

  /** Pages of an entry, of those that lie in their spaces; what is given is valid until the next one. */
  *pages(
    entry: number,
    places: Iterable<PagePlace>,
  ): IterableIterator<[place: PagePlace, bytes: Uint8Array]> {
    const moment = new Moment(this.source, this.contract);
    moment.seek(this.checked(entry));
    for (const place of places) {
      const [space, page] = place;
      const size = moment.size(space) - page * PAGE_BYTES;
      if (size <= 0) continue;
      yield [place, moment.cursor(space, page, 0, PAGE_BYTES).bytes.subarray(0, Math.min(size, PAGE_BYTES))];
      moment.trim();
    }
  }

  /** Bytes that a memory had. */
  memorySize(entry: number, memory = 0): number {
    this.checkMemory(memory);
    const moment = new Moment(this.source, this.contract);
    moment.seek(this.checked(entry));
    return moment.size(memorySpace(memory));
  }

  /** The whole state at an entry, for {@link import('../types.js').Guest} and for comparisons. */
  state(entry: number): GuestState {
    return wholeState(this.source, this.contract, this.checked(entry));
  }

  /** What differs between two entries, in the order of addresses; other state first. */
  diff(from: number, to: number, options: DiffOptions = {}): IterableIterator<ChangedRange> {
    return diff(this.source, this.contract, this.checked(from), this.checked(to), options);
  }

  /**
   * Every entry in which bytes of a memory changed: `which request changed this?`.
   * @throws ERR_BELAY_RANGE
   */
  writes(address: number, length = 1, options: Range & { memory?: number } = {}): IterableIterator<Write> {
    const { memory = 0 } = options;
    this.checkMemory(memory);
    if (!(Number.isInteger(address) && address >= 0 && Number.isInteger(length) && length > 0)) {
      throw historyError('ERR_BELAY_RANGE', `${length} bytes at ${address} are no range of bytes`);
    }
    const { from, to } = this.range(options);
    return writes(this.source, memorySpace(memory), address, length, from, to);
  }

  /** An expression that can be asked of this history (docs/expressions.md). @throws ERR_BELAY_EXPRESSION */
  expression(text: string, options?: CompileOptions): Expression {
    return compile(text, { contract: this.contract, ...this.names }, options);
  }

  /** The names that the module carries, with the symbols that the caller gave. */
  get names(): ModuleNames {
    if (!this.known) {
      const own = namesOf(this.module ?? new Uint8Array(0));
      this.known = { ...own, symbols: new Map([...own.symbols, ...(this.options.symbols ?? [])]) };
    }
    return this.known;
  }

  /**
   * The entries at which an expression holds, in order. It is evaluated only where a page that it read has another
   * version.
   * @throws ERR_BELAY_EXPRESSION
   */
  search(expression: string | Expression, options: SearchOptions = {}): IterableIterator<Interval> {
    return search(
      this.source,
      this.contract,
      this.condition(expression),
      this.range(options),
      options,
      this.caller,
    );
  }

  /**
   * Where an expression turns, that is false up to some entry and true from there on, or the other way round, in a
   * logarithmic number of steps.
   * @throws ERR_BELAY_EXPRESSION
   */
  bisect(expression: string | Expression, options: SearchOptions = {}): BisectResult {
    return bisect(
      this.source,
      this.contract,
      this.condition(expression),
      this.range(options),
      options,
      this.caller,
    );
  }

  /**
   * Makes ready to call functions of the guest in the past: by {@link call}, and by `call(...)` in expressions.
   * @throws ERR_BELAY_HISTORY where the module was not recorded, and what instantiating it throws
   */
  async prepareCalls(options: ReplicaOptions = {}): Promise<void> {
    this.replica ??= await Replica.open(this, options);
  }

  /**
   * Calls an exported function of the guest on the state of an entry, and undoes what it did. {@link prepareCalls} comes
   * first.
   * @throws ERR_BELAY_OPTION where there is no such function, ERR_BELAY_HISTORY
   */
  call(name: string, args: readonly unknown[] = [], options: CallOptions = {}): CallResult {
    if (!this.replica) {
      throw historyError('ERR_BELAY_HISTORY', 'await prepareCalls() before functions are called in the past');
    }
    const { at = this.last, stdin = '' } = options;
    return this.replica.seek(this.checked(at)).call(name, args, stdin);
  }

  private get caller(): Caller | undefined {
    if (!this.replica) return undefined;
    return (at, name, args) => {
      const { value } = this.call(name, args, { at });
      return typeof value === 'number' || typeof value === 'bigint' ? value : undefined;
    };
  }

  private condition(expression: string | Expression): Expression {
    return typeof expression === 'string' ? this.expression(expression, { type: 'boolean' }) : expression;
  }

  /** Reads all that is stored, and says what cannot be read. */
  check(onProgress?: (done: number, of: number) => void): Damage[] {
    return [...check(this.store, this.codec, onProgress), ...this.source.lost];
  }

  /**
   * Lets go of all entries before one, unless somebody records into the history, who has a retention for that.
   * @throws ERR_BELAY_HISTORY
   */
  async prune(first: number): Promise<void> {
    const unlock = lockRecorder(this.directory);
    try {
      const packer = new Packer(this.store, this.codec, this.directory);
      await packer.packJournal();
      packer.prune(this.checked(first));
    } finally {
      unlock();
    }
    this.refresh();
  }

  private range({ from = this.first, to = this.last }: Range): { from: number; to: number } {
    return { from: this.checked(from), to: this.checked(to) };
  }

  private checked(entry: number): number {
    if (Number.isInteger(entry) && entry >= this.first && entry <= this.last) return entry;
    throw historyError(
      'ERR_BELAY_HISTORY',
      this.last < this.first
        ? 'the history is empty: nothing has been recorded yet'
        : `there is no checkpoint ${entry}: the history has those from ${this.first} to ${this.last}`,
    );
  }

  private checkMemory(memory: number): void {
    if (this.contract.memories[memory]) return;
    throw historyError(
      'ERR_BELAY_RANGE',
      `there is no memory ${memory}: the module has ${this.contract.memories.length}`,
    );
  }

  /** Lets the files go. */
  async close(): Promise<void> {
    this.source.done();
    this.replica?.[Symbol.dispose]();
    await this.store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
