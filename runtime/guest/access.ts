/**
 * A guest's whole state, read and put back (state.ts says in what form). Memory is read as it lies; what only code inside
 * of the module can reach, the exports of rewriter/reach.ts give.
 *
 *     registers   sizes from belay:size, belay:table:size; values from belay:global:get; flags
 *     host        one array: what each companion saves, in the order in which they joined
 *     memory      a view
 *     tables      belay:table:get, whose functions are looked up in belay:functions
 *
 * Not handled: references that are neither null nor functions of the module (a host object behind an externref): they mean
 * nothing elsewhere, and are refused by name.
 */
import { type Contract, EXPORTS, isOutside, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { everything } from '../mechanisms/instrumented.js';
import type { Mechanism, Visit } from '../mechanisms/mechanism.js';
import type { Companion } from '../types.js';
import { decode, encode } from './msgpack.js';
import { HOST, memorySpace, REGISTERS, type StateAccess, stateShape, tableSpace } from './state.js';

const PAGE_BYTES = 4096;

export const stateError = (message: string, cause?: unknown): BelayError =>
  new BelayError('ERR_BELAY_STATE', message, cause === undefined ? undefined : { cause });

/** What a guest lends to its state. */
export interface StateOwner {
  readonly contract: Contract;
  /** All of the module's exports. */
  readonly exports: WebAssembly.Exports;
  readonly saver: Mechanism;
  readonly memories: readonly WebAssembly.Memory[];
  readonly companions: readonly Companion[];
  /** Size of a memory, as the guest sees it. */
  bytes(memory: number): number;
  /** @throws ERR_BELAY_RUNNING, ERR_BELAY_DISPOSED */
  idle(what: string): void;
  checkpoint(): void;
}

type Call = (...values: unknown[]) => unknown;

/** Exports that are asked for at each checkpoint, looked up once. */
interface Reach {
  globals: readonly Call[];
  tableSizes: readonly Call[];
  tablesWritten: readonly Call[];
  flags: readonly WebAssembly.Global[];
}

function reach({ globals, tables, segments }: Contract, all: WebAssembly.Exports): Reach {
  const calls = (list: readonly unknown[], name: (n: number) => string) =>
    list.map((_, n) => all[name(n)] as Call);
  return {
    globals: calls(globals, EXPORTS.globalGet),
    tableSizes: calls(tables, EXPORTS.tableSize),
    tablesWritten: calls(tables, EXPORTS.tableWritten),
    flags: [...segments.data.map(EXPORTS.droppedData), ...segments.elements.map(EXPORTS.droppedElements)].map(
      (name) => all[name] as WebAssembly.Global,
    ),
  };
}

export class State implements StateAccess {
  readonly contract: Contract;
  readonly shape;
  readonly #owner: StateOwner;
  #reached: Reach | undefined;
  /** What companions have saved, while it holds. */
  #saved: Uint8Array | undefined;
  /** Nothing runs between a question and the next one: while an observer is told. */
  #still = false;
  /** A state was loaded since the last checkpoint that observers know of, past the mechanism. */
  #loaded = false;
  /** Whether companions had changed when the epoch ended. */
  #changed = false;
  #known: { numbers: Map<unknown, number>; functions: Map<number, unknown> } | undefined;

  constructor(owner: StateOwner) {
    this.#owner = owner;
    this.contract = owner.contract;
    this.shape = stateShape(owner.contract);
  }

  /** Calls `observe`, before the epoch ends by a checkpoint or a rollback. */
  ending(observe?: () => void): void {
    this.#changed = this.#hostChanged();
    if (this.#changed) this.#saved = undefined;
    this.#still = true;
    try {
      observe?.();
    } finally {
      this.#still = false;
    }
  }

  /** To be called when an epoch begins. */
  began(rolledBack: boolean): void {
    // What was saved is of the epoch that was undone.
    if (rolledBack && this.#changed) this.#saved = undefined;
    if (!rolledBack) this.#loaded = false;
  }

  registers(into: Uint8Array): void {
    const owner = this.#owner;
    const { contract, shape } = this;
    const { globals, flags } = this.#reach;
    const view = new DataView(into.buffer, into.byteOffset, shape.length);
    into.fill(0, 0, shape.length);
    const size = (i: number, value: number) => view.setBigUint64(shape.sizes + 8 * i, BigInt(value), true);
    size(0, this.#hostBytes().length);
    contract.memories.forEach((_, k) => size(1 + k, owner.bytes(k) / PAGE));
    contract.tables.forEach((_, t) => size(1 + shape.memories + t, this.#tableSize(t)));
    contract.globals.forEach(({ type, index }, i) => {
      const at = shape.globals + 16 * i;
      const value = given(globals[i]!, undefined, () => `global ${index}`);
      switch (type) {
        case 'i32':
        case 'f32':
          view.setInt32(at, value as number, true);
          break;
        case 'i64':
        case 'f64':
          view.setBigInt64(at, value as bigint, true);
          break;
        case 'v128': {
          const [low, high] = value as [bigint, bigint];
          view.setBigInt64(at, low, true);
          view.setBigInt64(at + 8, high, true);
          break;
        }
        default:
          view.setUint32(
            at,
            this.#numberOf(value, () => `global ${index}`),
            true,
          );
      }
    });
    flags.forEach((flag, i) => view.setUint8(shape.segments + i, flag.value as number));
  }

  memory(memory: number): Uint8Array {
    const { memories } = this.#owner;
    return new Uint8Array(memories[memory]!.buffer, 0, this.#owner.bytes(memory));
  }

  table(table: number): Uint32Array {
    const what = (i: number) => `element ${i} of table ${this.contract.tables[table]!.index}`;
    const get = this.#export(EXPORTS.tableGet(table));
    return Uint32Array.from({ length: this.#tableSize(table) }, (_, i) =>
      this.#numberOf(
        given(get, i, () => what(i)),
        () => what(i),
      ),
    );
  }

  tableWritten(table: number): boolean {
    return this.#loaded || this.#reach.tablesWritten[table]!() !== 0;
  }

  host(always: boolean): Uint8Array | undefined {
    return always || this.#loaded || this.#hostChanged() ? this.#hostBytes() : undefined;
  }

  written(visit: Visit): void {
    if (this.#loaded) everything(this.#owner, visit);
    else this.#owner.saver.written(visit);
  }

  load(state: readonly (Uint8Array | undefined)[]): void {
    const owner = this.#owner;

    owner.idle('load');
    const steps = this.#understand(state);
    const checkpoint = () => {
      owner.saver.checkpoint(0);
      for (const companion of owner.companions) companion.checkpoint();
    };
    // What can fail comes first, and a failure leads back to this point.
    checkpoint();
    this.#loaded = true;
    this.#saved = undefined;
    try {
      steps.prepare();
    } catch (error) {
      owner.saver.rollback();
      for (const companion of owner.companions) companion.rollback();
      throw error;
    }
    steps.write();
    // What a memory loses has to be zero in all that the mechanism keeps.
    checkpoint();
    steps.shrink();
    owner.checkpoint();
  }

  /** Looks at all of a state, and says how to load it. @throws ERR_BELAY_STATE */
  #understand(state: readonly (Uint8Array | undefined)[]) {
    const { contract, shape } = this;
    const registers = state[REGISTERS];
    if (registers?.length !== shape.length || state.length > shape.spaces) {
      throw stateError(
        `this is no state of this module: it has ${registers?.length ?? 'no'} bytes of registers, and the module ${shape.length}`,
      );
    }
    const view = new DataView(registers.buffer, registers.byteOffset, shape.length);
    const size = (i: number) => Number(view.getBigUint64(shape.sizes + 8 * i, true));
    const host = state[HOST];
    if (host && host.length !== size(0)) throw damaged('what the host kept has another size than it says');
    const loadCompanions = host && this.#companionsOf(host);

    const memories = contract.memories.map(({ is64, reserve = is64 ? 2 ** 48 : 65536 }, k) => {
      const pages = size(1 + k);
      const bytes = state[memorySpace(k)];
      if (pages > 2 ** 48 || (bytes && bytes.length > pages * PAGE))
        throw damaged(`the size of memory ${k} is wrong`);
      if (pages <= reserve) return { pages, bytes };
      throw stateError(
        `memory ${k} of the state has ${pages} pages, and this guest's can have ${reserve}: instrument with a larger reserve (${pages * PAGE} bytes)`,
      );
    });
    const known = new Set(contract.functions);
    const reference = (number: number, what: string): number => {
      if (number === 0 || known.has(number - 1)) return number;
      throw damaged(`${what} refers to function ${number - 1}, which it cannot`);
    };
    const tables = contract.tables.map(({ index }, t) => {
      const length = size(1 + shape.memories + t);
      const bytes = state[tableSpace(contract, t)];
      if (length > 0xffff_ffff || (bytes && (bytes.length > length * 4 || bytes.length % 4))) {
        throw damaged(`the size of table ${index} is wrong`);
      }
      const words = bytes && new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const elements =
        words &&
        Uint32Array.from({ length: bytes.length / 4 }, (_, i) =>
          reference(words.getUint32(4 * i, true), `element ${i} of table ${index}`),
        );
      return { length, elements };
    });
    const globals = contract.globals.map(({ type, index }, i): unknown[] => {
      const at = shape.globals + 16 * i;
      if (type === 'i32' || type === 'f32') return [view.getInt32(at, true)];
      if (type === 'i64' || type === 'f64') return [view.getBigInt64(at, true)];
      if (type === 'v128') return [view.getBigInt64(at, true), view.getBigInt64(at + 8, true)];
      return [this.#functionOf(reference(view.getUint32(at, true), `global ${index}`))];
    });
    const flags = this.#reach.flags.map((_, i) => registers[shape.segments + i]!);

    return {
      prepare: () => {
        loadCompanions?.();
        for (const [k, { pages }] of memories.entries()) this.#growMemory(k, pages);
        for (const [t, { length, elements }] of tables.entries()) this.#loadTable(t, length, elements);
        for (const [i, values] of globals.entries()) {
          attempt(`global ${contract.globals[i]!.index}`, () => this.#call(EXPORTS.globalSet(i), ...values));
        }
        for (const [i, flag] of this.#reach.flags.entries()) flag.value = flags[i]!;
      },
      write: () => {
        for (const [k, { pages, bytes }] of memories.entries()) this.#writeMemory(k, pages, bytes);
      },
      shrink: () => {
        for (const [k, { pages }] of memories.entries())
          this.#call(EXPORTS.shrink(k), this.#address(k, pages));
        for (const [t, { length }] of tables.entries()) this.#call(EXPORTS.tableShrink(t), length);
      },
    };
  }

  #growMemory(k: number, pages: number): void {
    const missing = pages - this.#owner.bytes(k) / PAGE;
    if (missing > 0 && Number(this.#call(EXPORTS.grow(k), this.#address(k, missing))) === -1) {
      throw stateError(
        `memory ${k} of the state has ${pages} pages, which this guest's cannot have here: load it where there is more memory`,
      );
    }
  }

  /** Makes `bytes` the content of a memory, with zeros behind; or leaves it as it is, up to its size. */
  #writeMemory(k: number, pages: number, bytes: Uint8Array | undefined): void {
    const { saver } = this.#owner;
    const now = this.memory(k);
    const words = new Int32Array(now.buffer, 0, now.length / 4);
    const given = asWords(bytes ?? new Uint8Array(0));
    // Those that keep pre-images beside memory look at it when it is written; the others go by what they were told.
    const tell = isOutside(saver.name) || saver.name === 'cards';
    // A page is written where it differs, so that those that nobody has used stay that way.
    for (let at = bytes ? 0 : (pages * PAGE) / 4; at < words.length; at += PAGE_BYTES / 4) {
      const end = at + PAGE_BYTES / 4;
      let i = at;
      while (i < end && words[i] === (i < given.length ? given[i] : 0)) i++;
      if (i === end) continue;
      if (tell) saver.touch(k, this.#address(k, at * 4), this.#address(k, PAGE_BYTES));
      words.fill(0, at, end);
      words.set(given.subarray(at, end), at);
    }
  }

  /** Elements of a table as far as it is to have them; what is beyond stays. */
  #loadTable(t: number, length: number, elements: Uint32Array | undefined): void {
    const [get, set] = [EXPORTS.tableGet, EXPORTS.tableSet].map((name) => this.#export(name(t)));
    attempt(`table ${this.contract.tables[t]!.index}`, () => {
      const missing = length - this.#tableSize(t);
      if (missing > 0 && this.#call(EXPORTS.tableGrow(t), null, missing) === -1) {
        throw new RangeError(`it has ${length} elements`);
      }
      for (let i = 0; elements && i < length; i++) {
        const value = this.#functionOf(elements[i] ?? 0);
        if (get!(i) !== value) set!(i, value);
      }
    });
  }

  /** What has companions load what they saved. @throws ERR_BELAY_STATE */
  #companionsOf(host: Uint8Array): (() => void) | undefined {
    // A guest that had no companions says nothing of those that there are here.
    if (host.length === 0) return undefined;
    const { companions } = this.#owner;
    let saved: unknown;
    try {
      // A copy, so that companions may keep parts of it.
      saved = decode(host.slice());
    } catch (cause) {
      throw damaged(`what the host kept cannot be read (${(cause as Error).message})`);
    }
    if (!Array.isArray(saved) || saved.length !== companions.length) {
      throw stateError(
        `the state has what ${Array.isArray(saved) ? saved.length : 'no'} parts of the host (WASI) kept for the guest, and this guest has ${companions.length}: give it the same imports`,
      );
    }
    return () => {
      for (const [i, companion] of companions.entries()) {
        if (!companion.load) throw unsaid(companion);
        companion.load(saved[i]);
      }
    };
  }

  #hostChanged(): boolean {
    return this.#owner.companions.some((companion) => companion.changed !== false);
  }

  #hostBytes(): Uint8Array {
    const { companions } = this.#owner;
    if (companions.length === 0) return new Uint8Array(0);
    if (!this.#saved || (!this.#still && this.#hostChanged())) {
      const all = companions.map((companion) => {
        if (!companion.save) throw unsaid(companion);
        return companion.save();
      });
      try {
        this.#saved = encode(all);
      } catch (cause) {
        throw stateError(
          `what a companion of the guest saves is not plain data: ${(cause as Error).message}`,
          cause,
        );
      }
    }
    return this.#saved;
  }

  get #reach(): Reach {
    this.#reached ??= reach(this.contract, this.#owner.exports);
    return this.#reached;
  }

  #tableSize(t: number): number {
    return this.#reach.tableSizes[t]!() as number;
  }

  #address(k: number, value: number): number | bigint {
    return this.contract.memories[k]!.is64 ? BigInt(value) : value;
  }

  #export(name: string): Call {
    return this.#owner.exports[name] as Call;
  }

  #call(name: string, ...values: unknown[]): unknown {
    return this.#export(name)(...values);
  }

  /** The number of a reference: 0 for null. @throws ERR_BELAY_STATE */
  #numberOf(value: unknown, what: () => string): number {
    if (value === null) return 0;
    const number = this.#references().numbers.get(value);
    if (number !== undefined) return number;
    throw stateError(
      `${what()} holds ${typeof value === 'function' ? 'a function of another module' : 'an object of the host'}, which means nothing elsewhere: set it to null before the state is saved`,
    );
  }

  #functionOf(number: number): unknown {
    return number === 0 ? null : this.#references().functions.get(number);
  }

  /** The functions that can be referred to, by number, and their numbers. */
  #references() {
    if (!this.#known) {
      const [numbers, functions] = [new Map<unknown, number>(), new Map<number, unknown>()];
      const table = this.#owner.exports[EXPORTS.functions] as WebAssembly.Table;
      this.contract.functions.forEach((index, i) => {
        const value = table.get(i) as unknown;
        functions.set(index + 1, value);
        // Of two imports that are one function the first.
        if (!numbers.has(value)) numbers.set(value, index + 1);
      });
      this.#known = { numbers, functions };
    }
    return this.#known;
  }
}

/** What `get` returns. Some references never reach JavaScript. @throws ERR_BELAY_STATE */
function given(get: Call, argument: unknown, what: () => string): unknown {
  try {
    return get(argument);
  } catch (cause) {
    throw stateError(
      `${what()} has a type that JavaScript cannot look at, so the state cannot be saved`,
      cause,
    );
  }
}

const damaged = (what: string): BelayError => stateError(`the state is damaged: ${what}; load another one`);

/** @throws ERR_BELAY_STATE for what `fn` throws */
function attempt(what: string, fn: () => void): void {
  try {
    fn();
  } catch (cause) {
    throw stateError(
      `${what} of the state does not fit into this guest (${(cause as Error).message}): load it where it came from`,
      cause,
    );
  }
}

function unsaid(companion: Companion): BelayError {
  const name = companion.constructor?.name;
  return stateError(
    `a companion of the guest${name && name !== 'Object' ? ` (${name})` : ''} has no save() and load(), so the state that it keeps would be lost: add them, or do not join() it`,
  );
}

/** Bytes as words, with zeros behind. */
function asWords(bytes: Uint8Array): Int32Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0) {
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  }
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return new Int32Array(copy.buffer);
}
