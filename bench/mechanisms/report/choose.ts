/** The table by which a reader of docs/mechanisms.md chooses: words from here, costs from the measurements. */
import { duration, figure, table } from '../../report/markdown.js';
import { SIZE_PAGES } from '../plan.js';
import { inSection, type Results } from '../results.js';
import { frequencyMean } from './frequency.js';

/** What stands between these lines in docs/mechanisms.md is written by the script. */
export const BEGIN = '<!-- npm run bench:mechanisms writes from here -->';
export const END = '<!-- to here -->';

interface Row {
  name: string;
  sees: string;
  works: string;
  unit: string;
  memory: string;
  when: string;
}

const ANY = 'any engine';
const LINUX = 'Node on Linux';

const ROWS: readonly Row[] = [
  {
    name: 'lmc',
    sees: 'a branch before each store',
    works: ANY,
    unit: '1 to 4096 bytes (256)',
    memory: 'what was written, in regions; 1 byte of tag each',
    when: 'you do not know, or checkpoints are frequent, or writes are scattered',
  },
  {
    name: 'cards',
    sees: 'every store marks its card, no branch',
    works: ANY,
    unit: '64 to 4096 bytes (256)',
    memory: 'a copy of all of memory',
    when: 'checkpoints come less often than every few requests, and memory is small',
  },
  {
    name: 'undolog',
    sees: 'every store appends its old value',
    works: ANY,
    unit: 'the store',
    memory: 'no bound but a limit: every store',
    when: 'epochs are a few stores long, or to see why lmc was made',
  },
  {
    name: 'page-cow',
    sees: 'a branch before each store',
    works: ANY,
    unit: '4096 bytes',
    memory: 'what was written, in pages',
    when: 'you study policies where there is no native addon',
  },
  {
    name: 'full-copy',
    sees: 'not at all',
    works: ANY,
    unit: 'all of memory',
    memory: 'a copy of all of memory',
    when: 'memory is far below a megabyte, or checkpoints are rare',
  },
  {
    name: 'mprotect',
    sees: 'page fault, SIGSEGV',
    works: LINUX,
    unit: '4096 bytes',
    memory: 'what was written, in pages',
    when: 'uffd is not allowed',
  },
  {
    name: 'uffd',
    sees: 'page fault, SIGBUS',
    works: `${LINUX} 6.4`,
    unit: '4096 bytes',
    memory: 'what was written, in pages',
    when: 'requests are long, write the same few pages, and stores must cost nothing; with the policy adaptive',
  },
  {
    name: 'uffd-async',
    sees: 'the kernel opens the page and keeps a list',
    works: `${LINUX} 6.7`,
    unit: '4096 bytes',
    memory: 'an image of what was ever written, in pages',
    when: 'as uffd, where the pages cannot be foretold, or the kernel writes into memory',
  },
];

/** The table of what was measured; costs are dashes where they were not. */
export function chooseTable(results: Results): string {
  const epoch = inSection(results, 'pages').find(
    (row) => row.engine === 'node24' && row.dirty === SIZE_PAGES && row.rollback,
  );
  const time = (name: string) => epoch?.result.others.find((one) => one.name === name)?.nanoseconds;
  const cost = (name: string, every: number) => {
    const own = frequencyMean(results, name, every);
    const led = frequencyMean(results, `${name} + adaptive`, every);
    return `${figure(own ?? Number.NaN)}${led === undefined || every === 0 ? '' : `; ${figure(led)} with adaptive`}`;
  };
  const { engines, quick } = results;
  const node = engines.node24 ? `${engines.node24.title} (${engines.node24.node})` : 'Node 24';
  return `${table(
    [
      'mechanism',
      'sees a write by',
      'works in',
      'unit (default)',
      'no checkpoint',
      'one each request',
      `an epoch of ${SIZE_PAGES} pages`,
      'memory it holds',
      'take it when',
    ],
    ROWS.map(({ name, sees, works, unit, memory, when }) => [
      `\`${name}\``,
      sees,
      works,
      unit,
      cost(name, 0),
      cost(name, 1),
      duration(time(name) ?? Number.NaN),
      memory,
      when,
    ]),
    [0, 1, 2, 3, 7, 8],
  )}

Costs are \`npm run bench:mechanisms\` in ${node}: times of a request as ratios to the original module's, geometric means over six
programs, and checkpoint, one store into each of ${SIZE_PAGES} pages of 64 MiB, and rollback.${
    quick ? ' **From a run with `--quick`: a full run replaces these figures.**' : ''
  }`;
}

/** The document with a new table between its marks; as it was where it has none. */
export function withTable(document: string, results: Results): string {
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) return document;
  return `${document.slice(0, from + BEGIN.length)}\n\n${chooseTable(results)}\n\n${document.slice(to)}`;
}
