/**
 * A history at one moment, page by page: chunks of the store, and behind them what the journal has that is not packed
 * yet (the tail), as if it were one more chunk.
 */
import type { Damage } from './check.js';
import { chunkBase, chunkBefore, chunkKey, chunkPlace, openChunk } from './chunks.js';
import { type Codec, damaged } from './codec.js';
import { readContent } from './contents.js';
import { decodeEntries, type EntryRecord, type PagePlace } from './entries.js';
import { isDamaged, type JournalRecord, journalFiles, readJournal } from './journal.js';
import { type Meta, readMeta } from './meta.js';
import { entryKey, getNumber, LARGEST, pageAt, placeOf, type Snapshot, type Store } from './store.js';
import { PAGE_BYTES, Versions } from './versions.js';

/** Versions of a page, and the first entry of them. */
export interface Chunk {
  first: number;
  versions: Versions;
  /** Whether its base is what the chunk before it ends with. */
  tail: boolean;
}

/** Most recently used values, up to a limit of weight. */
class Recent<K, V> {
  private readonly map = new Map<K, { value: V; weight: number }>();
  private total = 0;

  constructor(private readonly limit: number) {}

  get(key: K): V | undefined {
    const found = this.map.get(key);
    if (!found) return undefined;
    this.map.delete(key);
    this.map.set(key, found);
    return found.value;
  }

  set(key: K, value: V, weight: number): void {
    this.map.set(key, { value, weight });
    this.total += weight;
    for (const [oldest, { weight: w }] of this.map) {
      if (this.total <= this.limit || oldest === key) return;
      this.map.delete(oldest);
      this.total -= w;
    }
  }
}

/** Bytes of each that are kept, about. */
const CHUNKS = 32 * 2 ** 20;
const CONTENTS = 16 * 2 ** 20;
const PIECES = 16 * 2 ** 20;
/** Bytes that a decoded entry takes, and each page that it names: objects, not bytes of the store. */
const ENTRY_BYTES = 256;
const PLACE_BYTES = 64;

export class Source {
  readonly meta: Meta;
  /** The first and the last entry. */
  readonly first: number;
  readonly last: number;
  /** Bytes of the journal that are not packed. */
  unpacked = 0;
  /** Parts of the journal that cannot be read. */
  readonly lost: Damage[] = [];
  private readonly snapshot: Snapshot;
  private readonly tail = new Map<number, Chunk>();
  private readonly tailEntries: EntryRecord[] = [];
  private readonly chunks = new Recent<string, Chunk>(CHUNKS);
  private readonly contents = new Recent<string, Uint8Array>(CONTENTS);
  private readonly pieces = new Recent<number, EntryRecord[]>(PIECES);

  constructor(
    store: Store,
    private readonly codec: Codec,
    directory: string,
  ) {
    // A file of the journal that goes away in between has been packed: look again.
    let before: number | undefined;
    for (let attempt = 0; ; attempt++) {
      this.snapshot = store.snapshot();
      try {
        this.meta = readMeta(this.snapshot, directory);
        const { next } = this.meta;
        const whole = this.readTail(directory, next);
        // Before it was listed, too; where nothing was packed since, it is lost.
        if (whole || next === before || attempt > 100) break;
        before = next;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt > 100) {
          this.snapshot.done();
          throw error;
        }
      }
      this.snapshot.done();
      this.tail.clear();
      this.tailEntries.length = 0;
      this.lost.length = 0;
      this.unpacked = 0;
    }
    this.first = this.meta.first;
    this.last = this.meta.next + this.tailEntries.length - 1;
  }

  /** Bytes of all pages of all entries, whole. */
  get raw(): number {
    return this.meta.raw + this.tailEntries.reduce((sum, { pages }) => sum + pages.length * PAGE_BYTES, 0);
  }

  done(): void {
    this.snapshot.done();
  }

  /** @returns whether the journal goes on where the store ends */
  private readTail(directory: string, next: number): boolean {
    let expected = next;
    const files = journalFiles(directory);
    files.forEach(({ path, first }, i) => {
      const following = files[i + 1]?.first;
      // All of it is packed.
      if (following !== undefined && following <= next) return;
      if (first > expected) this.lose(expected, first);
      const { records, end, torn } = readJournal(path);
      for (const record of records) {
        if (record.entry !== expected) continue;
        this.addTail(record);
        expected++;
      }
      if (torn && following === undefined && isDamaged(path, end, expected)) this.lose(expected);
    });
    return files.length === 0 || files[0]!.first <= next;
  }

  private lose(from: number, to?: number): void {
    const what =
      to === undefined
        ? `the journal from checkpoint ${from} on`
        : `the journal's checkpoints ${from} to ${to - 1}, and all behind them`;
    this.lost.push({ what, entry: from });
  }

  private addTail({ entry, note, pages, size }: JournalRecord): void {
    let bytes = 0;
    const changed = new Map<number, PagePlace>();
    for (const { space, page, runs, data } of pages) {
      const place = placeOf(space, page);
      changed.set(place, [space, page]);
      bytes += data.length;
      const chunk = this.tail.get(place) ?? { first: entry, versions: new Versions(), tail: true };
      this.tail.set(place, chunk);
      chunk.versions.appendRuns(entry, runs, data);
    }
    this.tailEntries.push({ note, bytes, pages: [...changed.values()] });
    this.unpacked += size;
  }

  /** The page of a content's name. */
  readonly content = (hash: Uint8Array): Uint8Array => {
    const name = Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('latin1');
    let page = this.contents.get(name);
    if (!page) {
      page = readContent(
        this.snapshot,
        this.codec,
        hash,
        () => `the page ${Buffer.from(hash).toString('hex')}`,
      );
      this.contents.set(name, page, PAGE_BYTES + 128);
    }
    return page;
  };

  /** The last chunk of a page that begins at `entry` or before. */
  chunkAt(space: number, page: number, entry: number): Chunk | undefined {
    const tail = this.tail.get(placeOf(space, page));
    if (tail && tail.first <= entry) return tail;
    return this.packedAt(space, page, entry);
  }

  packedAt(space: number, page: number, entry: number): Chunk | undefined {
    const found = chunkBefore(this.snapshot, space, page, Math.min(entry, LARGEST));
    if (!found) return undefined;
    const { key, value, first } = found;
    const name = `${space}:${page}:${first}`;
    let chunk = this.chunks.get(name);
    if (!chunk) {
      const versions = openChunk(this.codec, key, value, lost(space, page, first));
      chunk = { first, versions, tail: false };
      const { ops, data, count } = versions;
      this.chunks.set(name, chunk, ops.length + data.length + 8 * count + 256);
    }
    return chunk;
  }

  /** What a page was at an entry that the next one begins a chunk behind: its content (zeros where it has none). */
  baseAfter(space: number, page: number, entry: number): { content: Uint8Array | undefined } | undefined {
    const key = chunkKey(space, page, Math.min(entry + 1, LARGEST));
    const value = this.snapshot.get('chunks', key);
    if (!value) return undefined;
    const name = chunkBase(key, value, lost(space, page, entry + 1));
    return { content: name && this.content(name) };
  }

  /** The last entry up to `entry` that {@link baseAfter} knows, and how much is spared by that, about. */
  cheapBefore(space: number, page: number, entry: number): { entry: number; spared: number } | undefined {
    const found = chunkBefore(this.snapshot, space, page, Math.min(entry + 1, LARGEST));
    return found && { entry: found.first - 1, spared: found.value.length };
  }

  /** The first entry of the chunk behind one that begins at `first` (-1: of the first chunk); Infinity for none. */
  firstAfter(space: number, page: number, first: number): number {
    const tail = this.tail.get(placeOf(space, page));
    for (const key of this.snapshot.keys('chunks', chunkKey(space, page, first + 1))) {
      const place = chunkPlace(key);
      if (place.space === space && place.page === page) return place.first;
      break;
    }
    return tail && tail.first > first ? tail.first : Infinity;
  }

  /** All pages that were ever anything but zeros, in order. */
  pages(): PagePlace[] {
    const found = new Map<number, PagePlace>();
    for (let key = new Uint8Array(1); ; ) {
      let place: { space: number; page: number } | undefined;
      for (const next of this.snapshot.keys('chunks', key)) {
        place = chunkPlace(next);
        break;
      }
      if (!place) break;
      found.set(placeOf(place.space, place.page), [place.space, place.page]);
      key = chunkKey(place.space, place.page, LARGEST) as Uint8Array<ArrayBuffer>;
      // The key itself is no chunk's.
    }
    for (const place of this.tail.keys()) found.set(place, pageAt(place));
    return [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  }

  entry(number: number): EntryRecord {
    const { next } = this.meta;
    if (number >= next) return this.tailEntries[number - next]!;
    const pair = this.snapshot.atMost('entries', entryKey(number));
    const lost = () => damaged(`what is said of checkpoint ${number}`);
    if (!pair) throw lost();
    const first = getNumber(pair.key, 0);
    let records = this.pieces.get(first);
    if (!records) {
      records = decodeEntries(this.codec, pair.key, pair.value);
      const places = records.reduce((sum, { pages }) => sum + pages.length, 0);
      this.pieces.set(first, records, ENTRY_BYTES * records.length + PLACE_BYTES * places);
    }
    const record = records[number - first];
    if (!record) throw lost();
    return record;
  }
}

const lost = (space: number, page: number, first: number) => (): string =>
  `what page ${page} of ${spaceName(space)} was from checkpoint ${first} on`;

function spaceName(space: number): string {
  return space === 0 ? 'the registers' : space === 1 ? "the host's state" : `memory or table ${space - 2}`;
}
