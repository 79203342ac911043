/** Codecs side by side. */
import { figure, table } from '../../report/markdown.js';
import type { Compression, Results } from '../results.js';
import { count, size } from './words.js';

const speed = (bytes: number): string => figure(bytes / 1e6);

export function compressionText({ compression }: Results): string {
  if (compression.length === 0) return '';
  const names = [...new Set(compression.map(({ codec }) => codec))];
  const of = (codec: string, what: Compression['what']) =>
    compression.find((c) => c.codec === codec && c.what === what);
  const cells = (found: Compression | undefined): string[] =>
    found
      ? [figure(found.bytes / found.kept), speed(found.compress), speed(found.decompress)]
      : ['–', '–', '–'];
  const [chunk] = compression.filter(({ what }) => what === 'chunks');
  const [content] = compression.filter(({ what }) => what === 'contents');
  const about = [
    chunk && `${count(chunk.values)} chunks of ${size(chunk.bytes / chunk.values)}`,
    content && `${count(content.values)} contents`,
  ].filter(Boolean);
  return `Codecs on what the store of the notes has: ${about.join(' and ')}, from all over it, each by itself, as it is stored. MB/s
are of bytes that are not compressed. LZ4 and Snappy are of LZO's kind, which DeLorean used.

${table(
  [
    'codec',
    'chunks: ratio',
    'compress, MB/s',
    'decompress, MB/s',
    'contents: ratio',
    'compress, MB/s',
    'decompress, MB/s',
  ],
  names.map((codec) => [
    codec === 'zstd 3' ? '**zstd 3**, which is used' : codec,
    ...cells(of(codec, 'chunks')),
    ...cells(of(codec, 'contents')),
  ]),
)}`;
}
