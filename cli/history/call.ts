/** `belay history call`: what would the guest have answered then? */
import type { Command } from 'commander';
import { BelayError } from '../../contract/errors.js';
import type { CallResult, History } from '../../runtime/history/index.js';
import { usageError } from '../errors.js';
import { parsePositive } from '../guest.js';
import { readInput } from '../read.js';
import { parseValue } from '../values.js';
import {
  aboutEntry,
  addRange,
  addSymbols,
  carryOut,
  FOUND,
  parseCheckpoint,
  type RangeFlags,
  rangeOf,
  type SymbolsFlag,
  withHistory,
} from './common.js';
import { Document, Output, printable, Watch } from './output.js';

interface Flags extends RangeFlags, SymbolsFlag {
  at?: string;
  where?: string;
  stdin?: string;
  request?: string;
  limit?: number;
  json?: boolean;
}

const EXAMPLES = `
The function runs on a copy of the state, and what it does is undone. It sees the files, arguments and environment that it
had then, by WASI. With --request the module is asked as a service is: a request goes to its standard input, and handle
is what is called.

Exit codes: 0 it was called, 1 with --where, it holds nowhere, 2 the question failed, or the function did

Examples:
  $ belay history call history count_notes --at 5311
  $ belay history call history handle --request 'GET /notes' --at 2026-01-31T12:00
  $ belay history call history add --at first 1 2
  $ belay history call history total --where 'u32[0x1f40] != old(u32[0x1f40])'
  $ belay history bisect history 'call("total") > 100'
`;

export function callCommand(history: Command): void {
  const command = history
    .command('call')
    .description('call a function of the guest on a state of its past, and undo what it does')
    .argument('<dir>', 'the directory of a history')
    .argument('<export>', 'the name of an exported function')
    .argument('[args...]', 'numbers for the function; 64-bit ones end in n')
    .option('--at <checkpoint>', 'where (default: the last)', parseCheckpoint)
    .option('--where <expression>', 'instead: at each checkpoint where this holds')
    .option('--stdin <file>', 'what the function can read from its standard input; - for standard input')
    .option('--request <request>', "ask a service: 'METHOD /target [body]'");
  addSymbols(addRange(command))
    .option('--limit <count>', 'with --where: stop after so many different answers', parsePositive)
    .option('--json', 'print it as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, name: string, args: string[], flags: Flags) =>
      carryOut(() => call(directory, name, args, flags), FOUND.failed),
    );
}

/** What a function answered at some checkpoints, one after the other. */
interface Answer {
  from: number;
  to: number;
  value: unknown;
  text: string;
  stderr: string;
  error?: string;
}

async function call(directory: string, name: string, given: string[], flags: Flags): Promise<void> {
  const { at, where, json, limit = Infinity } = flags;
  if (at !== undefined && where !== undefined) {
    throw usageError('--at says one checkpoint and --where says which: give one');
  }
  if (
    where === undefined &&
    (flags.from !== undefined || flags.to !== undefined || flags.limit !== undefined)
  ) {
    throw usageError('--from, --to and --limit are for --where; one checkpoint is given by --at');
  }
  const args = given.map(parseValue);
  const input = await inputOf(flags);
  await withHistory(directory, flags.symbols, async (history) => {
    await history.prepareCalls();
    const ask = (entry: number): Answer =>
      answerOf(entry, history.call(name, args, { at: entry, stdin: input.stdin }), input.text);
    const out = new Output();
    if (where === undefined) {
      const answer = ask(history.find(at ?? 'last'));
      await tell(history, answer, out, json);
      if (answer.error !== undefined) process.exitCode = FOUND.failed;
      return;
    }
    const range = rangeOf(history, flags);
    const watch = new Watch(`calling ${name}`);
    const answers = answersOf(history, where, range, ask, (share) => watch.report(share));
    let found = 0;
    const counted = function* (): IterableIterator<Answer> {
      for (const answer of answers) {
        yield answer;
        if (++found >= limit) return;
      }
    };
    try {
      if (json) {
        const document = new Document(out);
        await document.all({ function: name, where, ...range });
        await document.list('answers', counted());
        await document.end();
      } else {
        for (const answer of counted()) {
          const which = answer.from === answer.to ? `${answer.from}` : `${answer.from}-${answer.to}`;
          await out.line(`${which.padEnd(15)}  ${answer.error ?? short(answer)}`);
        }
        await out.flush();
      }
    } finally {
      watch.stop();
    }
    if (found === 0) process.exitCode = FOUND.no;
  });
}

/** What goes to standard input, and how what comes out is to be read. */
async function inputOf({ stdin, request }: Flags): Promise<{
  stdin: Uint8Array;
  text: (stdout: Uint8Array) => string;
}> {
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (request === undefined) {
    return { stdin: stdin === undefined ? new Uint8Array(0) : readInput(stdin), text: decode };
  }
  if (stdin !== undefined)
    throw usageError('--request goes to standard input, and so does --stdin: give one');
  const { parseRequests } = await import('../../runtime/service/batch.js');
  const { formatRequest, parseResponse } = await import('../../runtime/service/wire.js');
  const [asked] = parseRequests(request);
  if (!asked) throw usageError('--request is empty: METHOD /target [body]');
  return { stdin: formatRequest(asked), text: (stdout) => decode(parseResponse(stdout, asked.method).body) };
}

function answerOf(entry: number, result: CallResult, text: (stdout: Uint8Array) => string): Answer {
  const { value, error, stdout, stderr } = result;
  const answer: Answer = {
    from: entry,
    to: entry,
    value,
    text: '',
    stderr: new TextDecoder().decode(stderr),
    ...(error && { error: `it failed: ${error.message}` }),
  };
  if (!error) answer.text = text(stdout);
  return answer;
}

/** An answer at each checkpoint where an expression holds; equal ones of neighbours are one. */
function* answersOf(
  history: History,
  where: string,
  range: { from: number; to: number },
  ask: (entry: number) => Answer,
  report: (share: number) => void,
): IterableIterator<Answer> {
  let open: Answer | undefined;
  for (const { from, to } of history.search(where, range)) {
    for (let entry = from; entry <= to; entry++) {
      // What changed nothing answers as before.
      if (open?.to === entry - 1 && history.entry(entry).pages === 0) {
        open.to = entry;
        continue;
      }
      const answer = ask(entry);
      report((entry - range.from) / (range.to - range.from + 1));
      if (open?.to === entry - 1 && same(open, answer)) {
        open.to = entry;
        continue;
      }
      if (open) yield open;
      open = answer;
    }
  }
  if (open) yield open;
}

const same = (a: Answer, b: Answer): boolean =>
  Object.is(a.value, b.value) && a.text === b.text && a.error === b.error;

const short = ({ value, text }: Answer): string =>
  text === '' ? String(value) : printable(text.trimEnd()).slice(0, 200);

async function tell(history: History, answer: Answer, out: Output, json: boolean | undefined): Promise<void> {
  const { from, value, text, stderr, error } = answer;
  if (json) {
    const document = new Document(out);
    await document.all({ at: from, value, stdout: text, stderr, ...(error !== undefined && { error }) });
    await document.end();
    return;
  }
  process.stderr.write(`checkpoint ${from}: ${aboutEntry(history.entry(from))}\n${stderr}`);
  if (error !== undefined) throw new BelayError('ERR_BELAY_HISTORY', `checkpoint ${from}: ${error}`);
  await out.write(text === '' ? `${String(value)}\n` : text.endsWith('\n') ? text : `${text}\n`);
  await out.flush();
}
