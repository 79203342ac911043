import { decades, labelledLines } from '../../report/labelled.js';
import { bytes, duration, figure, table } from '../../report/markdown.js';
import { round } from '../../report/plots.js';
import { engineTitle, type Part } from '../../report/section.js';
import { COPYING, NOTHING, PAGES_MEMORY, SIZE_PAGES, variantNames } from '../plan.js';
import { type Finding, inSection, type Results } from '../results.js';
import { crossings } from './crossings.js';
import { picture } from './part.js';
import { styled } from './styles.js';

type Found = Finding<'pages' | 'size'>;

/** Two digits are all that a crossing between two points is worth. */
const rough = (x: number): string => Number(x.toPrecision(2)).toLocaleString('en-US');

/** What a contestant took: nanoseconds of an epoch. */
function timeOf({ result }: Found, name: string): number | undefined {
  return [result.base, ...result.others].find((one) => one.name === name)?.nanoseconds;
}

const curve = (rows: readonly Found[], name: string, x: 'dirty' | 'memoryBytes') => ({
  name,
  points: rows.flatMap((row) => {
    const y = timeOf(row, name);
    return y === undefined ? [] : [{ x: row[x]!, y }];
  }),
});

/** Names that were measured, in the order of tables. */
const measuredNames = (rows: readonly Found[]): string[] =>
  [NOTHING, COPYING, ...variantNames()].filter((name) => rows.some((row) => timeOf(row, name) !== undefined));

const byDirty = (rows: readonly Finding<'pages'>[]) => [...rows].sort((a, b) => a.dirty! - b.dirty!);

function epochTable(rows: readonly Found[], names: readonly string[]): string {
  return table(
    ['pages written', ...rows.map(({ dirty }) => dirty!.toLocaleString('en-US'))],
    names.map((name) => [name, ...rows.map((row) => duration(timeOf(row, name) ?? Number.NaN))]),
  );
}

function plot(rows: readonly Found[], names: readonly string[], x: 'dirty' | 'memoryBytes'): string {
  const lines = names.map((name) => styled(name, curve(rows, name, x).points));
  const ticks = [...new Set(rows.map((row) => row[x]!))];
  return labelledLines(
    lines,
    x === 'dirty'
      ? { label: 'pages of 4 KiB written in an epoch', log: true, ticks, format: String }
      : { label: 'guest memory', log: true, ticks, format: round(bytes) },
    {
      label: '↑ time of an epoch',
      log: true,
      ticks: decades(lines.flatMap(({ points }) => points.map(({ y }) => y))),
      format: round(duration),
    },
  );
}

/** What an epoch costs by the pages that it writes. */
export function pagesSection(results: Results): Part | undefined {
  const all = inSection(results, 'pages');
  const main = byDirty(all.filter((row) => row.engine === 'node24'));
  if (!main.length) return undefined;
  const parts = [
    `An epoch is guest.checkpoint(), one store of 8 bytes into each of K pages of 4 KiB, and guest.rollback(), on
${bytes(PAGES_MEMORY)} of memory that has been used. The pages are drawn anew for each epoch; every mechanism, and the
oracle, is given the same draws. *${NOTHING}* is the module as it was, which stores and does nothing else. *${COPYING}*
copies the K pages by memory.copy, stores, and copies them back: eager copying with no faults and no bookkeeping.
Solid lines are mechanisms by themselves, long dashes have the oracle, short ones the policy \`adaptive\`, which can
learn nothing from random pages: it shows what guessing costs where there is nothing to guess.`,
  ];
  const pictures: Record<string, string> = {};
  for (const [rollback, name, title, words] of [
    [true, 'pages', 'Checkpoint, stores, rollback', 'with a rollback'],
    [false, 'pages-no-rollback', 'Checkpoint and stores', 'without a rollback'],
  ] as const) {
    const rows = main.filter((row) => row.rollback === rollback);
    if (!rows.length) continue;
    const names = measuredNames(rows);
    pictures[name] = plot(rows, names, 'dirty');
    parts.push(`### ${title}`, epochTable(rows, names));
    parts.push(picture(name, `Cost of an epoch ${words} against the pages that it writes`));
    const found = crossings(
      names.filter((one) => !one.includes('adaptive')).map((one) => curve(rows, one, 'dirty')),
    );
    if (found.length) {
      parts.push(
        `Where lines cross (between the points that were measured; differences below 10 % do not count):\n\n${found
          .map(
            ({ below, above, x }) =>
              `- up to K ≈ ${rough(x)} \`${below}\` is cheaper than \`${above}\`, then dearer`,
          )
          .join('\n')}`,
      );
    }
  }
  const inline = inlineTable(results, all);
  if (inline) parts.push('### The inline layout', inline);
  return { title: 'Cost of an epoch', text: parts.join('\n\n'), pictures };
}

function inlineTable(results: Results, all: readonly Finding<'pages'>[]): string | undefined {
  const engines = (['node24', 'node20'] as const).map((engine) => ({
    engine,
    rows: byDirty(all.filter((row) => row.engine === engine && row.rollback)),
  }));
  const dirty = engines[0]!.rows.map((row) => row.dirty!);
  const names = [...new Set(all.flatMap(({ result }) => result.others.map(({ name }) => name)))].filter(
    (name) => name.endsWith(', inline'),
  );
  const cells = engines.flatMap(({ engine, rows }) =>
    names.flatMap((name) => {
      const times = dirty
        .map((k) => rows.find((row) => row.dirty === k))
        .map((row) => row && timeOf(row, name));
      if (times.every((time) => time === undefined)) return [];
      const short = name.replace(', inline', '');
      return [[`${short}, ${engineTitle(results, engine)}`, ...times.map((t) => duration(t ?? Number.NaN))]];
    }),
  );
  if (!cells.length) return undefined;
  return `With a rollback, in one memory:\n\n${table(['pages written', ...dirty.map((k) => k.toLocaleString('en-US'))], cells)}`;
}

/** What depends on the size of memory. */
export function sizeSection(results: Results): Part | undefined {
  const found = inSection(results, 'size');
  if (!found.length) return undefined;
  // A large memory has a process for each variant.
  const sizes = [...new Set(found.map((row) => row.memoryBytes!))].sort((a, b) => a - b);
  const rows = sizes.map((size): Found => {
    const these = found.filter((row) => row.memoryBytes === size);
    return {
      ...these[0]!,
      result: { ...these[0]!.result, others: these.flatMap(({ result }) => result.others) },
    };
  });
  const names = measuredNames(rows);
  const growth = (name: string) => {
    const { points } = curve(rows, name, 'memoryBytes');
    return points.length > 1 ? points[points.length - 1]!.y / points[0]!.y : Number.NaN;
  };
  return {
    title: 'Size of memory',
    text: `The same with K = ${SIZE_PAGES} and a rollback, by the size of memory, and the ratio of the largest to the smallest. All of
memory has been used before. \`full-copy\` copies all of it; \`uffd-async\` asks the kernel to scan the page tables for what was written.
\`cards\` looks at one byte for each 256 KiB, 4 KiB of them in 1 GiB, and then only at the cards of those that are marked: in a memory of 1 MiB the
pages share them, and in a large one the cards, 1 KiB for each, are no longer in the processor's caches.

${table(
  ['memory', ...sizes.map((size) => bytes(size).replace('.00', '').replace('.0', '')), 'last / first'],
  names.map((name) => [
    name,
    ...rows.map((row) => duration(timeOf(row, name) ?? Number.NaN)),
    figure(growth(name)),
  ]),
)}

${picture('memory-size', 'Cost of an epoch against the size of memory')}`,
    pictures: { 'memory-size': plot(rows, names, 'memoryBytes') },
  };
}
