/** What an epoch costs, against the pages that it writes. */
import { crossings } from '../../mechanisms/report/crossings.js';
import { decades, labelledLines } from '../../report/labelled.js';
import { table } from '../../report/markdown.js';
import { round } from '../../report/plots.js';
import { LARGE, PATTERNS, PLAIN, POLICIES, SMALL, USER_LEVEL } from '../plan.js';
import type { Epochs, Pattern, Results } from '../results.js';
import { count, MEANING, style, times } from './words.js';

/** In the order of tables. */
export const MECHANISMS = [...PLAIN.slice(1, 3), ...POLICIES, ...PLAIN.slice(3), ...USER_LEVEL];

type Cell = Pick<Epochs, 'pattern' | 'pages' | 'writes'>;

const find = (results: Results, mechanism: string, { pattern, pages, writes }: Cell) =>
  results.epochs.find(
    (e) => e.mechanism === mechanism && e.pattern === pattern && e.pages === pages && e.writes === writes,
  );

/** Instructions that a mechanism adds to an epoch. NaN where it was not measured. */
export function added(results: Results, mechanism: string, cell: Cell): number {
  const [with_, without] = [mechanism, 'none'].map((name) => find(results, name, cell)?.instructions);
  return with_ === undefined || without === undefined ? Number.NaN : with_ - without;
}

const toEager = (results: Results, mechanism: string, cell: Cell) =>
  added(results, mechanism, cell) / added(results, 'eager', cell);

/** The small region: every mechanism as a multiple of eager copying. */
export function ratioTable(results: Results): string {
  const cells = PATTERNS.map((pattern): Cell => ({ pattern, ...SMALL }));
  const rows = MECHANISMS.map((mechanism) => {
    const hot = find(results, mechanism, cells[0]!);
    return [
      `\`${mechanism}\`: ${MEANING[mechanism]}`,
      count(added(results, mechanism, cells[0]!)),
      count(hot ? hot.checkpoint : Number.NaN),
      ...cells.map((cell) => times(toEager(results, mechanism, cell))),
    ];
  });
  const library = results.costs.find(({ cost }) => cost.includes("library's memcpy"))?.each ?? Number.NaN;
  const toLibrary = added(results, 'smc', cells[0]!) / (SMALL.writes * library);
  return `${table(['mechanism', 'an epoch adds', 'of it the checkpoint', '× eager, hot', 'uniform', 'half'], rows)}

${SMALL.writes} of ${SMALL.pages} pages written in each epoch; *an epoch adds* and *the checkpoint* are of the hot pattern. Held against
copying with the C library's memcpy, which counts ${count(library)} a page, copy-on-write is ${times(toLibrary)} times as much.`;
}

const known = (results: Results, pattern: Pattern) =>
  MECHANISMS.filter((mechanism) =>
    LARGE.writes.some((writes) => find(results, mechanism, { pattern, pages: LARGE.pages, writes })),
  );

/** The large region, for one pattern. */
export function sweepTable(results: Results, pattern: Pattern): string {
  const cells = LARGE.writes.map((writes): Cell => ({ pattern, pages: LARGE.pages, writes }));
  return table(
    ['pages written', ...LARGE.writes.map((k) => k.toLocaleString('en-US'))],
    known(results, pattern).map((mechanism) => [
      `\`${mechanism}\``,
      ...cells.map((cell) => {
        const more = added(results, mechanism, cell);
        return Number.isFinite(more)
          ? `${count(more)} <sub>${times(toEager(results, mechanism, cell))}</sub>`
          : '–';
      }),
    ]),
  );
}

const curves = (results: Results, pattern: Pattern) =>
  known(results, pattern).map((mechanism) => ({
    ...style(mechanism),
    points: LARGE.writes.flatMap((writes) => {
      const y = added(results, mechanism, { pattern, pages: LARGE.pages, writes });
      return y > 0 ? [{ x: writes, y }] : [];
    }),
  }));

export function sweepPicture(results: Results, pattern: Pattern): string {
  const lines = curves(results, pattern);
  return labelledLines(
    lines,
    { label: 'pages of 4 KiB written in an epoch', log: true, ticks: LARGE.writes, format: String },
    {
      label: '↑ instructions that an epoch adds',
      log: true,
      ticks: decades(lines.flatMap(({ points }) => points.map(({ y }) => y))),
      format: round(count),
    },
  );
}

/** Where one mechanism becomes dearer than another. */
export function crossingList(results: Results, pattern: Pattern): string {
  const names = ['smc', 'fork', 'mprotect', 'uffd-sigbus', 'soft-dirty', 'full-copy'];
  const found = crossings(curves(results, pattern).filter(({ name }) => names.includes(name)));
  return found
    .map(
      ({ below, above, x }) =>
        `- up to ${Number(x.toPrecision(2)).toLocaleString('en-US')} pages \`${below}\` is cheaper than \`${above}\`, then dearer`,
    )
    .join('\n');
}
