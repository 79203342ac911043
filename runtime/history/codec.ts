/**
 * Compression and checksums of what is stored. Zstandard (RFC 8878): of what is fast enough to be undone for each
 * question it makes the smallest (docs/history.md has the figures). Node has it from 22.15 on; before, and elsewhere,
 * the same by WebAssembly: what one wrote the other reads.
 */
import { hash } from 'node:crypto';
import * as zlib from 'node:zlib';
import { historyError } from './errors.js';

export interface Codec {
  /** @param thorough takes longer, for what is written once */
  compress(bytes: Uint8Array, thorough?: boolean): Uint8Array;
  /** @throws whatever the library throws for damaged bytes */
  decompress(bytes: Uint8Array): Uint8Array;
}

/** Zstandard's levels. */
const LEVEL = 3;
const THOROUGH = 6;
/** Bytes that there is room for at least. */
const LEAST_ROOM = 1024;

let codec: Promise<Codec> | undefined;

/** The codec of this engine. */
export function loadCodec(): Promise<Codec> {
  codec ??= load();
  return codec;
}

async function load(): Promise<Codec> {
  const { zstdCompressSync, zstdDecompressSync, constants } = zlib;
  if (typeof zstdCompressSync === 'function') {
    const [usual, thorough] = [LEVEL, THOROUGH].map((level) => ({
      params: { [constants.ZSTD_c_compressionLevel]: level },
    }));
    return {
      compress: (bytes, more) => zstdCompressSync(bytes, more ? thorough : usual),
      // Room for all of it, and a byte, so that it is seen to end: in pieces it takes a third longer.
      decompress: (bytes) =>
        zstdDecompressSync(bytes, { chunkSize: Math.max(contentSize(bytes) + 1, LEAST_ROOM) }),
    };
  }
  const { init, compress, decompress } = await import('@bokuweb/zstd-wasm');
  await init();
  return {
    compress: (bytes, more) => compress(bytes, more ? THOROUGH : LEVEL),
    decompress: (bytes) => decompress(bytes),
  };
}

/** Bytes that a frame becomes, by its header (RFC 8878, 3.1.1.1); 0 where that does not say. */
function contentSize(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const descriptor = view.getUint8(4);
  const single = (descriptor >> 5) & 1;
  const at = 6 - single + [0, 1, 2, 4][descriptor & 3]!;
  switch (descriptor >> 6) {
    case 0:
      return single ? view.getUint8(at) : 0;
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}

/** CRC-32 of several pieces, one after the other. */
export function checksum(...pieces: Uint8Array[]): number {
  let crc = 0;
  for (const piece of pieces) crc = zlib.crc32(piece, crc);
  return crc;
}

/** Bytes of the name of a page's content. */
export const HASH_BYTES = 20;

/** The name of a page's content: the first bits of its SHA-256. */
export function contentHash(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer').subarray(0, HASH_BYTES);
}

/** How values lie in the store: 4 bytes CRC-32 of key and rest, 1 byte 0 (raw) or 1 (zstd), the content. */
const HEAD = 5;
const RAW = 0;
const ZSTD = 1;

/** Wraps a value for its key: compressed where that saves something, with a checksum. @param thorough see {@link Codec} */
export function seal(codec: Codec, key: Uint8Array, content: Uint8Array, thorough?: boolean): Uint8Array {
  const compressed = content.length > 32 ? codec.compress(content, thorough) : content;
  const smaller = compressed.length < content.length;
  const body = smaller ? compressed : content;
  const sealed = new Uint8Array(HEAD + body.length);
  sealed[4] = smaller ? ZSTD : RAW;
  sealed.set(body, HEAD);
  new DataView(sealed.buffer).setUint32(0, checksum(key, sealed.subarray(4)), true);
  return sealed;
}

/**
 * The content of a sealed value.
 * @param what names what is lost when it is damaged
 * @throws ERR_BELAY_HISTORY_DAMAGED
 */
export function unseal(codec: Codec, key: Uint8Array, sealed: Uint8Array, what: () => string): Uint8Array {
  checkSeal(key, sealed, what);
  const body = sealed.subarray(HEAD);
  try {
    return sealed[4] === ZSTD ? codec.decompress(body) : body;
  } catch (cause) {
    throw damaged(what(), cause);
  }
}

/** @throws ERR_BELAY_HISTORY_DAMAGED where a sealed value is not what was sealed for this key; names `what` */
export function checkSeal(key: Uint8Array, sealed: Uint8Array, what: () => string): void {
  const crc =
    sealed.length >= HEAD
      ? new DataView(sealed.buffer, sealed.byteOffset, sealed.length).getUint32(0, true)
      : undefined;
  if (crc === undefined || crc !== checksum(key, sealed.subarray(4))) throw damaged(what());
}

/** @throws nothing: makes the error */
export function damaged(what: string, cause?: unknown): Error {
  return historyError(
    'ERR_BELAY_HISTORY_DAMAGED',
    `the history is damaged: ${what} cannot be read; other entries still can, and \`belay history info --check\` lists all that is lost`,
    cause,
  );
}
