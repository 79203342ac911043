/**
 * The journal: entries as they are recorded, one after the other, in files that are only appended to. One write
 * of the operating system makes an entry safe from whatever happens to the process, which costs microseconds; packing
 * (pack.ts) takes it from there, and deletes files that it has packed.
 *
 *     journal/000000000000.log      entries from 0 on
 *     journal/000000051234.log      entries from 51234 on
 *
 * A file is 8 bytes `BELAYJ` and the version (u16), then records, all little-endian, in words of 4 bytes:
 *
 *     u32   bytes of the record behind this head
 *     u32   CRC-32 of them
 *     u32   number of the entry, low half; u32 high half
 *     u32   bytes of what is said of the entry (MessagePack), then those bytes, zeros up to a word
 *     u32   pages
 *     each: u32 space, u32 page, u32 words of its runs; of each run u32 offset << 16 | bytes, then the bytes
 *
 * The last record of the last file may be cut off: its entry was not finished.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Packr } from 'msgpackr';
import { checksum, damaged } from './codec.js';
import type { EntryNote } from './entries.js';
import { historyError } from './errors.js';

export const JOURNAL = 'journal';
export const JOURNAL_VERSION = 2;
const MAGIC = Buffer.from('BELAYJ');
export const JOURNAL_HEAD = 8;
/** Bytes of a record's length and checksum. */
export const RECORD_HEAD = 8;

const packr = new Packr({ useRecords: false });
export const packNote = (note: EntryNote): Uint8Array => packr.pack(note);

export function journalHead(): Uint8Array {
  const head = Buffer.alloc(JOURNAL_HEAD);
  MAGIC.copy(head);
  head.writeUInt16LE(JOURNAL_VERSION, 6);
  return head;
}

/** What a record says of one page. */
export interface PageRecord {
  space: number;
  page: number;
  /** offset << 16 | bytes */
  runs: Uint32Array;
  /** The bytes of all runs. */
  data: Uint8Array;
}

export interface JournalRecord {
  entry: number;
  note: EntryNote;
  pages: PageRecord[];
  /** Bytes of the record. */
  size: number;
}

export const journalName = (entry: number): string => `${String(entry).padStart(12, '0')}.log`;

export interface JournalFile {
  path: string;
  /** The entry that it begins with. */
  first: number;
}

/** The journal's files, oldest first. */
export function journalFiles(directory: string): JournalFile[] {
  let names: string[];
  try {
    names = readdirSync(join(directory, JOURNAL));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => /^\d{12,}\.log$/.test(name))
    .map((name) => ({ path: join(directory, JOURNAL, name), first: Number(name.slice(0, -4)) }))
    .sort((a, b) => a.first - b.first);
}

export interface JournalPart {
  records: JournalRecord[];
  /** Offset behind the last whole record. */
  end: number;
  /** Bytes of the file when it was read. */
  size: number;
  /** Whether bytes follow that are no whole record. */
  torn: boolean;
}

/**
 * The whole records of a file from an offset on.
 * @param most bytes to read, about: at least one record is read, where there is one
 * @throws ERR_BELAY_HISTORY_VERSION for a file of another version
 */
export function readJournal(path: string, offset = 0, most = Infinity): JournalPart {
  const fd = openSync(path, 'r');
  try {
    const size = fstatSync(fd).size;
    const read = (at: number, length: number): Buffer => {
      const bytes = Buffer.allocUnsafe(length);
      let got = 0;
      while (got < length) {
        const n = readSync(fd, bytes, got, length - got, at + got);
        if (n === 0) return bytes.subarray(0, got);
        got += n;
      }
      return bytes;
    };
    const records: JournalRecord[] = [];
    if (size < JOURNAL_HEAD) return { records, end: 0, size, torn: size > 0 };
    if (offset < JOURNAL_HEAD) {
      checkHead(read(0, JOURNAL_HEAD), path);
      offset = JOURNAL_HEAD;
    }
    let window = read(offset, Math.min(size - offset, Math.max(most, RECORD_HEAD)));
    let at = 0;
    for (;;) {
      if (window.length - at < RECORD_HEAD) {
        if (offset + at + RECORD_HEAD > size || records.length > 0) break;
        window = read(offset + at, RECORD_HEAD);
        offset += at;
        at = 0;
        continue;
      }
      const length = window.readUInt32LE(at);
      if (window.length - at - RECORD_HEAD < length) {
        if (offset + at + RECORD_HEAD + length > size || records.length > 0) break;
        // One record that is larger than what was asked for.
        window = read(offset + at, RECORD_HEAD + length);
        offset += at;
        at = 0;
        if (window.length < RECORD_HEAD + length) break;
      }
      const body = window.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length);
      if (length < 16 || checksum(body) !== window.readUInt32LE(at + 4)) break;
      records.push(parseRecord(body, path));
      at += RECORD_HEAD + length;
    }
    const end = offset + at;
    return { records, end, size, torn: end < size && (records.length === 0 || window.length - at > 0) };
  } finally {
    closeSync(fd);
  }
}

/**
 * Whether what follows the last whole record of a file is more than the beginning of one: then it is damaged there, and not
 * a record that was being written when the process was killed.
 * @param end behind the last whole record
 * @param entry that the next record would be of
 */
export function isDamaged(path: string, end: number, entry: number): boolean {
  const bytes = readFileSync(path).subarray(Math.max(end, JOURNAL_HEAD));
  if (bytes.length < RECORD_HEAD) return false;
  const isRecord = (at: number): boolean =>
    checksum(bytes.subarray(at + RECORD_HEAD, at + RECORD_HEAD + bytes.readUInt32LE(at))) ===
    bytes.readUInt32LE(at + 4);
  // It may have been completed meanwhile.
  if (RECORD_HEAD + bytes.readUInt32LE(0) <= bytes.length) return !isRecord(0);
  // Its length may be what is damaged: is there a later record?
  for (let at = 4; at + RECORD_HEAD + 16 <= bytes.length; at += 4) {
    const number = bytes.readUInt32LE(at + RECORD_HEAD) + bytes.readUInt32LE(at + RECORD_HEAD + 4) * 2 ** 32;
    if (number <= entry || number > entry + bytes.length / RECORD_HEAD) continue;
    if (isRecord(at)) return true;
  }
  return false;
}

/** Puts aside files with entries behind a gap: they cannot be read any more, and their numbers are given again. */
export function putAside(directory: string, next: number): void {
  for (const { path, first } of journalFiles(directory)) if (first > next) renameSync(path, `${path}.lost`);
}

function checkHead(head: Buffer, path: string): void {
  const version = head.readUInt16LE(6);
  if (head.subarray(0, 6).equals(MAGIC) && version === JOURNAL_VERSION) return;
  throw historyError(
    'ERR_BELAY_HISTORY_VERSION',
    head.subarray(0, 6).equals(MAGIC)
      ? `${path} is a journal of version ${version}, and this package knows version ${JOURNAL_VERSION}: use the wasm-belay that wrote it`
      : `${path} is no journal of a history: move it away`,
  );
}

function parseRecord(body: Buffer, path: string): JournalRecord {
  // Typed arrays need an aligned start.
  const bytes = new Uint8Array(body.length);
  bytes.set(body);
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
  try {
    const entry = words[0]! + words[1]! * 2 ** 32;
    const noteLength = words[2]!;
    const note = packr.unpack(bytes.subarray(12, 12 + noteLength)) as EntryNote;
    let at = 3 + ((noteLength + 3) >> 2);
    const count = words[at++]!;
    const pages: PageRecord[] = [];
    // Heads are gathered; words move to where heads were, so that those of a page are in one piece.
    const heads = new Uint32Array(words.length - at);
    let gathered = 0;
    for (let i = 0; i < count; i++) {
      const space = words[at]!;
      const page = words[at + 1]!;
      const end = at + 3 + words[at + 2]!;
      const first = gathered;
      const start = at;
      let to = at;
      for (at += 3; at < end; ) {
        const head = words[at++]!;
        heads[gathered++] = head;
        for (const stop = at + ((head & 0xffff) >> 2); at < stop; ) words[to++] = words[at++]!;
      }
      pages.push({
        space,
        page,
        runs: heads.subarray(first, gathered),
        data: bytes.subarray(start * 4, to * 4),
      });
    }
    if (at > words.length) throw new RangeError('it is cut off');
    return { entry, note, pages, size: RECORD_HEAD + body.length };
  } catch (cause) {
    throw damaged(`a record of ${path}`, cause);
  }
}
