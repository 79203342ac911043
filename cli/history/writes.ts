/** `belay history writes`. */
import type { Command } from 'commander';
import type { Write } from '../../runtime/history/types.js';
import { usageError } from '../errors.js';
import { parsePositive } from '../guest.js';
import {
  addFormat,
  addMemory,
  addRange,
  addSymbols,
  carryOut,
  counted,
  ENTRY_HEADS,
  entryCells,
  notesText,
  placeOf,
  type RangeFlags,
  rangeOf,
  type SymbolsFlag,
  withHistory,
} from './common.js';
import { Columns, Document, Output, Watch } from './output.js';
import { addressText, bytesOf, type Format, jsonValues, shortText } from './values.js';

interface Flags extends RangeFlags, SymbolsFlag {
  at?: string;
  as: Format;
  memory: number;
  limit?: number;
  json?: boolean;
}

const EXAMPLES = `
An address that is computed, such as u32[0x1f40]+8, is that of the last checkpoint that is looked at.

Examples:
  $ belay history writes history --at 0x1f40:4 --as u32
  $ belay history writes history --at 8000 --from 5000 --limit 1
`;

export function writesCommand(history: Command): void {
  const command = history
    .command('writes')
    .description('which request changed these bytes: every checkpoint that did, with old and new value')
    .argument('<dir>', 'the directory of a history')
    .option(
      '--at <addr[:length]>',
      'bytes of memory (required): 8000, 0x1f40:4, or an expression: counter+8:4',
    );
  addSymbols(addMemory(addFormat(addRange(command))))
    .option('--limit <count>', 'stop after so many', parsePositive)
    .option('--json', 'print them as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, flags: Flags) => carryOut(() => writes(directory, flags)));
}

const HEADS = [...ENTRY_HEADS, { head: 'before' }, { head: 'after' }, { head: 'notes' }];

async function writes(directory: string, flags: Flags): Promise<void> {
  const { at, as, memory, limit, json } = flags;
  if (at === undefined) throw usageError('say which bytes: --at <addr[:length]>');
  await withHistory(directory, flags.symbols, async (history) => {
    const range = rangeOf(history, flags);
    const place = await placeOf(history, at, range.to);
    const { address } = place;
    const unit = bytesOf(as);
    if (as === 'string' && place.length === undefined) {
      throw usageError(`--as string needs a length: --at ${at}:64`);
    }
    const length = place.length ?? unit;
    if (length === 0 || length % unit !== 0) {
      throw usageError(
        `${length} bytes are no whole number of ${as}: a length is one of bytes, here of ${unit} each`,
      );
    }
    // Whatever never lay in memory is no place.
    history.read(range.to, address, length, memory);
    const watch = new Watch(`looking through ${directory}`);
    const out = new Output(watch);
    let count = 0;
    const found = function* (): IterableIterator<Write> {
      for (const write of history.writes(address, length, { ...range, memory })) {
        watch.report((write.entry - range.from) / (range.to - range.from + 1));
        count++;
        yield write;
        if (count === limit) return;
      }
    };
    try {
      if (json) {
        const document = new Document(out);
        await document.all({ memory, address, length, ...range, as });
        await document.list(
          'writes',
          jsonWrites(found(), as, (n) => history.entry(n)),
        );
        await document.end();
        return;
      }
      await out.line(
        `${counted(length, 'byte')} at 0x${addressText(address)} of memory ${memory}, checkpoints ${range.from} to ${range.to}`,
      );
      const columns = new Columns(out, as === 'hex' || as === 'string' ? HEADS : NUMBER_HEADS);
      for (const { entry: number, before, after } of found()) {
        const entry = history.entry(number);
        await columns.add([
          ...entryCells(entry),
          shortText(as, before),
          shortText(as, after),
          notesText(entry),
        ]);
      }
      await columns.end();
      await out.line(
        count === limit
          ? `the first ${count}`
          : count === 0
            ? 'nothing changed them'
            : counted(count, 'change'),
      );
      await out.flush();
    } finally {
      watch.stop();
    }
  });
}

const NUMBER_HEADS = HEADS.map((column) =>
  column.head === 'before' || column.head === 'after' ? { ...column, right: true } : column,
);

function* jsonWrites(
  found: Iterable<Write>,
  as: Format,
  entryOf: (number: number) => unknown,
): IterableIterator<unknown> {
  for (const { entry, before, after } of found) {
    const values =
      as === 'hex' ? {} : { beforeValue: jsonValues(as, before), afterValue: jsonValues(as, after) };
    yield { entry: entryOf(entry), before, after, ...values };
  }
}
