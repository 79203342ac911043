/**
 * Names and addresses of a program's variables, as its tools write them down. A module that was linked has none of that
 * any more, but for those that it exports; DWARF would, where it was not stripped.
 *
 *     wasm-ld -Map           Addr      Off     Size Out     In      Symbol
 *                               -       82       11 DATA
 *                             400       83        8 .data
 *                             400       89        8         counter.o:(.data.counter)
 *                             400       89        8                 counter            <- these, of DATA
 *     nm, llvm-nm            00000400 D counter
 *     JSON                   {"counter": 1024}
 *
 * Of several that have one name (static variables of several files) the first is meant.
 *
 * @see https://github.com/llvm/llvm-project/blob/main/lld/wasm/MapFile.cpp
 */
import { historyError } from './errors.js';

const MAP = /^ *Addr +Off +Size +Out +In +Symbol *$/;
/** Sections have no address. */
const MAP_SECTION = /^ *- +[\da-f]+ +[\da-f]+ (\S+)/;
/** What is indented by 16: symbols. */
const MAP_SYMBOL = /^ *([\da-f]+) +[\da-f]+ +[\da-f]+ {17}(\S.*)$/;
/** Variables: initialised or not, read-only, weak or common; of the file alone where the letter is small. */
const NM = /^([\da-f]+) [BCDRSV] (\S.*)$/i;
const NM_ANY = /^(?:[\da-f]+| +) [a-z?-] \S/i;

/**
 * Reads names of variables from a map of wasm-ld, from the output of nm, or from JSON.
 * @param name of the file, for messages
 * @returns byte addresses by name
 * @throws ERR_BELAY_OPTION for a file that is none of these, or has no variable in it
 */
export function parseSymbols(text: string, name = 'the file of symbols'): Map<string, number> {
  const lines = text.split(/\r?\n/);
  const first = lines.find((line) => line.trim() !== '') ?? '';
  const found = /^\s*\{/.test(first) ? fromJson(text) : MAP.test(first) ? fromMap(lines) : fromNm(lines);
  if (!found) {
    throw historyError(
      'ERR_BELAY_OPTION',
      `${name} has no symbols as they are known here: give a map of the linker (wasm-ld -Map), the output of nm, or JSON such as {"counter": 1024}`,
    );
  }
  if (found.size > 0) return found;
  throw historyError(
    'ERR_BELAY_OPTION',
    `${name} names no variable: was it made from the program with its data?`,
  );
}

function fromMap(lines: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  let section: string | undefined;
  for (const line of lines) {
    section = MAP_SECTION.exec(line)?.[1] ?? section;
    if (section === 'DATA') add(found, MAP_SYMBOL.exec(line));
  }
  return found;
}

function fromNm(lines: readonly string[]): Map<string, number> | undefined {
  const found = new Map<string, number>();
  for (const line of lines) add(found, NM.exec(line));
  return found.size > 0 || lines.some((line) => NM_ANY.test(line)) ? found : undefined;
}

function add(to: Map<string, number>, match: RegExpExecArray | null): void {
  const [, address, symbol] = match ?? [];
  if (symbol !== undefined && !to.has(symbol)) to.set(symbol, Number.parseInt(address!, 16));
}

function fromJson(text: string): Map<string, number> | undefined {
  let pairs: [string, unknown][];
  try {
    pairs = Object.entries(JSON.parse(text));
  } catch {
    return undefined;
  }
  const isAddress = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  return pairs.every(([, value]) => isAddress(value)) ? new Map(pairs as [string, number][]) : undefined;
}
