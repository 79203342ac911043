/**
 * Where packed history lies: four sorted tables of bytes, written by one transaction at a time and read by snapshots.
 * This is all that the rest asks of a store; lmdb.ts keeps one in a directory.
 */

/**
 * - `meta`: what there is one of
 * - `entries`: pieces of the list of entries (entries.ts), by the number of their first entry
 * - `chunks`: pieces of pages' versions (versions.ts), by space, page and first entry
 * - `contents`: pages that are kept whole, by what is in them (contents.ts)
 */
export const TABLES = ['meta', 'entries', 'chunks', 'contents'] as const;
export type Table = (typeof TABLES)[number];

/** The store at one moment. */
export interface Snapshot {
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  /** The last pair whose key is at most `key`. */
  atMost(table: Table, key: Uint8Array): Pair | undefined;
  /** Pairs whose keys are at least `key`, in order. */
  from(table: Table, key: Uint8Array): Iterable<Pair>;
  /** Keys at least `key`, in order. */
  keys(table: Table, key: Uint8Array): Iterable<Uint8Array>;
  done(): void;
}

export interface Pair {
  key: Uint8Array;
  value: Uint8Array;
}

/** Within a transaction: reads see its own writes. */
export interface Transaction extends Omit<Snapshot, 'done'> {
  put(table: Table, key: Uint8Array, value: Uint8Array): void;
  remove(table: Table, key: Uint8Array): void;
}

export interface StoreStats {
  /** Pairs of each table. */
  pairs: Record<Table, number>;
  /** Bytes of what is stored, keys and the tables' own pages included. */
  stored: number;
  /** Bytes of the file. */
  file: number;
}

export interface Store {
  /** Of now; all that it returns is as it was then until done() is called. */
  snapshot(): Snapshot;
  /** All of it or nothing. @throws ERR_BELAY_HISTORY_FULL when the disk is full, and what `fn` throws */
  write<T>(fn: (transaction: Transaction) => T): T;
  /** Resolves when what was written survives a failure of power. */
  flushed(): Promise<void>;
  stats(): StoreStats;
  close(): Promise<void>;
}

/** Whole numbers up to 2^48 as 6 bytes, in an order that is theirs. */
export const NUMBER_BYTES = 6;
export const LARGEST = 2 ** 48 - 1;

export function putNumber(into: Uint8Array, at: number, value: number): void {
  for (let i = NUMBER_BYTES - 1; i >= 0; i--) {
    into[at + i] = value % 256;
    value = Math.floor(value / 256);
  }
}

export function getNumber(from: Uint8Array, at: number): number {
  return (
    ((from[at]! * 256 + from[at + 1]!) * 256 + from[at + 2]!) * 2 ** 24 +
    ((from[at + 3]! * 256 + from[at + 4]!) * 256 + from[at + 5]!)
  );
}

export function entryKey(entry: number): Uint8Array {
  const key = new Uint8Array(NUMBER_BYTES);
  putNumber(key, 0, entry);
  return key;
}

/** A page of a space as one number, for maps; and back. */
export const placeOf = (space: number, page: number): number => page * 256 + space;
export const pageAt = (place: number): [space: number, page: number] => [
  place % 256,
  Math.floor(place / 256),
];
