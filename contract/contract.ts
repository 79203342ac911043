/**
 * What the rewriter and the runtime agree on, and all that they share: an instrumented module carries one
 * custom section, `belay` (MessagePack of {@link Contract}), and the exports named here. The runtime never
 * sees the rewriter and the rewriter never sees the runtime; they meet in the module.
 */

/** Name of the custom section. */
export const SECTION = 'belay';

/**
 * Version of the section and of the exports below. Raise it whenever a runtime built for the old one would
 * misread a new module.
 */
export const CONTRACT_VERSION = 4;

/** Ways to see writes and to keep pre-images. */
export const MECHANISMS = [
  'lmc',
  'cards',
  'undolog',
  'page-cow',
  'full-copy',
  'mprotect',
  'uffd',
  'uffd-async',
] as const;
export type MechanismName = (typeof MECHANISMS)[number];

/** Those that work from outside: the module's stores are left alone, and one module serves all of them. */
export const OUTSIDE_MECHANISMS = ['full-copy', 'mprotect', 'uffd', 'uffd-async'] as const;
export type OutsideMechanism = (typeof OUTSIDE_MECHANISMS)[number];

/** Whether the host, and not the module, keeps the pre-images of memory. */
export const isOutside = (name: MechanismName): name is OutsideMechanism =>
  (OUTSIDE_MECHANISMS as readonly string[]).includes(name);

/**
 * Where support data (tags, pre-images, cards, logs) live: in memories of their own, or above the guest's reserve
 * in its own memory.
 */
export type Layout = 'separate' | 'inline';

/** The same, or outside of the module: where the host keeps them. */
export type Placement = Layout | 'outside';

/** A linear memory of the guest. Sizes are in pages of 64 KiB. */
export interface MemoryState {
  /** 64-bit addresses: pointers cross the boundary as bigint. */
  is64: boolean;
  /** The name under which the module exports it (its own export, or one that Belay added). */
  export: string;
  /** [module, name] where the module imports it. */
  import?: [string, string];
  /** Inline layout: the highest number of pages the guest can have. */
  reserve?: number;
  /** Inline layout: pages of the whole memory: reserve, shadow and tags. */
  total?: number;
}

/** A table of the guest that the module or the host can change. */
export interface TableState {
  /** Index in the module's table index space. */
  index: number;
  /** The names under which the module exports it. */
  exports: string[];
  /** [module, name] where the module imports it. */
  import?: [string, string];
}

/** A mutable global, which a rollback restores. */
export interface GlobalState {
  /** Index in the module's global index space; instrumentation keeps it. */
  index: number;
  /**
   * Of the text format: `i32`, `i64`, `f32`, `f64`, `v128`; any other is that of a reference: `funcref`, `externref`,
   * `(ref null 3)`.
   */
  type: string;
  /** The names under which the module exports it. */
  exports: string[];
  /** [module, name] where the module imports it. */
  import?: [string, string];
}

/** The content of the `belay` section. */
export interface Contract {
  version: number;
  /** SHA-256 of the original module, in hexadecimal: states are exchanged between all that is made of it. */
  module: string;
  mechanism: MechanismName;
  /** Bytes of a region: a power of two, 1 to 4096. */
  region: number;
  layout: Placement;
  memories: MemoryState[];
  tables: TableState[];
  /** The module's own mutable globals and imported ones, by index. */
  globals: GlobalState[];
  /** Segments that the module may drop, by number. */
  segments: { data: number[]; elements: number[] };
  /**
   * Indices of the functions that a table or a global can refer to, ascending: those that the module exports, imports,
   * has in an element segment or names by `ref.func`. Empty where there is no table in {@link tables} and no such global.
   */
  functions: number[];
  /** Whether steps are counted (see {@link EXPORTS.steps}). */
  steps: boolean;
  /** Whether the per-store oracle is built in (debug only). */
  oracle: boolean;
}

/**
 * Names of the exports that instrumentation adds. All begin with `belay:`; a module that has such an export
 * of its own is refused. `N` stands for an index into {@link Contract.memories}, {@link Contract.tables} or
 * {@link Contract.globals}, and for the number of a segment.
 */
export const EXPORTS = {
  /** `() -> ()`: begins a new epoch. */
  checkpoint: 'belay:checkpoint',
  /** `() -> ()`: restores the state of the last checkpoint; the epoch begins anew. */
  rollback: 'belay:rollback',
  /** `global (mut i64)`: regions saved since instantiation; bytes, for an undo log. */
  saved: 'belay:saved',
  /** `global (mut i64)`: steps left; counted down at function entries, and for every 256 back-edges. */
  steps: 'belay:steps',
  /** `table funcref`: element 0 is called, as `() -> ()`, when the steps are used up; it may add some. */
  tick: 'belay:tick',
  /** Oracle: `global (mut i32)`: function index and number of the store that wrote an unsaved byte, or -1. */
  oracleFunction: 'belay:oracle:function',
  oracleStore: 'belay:oracle:store',
  /** `memoryN`: the guest's memory, exported under this name where the module does not export it. */
  memory: (n: number) => `belay:memory:${n}`,
  /** Undo log: `global (mut i32)`: 1 after a store trapped because the log was full. */
  full: 'belay:full',
  /** Mechanisms outside: `table funcref`: element 0 is called, as `() -> ()`, after a memory has grown. */
  grown: 'belay:grown',
  /** Separate layout: the memory of tags, cards or log, and the memory of pre-images. */
  tags: (n: number) => `belay:tags:${n}`,
  shadow: (n: number) => `belay:shadow:${n}`,
  /** `(address, length) -> ()`: saves every region of the range; traps when it lies outside. */
  touch: (n: number) => `belay:touch:${n}`,
  /**
   * `(f64) -> f64`: walks what this epoch may have written. It is given 0, then what it returned, until that is 1. lmc,
   * page-cow, cards: a run of regions, `first * 2^14 + count * 2 + edge`; with `edge` the 16 bytes behind it (cards:
   * before it) belong to it. page-cow: one page, the page saved last comes first. undolog: where an entry ends, in the
   * memory of the log; the youngest comes first.
   */
  written: (n: number) => `belay:written:${n}`,
  /**
   * lmc and page-cow, regions from 4 bytes on: `(f64 from, f64 to, i32 enough) -> i32`: words of 4 bytes, in a part of a
   * page of 4 KiB that was saved, that differ from their pre-images. They are written into the buffer in front of the
   * pre-images (separate: where their memory begins; inline: behind the reserve), run by run, each behind its
   * head (offset in the page << 16 | bytes), until there are `enough` bytes of them. Bounds are multiples of 4. Returns the
   * words in the buffer.
   */
  differing: (n: number) => `belay:differing:${n}`,
  /** `() -> pages` and `(delta) -> old pages or -1`: the guest's view of its memory size. */
  size: (n: number) => `belay:size:${n}`,
  grow: (n: number) => `belay:grow:${n}`,
  /**
   * `(pages) -> ()`: makes the guest's view of its memory smaller, where it is larger, just after a checkpoint. What is
   * taken away has to be zero.
   */
  shrink: (n: number) => `belay:shrink:${n}`,
  /** A table changed by the host: `(index, value)`, `(value, delta) -> old`, `() -> size`. */
  tableSet: (n: number) => `belay:table:set:${n}`,
  tableGrow: (n: number) => `belay:table:grow:${n}`,
  tableSize: (n: number) => `belay:table:size:${n}`,
  /** `(index) -> value`, for tables that the module does not export, too. */
  tableGet: (n: number) => `belay:table:get:${n}`,
  /** `(size) -> ()`: makes a table smaller, where it is larger, just after a checkpoint. */
  tableShrink: (n: number) => `belay:table:shrink:${n}`,
  /** `() -> i32`: whether an element or the size may have changed in this epoch. */
  tableWritten: (n: number) => `belay:table:written:${n}`,
  /**
   * A global's value: `() -> value`, `(value) -> ()`. Functions, because engines reach a global that is exported by a
   * detour, and because JavaScript does not keep the bits of a NaN: a float is given as the integer of its bits, a v128
   * as two i64, the low one first.
   */
  globalGet: (n: number) => `belay:global:get:${n}`,
  globalSet: (n: number) => `belay:global:set:${n}`,
  /** `global (mut i32)`: whether a segment of {@link Contract.segments} was dropped. */
  droppedData: (segment: number) => `belay:dropped:data:${segment}`,
  droppedElements: (segment: number) => `belay:dropped:elements:${segment}`,
  /** `table funcref`: {@link Contract.functions}, in this order; absent where there are none. */
  functions: 'belay:functions',
} as const;

/** Bytes of a WebAssembly page. */
export const PAGE = 65536;
