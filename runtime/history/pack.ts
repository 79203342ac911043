/**
 * Packing: what the journal has, entry by entry, becomes versions, page by page.
 *
 *     journal   entry 17: page 3, page 9        entry 18: page 3
 *     chunks    page 3: 17, 18                  page 9: 17
 *     entries   17, 18
 *
 * The last chunk of a page stays open: it is written again with what came, until it is full. So a page that is
 * written a little, often, costs some bytes a version, and one that is written once costs one chunk. One transaction
 * packs a batch and moves on the number up to which all is packed: killed at any moment, packing goes on from there.
 *
 * Memory: open chunks and their pages, the most recently used ones, up to a limit ({@link PackOptions.cache}).
 */
import { unlinkSync } from 'node:fs';
import { chunkBefore, chunkKey, chunkPlace, openChunk, sealChunk } from './chunks.js';
import { type Codec, contentHash, damaged } from './codec.js';
import { addReference, dropReference, readContent } from './contents.js';
import { decodeEntries, type EntryRecord, encodeEntries, MOST_ENTRIES, type PagePlace } from './entries.js';
import { type JournalRecord, journalFiles, readJournal } from './journal.js';
import { type Meta, readMeta, writeMeta } from './meta.js';
import { entryKey, getNumber, LARGEST, placeOf, type Store, type Transaction } from './store.js';
import type { Retention } from './types.js';
import { PAGE_BYTES, Versions, VersionWalk } from './versions.js';

export interface PackOptions {
  /** Bytes of open chunks that are kept in memory. Default 64 MiB. */
  cache?: number;
  retention?: Retention;
}

/** A page whose last chunk may get more versions. */
interface OpenPage {
  space: number;
  page: number;
  /** The first entry of the open chunk. */
  first: number;
  versions: Versions;
  /** The page after the last version. */
  current: Uint8Array;
  written: boolean;
  /** Bytes that it is counted for. */
  counted: number;
}

/** Versions from so many bytes on are looked up among the contents. */
const LARGE = PAGE_BYTES / 2;
/** The same for the first version of a page: it is likely to be elsewhere, too. */
const LARGE_FIRST = 512;
/** Contents of large versions that are remembered, to notice when one comes back. */
const REMEMBERED = 4096;
/** Superseded chunks are removed when so many entries have left the history, or a tenth of it. */
const PRUNE_EVERY = 1024;
/** Bytes of records that are packed at once. */
export const BATCH = 16 * 2 ** 20;

const zero = (page: Uint8Array): boolean => page.every((byte) => byte === 0);

export class Packer {
  private readonly open = new Map<number, OpenPage>();
  private openBytes = 0;
  /** Entries of the last, open piece. */
  private entries: EntryRecord[] | undefined;
  private entriesFirst = 0;
  private readonly seen = new Set<string>();
  private readonly cache: number;
  meta: Meta;
  /** How far each journal file has been read. */
  private file: { path: string; offset: number } | undefined;

  constructor(
    private readonly store: Store,
    private readonly codec: Codec,
    private readonly directory: string,
    private readonly options: PackOptions = {},
  ) {
    this.cache = options.cache ?? 64 * 2 ** 20;
    this.meta = this.read((snapshot) => readMeta(snapshot, directory));
  }

  private read<T>(fn: (snapshot: ReturnType<Store['snapshot']>) => T): T {
    const snapshot = this.store.snapshot();
    try {
      return fn(snapshot);
    } finally {
      snapshot.done();
    }
  }

  /** Bytes held in memory, about. */
  get bytes(): number {
    return this.openBytes;
  }

  /**
   * Packs what the journal has now, and deletes files that are packed. What comes meanwhile waits for the next time, lest open
   * chunks are written for each record.
   * @returns bytes of the records packed, without entries before `from`
   * @throws ERR_BELAY_HISTORY_FULL, ERR_BELAY_HISTORY_DAMAGED
   */
  async packJournal(from = 0): Promise<number> {
    let bytes = 0;
    for (;;) {
      const files = journalFiles(this.directory);
      let at = files.findIndex(({ path }) => path === this.file?.path);
      if (at < 0) {
        at = 0;
        this.file = files[0] && { path: files[0].path, offset: 0 };
      }
      if (!this.file) break;
      const part = readJournal(this.file.path, this.file.offset, BATCH);
      const fresh = part.records.filter(({ entry }) => entry >= this.meta.next);
      if (fresh.length > 0) {
        this.pack(fresh);
        for (const { entry, size } of fresh) if (entry >= from) bytes += size;
      }
      this.file.offset = part.end;
      if (part.records.length > 0 && part.end < part.size) continue;
      const following = files[at + 1];
      if (!following) break;
      // Finished: nobody appends to it any more.
      if (following.first > this.meta.next) {
        throw damaged(`the journal's entries ${this.meta.next} to ${following.first - 1}`);
      }
      await this.store.flushed();
      unlinkSync(this.file.path);
      this.file = { path: following.path, offset: 0 };
    }
    return bytes;
  }

  /** Packs records, which follow what is packed. */
  pack(records: readonly JournalRecord[]): void {
    const before = this.meta;
    try {
      this.store.write((t) => {
        const meta = { ...this.meta };
        for (const record of records) {
          if (record.entry !== meta.next) {
            throw damaged(`the journal's entries ${meta.next} to ${record.entry - 1}`);
          }
          this.add(t, record, meta);
          meta.next++;
        }
        this.writeOpen(t);
        this.writeEntries(t);
        this.retain(t, meta);
        writeMeta(t, meta);
        this.meta = meta;
      });
    } catch (error) {
      // What is in memory belongs to a transaction that was not.
      this.meta = before;
      this.open.clear();
      this.openBytes = 0;
      this.entries = undefined;
      throw error;
    }
    this.evict();
  }

  private add(t: Transaction, { entry, note, pages }: JournalRecord, meta: Meta): void {
    const changed: PagePlace[] = [];
    const places = new Set<number>();
    let bytes = 0;
    for (const { space, page, runs, data } of pages) {
      const place = placeOf(space, page);
      if (!places.has(place)) changed.push([space, page]);
      places.add(place);
      bytes += data.length;
      this.addVersion(t, this.openPage(t, space, page, entry), entry, runs, data);
    }
    meta.raw += changed.length * PAGE_BYTES;
    this.addEntry(t, entry, { note, bytes, pages: changed });
  }

  private addVersion(t: Transaction, o: OpenPage, entry: number, runs: Uint32Array, data: Uint8Array): void {
    // Versions of one entry stay in one chunk: that is where they are looked for.
    if (o.versions.full && o.versions.entries[o.versions.count - 1] !== entry) this.startChunk(t, o, entry);
    const { versions, current } = o;
    const first = versions.count === 0 && !versions.base;
    const words = new Uint32Array(current.buffer, current.byteOffset, PAGE_BYTES / 4);
    const values = new Uint32Array(data.buffer, data.byteOffset, data.length / 4);
    let at = 0;
    for (const run of runs) {
      // Most are short: not worth a call.
      let word = run >>> 18;
      for (const end = at + ((run & 0xffff) >> 2); at < end; ) words[word++] = values[at++]!;
    }
    if (data.length >= (first ? LARGE_FIRST : LARGE)) {
      if (zero(current)) versions.appendContent(entry, undefined);
      else {
        const hash = contentHash(current);
        const name = Buffer.from(hash).toString('latin1');
        if (first || this.seen.has(name) || t.get('contents', hash)) {
          addReference(t, this.codec, hash, current);
          versions.appendContent(entry, hash);
        } else {
          versions.appendRuns(entry, runs, data);
        }
        this.seen.add(name);
        if (this.seen.size > REMEMBERED) this.seen.delete(this.seen.values().next().value!);
      }
    } else {
      versions.appendRuns(entry, runs, data);
    }
    o.written = true;
    this.weigh(o);
  }

  private weigh(o: OpenPage): void {
    const { data, ops, count } = o.versions;
    const bytes = PAGE_BYTES + 512 + data.bytes.length + ops.bytes.length + 8 * count;
    this.openBytes += bytes - o.counted;
    o.counted = bytes;
  }

  /** The page's open chunk, from memory or the store. */
  private openPage(t: Transaction, space: number, page: number, entry: number): OpenPage {
    const place = placeOf(space, page);
    let found = this.open.get(place);
    if (found) {
      // The most recently used are last.
      this.open.delete(place);
      this.open.set(place, found);
      return found;
    }
    found = this.loadPage(t, space, page) ?? {
      space,
      page,
      first: entry,
      versions: new Versions(),
      current: new Uint8Array(PAGE_BYTES),
      written: false,
      counted: 0,
    };
    this.open.set(place, found);
    return found;
  }

  private loadPage(t: Transaction, space: number, page: number): OpenPage | undefined {
    const found = chunkBefore(t, space, page, LARGEST);
    if (!found) return undefined;
    const { key, value, first } = found;
    const what = () => `page ${page} of space ${space} from entry ${first} on`;
    const versions = openChunk(this.codec, key, value, what);
    const content = (hash: Uint8Array) => readContent(t, this.codec, hash, what);
    const current = new Uint8Array(PAGE_BYTES);
    VersionWalk.base(versions, current, content);
    new VersionWalk(versions, content).seek(current, Infinity);
    return { space, page, first, versions, current, written: false, counted: 0 };
  }

  private startChunk(t: Transaction, o: OpenPage, entry: number): void {
    if (o.written) this.writeChunk(t, o);
    o.versions = new Versions();
    o.first = entry;
    if (!zero(o.current)) {
      o.versions.base = contentHash(o.current);
      addReference(t, this.codec, o.versions.base, o.current);
    }
  }

  private writeChunk(t: Transaction, o: OpenPage): void {
    const key = chunkKey(o.space, o.page, o.first);
    t.put('chunks', key, sealChunk(this.codec, key, o.versions));
    o.written = false;
  }

  private writeOpen(t: Transaction): void {
    for (const o of this.open.values()) if (o.written) this.writeChunk(t, o);
  }

  private evict(): void {
    for (const [place, o] of this.open) {
      if (this.openBytes <= this.cache) return;
      this.open.delete(place);
      this.openBytes -= o.counted;
    }
  }

  private addEntry(t: Transaction, entry: number, record: EntryRecord): void {
    if (!this.entries) {
      const pair = t.atMost('entries', entryKey(LARGEST));
      this.entries = pair ? decodeEntries(this.codec, pair.key, pair.value) : [];
      this.entriesFirst = pair ? getNumber(pair.key, 0) : entry;
    }
    if (this.entries.length >= MOST_ENTRIES) {
      this.writeEntries(t);
      this.entries = [];
      this.entriesFirst = entry;
    }
    this.entries.push(record);
  }

  private writeEntries(t: Transaction): void {
    if (this.entries?.length) {
      t.put(
        'entries',
        entryKey(this.entriesFirst),
        encodeEntries(this.codec, this.entriesFirst, this.entries),
      );
    }
  }

  /** Moves the history's first entry on, as retention says, and removes what nobody can ask for any more. */
  private retain(t: Transaction, meta: Meta): void {
    const { count, age, bytes } = this.options.retention ?? {};
    let first = meta.first;
    if (count !== undefined) first = Math.max(first, meta.next - count);
    if (age !== undefined) first = Math.max(first, this.firstSince(t, Date.now() - age, meta));
    if (bytes !== undefined && this.store.stats().stored > bytes) {
      // What the store keeps follows what is kept, after a while.
      first = Math.max(first, meta.first + Math.ceil((meta.next - meta.first) / 8));
    }
    meta.first = Math.min(first, meta.next - 1);
    const due = Math.max(PRUNE_EVERY, (meta.next - meta.first) / 10);
    if (bytes !== undefined ? meta.first > meta.pruned : meta.first - meta.pruned >= due)
      this.removeBefore(t, meta);
  }

  /** The first entry of a time or later. */
  private firstSince(t: Transaction, time: number, meta: Meta): number {
    for (const { key, value } of t.from('entries', entryKey(Math.max(0, meta.first - MOST_ENTRIES)))) {
      const start = getNumber(key, 0);
      const records = decodeEntries(this.codec, key, value);
      const found = records.findIndex(({ note }, i) => start + i >= meta.first && note.time >= time);
      if (found >= 0) return start + found;
    }
    return meta.next - 1;
  }

  /** Prunes to `first`, at once. */
  prune(first: number): void {
    this.store.write((t) => {
      const meta = { ...this.meta, first: Math.min(Math.max(first, this.meta.first), this.meta.next - 1) };
      this.removeBefore(t, meta);
      writeMeta(t, meta);
      this.meta = meta;
    });
  }

  /** Removes chunks and pieces of the list that only entries before the first one need. */
  private removeBefore(t: Transaction, meta: Meta): void {
    const superseded: Uint8Array[] = [];
    let before: Uint8Array | undefined;
    for (const key of t.keys('chunks', new Uint8Array(1))) {
      const samePage = before && !Buffer.compare(before.subarray(0, 7), key.subarray(0, 7));
      if (samePage && chunkPlace(key).first <= meta.first) superseded.push(before!);
      before = Uint8Array.from(key);
    }
    for (const key of superseded) {
      const { space, page, first } = chunkPlace(key);
      const what = () => `page ${page} of space ${space} from entry ${first} on`;
      const versions = openChunk(this.codec, key, t.get('chunks', key)!, what);
      for (const hash of versions.contents()) dropReference(t, hash);
      t.remove('chunks', key);
    }
    const pieces = [...t.keys('entries', entryKey(0))].map((key) => Uint8Array.from(key));
    pieces.forEach((key, i) => {
      const following = pieces[i + 1];
      if (following && getNumber(following, 0) <= meta.first) t.remove('entries', key);
    });
    meta.pruned = meta.first;
  }
}
