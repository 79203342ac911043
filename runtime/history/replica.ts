/**
 * A guest that stands in the past: the module of a history, instantiated afresh, with the state of some checkpoint. Its
 * functions can be called there; what they do is undone. Going to another checkpoint applies only what differs.
 *
 * Its imports are WASI's, with the state that the guest's WASI had; any other function traps, unless it is given.
 */
import { BelayError } from '../../contract/errors.js';
import { HOST, memorySpace, REGISTERS, stateShape, tableSpace } from '../guest/state.js';
import { instantiate } from '../index.js';
import type { Guest } from '../types.js';
import { createWasi } from '../wasi/index.js';
import type { Wasi } from '../wasi/types.js';
import { historyError } from './errors.js';
import type { History } from './history.js';
import { standIns } from './imports.js';
import { PAGE_BYTES } from './versions.js';

export interface ReplicaOptions {
  /** Imports beside WASI's. */
  imports?: WebAssembly.Imports;
  /** Function entries and back-edges after which a call is given up, where the module counts them. */
  steps?: number;
}

export interface CallResult {
  /** What the function returned; of several results an array. */
  value?: unknown;
  /** Why it did not return. */
  error?: Error;
  /** What it wrote by WASI. */
  stdout: Uint8Array;
  stderr: Uint8Array;
}

const memoryOf = (space: number): number => space - memorySpace(0);

export class Replica implements Disposable {
  private entry: number | undefined;
  private hostToo = true;

  private constructor(
    private readonly history: History,
    readonly guest: Guest,
    readonly wasi: Wasi,
    private readonly options: ReplicaOptions,
  ) {}

  /** @throws ERR_BELAY_HISTORY where the module was not recorded; what instantiating it throws */
  static async open(history: History, options: ReplicaOptions = {}): Promise<Replica> {
    if (!history.module) {
      throw historyError(
        'ERR_BELAY_HISTORY',
        'the module is not in this history, so that its functions cannot be called: record with the option module (belay run and serve do)',
      );
    }
    const wasi = await createWasi();
    const module = await WebAssembly.compile(history.module as Uint8Array<ArrayBuffer>);
    const guest = await instantiate(module, (g) =>
      standIns(history.module!, module, { ...wasi.imports(g), ...options.imports }),
    );
    return new Replica(history, guest, wasi, options);
  }

  /** Goes to a checkpoint. @throws ERR_BELAY_HISTORY for one that is not kept */
  seek(entry: number): this {
    if (entry === this.entry) return this;
    const { history } = this;
    if (this.entry === undefined) this.enter(history.state(entry));
    else this.move(this.entry, entry);
    this.entry = entry;
    return this;
  }

  private enter(state: (Uint8Array | undefined)[]): void {
    try {
      this.guest.state.load(state);
    } catch (error) {
      // What its host kept was something else than WASI: it begins anew here.
      if (!(error instanceof BelayError) || error.code !== 'ERR_BELAY_STATE' || !this.hostToo) throw error;
      this.hostToo = false;
      this.guest.state.load(state.map((bytes, space) => (space === HOST ? undefined : bytes)));
    }
  }

  private move(from: number, to: number): void {
    const { guest, history } = this;
    const { contract, state } = guest;
    const shape = stateShape(contract);
    const changed = history.changed(from, to);
    const parts: (Uint8Array | undefined)[] = [];
    // Registers say sizes, so they come along; other small spaces are taken whole.
    parts[REGISTERS] = history.registers(to);
    const touched = new Set(changed.map(([space]) => space));
    if (this.hostToo && touched.has(HOST)) parts[HOST] = history.host(to);
    for (let t = 0; t < shape.tables; t++) {
      const space = tableSpace(contract, t);
      if (touched.has(space)) parts[space] = history.space(to, space);
    }
    state.load(parts);
    const memories = changed.filter(([space]) => memoryOf(space) >= 0 && memoryOf(space) < shape.memories);
    for (const [[space, page], bytes] of history.pages(to, memories)) {
      const at = page * PAGE_BYTES;
      const there = state.memory(memoryOf(space)).subarray(at, at + bytes.length);
      if (Buffer.compare(there, bytes) !== 0) guest.write(at, bytes, memoryOf(space));
    }
    guest.checkpoint();
  }

  /**
   * Calls an exported function at the checkpoint where this stands, and undoes what it did.
   * @throws ERR_BELAY_OPTION where there is no such function
   */
  call(name: string, args: readonly unknown[] = [], stdin: Uint8Array | string = ''): CallResult {
    const { guest, wasi } = this;
    const fn = guest.exports[name];
    if (typeof fn !== 'function') {
      const names = Object.entries(guest.exports)
        .filter(([, value]) => typeof value === 'function')
        .map(([key]) => key);
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `there is no exported function ${name}; there are ${names.join(', ') || 'none'}`,
      );
    }
    const result: Partial<CallResult> = {};
    try {
      wasi.setStdin(stdin);
      // What was pending belongs to the past.
      wasi.takeStdout();
      wasi.takeStderr();
      if (this.options.steps !== undefined) guest.limit({ steps: this.options.steps });
      result.value = (fn as (...values: unknown[]) => unknown)(...args);
    } catch (error) {
      result.error = error instanceof Error ? error : new Error(String(error));
    }
    if (this.options.steps !== undefined) guest.limit();
    const out = { ...result, stdout: wasi.takeStdout(), stderr: wasi.takeStderr() };
    guest.rollback();
    return out;
  }

  [Symbol.dispose](): void {
    this.guest[Symbol.dispose]();
  }
}
