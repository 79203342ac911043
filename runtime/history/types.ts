/** The public face of the history: what is recorded, and what can be asked of it. */

/** What an entry is of. */
export type EntryKind =
  /** The state in which recording began, or began again. */
  | 'start'
  /** An epoch ended with a checkpoint: what it wrote is kept. */
  | 'kept'
  /** An epoch was rolled back: nothing of it is kept. The state is that of the entry before. */
  | 'rolled-back';

/**
 * One checkpoint of a history. Entry `n` has the state of the guest at that checkpoint, and says of the epoch that it
 * ended which request it carried out and what became of it.
 */
export interface Entry {
  /** Entries are counted from 0 on, and keep their numbers when older ones are pruned. */
  number: number;
  kind: EntryKind;
  /** Milliseconds since 1970. */
  time: number;
  /** Of the request, counted by the caller. */
  request?: number;
  /** The kind of request: `GET /notes`. */
  route?: string;
  /** The caller's own words. */
  label?: string;
  /** 64 bits of a digest of the request, in hexadecimal. */
  digest?: string;
  /** Why it was rolled back. */
  reason?: string;
  /** Checkpoints before this one that were not recorded, because the recorder lagged, or `every` says so. */
  skipped: number;
  /** Pages and bytes that changed since the entry before. */
  pages: number;
  bytes: number;
}

/** A part of memory, or of another space, that differs. */
export interface ChangedRange {
  /** Number of the memory; absent for other state. */
  memory?: number;
  /** Name of a global, `table 0[3]`, `memory 0 size`, …; absent for memory. */
  what?: string;
  /** Byte address, where it is memory. */
  address: number;
  length: number;
  before: Uint8Array;
  after: Uint8Array;
}

/** A change of some bytes. */
export interface Write {
  entry: number;
  before: Uint8Array;
  after: Uint8Array;
}

/** Entries, both ends included, in which an expression holds. */
export interface Interval {
  from: number;
  to: number;
}

/** Entries to look at, both ends included. Default: all. */
export interface Range {
  from?: number;
  to?: number;
}

export interface BisectResult {
  /** Value at the first entry, and at the last. */
  first: boolean;
  last: boolean;
  /** The first entry at which the value is that of the last entry, where both ends differ. */
  turn?: number;
  /** Entries at which the expression was evaluated. */
  evaluated: number;
}

export interface Retention {
  /** Entries to keep at most. */
  count?: number;
  /** Milliseconds: older ones go. */
  age?: number;
  /** Bytes that the store may have on disk; the oldest entries go. */
  bytes?: number;
}

export interface HistoryInfo {
  version: number;
  entries: number;
  first: number;
  last: number;
  /** Milliseconds since 1970. */
  firstTime: number;
  lastTime: number;
  /** Bytes of the files. */
  bytesOnDisk: number;
  /** Bytes of what is stored, without free space in the files. */
  bytesStored: number;
  /** Bytes of all dirty pages of all entries recorded, as they were: what storing them whole would take. */
  bytesRaw: number;
  /** Distinct pages that are stored whole. */
  contents: number;
  /** Pieces of versions of pages. */
  chunks: number;
  memoryBytes: number;
  /** SHA-256 of the original module, in hexadecimal. */
  module: string;
  /** Bytes not yet packed. */
  unpacked: number;
}

/** The past, as an expression sees it. */
export interface Past {
  /**
   * The page (4096 bytes) of a space that holds byte `page * 4096`, `back` entries (0 or 1) before the entry that is
   * evaluated. Of what is returned the bytes [from, to) are right, until the next call for the same page.
   */
  page(space: number, page: number, back: 0 | 1, from: number, to: number): DataView;
  /** Bytes that a space had then. */
  size(space: number, back: 0 | 1): number;
  /** The entry that is evaluated. */
  readonly entry: number;
}
