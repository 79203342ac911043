/** `belay history list`. */
import { type Command, Option } from 'commander';
import type { History } from '../../runtime/history/history.js';
import type { Entry, EntryKind, Range } from '../../runtime/history/types.js';
import { parseCount, parsePositive } from '../guest.js';
import { count } from '../report.js';
import {
  addRange,
  carryOut,
  counted,
  ENTRY_HEADS,
  entryCells,
  kindText,
  notesText,
  type RangeFlags,
  rangeOf,
  withHistory,
} from './common.js';
import { Columns, Document, Output } from './output.js';

interface Filter {
  kind?: EntryKind;
  reason?: string;
  label?: string;
  request?: number;
  digest?: string;
  route?: string;
}

interface Flags extends RangeFlags, Filter {
  last?: number;
  json?: boolean;
}

const KINDS: readonly EntryKind[] = ['start', 'kept', 'rolled-back'];
/** Entries that are shown unless something else is asked for. */
const LAST = 20;

const EXAMPLES = `
Examples:
  $ belay history list history --kind rolled-back --last 5
  $ belay history list history --from 2026-01-31T12:00 --to 2026-01-31T13:00 --route POST
`;

export function listCommand(history: Command): void {
  addRange(
    history
      .command('list')
      .description('checkpoints: when, of which request, and what became of it')
      .argument('<dir>', 'the directory of a history')
      .option(
        '--last <count>',
        `the last ones of them (default without --from and --to: ${LAST})`,
        parsePositive,
      ),
  )
    .addOption(new Option('--kind <kind>', 'those of this kind only').choices(KINDS))
    .option('--reason <text>', 'rolled back, for a reason that contains this')
    .option('--label <text>', 'with a label that contains this')
    .option('--request <number>', 'of this request', parseCount)
    .option('--route <text>', 'of requests of a kind that contains this: POST, or /notes')
    .option('--digest <hex>', 'of requests with a digest that begins so')
    .option('--json', 'print them as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, flags: Flags) => carryOut(() => list(directory, flags)));
}

const HEADS = [
  ...ENTRY_HEADS,
  { head: 'kind' },
  { head: 'pages', right: true },
  { head: 'bytes', right: true },
  { head: 'notes' },
];

async function list(directory: string, flags: Flags): Promise<void> {
  await withHistory(directory, undefined, async (history) => {
    const { first, last } = history;
    const all = { count: last - first + 1, first, last };
    const entries = last < first ? [] : chosen(history, flags);
    const out = new Output();
    if (flags.json) {
      const document = new Document(out);
      await document.all(all);
      await document.list('entries', entries);
      await document.end();
      return;
    }
    const which = all.count > 0 ? `, ${first} to ${last}` : '';
    await out.line(`${directory}: ${counted(all.count, 'checkpoint')}${which}`);
    const columns = new Columns(out, HEADS);
    for (const entry of entries) {
      const { pages, bytes } = entry;
      await columns.add([
        ...entryCells(entry),
        kindText(entry),
        count(pages),
        count(bytes),
        notesText(entry),
      ]);
    }
    await columns.end();
    await out.flush();
  });
}

function chosen(history: History, flags: Flags): Iterable<Entry> {
  const range = rangeOf(history, flags);
  const fits = filterOf(flags);
  const limited = flags.last ?? (flags.from === undefined && flags.to === undefined ? LAST : undefined);
  if (limited === undefined) return filtered(history, range, fits);
  const found: Entry[] = [];
  for (let n = range.to; n >= range.from && found.length < limited; n--) {
    const entry = history.entry(n);
    if (fits(entry)) found.push(entry);
  }
  return found.reverse();
}

function* filtered(history: History, range: Range, fits: (entry: Entry) => boolean): IterableIterator<Entry> {
  for (const entry of history.entries(range)) if (fits(entry)) yield entry;
}

function filterOf({ kind, reason, label, request, digest, route }: Filter): (entry: Entry) => boolean {
  const has = (value: string | undefined, part: string | undefined): boolean =>
    part === undefined || (value?.includes(part) ?? false);
  return (entry) =>
    (kind === undefined || entry.kind === kind) &&
    (request === undefined || entry.request === request) &&
    (digest === undefined || (entry.digest?.startsWith(digest.toLowerCase()) ?? false)) &&
    has(entry.reason, reason) &&
    has(entry.label, label) &&
    has(entry.route, route);
}
