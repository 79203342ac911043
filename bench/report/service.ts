import type { ServiceResult, Throughput } from '../jobs/types.js';
import { inSection, type Results } from '../results.js';
import { duration, table } from './markdown.js';
import { engineTitle, type Part } from './section.js';

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** The notes service. */
export function serviceSection(results: Results): Part | undefined {
  const rows = inSection(results, 'service');
  if (!rows.length) return undefined;
  const names = rows[0]!.result.others.map(({ name }) => name);
  const list = (pick: (result: ServiceResult) => Throughput) =>
    table(
      ['engine and layout', 'a plain request', ...names],
      rows.map(({ engine, layout, result }) => {
        const { plain, others, steady } = pick(result);
        return [
          `${engineTitle(results, engine)}, \`${layout}\`${steady ? '' : ' *'}`,
          duration(plain),
          ...others.map(
            ({ ratio, low, high }) =>
              `${percent(1 / ratio)} <sub>${percent(1 / high)}–${percent(1 / low)}</sub>`,
          ),
        ];
      }),
    );
  const unsteady = rows.some(({ result }) => !result.steady || !result.http.steady);
  return {
    title: 'The notes service',
    text: `samples/notes: adds, reads, searches and lists by turns. The baseline is the same server, the same handler and the
same WASI with the original module, and with checkpoints that do nothing. Throughput as a share of the baseline's
(quartiles), by the time that the server's thread takes; *deadline* is what \`belay serve\` does: steps are counted, and
requests end after 10 s; it also turns the engine's branch hints on. Over HTTP, on four connections that are kept, the client in another thread:

${list((result) => result.http)}

The handler alone (\`createHandler\`, from Request to Response, no socket):

${list((result) => result)}${unsteady ? '\n\n\\* had not become steady when measuring began.' : ''}`,
  };
}
