/**
 * Stands between an instrumented module and glue code that was written for the original.
 *
 * Glue checks `instanceof` for Module, Instance and Memory, so it gets the real objects; only the functions
 * that cross the boundary are replaced: imports in the import object, exports by an own property `exports` on
 * the real Instance, which hides the accessor of its prototype.
 */

import { type Contract, EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { instantiate, instantiateSync, readContract } from '../index.js';
import type { Guest, InstantiateOptions, Pointer } from '../types.js';
import { divert } from './divert.js';
import { announcerOf } from './imports.js';
import { type Hook, interpose } from './interpose.js';
import { Ledger } from './ledger.js';
import { handedOut, type Role, roleOf } from './shape.js';
import type { Adapter, AdapterOptions, AdapterStats } from './types.js';

type Fn = (...args: unknown[]) => unknown;

/** What the adapters differ in. */
export interface Dialect {
  /** Whether JavaScript grows memory, inside of an import whose only argument is the size it wants. */
  growsFromHost: boolean;
  /** Whether the host keeps what exports allocate for it beyond the call that it was meant for. Default true. */
  remembers?: boolean;
  /** What `AdapterOptions.pair` is when it is not given. */
  pair: number;
  /** Imports that are put off as `AdapterOptions.defer` says, besides those it names. */
  defer?: (module: string, name: string) => boolean;
  /** A better name for an export than its own, once the glue has named it. */
  nameOf?: (fn: unknown) => string | undefined;
}

const DEFAULTS: Required<Pick<AdapterOptions, 'window' | 'results'>> = { window: 512, results: 64 };

export class Glue<E extends WebAssembly.Exports = WebAssembly.Exports> implements Adapter<E> {
  readonly guest: Promise<Guest<E>>;

  readonly #wasm: BufferSource | WebAssembly.Module;
  readonly #options: AdapterOptions;
  readonly #dialect: Dialect;
  readonly #ledger: Ledger;
  #settle!: { resolve: (guest: Guest<E>) => void; reject: (error: unknown) => void };
  /** Interposed export → the function of the module. */
  readonly #originals = new WeakMap<object, Fn>();
  #module: WebAssembly.Module | undefined;
  #used = false;
  #attached: Guest | undefined;
  /** The only argument of the import that is being called, where it has just one number; else -1. */
  #request = -1;

  constructor(wasm: BufferSource | WebAssembly.Module, options: AdapterOptions, dialect: Dialect) {
    this.#wasm = wasm;
    this.#options = { ...DEFAULTS, pair: dialect.pair, ...options };
    this.#dialect = dialect;
    this.#ledger = new Ledger(options, dialect.remembers ?? true);
    this.guest = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever instantiates gets the error too; nobody needs to ask for the guest.
    this.guest.catch(() => {});
  }

  /** What the module says of itself. Compiles it, when it was given as bytes. */
  contract(): Contract {
    return readContract(this.#compile());
  }

  #compile(): WebAssembly.Module {
    this.#module ??=
      this.#wasm instanceof WebAssembly.Module ? this.#wasm : new WebAssembly.Module(this.#wasm);
    return this.#module;
  }

  async instantiate(imports: WebAssembly.Imports = {}): Promise<WebAssembly.Instance> {
    this.#claim();
    try {
      return this.#bind(
        await instantiate(this.#module ?? this.#wasm, this.#wrapImports(imports), this.#guestOptions()),
      );
    } catch (error) {
      this.#settle.reject(error);
      throw error;
    }
  }

  instantiateSync(imports: WebAssembly.Imports = {}): WebAssembly.Instance {
    this.#claim();
    try {
      return this.#bind(instantiateSync(this.#compile(), this.#wrapImports(imports), this.#guestOptions()));
    } catch (error) {
      this.#settle.reject(error);
      throw error;
    }
  }

  divert<T>(load: () => T): T {
    return divert(this, load);
  }

  announce(pointer: Pointer, length: number): void {
    if (this.#attached && this.#ledger.active) this.#attached.touch(pointer, length);
  }

  remember(pointer: number, length: number): void {
    this.#ledger.pin(pointer, length);
  }

  forget(pointer: number): void {
    this.#ledger.unpin(pointer);
    this.#ledger.release(pointer);
  }

  stats(): AdapterStats {
    return this.#ledger.stats();
  }

  #claim(): void {
    if (this.#used) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        'This adapter has instantiated its module already. Make another adapter for another instance.',
      );
    }
    this.#used = true;
  }

  /** The options that are not the adapter's; the guest checks them. */
  #guestOptions(): InstantiateOptions {
    const { announce, buffers, defer, window, pair, results, remember, ...rest } = this.#options;
    return rest;
  }

  #bind(guest: Guest): WebAssembly.Instance {
    const { instance } = guest;
    const raw = instance.exports;
    if (guest.contract.memories[0]?.is64) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        'Adapters know glue for 32-bit memories only. Use instantiate() and announce host writes with guest.touch().',
      );
    }
    this.#attached = guest;
    this.#ledger.attach(guest, raw);
    Object.defineProperty(instance, 'exports', {
      configurable: true,
      value: this.#wrapExports(guest, raw),
    });
    if (this.#dialect.growsFromHost) this.#interposeGrow(guest, raw);
    for (const value of Object.values(raw)) if (value instanceof WebAssembly.Table) this.#unwrapInto(value);
    this.#settle.resolve(guest as Guest<E>);
    return instance;
  }

  #view(): DataView {
    return new DataView(this.#attached!.memory.buffer, 0, this.#ledger.size());
  }

  /** Wraps what the module asks for; glue may offer it by a Proxy, which cannot be listed. */
  #wrapImports(imports: WebAssembly.Imports): (guest: Guest) => WebAssembly.Imports {
    return (guest) => {
      const wrapped: Record<string, WebAssembly.ModuleImports> = {};
      for (const { module, name } of WebAssembly.Module.imports(guest.module)) {
        const value = (imports[module] as WebAssembly.ModuleImports | undefined)?.[name];
        if (value === undefined) continue;
        wrapped[module] ??= {};
        wrapped[module][name] =
          typeof value === 'function' ? this.#wrapImport(module, name, value as Fn) : value;
      }
      return wrapped;
    };
  }

  #wrapImport(module: string, name: string, fn: Fn): Fn {
    const ledger = this.#ledger;
    if (this.#defers(module, name, fn)) return (...args) => ledger.defer(() => void fn(...args));
    const announce = announcerOf(module, name, ledger, () => this.#view(), this.#options);
    return (...args) => {
      if (ledger.active) announce(args);
      const before = this.#request;
      this.#request = args.length === 1 && typeof args[0] === 'number' ? args[0] >>> 0 : -1;
      try {
        return fn(...args);
      } finally {
        this.#request = before;
      }
    };
  }

  #defers(module: string, name: string, fn: Fn): boolean {
    const { defer } = this.#options;
    if (this.#dialect.defer?.(module, name)) return true;
    if (typeof defer === 'function') return defer(module, name, fn);
    return defer !== undefined && (defer.includes(name) || defer.includes(`${module}.${name}`));
  }

  #wrapExports(guest: Guest, raw: WebAssembly.Exports): WebAssembly.Exports {
    const wrapped: Record<string, WebAssembly.ExportValue> = Object.create(null);
    for (const [name, value] of Object.entries(raw)) {
      const own = guest.exports[name];
      wrapped[name] =
        typeof own === 'function' ? this.#wrapExport(name, own as Fn, value as Fn) : (own ?? value);
    }
    return Object.freeze(wrapped) as WebAssembly.Exports;
  }

  #wrapExport(name: string, fn: Fn, original: Fn): Fn {
    const wrapper = interpose(
      fn,
      original.length,
      this.#hook(name, original.length, () => wrapper),
      this.#ledger,
    );
    this.#originals.set(wrapper, original);
    return wrapper;
  }

  /** What is done after a call of an export that may have handed out memory, or taken it back. */
  #hook(name: string, parameters: number, wrapper: () => Fn): Hook {
    const ledger = this.#ledger;
    const buffer = this.#options.buffers?.[name];
    const hook: Hook = {
      role: roleOf(name),
      // The glue names its exports once it has them: look at the first call, and at the first that counts.
      attempts: 0,
      rename() {
        if (hook.attempts === 1 && !ledger.active) return;
        hook.attempts--;
        const better = nameOf?.(wrapper());
        if (better === undefined) return;
        hook.attempts = 0;
        hook.role = roleOf(better);
      },
      returned: (args, result) => {
        if (buffer !== undefined) ledger.pin(result, buffer);
        else hook.role = this.#returned(hook.role, parameters, args, result);
      },
      consumed: (pointer) => this.#consumed(hook.role, pointer),
    };
    const { nameOf } = this.#dialect;
    if (hook.role === 'unknown' && nameOf !== undefined) hook.attempts = 2;
    return hook;
  }

  /** Tables take functions of WebAssembly only: an interposed export goes in as what it stands for. */
  #unwrapInto(table: WebAssembly.Table): void {
    const set = table.set.bind(table);
    const value = (index: number, ...rest: [unknown?]) =>
      rest.length === 0 ? set(index) : set(index, this.#originals.get(rest[0] as object) ?? rest[0]);
    Object.defineProperty(table, 'set', { configurable: true, writable: true, value });
  }

  /** A pointer came back. Returns what the call revealed of the export's role. */
  #returned(role: Role, parameters: number, args: readonly unknown[], result: number): Role {
    const ledger = this.#ledger;
    if (parameters === 0) {
      ledger.saved(result);
      if (role === 'unknown') return role;
    }
    let revealed = role;
    const length = handedOut(role, args, result);
    if (role === 'unknown' && args.length === 1) {
      // The stack pointer, less the size, aligned: nothing else returns that.
      const save = ledger.lastSaved();
      if (save > 0 && length > 0 && ((save - length) & -16) >>> 0 === result) revealed = 'stack-alloc';
    }
    if (length > 0 && result + length <= ledger.size(result + length)) {
      if (revealed === 'stack-alloc') ledger.handOutFrame(result, length);
      else ledger.handOut(result, length);
      if (role === 'realloc') {
        const old = typeof args[0] === 'number' ? args[0] >>> 0 : 0;
        if (old !== result) ledger.release(old);
      }
    } else if (this.#options.results) {
      ledger.touch(result, this.#options.results);
    }
    return revealed;
  }

  /** A pointer was passed to something that returns nothing. */
  #consumed(role: Role, pointer: number): void {
    const ledger = this.#ledger;
    if (role === 'stack-restore' || (role === 'unknown' && ledger.wasSaved(pointer)))
      ledger.restoreStack(pointer);
    else if (role === 'free' || role === 'unknown') ledger.release(pointer);
  }

  /**
   * Emscripten computes the pages to add from `buffer.byteLength`, which is not the guest's memory size in the
   * inline layout, nor after a grow that was undone. What it wants it was told by the guest, as the only
   * argument of the import being called; the pages it asks for are not looked at.
   */
  #interposeGrow(guest: Guest, raw: WebAssembly.Exports): void {
    const { memory } = guest;
    const grow = raw[EXPORTS.grow(0)] as unknown as ((delta: number) => number) | undefined;
    if (!grow) return;
    const tracked = memory.grow.bind(memory);
    Object.defineProperty(memory, 'grow', {
      configurable: true,
      writable: true,
      value: (delta: number): number => {
        const size = this.#ledger.size() / PAGE;
        if (this.#request <= size * PAGE) return tracked(delta);
        const needed = Math.ceil(this.#request / PAGE);
        // Emscripten's own policy: a fifth more than there is, and 96 MiB over the need at most.
        const ample = Math.max(needed, Math.min(Math.ceil(size * 1.2), needed + 1536));
        const old = grow(ample - size);
        if (old !== -1 || (ample > needed && grow(needed - size) !== -1)) return size;
        throw new RangeError(`WebAssembly.Memory.grow(): the guest cannot have ${needed} pages`);
      },
    });
  }
}
