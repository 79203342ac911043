import { labelledLines } from '../../report/labelled.js';
import { duration, figure, ratio, table } from '../../report/markdown.js';
import type { Part } from '../../report/section.js';
import { geometricMean } from '../../statistics.js';
import { EVERY, FREQUENCY_SUBJECTS, variantNames } from '../plan.js';
import { type Finding, inSection, type Results } from '../results.js';
import { picture } from './part.js';
import { styled } from './styles.js';

type Found = Finding<'frequency'>;

const at = (row: Found | undefined, every: number) =>
  row?.result.points.find((point) => point.every === every)?.compared;

/** From no checkpoint to one at each request. */
const AXIS = [...EVERY].sort((a, b) => (b || Infinity) - (a || Infinity));

const words = (every: number): string =>
  every === 0 ? 'none' : every === 1 ? 'every request' : `every ${every}th`;

const subjectsIn = (rows: readonly Found[]): string[] =>
  FREQUENCY_SUBJECTS.filter((subject) => rows.some((row) => row.subject === subject));

const variantsIn = (rows: readonly Found[]): string[] =>
  variantNames().filter((name) => rows.some((row) => row.variant === name));

/** The geometric mean over all programs that were measured; undefined where one is missing. */
export function frequencyMean(results: Results, variant: string, every: number): number | undefined {
  const rows = inSection(results, 'frequency');
  const ratios = subjectsIn(rows).map(
    (subject) =>
      at(
        rows.find((row) => row.subject === subject && row.variant === variant),
        every,
      )?.ratio,
  );
  if (!ratios.length || ratios.some((value) => value === undefined)) return undefined;
  return geometricMean(ratios as number[]);
}

/** Real programs against the frequency of checkpoints. */
export function frequencySection(results: Results): Part | undefined {
  const rows = inSection(results, 'frequency');
  if (!rows.length) return undefined;
  const variants = variantsIn(rows);
  const subjects = subjectsIn(rows);
  const pictures: Record<string, string> = {};
  const parts = [
    `Time of a request as a ratio to the original module's, by how often guest.checkpoint() is called; nothing is rolled back.
*none*: no checkpoint in the requests that are timed, and what was saved before stays saved. What *none* costs is the price of
instrumentation; a mechanism outside of the module has nearly none. \`mprotect\` and \`uffd\` are shown by themselves and with the
policy \`adaptive\`.`,
  ];
  for (const every of [1, 0]) {
    parts.push(
      `### ${every ? 'A checkpoint at every request' : 'No checkpoint'}`,
      table(
        ['mechanism', ...subjects, 'geometric mean'],
        variants.map((name) => [
          name,
          ...subjects.map((subject) =>
            ratio(
              at(
                rows.find((row) => row.subject === subject && row.variant === name),
                every,
              ),
            ),
          ),
          figure(frequencyMean(results, name, every) ?? Number.NaN),
        ]),
      ),
    );
  }
  parts.push('### Against frequency');
  for (const subject of subjects) {
    const these = rows.filter((row) => row.subject === subject);
    const plain = these[0]!.result.plain;
    const name = `frequency-${subject.replace(/\W+/g, '-')}`;
    pictures[name] = plot(these, variants);
    parts.push(
      `**${subject}**, ${duration(plain)} each:`,
      picture(name, `${subject}: overhead against frequency`),
    );
  }
  parts.push('### Pages of a request', pagesTable(rows, subjects));
  return { title: 'Frequency of checkpoints', text: parts.join('\n\n'), pictures };
}

function plot(rows: readonly Found[], variants: readonly string[]): string {
  const lines = variants.flatMap((name) => {
    const row = rows.find(({ variant }) => variant === name);
    if (!row) return [];
    const points = AXIS.flatMap((every, x) => {
      const found = at(row, every);
      return found ? [{ x, y: found.ratio }] : [];
    });
    return [styled(name, points)];
  });
  const most = Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y)));
  const ticks = [1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
  return labelledLines(
    lines,
    {
      label: 'a checkpoint at',
      ticks: AXIS.map((_, x) => x),
      format: (x) => words(AXIS[x]!),
    },
    {
      label: '↑ time of a request, original = 1',
      log: true,
      ticks: ticks.filter((tick, i) => tick <= most || (ticks[i - 1] ?? 0) < most),
      format: String,
    },
  );
}

/** What mechanisms of pages saw. */
function pagesTable(rows: readonly Found[], subjects: readonly string[]): string {
  const pages = (subject: string, variant: string) =>
    rows.find((row) => row.subject === subject && row.variant === variant)?.result.guests[0]?.pages;
  const names = ['page-cow', 'uffd', 'uffd + adaptive'];
  return `With a checkpoint at every request: pages of 4 KiB that faulted, and pages that \`adaptive\` copied ahead.

${table(
  ['module', 'page-cow, faults', 'uffd, faults', 'uffd + adaptive, faults', 'copied ahead'],
  subjects.map((subject) => [
    subject,
    ...names.map((name) => figure(pages(subject, name)?.faults ?? Number.NaN)),
    figure(pages(subject, 'uffd + adaptive')?.ahead ?? Number.NaN),
  ]),
)}`;
}
