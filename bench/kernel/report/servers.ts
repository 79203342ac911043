/** What a checkpoint at every request costs servers, beside what the thesis found. */
import { table } from '../../report/markdown.js';
import { ratioBars } from '../../report/plots.js';
import { SERVERS, WAYS } from '../plan.js';
import type { Results, Serving } from '../results.js';
import { count, MEANING, percent } from './words.js';

/** Of the thesis' summary: overheads in its tested scenario. */
export const THESIS = { cow: 0.449, gspec: 0.308, perfect: 0.156 };

const find = (results: Results, server: string, way: string) =>
  results.serving.find((s) => s.server === server && s.way === way);

/** Instructions of a request that are not the client's, nor the oracle's. */
const own = ({ instructions, client, told }: Serving) => instructions - client - told;

/** What a way adds to a request, as a share of it. The agent is held against the plain server, the others against the library alone. */
export function overhead(results: Results, server: string, way: string): number {
  const found = find(results, server, way);
  const base = find(results, server, way.startsWith('agent') ? 'plain' : 'none');
  return found && base ? own(found) / own(base) - 1 : Number.NaN;
}

const servers = (results: Results) =>
  SERVERS.filter((server) => results.serving.some((serving) => serving.server === server));

export function thesisTable(results: Results): string {
  const names = servers(results);
  const row = (title: string, way: string, thesis: number | undefined) => [
    title,
    thesis === undefined ? '' : percent(thesis),
    ...names.map((server) => percent(overhead(results, server, way))),
  ];
  const gained = (cow: number, policy: number, perfect: number) => (cow - policy) / (cow - perfect);
  const share = (title: string, way: string, thesis?: number) => [
    title,
    thesis === undefined ? '' : percent(thesis),
    ...names.map((server) =>
      percent(
        gained(
          ...(['smc', way, 'smc-oracle'].map((w) => overhead(results, server, w)) as [
            number,
            number,
            number,
          ]),
        ),
      ),
    ),
  ];
  return table(
    ['', 'thesis', ...names],
    [
      row('copy-on-write alone', 'smc', THESIS.cow),
      row('Active-RND', 'smc-active-rnd', undefined),
      row('Active-CKS', 'smc-active-cks', undefined),
      row('GSpec', 'smc-gspec', THESIS.gspec),
      row('perfect speculation', 'smc-oracle', THESIS.perfect),
      share(
        'of what can be gained, GSpec gains',
        'smc-gspec',
        gained(THESIS.cow, THESIS.gspec, THESIS.perfect),
      ),
      share('Active-RND', 'smc-active-rnd'),
      share('Active-CKS', 'smc-active-cks'),
    ],
  );
}

/** A table for each server. */
export function serverTables(results: Results): string {
  return servers(results)
    .map((server) => {
      const plain = find(results, server, 'plain');
      const rows = WAYS.filter((way) => MEANING[way]).map((way) => {
        const found = find(results, server, way);
        const why = results.missing.find(({ what }) => what === `${server}, ${way}`)?.why;
        const cells = found
          ? [
              count(own(found)),
              percent(overhead(results, server, way)),
              ...(['copied', 'ahead', 'faults'] as const).map((key) => pagesOf(found, key)),
            ]
          : [why ?? '–', '', '', '', ''];
        return [`\`${way}\`: ${MEANING[way]}`, ...cells];
      });
      const head = `**${server}**${plain ? `: a request takes ${count(own(plain))} instructions of the server and the kernel, and ${count(plain.client)} of the client` : ''}`;
      return `${head}\n\n${table(['', 'a request', 'overhead', 'pages copied', 'of them ahead', 'faults'], rows)}`;
    })
    .join('\n\n');
}

/** Only the kernel counts what fork copies; faults that nothing counts are not 0. */
function pagesOf(serving: Serving, key: 'copied' | 'ahead' | 'faults'): string {
  const unknown =
    serving.way === 'fork' || (key === 'faults' && ['soft-dirty', 'full-copy'].includes(serving.way));
  return unknown ? '–' : serving[key].toFixed(1);
}

const SHOWN = ['smc', 'smc-active-rnd', 'smc-active-cks', 'smc-gspec', 'smc-oracle', 'eager'];

export function serverPicture(results: Results): string {
  return ratioBars(
    servers(results).flatMap((server) =>
      SHOWN.map((way) => ({ module: server, series: way, ratio: 1 + overhead(results, server, way) })).filter(
        ({ ratio }) => Number.isFinite(ratio),
      ),
    ),
    SHOWN,
    'instructions of a request, without checkpoints = 1',
  );
}
