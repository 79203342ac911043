/** How long answers take. */
import { table } from '../../report/markdown.js';
import type { Materialisation, Results } from '../results.js';
import { count, percent, size, time, took } from './words.js';

export function questionsText({ questions }: Results): string {
  if (questions.length === 0) return '';
  const parts = questions.map(
    ({ workload, entries, questions: list }) => `**${workload}**, ${count(entries)} checkpoints:

${table(
  ['question', 'asked', 'found', 'time'],
  list.map(({ question, detail, found, time: took_ }) => [question, detail, found, took(took_)]),
  [0, 1, 2],
)}`,
  );
  return `Medians, and beside them the slowest of several. The files are in the system's cache. *First* is what is asked first after
the history was opened, when nothing of it is in the process's memory. The bench knows no variables of these programs: it takes words of 4 bytes that
change often, seldom, or only ever grow.

${parts.join('\n\n')}`;
}

export const won = ({ partial, full }: Materialisation): number => 1 - partial.median / full.median;

export function partialText({ partial }: Results): string {
  if (partial.length === 0) return '';
  return `An expression at random checkpoints: by the pages that it reads, and by making the whole state first. A bisection does so some
twenty times. DeLorean's partial rollback took 88 % less time than a full one.

${table(
  ['guest', 'state', 'pages read', 'partial', 'full', 'less', 'bisection, partial', 'full', 'less'],
  partial.map((m) => [
    m.workload,
    size(m.memoryBytes),
    String(m.pages),
    took(m.partial),
    took(m.full),
    percent(won(m)),
    time(m.partialBisection.median),
    time(m.fullBisection.median),
    percent(1 - m.partialBisection.median / m.fullBisection.median),
  ]),
)}`;
}
