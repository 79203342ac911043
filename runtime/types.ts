/**
 * The runtime's public face. Everything here works in every engine with WebAssembly, SIMD and bulk memory:
 * Node 20 and later, Deno, Bun, browsers and workerd-like hosts.
 */
import type { Contract, MechanismName } from '../contract/contract.js';
import type { StateAccess } from './guest/state.js';
import type { PolicyMaker } from './speculation/types.js';

/** A WebAssembly address: a number, or a bigint for a 64-bit memory (numbers are accepted there too). */
export type Pointer = number | bigint;

/** State that the host keeps for the guest (open files, pending output) and that goes back with it. */
export interface Companion {
  /** Called by {@link Guest.checkpoint}, after the guest's own. */
  checkpoint(): void;
  /** Called by {@link Guest.rollback}, after the guest's own. */
  rollback(): void;
  /**
   * What is kept, as data that MessagePack can say (maps, arrays, strings, Uint8Array, numbers, booleans, null).
   * @throws ERR_BELAY_STATE where it cannot be said.
   */
  save?(): unknown;
  /** Makes what save() returned the state. @throws ERR_BELAY_STATE for what it does not know. */
  load?(saved: unknown): void;
  /** False: nothing has changed since the last checkpoint, so that save() need not be called. */
  readonly changed?: boolean;
}

export interface GuestStats {
  mechanism: MechanismName;
  /** Calls of checkpoint() that succeeded. */
  checkpoints: number;
  /** Calls of rollback() that succeeded. */
  rollbacks: number;
  /**
   * Regions saved since instantiation, over all memories. Cards: cards copied, at checkpoints and rollbacks; an undo
   * log: bytes logged; mechanisms of pages: pages.
   */
  regionsSaved: number;
  /** The same in bytes (regions × region size). */
  bytesSaved: number;
  /** Bytes of guest memory, over all memories. */
  memoryBytes: number;
  /**
   * Bytes set aside for tags, pre-images, cards, logs or images, over all memories; untouched pages of it cost
   * nothing.
   */
  supportBytes: number;
  /** Mechanisms of pages: pages saved because of a write, and copied ahead because a policy chose them. */
  faults?: number;
  copiedAhead?: number;
}

/** How long a guest may run before it is stopped: needs a module instrumented with `steps: true`. */
export interface Limits {
  /** Function entries and back-edges until the guest traps. */
  steps?: number;
  /** Milliseconds from now until the guest traps; looked at every {@link Limits.interval} steps. */
  deadline?: number;
  /** Steps between two looks at the clock. Default 100,000. */
  interval?: number;
}

/** What the host knows of the epoch that a checkpoint begins. */
export interface EpochInfo {
  /**
   * The kind of the request to come, where the host knows it (its route, its command): policies of speculation may
   * keep kinds apart. The first 255 different ones count.
   */
  kind?: string;
  /** Number of the request to come, as the host counts them, from 0 to 2^51 - 1: for a history. */
  request?: number;
  /** What else the host says of it: for a history. */
  label?: string;
  /** 64 bits of a digest of the request, as 16 hexadecimal digits: for a history. */
  digest?: string;
}

/** What is told of a guest's epochs: for recorders. None of these may run the guest. */
export interface Observer {
  /**
   * The epoch ends: what it wrote is still known ({@link StateAccess.written}).
   * @param info of the epoch that begins
   * @throws to have no checkpoint: nothing was done yet
   */
  beforeCheckpoint(info?: EpochInfo): void;
  afterCheckpoint?(): void;
  /** The epoch is undone. @throws to have no rollback */
  beforeRollback(reason?: string): void;
  afterRollback?(): void;
}

/** What guest.record() hands a guest to (wasm-belay/history has one). */
export interface GuestRecorder<O, R> {
  record(guest: Guest, options: O): R;
}

/** A running module with its checkpoints. */
export interface Guest<E extends WebAssembly.Exports = WebAssembly.Exports> extends Disposable {
  readonly module: WebAssembly.Module;
  readonly instance: WebAssembly.Instance;
  /** The module's own exports (without those that Belay added); live across rollbacks. */
  readonly exports: E;
  /** The guest's first memory. Its `grow` is tracked; writes through its `buffer` need {@link touch}. */
  readonly memory: WebAssembly.Memory;
  /** What the module says of itself. */
  readonly contract: Contract;
  /** True while a function of the guest is on the stack (seen from an import). */
  readonly running: boolean;
  /** True when the guest was stopped by {@link limit}; cleared by rollback and by a new limit. */
  readonly overrun: boolean;
  /** True when a store trapped because the undo log was full; cleared by rollback and checkpoint. */
  readonly logFull: boolean;
  /** The mechanism that is used. */
  readonly mechanism: MechanismName;
  /** The kinds of requests that checkpoints were told of, by the number under which a policy sees them; 0 is ''. */
  readonly kinds: readonly string[];

  /**
   * Begins a new epoch: the state of now is what {@link rollback} returns to. Its cost does not depend on
   * the size of memory (but for `full-copy`).
   * @throws ERR_BELAY_RUNNING from inside an import; ERR_BELAY_DISPOSED; ERR_BELAY_MECHANISM where the operating
   *   system refuses to protect memory.
   */
  checkpoint(info?: EpochInfo): void;
  /**
   * Restores the state of the last checkpoint: memories and their sizes, globals, tables, dropped segments
   * and the companions. May be called again and again.
   * @param reason for a history
   * @throws ERR_BELAY_NO_CHECKPOINT, ERR_BELAY_RUNNING; with `audit`, ERR_BELAY_UNTRACKED_WRITE.
   */
  rollback(reason?: string): void;
  /**
   * checkpoint(), then `fn`; when it throws (or its promise rejects) rollback() and throw on.
   * An error caused by {@link limit} arrives as ERR_BELAY_OVERRUN with the trap as its cause, one caused by a full
   * undo log as ERR_BELAY_LOG_FULL.
   */
  attempt<T>(fn: () => T, info?: EpochInfo): T;
  /** A host write that a rollback undoes. @throws ERR_BELAY_RANGE */
  write(pointer: Pointer, bytes: Uint8Array, memory?: number): void;
  /** Fills `length` bytes with `value`. @throws ERR_BELAY_RANGE */
  fill(pointer: Pointer, value: number, length: Pointer, memory?: number): void;
  /** Announces that the host will write there, by any means, before the next checkpoint. @throws ERR_BELAY_RANGE */
  touch(pointer: Pointer, length: Pointer, memory?: number): void;
  /** Sets (or with no argument lifts) limits for what runs from now on. @throws ERR_BELAY_OPTION */
  limit(limits?: Limits): void;
  /** Registers host state that goes back with the guest. */
  join(companion: Companion): void;
  /**
   * The whole state of now as one document, to be kept or sent elsewhere: whatever mechanism, layout or engine the same
   * module has there. Pages that are zero take no room.
   * @throws ERR_BELAY_RUNNING; ERR_BELAY_STATE where a part of the state means nothing elsewhere (a host object behind an
   *   externref, a function of another module in a table), or a companion cannot save its own
   */
  save(): Uint8Array<ArrayBuffer>;
  /**
   * Makes a state that {@link save} gave the guest's, and a checkpoint of it: rollback() returns to it.
   * @throws ERR_BELAY_STATE for a document that is damaged, of another version or of another module, and for a state that
   *   does not fit into this guest: the guest then is as it was; ERR_BELAY_RUNNING
   */
  restore(document: Uint8Array): void;
  /** Has a history record this guest's checkpoints from now on: the same as `store.record(guest, options)`. */
  record<O, R>(store: GuestRecorder<O, R>, options: O): R;
  /** The whole state in parts, as recorders use it. */
  readonly state: StateAccess;
  /**
   * Tells `observer` of each checkpoint and rollback, until what is returned is called. For recorders.
   * @throws ERR_BELAY_STATE where there is an observer already
   */
  observe(observer: Observer): () => void;
  stats(): GuestStats;
}

export interface InstantiateOptions {
  /**
   * How writes are seen: by default what the module was instrumented for. A module whose stores were left alone
   * can take any of `full-copy`, `mprotect`, `uffd`, `uffd-async`, or `auto`: the best of them that there is here.
   */
  mechanism?: MechanismName | 'auto';
  /**
   * With `page-cow`, `mprotect` and `uffd`: chooses pages to copy at checkpoints (wasm-belay/speculation). Default:
   * none.
   */
  policy?: PolicyMaker;
  /**
   * Keeps a full copy of memory and compares at each rollback: a host write that nobody announced is an
   * error that lists its addresses (and is undone all the same). Costs a full copy per checkpoint.
   */
  audit?: boolean;
}

/** Imports as WebAssembly.instantiate takes them, or a function that makes them for the guest to be. */
export type GuestImports = WebAssembly.Imports | ((guest: Guest) => WebAssembly.Imports);
