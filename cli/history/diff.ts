/** `belay history diff`. */
import type { Command } from 'commander';
import type { History } from '../../runtime/history/history.js';
import type { NamedValue } from '../../runtime/history/named.js';
import type { ChangedRange } from '../../runtime/history/types.js';
import { parseCount, parsePositive } from '../guest.js';
import { count } from '../report.js';
import { aboutEntry, carryOut, counted, parseCheckpoint, withHistory } from './common.js';
import { Columns, Document, Output, printable } from './output.js';
import { addressText, numberText, shortHex } from './values.js';

interface Flags {
  gap: number;
  limit?: number;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  $ belay history diff history 5310 5311
  $ belay history diff history first last --limit 20
`;

export function diffCommand(history: Command): void {
  history
    .command('diff')
    .description('what is different at two checkpoints')
    .argument('<dir>', 'the directory of a history')
    .argument(
      '<before>',
      'a checkpoint: a number, first, last, -N (from the end), or a time',
      parseCheckpoint,
    )
    .argument('<after>', 'another one', parseCheckpoint)
    .option('--gap <bytes>', 'equal bytes between two that are not, that one range may have', parseCount, 3)
    .option('--limit <count>', 'ranges of bytes to show', parsePositive)
    .option('--json', 'print it as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, before: string, after: string, flags: Flags) =>
      carryOut(() => diff(directory, before, after, flags)),
    );
}

interface Sums {
  ranges: number;
  bytes: number;
}

/** Counts ranges of bytes, and lets the first ones through. Globals and tables are told by name. */
function* ranges(
  history: History,
  from: number,
  to: number,
  { gap, limit = Infinity }: Flags,
  sums: Sums,
): IterableIterator<ChangedRange> {
  for (const range of history.diff(from, to, { gap })) {
    if (range.memory === undefined && range.what !== 'host state') continue;
    sums.bytes += range.length;
    if (++sums.ranges <= limit) yield range;
  }
}

const HEADS = [{ head: 'address' }, { head: 'bytes', right: true }, { head: 'before' }, { head: 'after' }];

async function diff(directory: string, before: string, after: string, flags: Flags): Promise<void> {
  const { namedChanges } = await import('../../runtime/history/named.js');
  await withHistory(directory, undefined, async (history) => {
    const from = history.find(before);
    const to = history.find(after);
    const sums: Sums = { ranges: 0, bytes: 0 };
    const out = new Output();
    if (flags.json) {
      const document = new Document(out);
      await document.all({ from: history.entry(from), to: history.entry(to) });
      await document.list('changes', namedChanges(history, from, to));
      await document.list('ranges', ranges(history, from, to, flags, sums));
      await document.all({ rangeCount: sums.ranges, byteCount: sums.bytes });
      await document.end();
      return;
    }
    for (const n of [from, to]) await out.line(`checkpoint ${n}: ${aboutEntry(history.entry(n))}`);
    let named = 0;
    for (const change of namedChanges(history, from, to)) {
      await out.line(`${printable(change.what)}: ${valueText(change.before)} to ${valueText(change.after)}`);
      named++;
    }
    let space: string | undefined;
    let columns: Columns | undefined;
    for (const range of ranges(history, from, to, flags, sums)) {
      const here = range.what ?? `memory ${range.memory}`;
      if (here !== space) {
        await columns?.end();
        await out.line(here);
        columns = new Columns(out, HEADS);
        space = here;
      }
      await columns!.add([
        addressText(range.address),
        count(range.length),
        shortHex(range.before),
        shortHex(range.after),
      ]);
    }
    await columns?.end();
    const hidden = sums.ranges - (flags.limit ?? Infinity);
    if (hidden > 0) await out.line(`  … and ${counted(hidden, 'range')} more`);
    await out.line(summary(sums, named));
    await out.flush();
  });
}

const valueText = (value: NamedValue): string =>
  typeof value === 'number' ? numberText('f64', value) : String(value);

function summary({ ranges: n, bytes }: Sums, named: number): string {
  if (n === 0 && named === 0) return 'nothing is different';
  return `${counted(bytes, 'byte')} in ${counted(n, 'range')}, and ${counted(named, 'other change')}`;
}
