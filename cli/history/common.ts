/** What the verbs of `belay history` have in common. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { BelayError } from '../../contract/errors.js';
import type { History } from '../../runtime/history/history.js';
import type { Entry, Range } from '../../runtime/history/types.js';
import { EXIT, errorLine, exitCode, usageError } from '../errors.js';
import { parseCount } from '../guest.js';
import { inputName, readInput } from '../read.js';
import { printable } from './output.js';
import { FORMATS, type Format } from './values.js';

/** Exit codes of verbs that look for something, as grep has them. */
export const FOUND = { yes: 0, no: 1, failed: 2 } as const;

export interface SymbolsFlag {
  symbols?: string;
}

/** For verbs that take expressions. */
export function addSymbols(command: Command): Command {
  return command.option(
    '--symbols <file>',
    "addresses of the program's variables: the linker's map (wasm-ld -Map), what nm prints, or JSON",
  );
}

/**
 * Opens the history of a directory, and closes it in the end.
 * @param symbols file of {@link addSymbols}, for verbs that take expressions
 */
export async function withHistory<T>(
  directory: string,
  symbols: string | undefined,
  use: (history: History) => Promise<T>,
): Promise<T> {
  const { openHistory } = await import('../../runtime/history/history.js');
  const history = await openHistory(
    directory,
    symbols === undefined ? {} : { symbols: await readSymbols(symbols) },
  );
  try {
    return await use(history);
  } finally {
    await history.close();
  }
}

async function readSymbols(path: string): Promise<Map<string, number>> {
  const { parseSymbols } = await import('../../runtime/history/symbols.js');
  return parseSymbols(readInput(path, 'map').toString(), inputName(path));
}

/**
 * Carries out a verb. Where an expression is wrong, its place is shown.
 * @param failed Exit code of whatever goes wrong, for verbs whose 1 means something else
 */
export async function carryOut(work: () => Promise<void>, failed?: number): Promise<void> {
  try {
    await work();
  } catch (error) {
    const isExpression = error instanceof BelayError && error.code === 'ERR_BELAY_EXPRESSION';
    if (!isExpression && failed === undefined) throw error;
    process.exitCode = failed ?? (isExpression ? EXIT.usage : exitCode(error));
    process.stderr.write(`${isExpression ? expressionError(error) : errorLine(error)}\n`);
    if (process.env.BELAY_DEBUG) console.error(error);
  }
}

/** The message in one line like any other, then the expression, and carets below what is meant. */
function expressionError(error: BelayError): string {
  const [message = '', ...place] = error.message.split('\n');
  return [errorLine(new BelayError(error.code, message)), ...place].join('\n');
}

/** Without, Date.parse() takes 1.5 for the fifth of January. */
const HAS_YEAR = /\d{4}/;

/** A checkpoint as History.find() takes it. */
export function parseCheckpoint(text: string): string {
  if (/^(first|last|-?\d+)$/.test(text) || (HAS_YEAR.test(text) && !Number.isNaN(Date.parse(text))))
    return text;
  throw new InvalidArgumentError(
    'It is a number, first, last, -N (from the end), or a time such as 2026-01-31T12:00.',
  );
}

export interface RangeFlags {
  from?: string;
  to?: string;
}

export function addRange(command: Command): Command {
  return command
    .option('--from <checkpoint>', 'the first one to look at', parseCheckpoint)
    .option('--to <checkpoint>', 'the last one to look at', parseCheckpoint);
}

/** @throws ERR_BELAY_HISTORY, ERR_BELAY_OPTION */
export function rangeOf(history: History, { from = 'first', to = 'last' }: RangeFlags): Required<Range> {
  const range = { from: history.find(from), to: history.find(to) };
  if (range.from <= range.to) return range;
  throw usageError(`--from ${from} is checkpoint ${range.from}, which comes after --to ${to}: exchange them`);
}

export function addMemory(command: Command): Command {
  return command.option('--memory <number>', 'which memory, of several', parseCount, 0);
}

export function addFormat(command: Command): Command {
  return command.addOption(
    new Option('--as <type>', 'what the bytes are').choices(FORMATS).default('hex' satisfies Format),
  );
}

export interface Place {
  address: number;
  /** Bytes, where they were given. */
  length?: number;
}

/**
 * `ADDR` or `ADDR:LENGTH`. The address is an expression for an integer, evaluated at an entry.
 * @throws ERR_BELAY_EXPRESSION, ERR_BELAY_OPTION
 */
export async function placeOf(history: History, text: string, entry: number): Promise<Place> {
  const { valueAt } = await import('../../runtime/history/value.js');
  const [, address = text, digits] = /^(.*?)(?::\s*(0x[\da-f]+|\d+)\s*)?$/is.exec(text) ?? [];
  const value = valueAt(history, address, entry);
  if (value === undefined) {
    throw usageError(`'${address}' has no value at checkpoint ${entry}, and so is no address there`);
  }
  if (typeof value !== 'bigint') throw usageError(`'${address}' is no integer, and so no address`);
  return { address: Number(value), ...(digits !== undefined && { length: Number(digits) }) };
}

export const timeText = (time: number): string => new Date(time).toISOString();

const KINDS = { start: 'start', kept: 'kept', 'rolled-back': 'rolled back' } as const;
export const kindText = ({ kind }: Entry): string => KINDS[kind];

/** What an entry says in words: why it was rolled back, its label, what is missing before it. */
export const notesText = ({ reason, label, skipped }: Entry): string =>
  [reason, label].flatMap((text) => (text === undefined ? [] : [printable(text)])).join('; ') +
  (skipped > 0 ? `${(reason ?? label) ? '; ' : ''}${skipped} not recorded before it` : '');

const ROUTE = 32;

/** A route, cut off where it is long. */
export function routeText({ route = '' }: Entry): string {
  const shown = [...printable(route)];
  return shown.length <= ROUTE ? shown.join('') : `${shown.slice(0, ROUTE - 1).join('')}…`;
}

/** The columns that say which entry a row is of. */
export const ENTRY_HEADS = [
  { head: 'number', right: true },
  { head: 'time' },
  { head: 'request', right: true },
  { head: 'route' },
];

export const entryCells = (entry: Entry): string[] => [
  String(entry.number),
  timeText(entry.time),
  entry.request === undefined ? '' : String(entry.request),
  routeText(entry),
];

/** `POST /notes, request 5312, 2026-01-31T12:00:00.000Z, label`. */
export function aboutEntry(entry: Entry): string {
  const { request, time } = entry;
  return [
    routeText(entry) || kindText(entry),
    ...(request === undefined ? [] : [`request ${request}`]),
    timeText(time),
    ...(notesText(entry) ? [notesText(entry)] : []),
  ].join(', ');
}

/** `1 checkpoint`, `5,313 checkpoints`. */
export const counted = (n: number, what: string): string =>
  `${n.toLocaleString('en-US')} ${what}${n === 1 ? '' : 's'}`;
