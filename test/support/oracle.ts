/**
 * The oracle of every test: a rolled-back guest cannot be told from one that never ran the request.
 *
 * {@link snapshot} takes everything of an instance that can be seen from outside, {@link compare} names the
 * first difference of two snapshots, and {@link Twins} runs an instrumented module and the original side by
 * side. Modules that do not export their state are made to by exposeState (expose.ts). Works in every engine.
 */
import type { Contract } from '../../contract/contract.js';
import { EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { instrument } from '../../rewriter/index.js';
import { type InstrumentOptions, OMITTABLE, type Omittable, type Report } from '../../rewriter/types.js';
import { instantiateSync } from '../../runtime/index.js';
import type { Guest, InstantiateOptions } from '../../runtime/types.js';
import { exposeState, STATE_PREFIX } from './expose.js';

/** An instrumented guest, or a plain instance of the original. */
export type Subject = Guest | WebAssembly.Instance;

/** All that can be seen of an instance, by the names of its exports. */
export interface Snapshot {
  /** Each memory's bytes, as far as the guest sees them. */
  memories: Map<string, Uint8Array>;
  /** Values as JavaScript sees them; v128 as two bigints in a string. */
  globals: Map<string, unknown>;
  tables: Map<string, unknown[]>;
}

const isGuest = (subject: Subject): subject is Guest => 'contract' in subject;

/** How large the guest sees a memory, in bytes. */
function visibleBytes(guest: Guest, memory: WebAssembly.Memory): number {
  const all = guest.instance.exports;
  const k = guest.contract.memories.findIndex((m) => all[m.export] === memory);
  if (k < 0) return memory.buffer.byteLength;
  return Number((all[EXPORTS.size(k)] as () => number | bigint)()) * PAGE;
}

function visibleElements(guest: Guest, name: string, table: WebAssembly.Table): number {
  const i = guest.contract.tables.findIndex((t) => t.exports.includes(name));
  if (i < 0) return table.length;
  return (guest.instance.exports[EXPORTS.tableSize(i)] as () => number)();
}

const UNREADABLE = '(not readable from JavaScript)';

function read<T>(get: () => T): T | string {
  try {
    return get();
  } catch {
    return UNREADABLE;
  }
}

/**
 * Everything that is visible of `subject`. `more` are objects that the module imports and does not export
 * (memories, globals, tables), by any names.
 */
export function snapshot(subject: Subject, more: Record<string, WebAssembly.ExportValue> = {}): Snapshot {
  const result: Snapshot = { memories: new Map(), globals: new Map(), tables: new Map() };
  const exports = { ...subject.exports, ...more };
  for (const [name, value] of Object.entries(exports)) {
    if (value instanceof WebAssembly.Memory) {
      const bytes = isGuest(subject) ? visibleBytes(subject, value) : value.buffer.byteLength;
      result.memories.set(name, new Uint8Array(value.buffer).slice(0, bytes));
    } else if (value instanceof WebAssembly.Global) {
      result.globals.set(
        name,
        read(() => value.value),
      );
    } else if (value instanceof WebAssembly.Table) {
      const length = isGuest(subject) ? visibleElements(subject, name, value) : value.length;
      const elements: unknown[] = [];
      for (let i = 0; i < length; i++) elements.push(read(() => value.get(i)));
      result.tables.set(name, elements);
    } else if (name.startsWith(`${STATE_PREFIX}get:`)) {
      const got = (value as () => unknown)();
      result.globals.set(name, Array.isArray(got) ? got.join() : got);
    }
  }
  return result;
}

/**
 * Whether two values of globals or table elements are the same. Two instances have functions of their own: an
 * exported function's name is its index in the module, which instrumentation keeps. Objects of the garbage
 * collector that JavaScript cannot look into count as equal.
 */
export function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a === 'function' && typeof b === 'function') return a === b || a.name === b.name;
  if (isOpaque(a) && isOpaque(b)) return true;
  if (a instanceof WebAssembly.Exception && b instanceof WebAssembly.Exception) return true;
  return Object.is(a, b);
}

const isOpaque = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;

export const show = (value: unknown): string => {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (Object.is(value, -0)) return '-0';
  if (isOpaque(value)) return '(opaque object)';
  return String(value);
};

/** The first index at which two arrays of the same length differ, or -1. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const words = Math.min(a.length, b.length) >>> 2;
  let at = 0;
  if (a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0) {
    const x = new Uint32Array(a.buffer, a.byteOffset, words);
    const y = new Uint32Array(b.buffer, b.byteOffset, words);
    while (at < words && x[at] === y[at]) at++;
    at *= 4;
  }
  for (; at < a.length && at < b.length; at++) if (a[at] !== b[at]) return at;
  return -1;
}

function names(a: Map<string, unknown>, b: Map<string, unknown>, what: string): string | undefined {
  for (const name of a.keys()) if (!b.has(name)) return `${what} '${name}' is missing on the right`;
  for (const name of b.keys()) if (!a.has(name)) return `${what} '${name}' is missing on the left`;
  return undefined;
}

/** Names the first difference, or returns undefined where there is none. */
export function compare(a: Snapshot, b: Snapshot): string | undefined {
  const missing =
    names(a.memories, b.memories, 'memory') ??
    names(a.globals, b.globals, 'global') ??
    names(a.tables, b.tables, 'table');
  if (missing) return missing;
  for (const [name, x] of a.globals) {
    const y = b.globals.get(name);
    if (!sameValue(x, y)) return `global '${name}' is ${show(x)}, and ${show(y)} on the right`;
  }
  for (const [name, x] of a.memories) {
    const y = b.memories.get(name)!;
    if (x.length !== y.length) {
      return `memory '${name}' has ${x.length / PAGE} pages, and ${y.length / PAGE} on the right`;
    }
    const at = firstDifference(x, y);
    if (at < 0) continue;
    let count = 0;
    for (let i = at; i < x.length; i++) if (x[i] !== y[i]) count++;
    return `memory '${name}' differs at ${at} (0x${at.toString(16)}): ${x[at]}, and ${y[at]} on the right (${count} bytes differ)`;
  }
  for (const [name, x] of a.tables) {
    const y = b.tables.get(name)!;
    if (x.length !== y.length)
      return `table '${name}' has ${x.length} elements, and ${y.length} on the right`;
    const at = x.findIndex((value, i) => !sameValue(value, y[i]));
    if (at >= 0) return `table '${name}' holds ${show(x[at])} at ${at}, and ${show(y[at])} on the right`;
  }
  return undefined;
}

/** Throws, naming the first difference. */
export function assertSame(a: Snapshot, b: Snapshot, when: string): void {
  const difference = compare(a, b);
  if (difference) throw new Error(`${when}: ${difference}`);
}

/** What came of a call. */
export interface Outcome {
  value?: unknown;
  /** Traps and other errors: class and message; WebAssembly exceptions: 'exception'. */
  trap?: string;
  /** The stack or the memory of the process ran out: where that happens is not comparable. */
  exhausted?: boolean;
}

/** Calls `fn`, and says what came of it. */
export function outcome(fn: () => unknown): Outcome {
  try {
    return { value: fn() };
  } catch (error) {
    if (error instanceof WebAssembly.Exception) return { trap: 'exception' };
    if (error instanceof BelayError) throw error;
    const { name, message } = error as Error;
    if (name === 'RangeError' || name === 'InternalError') return { trap: name, exhausted: true };
    return { trap: `${name}: ${message}` };
  }
}

/**
 * Messages that may differ: a call through an element that a rolled-back table.grow left behind finds null
 * instead of nothing, and a segment that was dropped is an empty one.
 */
const TABLE_TRAPS =
  /null function|signature mismatch|table index is out of bounds|element segment out of bounds|table access out of bounds/;
const sameTrap = (a: string, b: string) => a === b || (TABLE_TRAPS.test(a) && TABLE_TRAPS.test(b));

/** Names the difference of two outcomes, or returns undefined. */
export function compareOutcomes(a: Outcome, b: Outcome): string | undefined {
  const text = (o: Outcome) => o.trap ?? `returned ${show(o.value)}`;
  if (a.trap !== undefined || b.trap !== undefined) {
    return a.trap !== undefined && b.trap !== undefined && sameTrap(a.trap, b.trap)
      ? undefined
      : `${text(a)}, and ${text(b)} on the right`;
  }
  const [x, y] = [a.value, b.value];
  const same =
    Array.isArray(x) && Array.isArray(y)
      ? x.length === y.length && x.every((value, i) => sameValue(value, y[i]))
      : sameValue(x, y);
  return same ? undefined : `${text(a)}, and ${text(b)} on the right`;
}

/** A call of an export: its name and arguments. */
export type Call = readonly [name: string, ...args: unknown[]];

/** Kinds of instrumentation to leave out, from the environment (see breakage.ts). */
export function brokenKinds(): Omittable[] {
  const kind = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env
    .BELAY_OMIT;
  return kind ? OMITTABLE.filter((k) => kind.split(',').includes(k)) : [];
}

export interface TwinOptions {
  instrument?: InstrumentOptions;
  instantiate?: InstantiateOptions;
  /**
   * Makes the imports of one instance. Called once for each, so that neither sees the other's; with the
   * contract for the guest (in the inline layout a memory must have `contract.memories[0].total` pages).
   */
  imports?: (contract?: Contract) => WebAssembly.Imports;
  /** Leave the module as it is: it exports all its state, or is tested on what it exports. */
  expose?: boolean;
}

/** A difference between a guest and its twin. */
export class Difference extends Error {
  override name = 'Difference';
}

/** The stack ran out in a guest or its twin: the case says nothing. */
export class Exhausted extends Error {
  override name = 'Exhausted';
}

/** Neither the original nor the instrumented module instantiates. */
export class NotInstantiated extends Error {
  override name = 'NotInstantiated';
}

/** An instrumented module, and the original, in the same state. */
export class Twins {
  readonly guest: Guest;
  readonly plain: WebAssembly.Instance;
  readonly report: Report;
  readonly wasm: Uint8Array;
  readonly contract: Contract;
  private readonly imported: [
    Record<string, WebAssembly.ExportValue>,
    Record<string, WebAssembly.ExportValue>,
  ];

  /**
   * @param bytes the original, a binary
   * @throws Difference where one instantiates and the other does not; NotInstantiated
   */
  constructor(bytes: Uint8Array, options: TwinOptions = {}) {
    const exposed = options.expose === false ? bytes : exposeState(bytes);
    const omit = brokenKinds();
    const given = options.instrument ?? {};
    const { wasm, report, contract } = instrument(exposed, omit.length ? { ...given, omit } : given);
    this.wasm = wasm;
    this.report = report;
    this.contract = contract;
    const imports = [options.imports?.() ?? {}, options.imports?.(contract) ?? {}] as const;
    const plain = attempt(
      () => new WebAssembly.Instance(new WebAssembly.Module(exposed as Uint8Array<ArrayBuffer>), imports[0]),
    );
    const guest = attempt(() =>
      instantiateSync(wasm as Uint8Array<ArrayBuffer>, imports[1], options.instantiate),
    );
    if ('error' in plain || 'error' in guest) {
      const of = (x: typeof plain | typeof guest) => ('error' in x ? String(x.error) : 'instantiated');
      if ('error' in plain && 'error' in guest) throw new NotInstantiated(of(plain));
      throw new Difference(`the original: ${of(plain)}; instrumented: ${of(guest)}`);
    }
    this.plain = plain.value;
    this.guest = guest.value;
    // What is exported needs no second look.
    this.imported = options.expose === false ? [stateful(imports[1]), stateful(imports[0])] : [{}, {}];
  }

  /** Both states, the guest's first. */
  snapshots(): [Snapshot, Snapshot] {
    return [snapshot(this.guest, this.imported[0]), snapshot(this.plain, this.imported[1])];
  }

  /** @throws Difference unless both are in the same state. */
  same(when = 'state'): void {
    const [guest, plain] = this.snapshots();
    const difference = compare(guest, plain);
    if (difference) throw new Difference(`${when}: ${difference}`);
  }

  /** Calls the guest alone. */
  guestCall([name, ...args]: Call): Outcome {
    const result = outcome(() => (this.guest.exports[name] as (...a: unknown[]) => unknown)(...args));
    this.checkOracle();
    if (result.exhausted) throw new Exhausted(name);
    return result;
  }

  plainCall([name, ...args]: Call): Outcome {
    const result = outcome(() => (this.plain.exports[name] as (...a: unknown[]) => unknown)(...args));
    if (result.exhausted) throw new Exhausted(name);
    return result;
  }

  /** Calls both, and throws Difference unless the same came of it, which it returns. */
  call(name: string, ...args: unknown[]): Outcome {
    const call: Call = [name, ...args];
    const [a, b] = [this.guestCall(call), this.plainCall(call)];
    this.agree(a, b, `${name}(${args.map(show).join(', ')})`);
    return b;
  }

  private agree(a: Outcome, b: Outcome, what: string): void {
    const difference = compareOutcomes(a, b);
    if (difference) throw new Difference(`${what}: ${difference}`);
  }

  /**
   * Takes a checkpoint, lets the guest alone make `calls`, rolls back, compares with the twin that never made
   * them, and does so once more: a rollback begins an epoch of its own.
   * @returns what came of the calls
   */
  undone(...calls: Call[]): Outcome[] {
    this.same('at the checkpoint');
    this.guest.checkpoint();
    const first = calls.map((call) => this.guestCall(call));
    this.rollback('after the rollback');
    calls.forEach((call, i) => {
      this.agree(this.guestCall(call), first[i]!, `${call[0]} again, after a rollback`);
    });
    this.rollback('after the second rollback');
    return first;
  }

  /** {@link undone}, and then the same calls for both: results and states must be equal. */
  undoneAndDone(...calls: Call[]): Outcome[] {
    const undone = this.undone(...calls);
    const done = calls.map((call) => this.call(...(call as [string, ...unknown[]])));
    done.forEach((result, i) => {
      this.agree(undone[i]!, result, `${calls[i]![0]} before it was undone`);
    });
    this.same('at the end');
    return done;
  }

  rollback(when: string): void {
    this.guest.rollback();
    this.same(when);
  }

  /** Oracle builds: throws where some store wrote a byte that was not saved. */
  private checkOracle(): void {
    if (!this.contract.oracle) return;
    const all = this.guest.instance.exports;
    const fn = (all[EXPORTS.oracleFunction] as WebAssembly.Global).value as number;
    if (fn < 0) return;
    const store = (all[EXPORTS.oracleStore] as WebAssembly.Global).value as number;
    throw new Difference(`store ${store} of function ${fn} wrote a byte that was not saved`);
  }
}

type Attempt<T> = { value: T } | { error: unknown };

function attempt<T>(fn: () => T): Attempt<T> {
  try {
    return { value: fn() };
  } catch (error) {
    if (error instanceof BelayError) throw error;
    return { error };
  }
}

/** Memories, globals and tables among imports. */
function stateful(imports: WebAssembly.Imports): Record<string, WebAssembly.ExportValue> {
  const found: Record<string, WebAssembly.ExportValue> = {};
  for (const [module, members] of Object.entries(imports)) {
    for (const [name, value] of Object.entries(members)) {
      if (typeof value === 'object') found[`import:${module}:${name}`] = value as WebAssembly.ExportValue;
    }
  }
  return found;
}
