/** `belay history search` and `belay history bisect`: when does an expression hold, and since when? */
import type { Command } from 'commander';
import type { Expression, History } from '../../runtime/history/index.js';
import type { Interval, Range } from '../../runtime/history/types.js';
import { usageError } from '../errors.js';
import { parsePositive } from '../guest.js';
import {
  aboutEntry,
  addRange,
  addSymbols,
  carryOut,
  counted,
  FOUND,
  type RangeFlags,
  rangeOf,
  type SymbolsFlag,
  withHistory,
} from './common.js';
import { Document, Output, printable, Watch } from './output.js';

interface BisectFlags extends RangeFlags, SymbolsFlag {
  json?: boolean;
}

interface SearchFlags extends BisectFlags {
  first?: boolean;
  last?: boolean;
  count?: boolean;
  limit?: number;
}

const EXPRESSION = `an expression that is true or false (docs/expressions.md): 'u32[0x1f40] > 100'`;

const SEARCHES = `
Exit codes: 0 it holds somewhere, 1 it holds nowhere, 2 the question failed

Examples:
  $ belay history search history 'u32[0x1f40] > 100'
  $ belay history search history 'u32[0x1f40] != old(u32[0x1f40])' --count
  $ belay history search history 'str[0x2000] == "belay"' --first
`;

const BISECTS = `
Exit codes: 0 the turn was found, 1 it says the same at both ends, 2 the question failed

Examples:
  $ belay history bisect history 'u32[0x1f40] > 100'
  $ belay history bisect history 'call("check_invariant") == 0' --from 5000
`;

export function searchCommand(history: Command): void {
  const command = history
    .command('search')
    .description('when an expression holds: intervals of checkpoints')
    .argument('<dir>', 'the directory of a history')
    .argument('<expression>', EXPRESSION)
    .option('--first', 'the first interval only')
    .option('--last', 'the last interval only')
    .option('--count', 'print the number of checkpoints instead');
  addSymbols(addRange(command))
    .option('--limit <count>', 'stop after so many intervals', parsePositive)
    .option('--json', 'print it as JSON')
    .addHelpText('after', SEARCHES)
    .action((directory: string, expression: string, flags: SearchFlags) =>
      carryOut(() => search(directory, expression, flags), FOUND.failed),
    );
}

export function bisectCommand(history: Command): void {
  const command = history
    .command('bisect')
    .description('since when an expression holds, or holds no more: of those that turn once')
    .argument('<dir>', 'the directory of a history')
    .argument('<expression>', EXPRESSION);
  addSymbols(addRange(command))
    .option('--json', 'print it as JSON')
    .addHelpText('after', BISECTS)
    .action((directory: string, expression: string, flags: BisectFlags) =>
      carryOut(() => bisect(directory, expression, flags), FOUND.failed),
    );
}

/** What is asked; where it calls functions, they can be called. */
async function prepare(history: History, text: string): Promise<Expression> {
  const expression = history.expression(text);
  if (expression.calls.length > 0) await history.prepareCalls();
  return expression;
}

async function search(directory: string, text: string, flags: SearchFlags): Promise<void> {
  const { first, last, limit, count, json } = flags;
  if ([first, last, limit].filter((flag) => flag !== undefined).length > 1) {
    throw usageError('--first, --last and --limit are three ways to say which intervals: give one');
  }
  await withHistory(directory, flags.symbols, async (history) => {
    const range = rangeOf(history, flags);
    const expression = await prepare(history, text);
    const watch = new Watch(`searching ${directory}`);
    const out = new Output(watch);
    const sums = { intervals: 0, checkpoints: 0 };
    const found = history.search(expression, {
      ...range,
      onProgress: (entry) => watch.report(share(range, entry)),
    });
    try {
      const intervals = summed(last ? lastOf(found) : firstOf(found, first ? 1 : limit), sums);
      if (json) {
        const document = new Document(out);
        await document.all({ expression: text, ...range });
        if (count) for (const _ of intervals);
        else await document.list('intervals', intervals);
        await document.all({ count: sums.checkpoints, withoutValue: expression.undefinedCount });
        await document.end();
      } else if (count) {
        for (const _ of intervals);
        await out.line(String(sums.checkpoints));
        await out.flush();
      } else {
        for (const interval of intervals) await out.line(intervalText(history, interval));
        await out.flush();
      }
      watch.stop();
      if (sums.intervals > 0) return;
      process.exitCode = FOUND.no;
      if (!json && expression.undefinedCount > 0) {
        process.stderr.write(
          `belay: it had no value ${expression.undefinedCount.toLocaleString('en-US')} times that it was evaluated: docs/expressions.md says when that is so\n`,
        );
      }
    } finally {
      watch.stop();
    }
  });
}

const share = ({ from, to }: Required<Range>, entry: number): number => (entry - from) / (to - from + 1);

function* firstOf(intervals: Iterable<Interval>, most = Infinity): IterableIterator<Interval> {
  let n = 0;
  for (const interval of intervals) {
    yield interval;
    if (++n === most) return;
  }
}

function* lastOf(intervals: Iterable<Interval>): IterableIterator<Interval> {
  let last: Interval | undefined;
  for (const interval of intervals) last = interval;
  if (last) yield last;
}

function* summed(
  intervals: Iterable<Interval>,
  sums: { intervals: number; checkpoints: number },
): IterableIterator<Interval> {
  for (const interval of intervals) {
    sums.intervals++;
    sums.checkpoints += interval.to - interval.from + 1;
    yield interval;
  }
}

/** `120-340  221 checkpoints, from GET /notes, request 120, ...`. */
function intervalText(history: History, { from, to }: Interval): string {
  const which = from === to ? `${from}` : `${from}-${to}`;
  return `${which.padEnd(15)}  ${counted(to - from + 1, 'checkpoint')}, from ${aboutEntry(history.entry(from))}`;
}

async function bisect(directory: string, text: string, flags: BisectFlags): Promise<void> {
  await withHistory(directory, flags.symbols, async (history) => {
    const range = rangeOf(history, flags);
    const expression = await prepare(history, text);
    const watch = new Watch(`bisecting ${directory}`);
    const steps = 2 + Math.ceil(Math.log2(range.to - range.from + 1));
    let step = 0;
    const result = (() => {
      try {
        return history.bisect(expression, { ...range, onProgress: () => watch.report(++step / steps) });
      } finally {
        watch.stop();
      }
    })();
    const { first, last, turn, evaluated } = result;
    const out = new Output();
    if (flags.json) {
      const document = new Document(out);
      await document.all({
        expression: text,
        ...range,
        ...result,
        entry: turn === undefined ? undefined : history.entry(turn),
        withoutValue: expression.undefinedCount,
      });
      await document.end();
    } else if (turn === undefined) {
      await out.line(
        `${first} at both ends, ${range.from} and ${range.to}: it turns an even number of times, or never; ` +
          `search says when it holds`,
      );
    } else {
      await out.line(
        `${first} up to ${turn - 1}, ${last} from ${turn} on: ${printable(aboutEntry(history.entry(turn)))}`,
      );
      const of = (range.to - range.from + 1).toLocaleString('en-US');
      await out.line(`(${evaluated} of ${of} checkpoints were looked at)`);
    }
    await out.flush();
    if (turn === undefined) process.exitCode = FOUND.no;
  });
}
