/** `belay history show`. */
import type { Command } from 'commander';
import type { History } from '../../runtime/history/history.js';
import type { NamedGlobal, NamedState } from '../../runtime/history/named.js';
import type { Entry } from '../../runtime/history/types.js';
import { usageError } from '../errors.js';
import { count, size, table } from '../report.js';
import {
  addFormat,
  addMemory,
  addSymbols,
  carryOut,
  counted,
  kindText,
  parseCheckpoint,
  placeOf,
  type SymbolsFlag,
  timeText,
  withHistory,
} from './common.js';
import { Columns, Document, Output, printable } from './output.js';
import {
  addressText,
  bytesOf,
  type Format,
  jsonValues,
  numberText,
  row,
  rowBytes,
  stringJson,
  strings,
  textOf,
  untilZero,
} from './values.js';

interface Flags extends SymbolsFlag {
  at: string;
  as: Format;
  memory: number;
  json?: boolean;
}

/** Bytes that are shown where no length is given, and of a string at most. */
const LENGTH = 128;
const STRING = 4096;
/** Bytes that are read at once. */
const PIECE = 1 << 16;

const EXAMPLES = `
Examples:
  $ belay history show history --at 5311
  $ belay history show history 0x1f40:64 --at 5311
  $ belay history show history 'u32[0x1f40]+8' --as string
`;

export function showCommand(history: Command): void {
  const command = history
    .command('show')
    .description('a checkpoint: its request, sizes and globals; or a part of its memory')
    .argument('<dir>', 'the directory of a history')
    .argument('[addr[:length]]', 'bytes of memory: 8000, 0x1f40:4, or an expression such as counter+8:4')
    .option(
      '--at <checkpoint>',
      'a number, first, last, -N (from the end), or a time',
      parseCheckpoint,
      'last',
    );
  addSymbols(addMemory(addFormat(command)))
    .option('--json', 'print it as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, address: string | undefined, flags: Flags) =>
      carryOut(() => show(directory, address, flags)),
    );
}

async function show(directory: string, address: string | undefined, flags: Flags): Promise<void> {
  await withHistory(directory, flags.symbols, async (history) => {
    const entry = history.find(flags.at);
    const out = new Output();
    if (address === undefined) await showEntry(history, entry, flags, out);
    else await showMemory(history, entry, address, flags, out);
    await out.flush();
  });
}

async function showEntry(history: History, number: number, { json }: Flags, out: Output): Promise<void> {
  const { namedState } = await import('../../runtime/history/named.js');
  const entry = history.entry(number);
  const state = namedState(history, number);
  if (json) {
    const document = new Document(out);
    await document.all({ entry, ...state });
    await document.end();
    return;
  }
  await out.write(`checkpoint ${number}: ${kindText(entry)}\n${table(rowsOf(entry, state))}\n`);
  if (state.globals.length === 0) return;
  await out.line('globals');
  const columns = new Columns(out, [
    { head: 'index', right: true },
    { head: 'name' },
    { head: 'type' },
    { head: 'value' },
  ]);
  for (const { index, name, type, value, hex } of state.globals.map(globalText)) {
    await columns.add([String(index), name, type, hex === '' ? value : `${value} (${hex})`]);
  }
  await columns.end();
}

function rowsOf(entry: Entry, state: NamedState): [string, string][] {
  const { time, request, route, label, digest, reason, skipped, pages, bytes } = entry;
  const { memories, tables, hostBytes, dropped } = state;
  const optional: [string, string | undefined][] = [
    ['reason', reason],
    ['request', request === undefined ? undefined : String(request)],
    ['route', route],
    ['label', label],
    ['digest', digest],
    ['not recorded', skipped > 0 ? `${counted(skipped, 'checkpoint')} before it` : undefined],
  ];
  const called = (name: string | undefined) => (name === undefined ? '' : `, ${printable(name)}`);
  const segments = [...dropped.data.map((n) => `data ${n}`), ...dropped.elements.map((n) => `element ${n}`)];
  return [
    ['time', timeText(time)],
    ...optional.flatMap(([name, text]): [string, string][] =>
      text === undefined ? [] : [[name, printable(text)]],
    ),
    ['changed', `${counted(bytes, 'byte')} in ${counted(pages, 'page')}`],
    ...memories.map((memory, k): [string, string] => [
      `memory ${k}`,
      `${count(memory.bytes)} bytes (${size(memory.bytes)})${called(memory.name)}`,
    ]),
    ...tables.map((item): [string, string] => [
      `table ${item.index}`,
      `${counted(item.elements, 'element')}${called(item.name)}`,
    ]),
    ...(segments.length > 0 ? [['dropped segments', segments.join(', ')] as [string, string]] : []),
    ...(hostBytes > 0 ? [['host state', counted(hostBytes, 'byte')] as [string, string]] : []),
  ];
}

function globalText({ index, name = '', type, value }: NamedGlobal) {
  const isInteger = (type === 'i32' || type === 'i64') && typeof value !== 'boolean';
  const hex = isInteger ? `0x${BigInt.asUintN(type === 'i32' ? 32 : 64, BigInt(value)).toString(16)}` : '';
  const text =
    typeof value === 'number' || typeof value === 'bigint' ? numberText(type, value) : String(value);
  return { index, name: printable(name), type, value: text, hex };
}

async function showMemory(
  history: History,
  entry: number,
  text: string,
  { as, memory, json }: Flags,
  out: Output,
): Promise<void> {
  const { address, length: given } = await placeOf(history, text, entry);
  const size = history.memorySize(entry, memory);
  const unit = bytesOf(as);
  const most = Math.max(
    unit,
    Math.floor(Math.min(as === 'string' ? STRING : LENGTH, size - address) / unit) * unit,
  );
  const length = given ?? most;
  if (length % unit !== 0) {
    throw usageError(
      `${length} bytes are no whole number of ${as}: a length is one of bytes, here of ${unit} each`,
    );
  }
  // Whatever does not lie in memory is refused before anything is shown.
  history.read(entry, address, Math.min(length, PIECE), memory);
  if (address + length > size) history.read(entry, address, length, memory);
  if (json) {
    const bytes = history.read(entry, address, length, memory);
    const document = new Document(out);
    const shown = as === 'string' && given === undefined ? untilZero(bytes) : bytes;
    const values =
      as === 'string'
        ? [...strings(shown)].map(({ at, bytes: b }) => ({ address: address + at, text: stringJson(b) }))
        : jsonValues(as, shown);
    await document.all({
      entry: history.entry(entry),
      memory,
      address,
      length: shown.length,
      as,
      bytes: shown,
      values,
    });
    await document.end();
    return;
  }
  if (as === 'string') {
    const bytes = history.read(entry, address, length, memory);
    if (given === undefined) await out.line(`${addressText(address)}  ${textOf(untilZero(bytes))}`);
    else
      for (const { at, bytes: b } of strings(bytes))
        await out.line(`${addressText(address + at)}  ${textOf(b)}`);
    return;
  }
  await dump(history, entry, { address, length, memory, as }, out);
}

interface Part {
  address: number;
  length: number;
  memory: number;
  as: Format;
}

/** Rows; those that are like the one before are a `*`, as in hexdump. */
async function dump(history: History, entry: number, part: Part, out: Output): Promise<void> {
  const { address, length, memory, as } = part;
  const step = rowBytes(as);
  const piece = Math.floor(PIECE / step) * step;
  let before: Uint8Array | undefined;
  let starred = false;
  for (let at = 0; at < length; at += piece) {
    const bytes = history.read(entry, address + at, Math.min(piece, length - at), memory);
    for (let i = 0; i < bytes.length; i += step) {
      const shown = bytes.subarray(i, i + step);
      const isLast = at + i + step >= length;
      if (before && !isLast && Buffer.compare(before, shown) === 0) {
        if (!starred) await out.line('*');
        starred = true;
        continue;
      }
      before = shown;
      starred = false;
      await out.line(row(as, address + at + i, shown));
    }
  }
}
