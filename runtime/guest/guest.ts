import { type Contract, EXPORTS, type MechanismName, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { chooseMechanism, makeMechanism } from '../mechanisms/index.js';
import type { Mechanism } from '../mechanisms/mechanism.js';
import type {
  Companion,
  EpochInfo,
  Guest,
  GuestImports,
  GuestRecorder,
  GuestStats,
  InstantiateOptions,
  Limits,
  Observer,
  Pointer,
} from '../types.js';
import { State, stateError } from './access.js';
import { Audit } from './audit.js';
import { readDocument, writeDocument } from './document.js';
import { checkAliases, checkImportedMemory, trackMemory, trackTable } from './host-objects.js';
import { type Depth, watchImports } from './imports.js';
import { StepLimit } from './limits.js';
import { readContract } from './section.js';
import type { StateAccess } from './state.js';

const OPTIONS: Record<keyof InstantiateOptions, true> = { audit: true, mechanism: true, policy: true };

/** A guest between its making (its imports may need it) and its first instruction. */
class LiveGuest<E extends WebAssembly.Exports> implements Guest<E>, Depth {
  readonly contract: Contract;
  instance!: WebAssembly.Instance;
  exports!: E;
  depth = 0;

  readonly mechanism: MechanismName;
  private saver!: Mechanism;
  /** Each memory's size in pages, as the guest sees it. */
  private sizes: (() => number | bigint)[] = [];
  private memories: WebAssembly.Memory[] = [];
  private steps: StepLimit | undefined;
  private audit: Audit | undefined;
  private whole!: State;
  private observer: Observer | undefined;
  private readonly companions: Companion[] = [];
  readonly kinds: string[] = [''];
  private checkpoints = 0;
  private rollbacks = 0;
  private disposed = false;

  constructor(
    readonly module: WebAssembly.Module,
    private readonly options: InstantiateOptions,
  ) {
    for (const key of Object.keys(options)) {
      if (!(key in OPTIONS)) {
        throw new BelayError(
          'ERR_BELAY_OPTION',
          `unknown option '${key}': the options are ${Object.keys(OPTIONS).join(', ')}`,
        );
      }
    }
    this.contract = readContract(module);
    this.mechanism = chooseMechanism(this.contract, options.mechanism, options.policy);
  }

  /** Resolves imports, with this guest in hand where they are a function. */
  prepare(imports: GuestImports): WebAssembly.Imports {
    const given = typeof imports === 'function' ? imports(this as unknown as Guest) : imports;
    checkImportedMemory(this.contract, given);
    checkAliases(this.contract, given);
    return watchImports(this.module, given, this);
  }

  adopt(instance: WebAssembly.Instance, imports: WebAssembly.Imports): void {
    const { contract } = this;
    const all = instance.exports;
    this.instance = instance;
    const exports = Object.create(null) as Record<string, WebAssembly.ExportValue>;
    for (const [name, value] of Object.entries(all)) if (!name.startsWith('belay:')) exports[name] = value;
    this.exports = Object.freeze(exports) as E;
    this.sizes = contract.memories.map((_, k) => all[EXPORTS.size(k)] as () => number | bigint);
    this.memories = contract.memories.map((m, k) => {
      const memory = all[m.export] as WebAssembly.Memory;
      trackMemory(memory, k, m.is64, all);
      return memory;
    });
    contract.tables.forEach((t, i) => {
      const table = t.exports.length ? all[t.exports[0]!] : t.import && imports[t.import[0]]?.[t.import[1]];
      if (table) trackTable(table as WebAssembly.Table, i, all);
    });
    this.saver = makeMechanism(
      this.mechanism,
      contract,
      { exports: all, memories: this.memories, bytes: (k) => this.memoryBytes(k) },
      this.options.policy,
    );
    this.whole = new State({
      contract,
      exports: all,
      saver: this.saver,
      memories: this.memories,
      companions: this.companions,
      bytes: (k) => this.memoryBytes(k),
      idle: (what) => this.idle(what),
      checkpoint: () => this.checkpoint(),
    });
    if (contract.steps) this.steps = new StepLimit(all);
    if (this.options.audit) {
      this.audit = new Audit(() =>
        this.memories.map((m, k) => new Uint8Array(m.buffer, 0, this.memoryBytes(k))),
      );
    }
  }

  get memory(): WebAssembly.Memory {
    this.started('memory');
    const [memory] = this.memories;
    if (!memory) throw new BelayError('ERR_BELAY_RANGE', 'the module has no memory');
    return memory;
  }

  get running(): boolean {
    return this.depth > 0;
  }

  get overrun(): boolean {
    return this.steps?.exceeded !== undefined;
  }

  get logFull(): boolean {
    return this.saver?.full?.() ?? false;
  }

  checkpoint(info?: EpochInfo): void {
    this.idle('checkpoint');
    const { observer, whole } = this;
    whole.ending(() => observer?.beforeCheckpoint(info));
    this.saver.checkpoint(info?.kind === undefined ? 0 : this.kindOf(info.kind));
    this.audit?.checkpoint();
    for (const companion of this.companions) companion.checkpoint();
    this.checkpoints++;
    whole.began(false);
    observer?.afterCheckpoint?.();
  }

  rollback(reason?: string): void {
    this.idle('rollback');
    if (!this.checkpoints) {
      throw new BelayError(
        'ERR_BELAY_NO_CHECKPOINT',
        'there is no checkpoint to return to: call checkpoint() first',
      );
    }
    const { observer, whole } = this;
    whole.ending(() => observer?.beforeRollback(reason));
    this.saver.rollback();
    if (this.steps) this.steps.exceeded = undefined;
    for (const companion of this.companions) companion.rollback();
    this.rollbacks++;
    whole.began(true);
    observer?.afterRollback?.();
    this.audit?.rollback();
  }

  /** A small number for a kind of request; 0 for all beyond the first 255. */
  private kindOf(name: string): number {
    const { kinds } = this;
    const known = kinds.indexOf(name);
    return known >= 0 ? known : kinds.length < 256 ? kinds.push(name) - 1 : 0;
  }

  attempt<T>(fn: () => T, info?: EpochInfo): T {
    this.checkpoint(info);
    let result: T;
    try {
      result = fn();
    } catch (error) {
      throw this.failed(error);
    }
    if (typeof (result as PromiseLike<unknown> | null)?.then !== 'function') return result;
    return Promise.resolve(result).catch((error: unknown) => {
      throw this.failed(error);
    }) as T;
  }

  /** Rolls back, and returns what to throw. */
  private failed(error: unknown): unknown {
    const exceeded = this.steps?.exceeded;
    const store = this.contract.oracle ? this.unsavedStore() : undefined;
    if (store) {
      return new BelayError(
        'ERR_BELAY_ORACLE',
        `${store} wrote a byte that was not saved: this is a bug in Belay, please report it with the module`,
        { cause: error },
      );
    }
    const full = this.logFull;
    this.rollback(error instanceof Error ? error.message : String(error));
    if (full) {
      return new BelayError(
        'ERR_BELAY_LOG_FULL',
        'the undo log reached its limit, and the guest was rolled back: take checkpoints more often, raise logLimit, or use lmc, whose memory is bounded',
        { cause: error },
      );
    }
    if (!exceeded) return error;
    const what = exceeded === 'steps' ? 'used up its steps' : 'ran past its deadline';
    return new BelayError('ERR_BELAY_OVERRUN', `the guest ${what} and was rolled back`, { cause: error });
  }

  /** Debug builds: the store that the oracle stopped at, told once. */
  private unsavedStore(): string | undefined {
    const [fn, store] = [EXPORTS.oracleFunction, EXPORTS.oracleStore].map(
      (name) => this.instance.exports[name] as WebAssembly.Global,
    );
    if (fn!.value < 0) return undefined;
    const found = `store ${store!.value} of function ${fn!.value}`;
    fn!.value = -1;
    return found;
  }

  write(pointer: Pointer, bytes: Uint8Array, memory = 0): void {
    this.touch(pointer, bytes.length, memory);
    new Uint8Array(this.memories[memory]!.buffer, Number(pointer), bytes.length).set(bytes);
  }

  fill(pointer: Pointer, value: number, length: Pointer, memory = 0): void {
    this.touch(pointer, length, memory);
    new Uint8Array(this.memories[memory]!.buffer, Number(pointer), Number(length)).fill(value);
  }

  touch(pointer: Pointer, length: Pointer, memory = 0): void {
    if (this.disposed) this.idle('touch');
    this.started('touch');
    const at = Number(pointer);
    const n = Number(length);
    const state = this.contract.memories[memory];
    if (!state || !(at >= 0 && n >= 0 && at + n <= this.memoryBytes(memory))) {
      throw new BelayError(
        'ERR_BELAY_RANGE',
        `${n} bytes at ${at} do not lie in memory ${memory}${state ? `, which has ${this.memoryBytes(memory)} bytes` : ', which does not exist'}`,
      );
    }
    if (state.is64) this.saver.touch(memory, BigInt(at), BigInt(n));
    else this.saver.touch(memory, at, n);
  }

  limit(limits?: Limits): void {
    if (!this.steps) {
      if (!limits) return;
      throw new BelayError(
        'ERR_BELAY_OPTION',
        'this module does not count steps: instrument it with `steps: true` (belay instrument --steps)',
      );
    }
    this.steps.set(limits);
  }

  join(companion: Companion): void {
    this.companions.push(companion);
  }

  get state(): StateAccess {
    this.started('state');
    return this.whole;
  }

  save(): Uint8Array<ArrayBuffer> {
    this.idle('save');
    this.started('save');
    return writeDocument(this.whole);
  }

  restore(document: Uint8Array): void {
    this.idle('restore');
    const { module, state } = readDocument(document);
    if (module !== this.contract.module) {
      throw stateError(
        `the state is of another module (SHA-256 ${module.slice(0, 16)}…, and this guest's is ${this.contract.module.slice(0, 16)}…): restore it into a guest of the module that it was saved from`,
      );
    }
    this.state.load(state);
  }

  record<O, R>(store: GuestRecorder<O, R>, options: O): R {
    return store.record(this as unknown as Guest, options);
  }

  observe(observer: Observer): () => void {
    if (this.observer) {
      throw stateError('the guest is recorded already: close that recorder first');
    }
    this.observer = observer;
    return () => {
      if (this.observer === observer) this.observer = undefined;
    };
  }

  stats(): GuestStats {
    this.started('stats');
    const stats = this.saver.stats();
    return {
      mechanism: this.mechanism,
      checkpoints: this.checkpoints,
      rollbacks: this.rollbacks,
      ...stats,
      bytesSaved: stats.regionsSaved * this.saver.region,
      memoryBytes: this.memories.reduce((sum, _, k) => sum + this.memoryBytes(k), 0),
    };
  }

  [Symbol.dispose](): void {
    if (!this.disposed) this.saver?.dispose?.();
    this.disposed = true;
    this.companions.length = 0;
  }

  /** Bytes of a memory as the guest sees it. */
  private memoryBytes(k: number): number {
    return Number(this.sizes[k]!()) * PAGE;
  }

  /** Until instantiation ends, engines do not say where the module's memory is. */
  private started(what: string): void {
    if (this.saver) return;
    throw new BelayError(
      'ERR_BELAY_RUNNING',
      `${what} while the module's start function is running: the host cannot reach the guest's memory before it has ended`,
    );
  }

  private idle(what: string): void {
    if (this.disposed) {
      throw new BelayError('ERR_BELAY_DISPOSED', `${what}() of a guest that was disposed of: make a new one`);
    }
    if (this.depth) {
      throw new BelayError(
        'ERR_BELAY_RUNNING',
        `${what}() while the guest is running: call it when no function of the guest is on the stack`,
      );
    }
  }
}

/** Turns what an engine throws for a module that it cannot load into an error that says what to do. */
function explain(error: unknown): unknown {
  if (error instanceof WebAssembly.CompileError) {
    const memories =
      /memor/i.test(error.message) && /multi|at most 1|more than 1|one memory/i.test(error.message);
    return memories
      ? new BelayError(
          'ERR_BELAY_ENGINE',
          "this engine has one memory a module: instrument with layout 'inline' (belay instrument --layout inline)",
          { cause: error },
        )
      : new BelayError('ERR_BELAY_INVALID_MODULE', `the engine does not take the module: ${error.message}`, {
          cause: error,
        });
  }
  // What the engines say when memory of the size that the module asks for is not to be had.
  if (error instanceof RangeError && /memory/i.test(error.message)) {
    return new BelayError(
      'ERR_BELAY_ENGINE',
      `the engine could not allocate the module's memory (${error.message}): for the inline layout, instrument with a smaller reserve (belay instrument --reserve BYTES)`,
      { cause: error },
    );
  }
  return error;
}

async function compile(wasm: BufferSource | WebAssembly.Module): Promise<WebAssembly.Module> {
  if (wasm instanceof WebAssembly.Module) return wasm;
  try {
    return await WebAssembly.compile(wasm);
  } catch (error) {
    throw explain(error);
  }
}

/**
 * Loads an instrumented module, as WebAssembly.instantiate does, and makes a guest of it. Its start function
 * runs before the first checkpoint.
 *
 * @param imports as for WebAssembly.instantiate, or a function that is given the guest and returns them (for
 *   hosts that write into its memory)
 * @throws ERR_BELAY_NOT_INSTRUMENTED, ERR_BELAY_CONTRACT_VERSION, ERR_BELAY_INVALID_MODULE,
 *   ERR_BELAY_ENGINE, ERR_BELAY_IMPORT, ERR_BELAY_OPTION, and what the start function throws
 */
export async function instantiate<E extends WebAssembly.Exports = WebAssembly.Exports>(
  wasm: BufferSource | WebAssembly.Module,
  imports: GuestImports = {},
  options: InstantiateOptions = {},
): Promise<Guest<E>> {
  const module = await compile(wasm);
  const guest = new LiveGuest<E>(module, options);
  const prepared = guest.prepare(imports);
  let instance: WebAssembly.Instance;
  try {
    instance = await WebAssembly.instantiate(module, prepared);
  } catch (error) {
    throw explain(error);
  }
  guest.adopt(instance, prepared);
  return guest;
}

/**
 * The same at once, for hosts that may compile synchronously, or have compiled already.
 * @throws as {@link instantiate}
 */
export function instantiateSync<E extends WebAssembly.Exports = WebAssembly.Exports>(
  wasm: BufferSource | WebAssembly.Module,
  imports: GuestImports = {},
  options: InstantiateOptions = {},
): Guest<E> {
  const attempt = <T>(load: () => T): T => {
    try {
      return load();
    } catch (error) {
      throw explain(error);
    }
  };
  const module = attempt(() => (wasm instanceof WebAssembly.Module ? wasm : new WebAssembly.Module(wasm)));
  const guest = new LiveGuest<E>(module, options);
  const prepared = guest.prepare(imports);
  guest.adopt(
    attempt(() => new WebAssembly.Instance(module, prepared)),
    prepared,
  );
  return guest;
}
