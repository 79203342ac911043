import type { Mode } from '../jobs/types.js';
import { inSection, type Results } from '../results.js';
import { subjects } from '../subjects/index.js';
import { bytes, duration, figure, ratio, table } from './markdown.js';
import { ratioBars } from './plots.js';
import { engineTitle, meanOf, modulesIn, type Part, picture, SETTINGS } from './section.js';

const COLUMNS: [Mode, string][] = [
  ['instrumented', 'instrumented'],
  ['checkpoint', 'a checkpoint each'],
  ['rollback', 'a rollback each'],
  ['copy', 'a full copy each'],
  ['fresh', 'a fresh instance each'],
];

/** Real modules: what instrumentation costs, and what checkpoints do. */
export function modulesSection(results: Results): Part | undefined {
  if (!inSection(results, 'modules').length) return undefined;
  const pictures: Record<string, string> = {};
  const parts = [
    `Ratios to the original module; smaller is better. *instrumented*: no checkpoint but one a batch. *a checkpoint
each*: guest.checkpoint() before every request. *a rollback each*: guest.rollback() after every request (so the
next one starts from the same state, and work that the program puts off, such as collecting garbage, is undone
with it). *a full copy each*: the original, with a copy of its whole memory before every request, which restores
nothing yet. *a fresh instance each*: the original, instantiated by its own glue for every request, compiled
before and without earlier data.`,
    table(
      ['module', 'a request'],
      subjects.map(({ name, request }) => [name, request]),
    ),
  ];
  for (const setting of SETTINGS) {
    const rows = modulesIn(results, setting);
    if (!rows.length) continue;
    const columns = COLUMNS.filter(([mode]) => rows.some(({ result }) => result.modes[mode]));
    const means = columns.map(([mode]) => meanOf(rows, mode));
    parts.push(
      `### ${engineTitle(results, setting.engine)}, layout \`${setting.layout}\``,
      table(
        ['module', 'a plain request', ...columns.map(([, title]) => title), 'regions a request'],
        [
          ...rows.map(({ subject, result }) => [
            `${subject}${result.steady ? '' : ' *'}`,
            duration(result.plain),
            ...columns.map(([mode]) => ratio(result.modes[mode])),
            figure(result.regions ?? Number.NaN),
          ]),
          [
            '**geometric mean**',
            '',
            ...means.map((mean) => (mean === undefined ? '–' : `**${figure(mean)}**`)),
            '',
          ],
        ],
      ),
    );
    if (rows.some(({ result }) => !result.steady)) {
      parts.push('\\* had not become steady when measuring began.');
    }
    const name = `modules-${setting.engine}-${setting.layout}`;
    const series: [Mode, string][] = [
      ['instrumented', 'instrumented'],
      ['checkpoint', 'a checkpoint each'],
      ['rollback', 'a rollback each'],
    ];
    const bars = rows.flatMap(({ subject, result }) =>
      series.flatMap(([mode, title]) => {
        const measured = result.modes[mode];
        return measured ? [{ module: subject!, series: title, ratio: measured.ratio }] : [];
      }),
    );
    pictures[name] = ratioBars(
      bars,
      series.map(([, title]) => title),
      'time of a request, original = 1',
    );
    parts.push(picture(name, `Ratios of each module in ${engineTitle(results, setting.engine)}`));
  }
  parts.push('### Support memory', supportTable(results));
  return { title: 'Real modules', text: parts.join('\n\n'), pictures };
}

function supportTable(results: Results): string {
  const of = (layout: string) =>
    new Map(modulesIn(results, { engine: 'node24', layout }).map((m) => [m.subject, m.result]));
  const separate = of('separate');
  const inline = of('inline');
  const rows = [...separate].map(([subject, result]) => [
    subject!,
    bytes(result.memoryBytes),
    bytes(result.supportBytes),
    figure(result.supportBytes / result.memoryBytes),
    bytes(inline.get(subject)?.supportBytes ?? Number.NaN),
  ]);
  return `${table(['module', 'its memory', '`separate`', 'ratio', '`inline`'], rows)}

\`guest.stats()\` after the measurements. \`separate\` grows with the guest; \`inline\` is laid out for the largest
memory that the guest may have (\`reserve\`). Either is address space: pages that no tag and no pre-image was
written to take no memory.`;
}
