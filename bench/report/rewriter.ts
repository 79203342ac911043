import { inSection, type Results } from '../results.js';
import { bytes, figure, table } from './markdown.js';
import { engineTitle, type Part } from './section.js';

/** The rewriter itself. */
export function rewriterSection(results: Results): Part | undefined {
  const rows = inSection(results, 'rewriter');
  if (!rows.length) return undefined;
  const share = (part: number, whole: number) => `${Math.round((100 * part) / whole)} %`;
  return {
    title: 'The rewriter',
    text: `instrument() in ${engineTitle(results, rows[0]!.engine)}, layout \`separate\`, a process for each module (the fastest of
three; once for the largest), and what became of the stores it found: each has a check of its own, or shares one
that was merged from several, or needs none because another dominates it, or because it goes into a stack frame
that was saved as a whole.

${table(
  [
    'module',
    'size',
    'time',
    'peak memory',
    'growth',
    'stores',
    'checks inserted',
    'merged',
    'dominated',
    'stack',
  ],
  rows.map(({ subject, result: r }) => [
    subject!,
    bytes(r.bytesBefore),
    `${figure(r.seconds)} s`,
    bytes(r.peakBytes),
    figure(r.bytesAfter / r.bytesBefore),
    r.stores.toLocaleString('en-US'),
    share(r.inserted, r.stores),
    share(r.merged, r.stores),
    share(r.removed, r.stores),
    share(r.stack, r.stores),
  ]),
)}`,
  };
}
