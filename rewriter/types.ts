/** The rewriter's public face. */
import type { Contract, Layout, MechanismName, Placement } from '../contract/contract.js';

export interface InstrumentOptions {
  /**
   * How writes are seen and pre-images kept. Default `lmc`. With `full-copy`, `mprotect`, `uffd` and `uffd-async`
   * stores are left alone, and the runtime may use any of these four.
   */
  mechanism?: MechanismName;
  /** `lmc`: bytes of a region, a power of two, 1 to 4096. `cards`: bytes of a card, 64 to 4096. */
  region?: number;
  /**
   * Where tags and pre-images live; `auto` (default) takes `separate` where this engine has several memories.
   * Mechanisms outside of the module have none.
   */
  layout?: Layout | 'auto';
  /** Inline layout: bytes that the guest's memory can grow to (rounded up to pages). */
  reserve?: number;
  /** `undolog`: bytes that the log of each memory may have. Default 256 MiB, and 64 MiB in the inline layout. */
  logLimit?: number;
  /** Inline layout: also check loads against the guest's memory size, so that a wild load traps. */
  checkLoads?: boolean;
  /**
   * Count function entries and back-edges (these in a local, 256 at a time), so that an endless loop can be
   * ended.
   */
  steps?: boolean;
  /** Remove checks that another check makes redundant. Default true. */
  optimize?: boolean;
  /** Emit branch hints (custom section metadata.code.branch_hint). Default true. */
  hints?: boolean;
  /** Debug: assert at every executed store that each of its bytes is saved. */
  oracle?: boolean;
  /** Debug: kinds of instrumentation to leave out, to see that tests notice. */
  omit?: readonly Omittable[];
  /** Called now and then with the share of work done, 0 to 1. */
  onProgress?: (done: number) => void;
}

/** Kinds of instrumentation that `omit` can leave out. */
export const OMITTABLE = [
  'store',
  'store-float',
  'store-narrow',
  'store-simd',
  'store-lane',
  'atomic-store',
  'atomic-rmw',
  'atomic-cmpxchg',
  'memory.fill',
  'memory.copy',
  'memory.init',
  'memory.grow',
  'table.set',
  'table.fill',
  'table.copy',
  'table.init',
  'table.grow',
  'global',
  'data.drop',
  'elem.drop',
  'tail',
] as const;
export type Omittable = (typeof OMITTABLE)[number];

/** What instrument() did, in numbers. */
export interface Report {
  mechanism: MechanismName;
  region: number;
  layout: Placement;
  functions: number;
  /** Instructions that write to memory, by mnemonic. */
  writes: Record<string, number>;
  /** Store-like instructions found (bulk operations are not among them). */
  stores: number;
  /** Bulk operations and other state changes replaced by calls. */
  calls: number;
  /** Checks inserted. */
  checksInserted: number;
  /** Stores whose check a dominating one of the same range made redundant. */
  checksRemoved: number;
  /** Stores whose check was merged into one with others off the same base. */
  checksMerged: number;
  /** Stores into a stack frame that was saved as a whole. */
  checksStack: number;
  /** Stores in code that cannot be reached. */
  unreachable: number;
  branchHints: number;
  /** Bytes of the module before and after. */
  bytesBefore: number;
  bytesAfter: number;
  /** bytesAfter / bytesBefore. */
  codeGrowth: number;
  /** Things a user should know; none of them makes a rollback wrong. */
  warnings: string[];
}

export interface Instrumented {
  wasm: Uint8Array;
  report: Report;
  contract: Contract;
}

/** A reason why a module is refused. */
export interface Refusal {
  /** What cannot be rolled back, in words. */
  reason: string;
  /** Name or number of the function, where it is in one. */
  function?: string;
  /** Mnemonic of the instruction, and its offset in the file. */
  instruction?: string;
  offset?: number;
}

/** What inspect() says of a module. */
export interface Inspection {
  bytes: number;
  instrumented: boolean;
  /** The section of an instrumented module. */
  contract?: Contract;
  /** Whether instrument() will take it, and why not. */
  canRollBack: boolean;
  refusals: Refusal[];
  warnings: string[];
  /** 'command' (_start), 'reactor' (_initialize), or 'library'. */
  kind: 'command' | 'reactor' | 'library';
  functions: { imported: number; defined: number };
  memories: {
    index: number;
    imported: boolean;
    exported: boolean;
    is64: boolean;
    shared: boolean;
    initial: number;
    maximum?: number;
  }[];
  tables: {
    index: number;
    type: string;
    imported: boolean;
    exported: boolean;
    mutated: boolean;
    initial: number;
    maximum?: number;
  }[];
  globals: { mutable: number; immutable: number; byType: Record<string, number> };
  segments: { data: number; dataDropped: number; elem: number; elemDropped: number };
  start: boolean;
  imports: { module: string; name: string; kind: string }[];
  exports: { name: string; kind: string }[];
  customSections: string[];
  /** Instructions that change state, by mnemonic. */
  writes: Record<string, number>;
}

/** What bake() needs of a guest's state; that of the runtime (`guest.state`) has it. */
export interface StateReader {
  /** Writes the registers (contract/state.ts). */
  registers(into: Uint8Array): void;
  memory(memory: number): Uint8Array;
  table(table: number): Uint32Array;
  host(always: boolean): Uint8Array | undefined;
}

export interface BakeOptions {
  /**
   * Exported functions that have run before the state was taken and must not run again: they become functions that do
   * nothing. Default: `_initialize` and `__wasm_call_ctors`, where the module exports them. `[]` for a state from
   * before they ran.
   */
  finished?: readonly string[];
}

/** What bake() did, in numbers. */
export interface BakeReport {
  /** Data segments that hold the content of the memories, and the bytes in them. */
  segments: number;
  bytes: number;
  /** Element segments that hold the content of the tables, and the elements in them. */
  elementSegments: number;
  elements: number;
  /** Exports that have become functions that do nothing. */
  finished: string[];
  /** Bytes of the module before and after. */
  bytesBefore: number;
  bytesAfter: number;
  /** What the module alone cannot bring back, and what its host has to see to. */
  warnings: string[];
}

export interface Baked {
  wasm: Uint8Array;
  report: BakeReport;
}
