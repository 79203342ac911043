import { inSection, type Results } from '../results.js';
import { duration, table } from './markdown.js';
import { engineTitle, type Part } from './section.js';

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** The notes service. */
export function serviceSection(results: Results): Part | undefined {
  const rows = inSection(results, 'service');
  if (!rows.length) return undefined;
  const names = rows[0]!.result.others.map(({ name }) => name);
  return {
    title: 'The notes service',
    text: `samples/notes behind \`createHandler\`, without a socket: adds, reads, searches and lists by turns, from
Request to Response. The baseline is the same handler and the same WASI with the original module, and with
checkpoints that do nothing. Throughput as a share of the baseline's (quartiles); *deadline* is what \`belay serve\` does:
steps are counted, and requests end after 10 s.

${table(
  ['engine and layout', 'a plain request', ...names],
  rows.map(({ engine, layout, result }) => [
    `${engineTitle(results, engine)}, \`${layout}\`${result.steady ? '' : ' *'}`,
    duration(result.plain),
    ...result.others.map(
      ({ ratio, low, high }) => `${percent(1 / ratio)} <sub>${percent(1 / high)}–${percent(1 / low)}</sub>`,
    ),
  ]),
)}${rows.some(({ result }) => !result.steady) ? '\n\n\\* had not become steady when measuring began.' : ''}`,
  };
}
