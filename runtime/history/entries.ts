/**
 * What is said of entries, in pieces of {@link MOST_ENTRIES}: MessagePack of columns, sealed. The key is the number of
 * the piece's first entry.
 */
import { Packr } from 'msgpackr';
import { ByteReader, ByteWriter } from './bytes.js';
import { type Codec, damaged, seal, unseal } from './codec.js';
import { entryKey, getNumber, pageAt, placeOf } from './store.js';
import type { Entry, EntryKind } from './types.js';

/** What the journal says of an entry; the rest follows from its pages. */
export interface EntryNote {
  kind: EntryKind;
  time: number;
  request?: number;
  route?: string;
  label?: string;
  digest?: string;
  reason?: string;
  skipped?: number;
}

export const MOST_ENTRIES = 1024;
export const KINDS: readonly EntryKind[] = ['start', 'kept', 'rolled-back'];

/** Space and page. */
export type PagePlace = readonly [space: number, page: number];

/** An entry, and the pages that it changed. */
export interface EntryRecord {
  note: EntryNote;
  bytes: number;
  pages: PagePlace[];
}

interface Columns {
  texts: string[];
  kinds: Uint8Array;
  /** Varints: milliseconds since the entry before, with a sign. */
  times: Uint8Array;
  /** Varints: 0 none, else request + 1, less the one before, with a sign, + 1. */
  requests: Uint8Array;
  /** Varints, three an entry: route, label and reason, by their number in `texts` + 1. */
  said: Uint8Array;
  /** One bit an entry would do; a byte compresses to less. */
  digested: Uint8Array;
  digests: Uint8Array;
  /** Varints, two an entry: skipped, bytes. */
  amounts: Uint8Array;
  /** Varints: count, and each page as its distance from the one before. */
  pages: Uint8Array;
}

const packr = new Packr({ useRecords: false });
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
const unzigzag = (value: number): number => (value % 2 ? -(value + 1) / 2 : value / 2);

export function encodeEntries(codec: Codec, first: number, records: readonly EntryRecord[]): Uint8Array {
  const texts = new Map<string, number>();
  const text = (value: string | undefined): number => {
    if (value === undefined) return 0;
    const known = texts.get(value) ?? texts.size + 1;
    texts.set(value, known);
    return known;
  };
  const kinds = new Uint8Array(records.length);
  const [times, requests, said, digested, digests, amounts, pages] = Array.from(
    { length: 7 },
    () => new ByteWriter(records.length * 2),
  ) as [ByteWriter, ByteWriter, ByteWriter, ByteWriter, ByteWriter, ByteWriter, ByteWriter];
  let time = 0;
  let request = 0;
  records.forEach(({ note, bytes, pages: changed }, i) => {
    kinds[i] = KINDS.indexOf(note.kind);
    times.varint(zigzag(note.time - time));
    time = note.time;
    if (note.request === undefined) requests.varint(0);
    else {
      requests.varint(zigzag(note.request - request) + 1);
      request = note.request;
    }
    said.varint(text(note.route));
    said.varint(text(note.label));
    said.varint(text(note.reason));
    digested.byte(note.digest === undefined ? 0 : 1);
    if (note.digest !== undefined) digests.append(Buffer.from(note.digest, 'hex'));
    amounts.varint(note.skipped ?? 0);
    amounts.varint(bytes);
    pages.varint(changed.length);
    let last = 0;
    for (const [space, page] of changed) {
      const place = placeOf(space, page);
      pages.varint(zigzag(place - last));
      last = place;
    }
  });
  const columns: Columns = {
    texts: [...texts.keys()],
    kinds,
    times: times.done(),
    requests: requests.done(),
    said: said.done(),
    digested: digested.done(),
    digests: digests.done(),
    amounts: amounts.done(),
    pages: pages.done(),
  };
  return seal(codec, entryKey(first), packr.pack(columns));
}

/** @throws ERR_BELAY_HISTORY_DAMAGED */
export function decodeEntries(codec: Codec, key: Uint8Array, value: Uint8Array): EntryRecord[] {
  const what = () => `the list of entries from ${getNumber(key, 0)} on`;
  const bytes = unseal(codec, key, value, what);
  try {
    const c = packr.unpack(bytes) as Columns;
    const [times, requests, said, digested, digests, amounts, pages] = [
      c.times,
      c.requests,
      c.said,
      c.digested,
      c.digests,
      c.amounts,
      c.pages,
    ].map((column) => new ByteReader(column)) as [
      ByteReader,
      ByteReader,
      ByteReader,
      ByteReader,
      ByteReader,
      ByteReader,
      ByteReader,
    ];
    let time = 0;
    let request = 0;
    const text = (): string | undefined => c.texts[said.varint() - 1];
    return Array.from(c.kinds, (kind): EntryRecord => {
      time += unzigzag(times.varint());
      const note: EntryNote = { kind: KINDS[kind]!, time };
      const asked = requests.varint();
      if (asked) {
        request += unzigzag(asked - 1);
        note.request = request;
      }
      for (const key of ['route', 'label', 'reason'] as const) {
        const value = text();
        if (value !== undefined) note[key] = value;
      }
      if (digested.byte()) note.digest = Buffer.from(digests.take(8)).toString('hex');
      const skipped = amounts.varint();
      if (skipped) note.skipped = skipped;
      const amount = amounts.varint();
      let last = 0;
      const changed = Array.from({ length: pages.varint() }, (): PagePlace => {
        last += unzigzag(pages.varint());
        return pageAt(last);
      });
      return { note, bytes: amount, pages: changed };
    });
  } catch (cause) {
    throw damaged(what(), cause);
  }
}

export const entryOf = (number: number, { note, bytes, pages }: EntryRecord): Entry => ({
  number,
  ...note,
  skipped: note.skipped ?? 0,
  pages: pages.length,
  bytes,
});
