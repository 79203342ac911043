/**
 * Chunks as they lie in the store: pieces of a page's versions (versions.ts), by space, page and first entry.
 *
 *     key     space (1 byte), page (6), first entry (6)
 *     value   1 byte, the bytes of the base's name: 0 (zeros) or 20; the name; the versions, sealed
 *
 * The base is what the page had at the entry before the first one. It stands in front, so that this entry costs no more
 * than its content: bisection goes from one such entry to another before it looks into a chunk.
 */
import { type Codec, checkSeal, damaged, HASH_BYTES, seal, unseal } from './codec.js';
import { getNumber, NUMBER_BYTES, type Pair, putNumber, type Snapshot } from './store.js';
import { Versions } from './versions.js';

export const CHUNK_KEY = 1 + 2 * NUMBER_BYTES;

export function chunkKey(space: number, page: number, entry: number): Uint8Array {
  const key = new Uint8Array(CHUNK_KEY);
  key[0] = space;
  putNumber(key, 1, page);
  putNumber(key, 1 + NUMBER_BYTES, entry);
  return key;
}

export interface ChunkPlace {
  space: number;
  page: number;
  first: number;
}

export const chunkPlace = (key: Uint8Array): ChunkPlace => ({
  space: key[0]!,
  page: getNumber(key, 1),
  first: getNumber(key, 1 + NUMBER_BYTES),
});

/** The last chunk of a page whose first entry is at most `entry`. */
export function chunkBefore(
  from: Pick<Snapshot, 'atMost'>,
  space: number,
  page: number,
  entry: number,
): (Pair & { first: number }) | undefined {
  const pair = from.atMost('chunks', chunkKey(space, page, entry));
  if (!pair || pair.key.length !== CHUNK_KEY) return undefined;
  const place = chunkPlace(pair.key);
  return place.space === space && place.page === page ? { ...pair, first: place.first } : undefined;
}

/** The value of a chunk. One that will get no more versions is worth the time to make it smaller. */
export function sealChunk(codec: Codec, key: Uint8Array, versions: Versions): Uint8Array {
  const base = versions.base ?? new Uint8Array(0);
  const head = Uint8Array.of(base.length, ...base);
  const sealed = seal(codec, withHead(key, head), versions.encode(chunkPlace(key).first), versions.full);
  return withHead(head, sealed);
}

/** @throws ERR_BELAY_HISTORY_DAMAGED, which names `what`; RangeError for versions that are none */
export function openChunk(codec: Codec, key: Uint8Array, value: Uint8Array, what: () => string): Versions {
  const [head, sealed] = split(value, what);
  const bytes = unseal(codec, withHead(key, head), sealed, what);
  return Versions.decode(chunkPlace(key).first, bytes, nameIn(head));
}

/** The name of the content that a chunk's page had before it; undefined: zeros. @throws ERR_BELAY_HISTORY_DAMAGED */
export function chunkBase(key: Uint8Array, value: Uint8Array, what: () => string): Uint8Array | undefined {
  const [head, sealed] = split(value, what);
  checkSeal(withHead(key, head), sealed, what);
  return nameIn(head);
}

function split(value: Uint8Array, what: () => string): [head: Uint8Array, sealed: Uint8Array] {
  const length = value[0];
  if ((length !== 0 && length !== HASH_BYTES) || value.length <= length) throw damaged(what());
  return [value.subarray(0, 1 + length), value.subarray(1 + length)];
}

const nameIn = (head: Uint8Array): Uint8Array | undefined => (head.length > 1 ? head.slice(1) : undefined);

function withHead(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const all = new Uint8Array(head.length + rest.length);
  all.set(head);
  all.set(rest, head.length);
  return all;
}
