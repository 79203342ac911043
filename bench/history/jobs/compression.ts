/** Codecs side by side, on what a store compresses: chunks of versions, and pages that are kept whole; each by itself. */
import * as zlib from 'node:zlib';
import * as lz4 from 'lz4-napi';
import * as snappy from 'snappy';
import { chunkPlace, openChunk } from '../../../runtime/history/chunks.js';
import { loadCodec, unseal } from '../../../runtime/history/codec.js';
import { openStore } from '../../../runtime/history/open.js';
import { median } from '../../statistics.js';
import type { CompressionJob } from '../plan.js';
import type { Compression } from '../results.js';

interface Codec {
  name: string;
  compress(bytes: Uint8Array): Uint8Array;
  decompress(bytes: Uint8Array): Uint8Array;
}

const MIB = 2 ** 20;
/** Of chunks; of contents it is half as much. */
const SAMPLE = 6 * MIB;
/** Bytes in front of a content: the count of its references. */
const REFERENCES = 4;

async function codecs(): Promise<Codec[]> {
  const { init, compress, decompress } = await import('@bokuweb/zstd-wasm');
  await init();
  const { zstdCompressSync, zstdDecompressSync, constants } = zlib;
  const buffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const zstd = (level: number): Codec[] => {
    if (typeof zstdCompressSync !== 'function') return [];
    const params = { [constants.ZSTD_c_compressionLevel]: level };
    return [
      {
        name: `zstd ${level}`,
        compress: (bytes) => zstdCompressSync(bytes, { params }),
        decompress: (bytes) => zstdDecompressSync(bytes),
      },
    ];
  };
  return [
    ...zstd(-5),
    ...zstd(1),
    ...zstd(3),
    ...zstd(6),
    ...zstd(12),
    ...zstd(19),
    {
      name: 'zstd 3, WebAssembly',
      compress: (bytes) => compress(bytes, 3),
      decompress: (bytes) => decompress(bytes),
    },
    {
      name: 'lz4',
      compress: (bytes) => lz4.compressSync(buffer(bytes)),
      decompress: (bytes) => lz4.uncompressSync(bytes),
    },
    {
      name: 'snappy',
      compress: (bytes) => snappy.compressSync(buffer(bytes)),
      decompress: (bytes) => snappy.uncompressSync(buffer(bytes)) as Buffer,
    },
    ...[1, 6, 9].map((level) => ({
      name: `deflate ${level}`,
      compress: (bytes: Uint8Array) => zlib.deflateRawSync(bytes, { level }),
      decompress: (bytes: Uint8Array) => zlib.inflateRawSync(bytes),
    })),
    {
      name: 'brotli 5',
      compress: (bytes) =>
        zlib.brotliCompressSync(bytes, {
          params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
        }),
      decompress: (bytes) => zlib.brotliDecompressSync(bytes),
    },
  ];
}

export async function compression(
  { directory, quick }: CompressionJob,
  progress: (text: string) => void,
): Promise<Compression[]> {
  const limit = quick ? MIB / 8 : SAMPLE;
  const chunks = await sample(directory, 'chunks', limit);
  const contents = await sample(directory, 'contents', limit / 2);
  const found: Compression[] = [];
  for (const codec of await codecs()) {
    progress(codec.name);
    for (const [what, all] of [
      ['chunks', chunks],
      ['contents', contents],
    ] as const) {
      if (all.length > 0) found.push(measure(codec, what, all, quick));
    }
  }
  return found;
}

/** Values of a table, from all over it, as they are before they are compressed. */
async function sample(directory: string, table: 'chunks' | 'contents', limit: number): Promise<Uint8Array[]> {
  const codec = await loadCodec();
  const store = openStore(directory);
  const snapshot = store.snapshot();
  const what = () => table;
  const open = (key: Uint8Array, value: Uint8Array): Uint8Array =>
    table === 'contents'
      ? unseal(codec, key, value.subarray(REFERENCES), what)
      : openChunk(codec, key, value, what).encode(chunkPlace(key).first);
  const values: Uint8Array[] = [];
  for (const { key, value } of snapshot.from(table, new Uint8Array(1))) {
    values.push(open(Uint8Array.from(key), Uint8Array.from(value)));
  }
  snapshot.done();
  await store.close();
  return spread(values, limit);
}

/** Every so-manieth, that together are about so many bytes. */
function spread(values: readonly Uint8Array[], limit: number): Uint8Array[] {
  const total = sum(values);
  const every = Math.max(1, total / limit);
  return values.filter((_, i) => Math.floor((i + 1) / every) > Math.floor(i / every));
}

const sum = (values: readonly Uint8Array[]): number => values.reduce((n, { length }) => n + length, 0);

function measure(
  codec: Codec,
  what: Compression['what'],
  values: readonly Uint8Array[],
  quick: boolean,
): Compression {
  const bytes = sum(values);
  const compressed = values.map((value) => Uint8Array.from(codec.compress(value)));
  compressed.forEach((small, i) => {
    if (Buffer.compare(codec.decompress(small), values[i]!) !== 0)
      throw new Error(`${codec.name} does not give back what it got`);
  });
  const perSecond = (fn: () => void): number => {
    const times: number[] = [];
    let spent = 0;
    do {
      const start = performance.now();
      fn();
      times.push(performance.now() - start);
      spent += times[times.length - 1]!;
    } while (!quick && (times.length < 3 || spent < 1000) && spent < 4000 && times.length < 15);
    return (bytes / median(times)) * 1000;
  };
  return {
    codec: codec.name,
    what,
    values: values.length,
    bytes,
    compressed: sum(compressed),
    kept: compressed.reduce((n, { length }, i) => n + Math.min(length, values[i]!.length), 0),
    compress: perSecond(() => {
      for (const value of values) codec.compress(value);
    }),
    decompress: perSecond(() => {
      for (const small of compressed) codec.decompress(small);
    }),
  };
}
