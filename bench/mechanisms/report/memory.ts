import { labelledLines } from '../../report/labelled.js';
import { bytes, table } from '../../report/markdown.js';
import { round } from '../../report/plots.js';
import type { Part } from '../../report/section.js';
import { inSection, type Results } from '../results.js';
import { picture } from './part.js';
import { styled } from './styles.js';

/** Memory over one long epoch. */
export function memorySection(results: Results): Part | undefined {
  const found = inSection(results, 'memory')[0];
  if (!found) return undefined;
  const { series } = found.result;
  const last = series[0]!.points[series[0]!.points.length - 1]!.requests;
  const looks = [0, 0.1, 0.25, 0.5, 1].map((share) => share * last);
  const at = (points: (typeof series)[0]['points'], requests: number) =>
    bytes(points.find((point) => point.requests >= requests)?.held ?? Number.NaN);
  const lines = series.map(({ name, points }) =>
    styled(
      name,
      // Nothing has no logarithm.
      points.filter(({ held }) => held > 0).map(({ requests, held }) => ({ x: requests, y: held })),
    ),
  );
  const step = last / 5;
  return {
    title: 'Memory over one long epoch',
    text: `${found.subject}: one checkpoint, then ${last.toLocaleString('en-US')} inserts without another. What the mechanism has to hold to
get back: pre-images and a tag for each (lmc, page-cow), the log from its first entry to its last (undolog), the image and the
cards (cards). *Set aside* is what guest.stats() tells at the end: of lmc and page-cow it is address space, of which only what
is held takes memory. A page mechanism or lmc saves a region once, so what it holds ends with the regions that the program writes at all;
an undo log holds every store.

${table(
  ['after requests', ...looks.map((n) => Math.round(n).toLocaleString('en-US')), 'set aside', 'guest memory'],
  series.map(({ name, points, memoryBytes }) => [
    name,
    ...looks.map((n) => at(points, n)),
    bytes(points[points.length - 1]!.setAside),
    bytes(memoryBytes),
  ]),
)}

${picture('memory', 'Memory that a mechanism holds over one long epoch')}`,
    pictures: {
      memory: labelledLines(
        lines,
        {
          label: 'inserts since the checkpoint',
          ticks: Array.from({ length: 6 }, (_, i) => i * step),
          format: (value) => value.toLocaleString('en-US'),
        },
        {
          label: '↑ bytes held',
          log: true,
          ticks: steps(lines.flatMap(({ points }) => points.map(({ y }) => y))),
          format: round(bytes),
        },
      ),
    },
  };
}

/** Powers of 16 that span values: KiB and MiB stay whole. */
function steps(values: readonly number[]): number[] {
  const log = (value: number) => Math.log2(value) / 4;
  const low = Math.floor(log(Math.min(...values)) + 0.5) - 0.5;
  const high = Math.ceil(log(Math.max(...values)) + 0.5) - 0.5;
  return Array.from({ length: Math.round(high - low) + 1 }, (_, i) => 2 ** (4 * (low + i)));
}
