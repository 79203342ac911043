/**
 * The versions of one page, one after the other: what a **chunk** of the store holds, and what is not packed yet.
 *
 * A page's versions are cut into chunks of at most {@link MOST_VERSIONS} versions. A chunk can be read without any
 * other: it names the content that the page had before its first version (its base), and says of each version what
 * became different.
 *
 *     base ── version 17 ── version 18 ── version 25 ──
 *             [12..16) = …   [12..16) = …  content #3f2a…
 *
 * Encoded (but for the base, see chunks.ts), in columns, so that what is alike stands together and compresses well:
 *
 *     varint        count of versions, bytes of `ops`, bytes of `data`
 *     varints       entries: the distance of each from the one before; of the first, from the key's
 *     ops           of each version: 0: its content is named in `data`; 1: zeros; else runs + 1, and then of each
 *                   run: bytes from the end of the run before, bytes of the run; both in words of 4
 *     data          bytes of the runs, and names
 *
 * A version that replaces most of the page names a content, where that one is known already: pages that come back, at
 * this place or another, are kept once. Two versions may have the same entry; they apply one after the other.
 */
import { ByteReader, ByteWriter } from './bytes.js';
import { HASH_BYTES } from './codec.js';

export const PAGE_BYTES = 4096;

/** Versions of a chunk, and bytes of its runs: what it costs at most to reach a version from its base. */
export const MOST_VERSIONS = 2048;
export const MOST_DATA = 512 * 1024;

/** Bytes of a page that versions can be narrowed to: so few that a number of runs is one byte. */
export const NARROW = 256;

const CONTENT = 0;
const ZEROS = 1;

/** Gives the page of a content's name. */
export type ContentReader = (hash: Uint8Array) => Uint8Array;

/** Where versions are narrowed: they grow in it, and not each time anew. */
const SCRATCH = { ops: new ByteWriter(4096), data: new ByteWriter(4096) };

export class Versions {
  /** The name of the content before the first version; undefined: zeros. */
  base: Uint8Array | undefined;
  /** Entry of each version. */
  entries: number[] = [];

  constructor(
    readonly ops = new ByteWriter(32),
    readonly data = new ByteWriter(64),
  ) {}

  get count(): number {
    return this.entries.length;
  }

  get full(): boolean {
    return this.count >= MOST_VERSIONS || this.data.length >= MOST_DATA;
  }

  /**
   * Appends a version of runs, as the journal has them.
   * @param runs of each run: offset in the page << 16 | bytes, in order; multiples of 4
   */
  appendRuns(entry: number, runs: Uint32Array, data: Uint8Array): void {
    this.entries.push(entry);
    this.ops.varint(runs.length + 1);
    let at = 0;
    for (const run of runs) {
      const offset = run >>> 16;
      const length = run & 0xffff;
      this.ops.varint((offset - at) >> 2);
      this.ops.varint(length >> 2);
      at = offset + length;
    }
    this.data.append(data);
  }

  /** Appends a version that is a whole content, or zeros. */
  appendContent(entry: number, hash: Uint8Array | undefined): void {
    this.entries.push(entry);
    this.ops.varint(hash ? CONTENT : ZEROS);
    if (hash) this.data.append(hash);
  }

  /** Names of all contents that are referred to, as often as they are. */
  contents(): Uint8Array[] {
    const names = this.base ? [this.base] : [];
    const ops = new ByteReader(this.ops.done());
    let at = 0;
    for (let i = 0; i < this.count; i++) {
      const code = ops.varint();
      if (code === CONTENT) {
        names.push(this.data.bytes.slice(at, at + HASH_BYTES));
        at += HASH_BYTES;
      }
      for (let run = 1; run < code; run++) {
        ops.varint();
        at += ops.varint() * 4;
      }
    }
    return names;
  }

  /**
   * What they say of the bytes [low, high) of the page: multiples of 4, at most {@link NARROW} of them. Versions that say
   * nothing of these are left out, so that they need not be walked.
   */
  narrowed(low: number, high: number): Versions {
    const narrow = new Versions(SCRATCH.ops, SCRATCH.data);
    narrow.ops.length = 0;
    narrow.data.length = 0;
    narrow.base = this.base;
    const ops = this.ops.bytes;
    const data = this.data.bytes;
    const { entries } = this;
    let op = 0;
    let from = 0;
    for (let i = 0; i < entries.length; i++) {
      // Of a page's words no number has more than two bytes. A call for each would take longer than all else.
      let code = ops[op++]!;
      if (code > 127) code += 128 * (ops[op++]! - 1);
      if (code === CONTENT) {
        narrow.appendContent(entries[i]!, data.subarray(from, from + HASH_BYTES));
        from += HASH_BYTES;
      } else if (code === ZEROS) {
        narrow.appendContent(entries[i]!, undefined);
      } else {
        // Where the number of runs will stand.
        const head = narrow.ops.length;
        let count = 0;
        let last = 0;
        let at = 0;
        for (let run = 1; run < code; run++) {
          let gap = ops[op++]!;
          if (gap > 127) gap += 128 * (ops[op++]! - 1);
          let words = ops[op++]!;
          if (words > 127) words += 128 * (ops[op++]! - 1);
          at += 4 * gap;
          const end = at + 4 * words;
          if (at < high && end > low) {
            const first = at > low ? at : low;
            const stop = end < high ? end : high;
            if (count++ === 0) narrow.ops.byte(0);
            narrow.ops.varint((first - last) >> 2);
            narrow.ops.varint((stop - first) >> 2);
            narrow.data.copy(data, from + first - at, stop - first);
            last = stop;
          }
          from += end - at;
          at = end;
        }
        if (count === 0) continue;
        narrow.ops.bytes[head] = count + 1;
        narrow.entries.push(entries[i]!);
      }
    }
    return narrow.copy();
  }

  /** The same in memory of its own, and no more than it needs. */
  private copy(): Versions {
    const copy = new Versions(
      ByteWriter.of(this.ops.done().slice()),
      ByteWriter.of(this.data.done().slice()),
    );
    copy.base = this.base;
    copy.entries = this.entries;
    return copy;
  }

  encode(first: number): Uint8Array {
    const w = new ByteWriter(64 + this.count * 2 + this.ops.length + this.data.length);
    w.varint(this.count);
    w.varint(this.ops.length);
    w.varint(this.data.length);
    let before = first;
    for (const entry of this.entries) {
      w.varint(entry - before);
      before = entry;
    }
    w.append(this.ops.done());
    w.append(this.data.done());
    return w.done();
  }

  /** @throws RangeError for bytes that are none */
  static decode(first: number, bytes: Uint8Array, base: Uint8Array | undefined): Versions {
    const r = new ByteReader(bytes);
    const count = r.varint();
    const opsLength = r.varint();
    const dataLength = r.varint();
    let entry = first;
    const entries = new Array<number>(count);
    for (let i = 0; i < count; i++) {
      entry += r.varint();
      entries[i] = entry;
    }
    const versions = new Versions(ByteWriter.of(r.take(opsLength)), ByteWriter.of(r.take(dataLength)));
    versions.base = base;
    versions.entries = entries;
    return versions;
  }
}

/** Walks the versions of a chunk, and brings a page along. */
export class VersionWalk {
  /** Versions that have been applied. */
  applied = 0;
  private opsAt = 0;
  private dataAt = 0;

  constructor(
    readonly versions: Versions,
    private readonly content: ContentReader,
  ) {}

  /** The entry of the next version; Infinity after the last one. */
  get next(): number {
    const { entries } = this.versions;
    return this.applied < entries.length ? entries[this.applied]! : Infinity;
  }

  /** Applies the next version to `page`. */
  step(page: Uint8Array): void {
    const ops = this.versions.ops.bytes;
    const data = this.versions.data.bytes;
    let from = this.dataAt;
    const code = this.varint(ops);
    if (code === CONTENT) {
      page.set(this.content(data.subarray(from, from + HASH_BYTES)));
      from += HASH_BYTES;
    } else if (code === ZEROS) {
      page.fill(0);
    } else {
      let to = 0;
      for (let run = 1; run < code; run++) {
        to += this.varint(ops) * 4;
        const length = this.varint(ops) * 4;
        // A copy of a few bytes is not worth a call.
        if (length <= 32) for (let i = 0; i < length; i++) page[to + i] = data[from + i]!;
        else page.set(data.subarray(from, from + length), to);
        to += length;
        from += length;
      }
    }
    this.dataAt = from;
    this.applied++;
  }

  private varint(ops: Uint8Array): number {
    const byte = ops[this.opsAt++]!;
    return byte < 128 ? byte : (byte & 127) + this.varint(ops) * 128;
  }

  /** Applies all versions up to and with `entry`. */
  seek(page: Uint8Array, entry: number): void {
    const { entries } = this.versions;
    while (this.applied < entries.length && entries[this.applied]! <= entry) this.step(page);
  }

  /** Makes `page` what the versions start from. */
  static base(versions: Versions, page: Uint8Array, content: ContentReader): void {
    if (versions.base) page.set(content(versions.base));
    else page.fill(0);
  }
}
