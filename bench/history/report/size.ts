/** How large histories are. */
import { decades, labelledLines } from '../../report/labelled.js';
import { table } from '../../report/markdown.js';
import type { Results, Size } from '../results.js';
import { count, percent, size } from './words.js';

const COLOURS: Record<string, string> = {
  notes: '#2b6cb0',
  counter: '#2f855a',
  'sql.js': '#c53030',
  quickjs: '#b7791f',
  wasmboy: '#6b46c1',
};
const PAGE = 4096;

export const saved = ({ raw, stored }: Size): number => 1 - stored / raw;
export const each = ({ stored, entries }: Size): number => stored / entries;

/** a, b and c */
const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;

export function sizeText({ size: found }: Results): string {
  if (found.length === 0) return '';
  const short = found.filter(({ entries, asked, limit }) => limit !== undefined && entries < asked);
  const limited = short.length
    ? `\n\nOf ${listed(short.map(({ workload }) => workload))} as many were recorded as fit into ${count(short[0]!.limit!)} seconds.`
    : '';
  return `A checkpoint for every request.

${table(
  ['guest', 'a request'],
  found.map(({ workload, request }) => [workload, request]),
  [0, 1],
)}

*Changed pages* are what changed, in pages of 4 KiB, whole: what a store of dirty pages would have; *differences* are
the bytes of the journal: runs of words that changed, with the note of each request. *Stored* is what LMDB uses, with everything; *on disk* is the
file, which has space for what is packed next.

${table(
  [
    'guest',
    'checkpoints',
    'pages each',
    'changed pages',
    'differences',
    'stored',
    'on disk',
    'saved',
    'bytes each',
  ],
  found.map((s) => [
    s.workload,
    count(s.entries),
    (s.raw / PAGE / s.entries).toFixed(1),
    size(s.raw),
    size(s.journaled),
    size(s.stored),
    size(s.disk),
    percent(saved(s)),
    each(s).toFixed(1),
  ]),
)}${limited}

Where the bytes are: *chunks* have what changed, *contents* pages that are whole, *entries* what is said of requests and which pages
changed. The rest is room in the store's pages.

${table(
  [
    'guest',
    'memory',
    'chunks',
    'of bytes',
    'contents',
    'of bytes',
    'bytes each: chunks',
    'contents',
    'entries',
    'room',
  ],
  found.map((s) => {
    const { chunks, contents, entries, meta } = s.tables;
    const per = (bytes: number) => (bytes / s.entries).toFixed(1);
    return [
      s.workload,
      size(s.memoryBytes),
      count(s.chunks),
      size(chunks.bytes / Math.max(1, chunks.pairs)),
      count(s.contents),
      size(contents.bytes / Math.max(1, contents.pairs)),
      per(chunks.bytes),
      per(contents.bytes),
      per(entries.bytes),
      per(s.stored - chunks.bytes - contents.bytes - entries.bytes - meta.bytes),
    ];
  }),
)}

![Bytes stored, and of changed pages, against checkpoints](history/growth.svg)`;
}

export function growthPicture({ size: found }: Results): string {
  const lines = found.flatMap(({ workload, growth }) => {
    const colour = COLOURS[workload] ?? '#222222';
    const points = (key: 'raw' | 'stored') =>
      growth.filter((g) => g[key] > 0).map((g) => ({ x: g.entries, y: g[key] }));
    return [
      { name: `${workload}: changed pages`, colour, dash: '4,3', points: points('raw') },
      { name: `${workload}: stored`, colour, points: points('stored') },
    ];
  });
  const xs = lines.flatMap(({ points }) => points.map(({ x }) => x));
  const ys = lines.flatMap(({ points }) => points.map(({ y }) => y));
  const ticks = decades(xs).filter((x) => x >= Math.min(...xs) * 0.9 && x <= Math.max(...xs) * 1.1);
  return labelledLines(
    lines,
    { label: 'checkpoints', log: true, ticks, format: count },
    { label: '↑ bytes', log: true, ticks: thousands(ys), format: size },
  );
}

/** Powers of 1024 and what lies between them. */
function thousands(values: readonly number[]): number[] {
  const low = Math.floor(Math.log2(Math.min(...values)) / 5);
  const high = Math.ceil(Math.log2(Math.max(...values)) / 5);
  return Array.from({ length: high - low + 1 }, (_, i) => 2 ** ((low + i) * 5));
}
