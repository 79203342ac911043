/**
 * When does an expression hold?
 *
 * **Search** goes through time once. After an evaluation it knows which bytes of which pages were read; until one of these
 * pages has a version that touches them the value stays, so the entries between are skipped without being looked at.
 *
 *     page 7      v17 ........... v31 ....... v40 .........
 *     evaluated    ^               ^           ^
 *
 * **Bisection** is for expressions that turn once: it looks at both ends, and halves; not quite in the middle where an entry
 * close to it is at hand, because a chunk begins behind it. So it opens the last chunk alone, and those of the ends.
 *
 *     chunks     |-------|-----|---------|------|--------|
 *     asked      ^             ^    ^ ^  ^                ^
 */
import type { Contract } from '../../contract/contract.js';
import type { Expression } from './expression/index.js';
import { type Caller, TwoMoments } from './past.js';
import type { Source } from './source.js';
import type { BisectResult, Interval, Range } from './types.js';

export interface SearchOptions extends Range {
  /** Called now and then with the entry that is looked at. */
  onProgress?: (entry: number) => void;
}

/** Evaluations between two reports of progress. */
const REPORT = 4096;
/** Entries among which bisection goes to the middle. */
const FEW = 256;

export function* search(
  source: Source,
  contract: Contract,
  expression: Expression,
  { from, to }: Required<Range>,
  { onProgress }: SearchOptions,
  caller?: Caller,
): IterableIterator<Interval> {
  const past = new TwoMoments(source, contract, caller);
  let begin: number | undefined;
  let evaluated = 0;
  for (let entry = from; entry <= to; ) {
    past.seek(entry);
    const holds = expression.holds(past);
    if (holds) begin ??= entry;
    else if (begin !== undefined) {
      yield { from: begin, to: entry - 1 };
      begin = undefined;
    }
    if (++evaluated % REPORT === 0) onProgress?.(entry);
    // What it says of the entry itself changes with every entry.
    entry = expression.usesEntry ? entry + 1 : Math.max(entry + 1, past.next);
  }
  if (begin !== undefined) yield { from: begin, to };
}

/** The first entry at which an expression says what it says of the last one, where the ends differ. */
export function bisect(
  source: Source,
  contract: Contract,
  expression: Expression,
  { from, to }: Required<Range>,
  { onProgress }: SearchOptions,
  caller?: Caller,
): BisectResult {
  const past = new TwoMoments(source, contract, caller);
  let evaluated = 0;
  const holds = (entry: number): boolean => {
    past.seek(entry);
    evaluated++;
    onProgress?.(entry);
    return expression.holds(past);
  };
  const between = (low: number, high: number): number => {
    const middle = low + Math.floor((high - low) / 2);
    // A few entries are in one chunk or two.
    const cheap = high - low < FEW ? undefined : past.cheapBefore(middle);
    return cheap !== undefined && cheap - low > (high - low) / 4 ? cheap : middle;
  };
  const first = holds(from);
  const last = from === to ? first : holds(to);
  if (first === last) return { first, last, evaluated };
  let low = from;
  let high = to;
  while (high - low > 1) {
    const entry = between(low, high);
    if (holds(entry) === last) high = entry;
    else low = entry;
  }
  return { first, last, turn: high, evaluated };
}
