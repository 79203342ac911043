/**
 * Compiled expressions: closures that give a value, with what is known of it beforehand.
 *
 * An integer's bounds are known before anything is read: a `u32` lies between 0 and 2^32 - 1, the sum of two of them
 * between 0 and 2^33 - 2. Where they lie within 2^53, the closure computes with JavaScript numbers, which are exact
 * there; else with bigints. So no result is ever rounded, and what fits is fast.
 *
 * A value that is not there (a read beyond memory, a division by zero) is no value of its own: the closure notes
 * `run.lost`, gives any value of its type, and its users go on. Who looks at `lost` is the whole expression, `defined`,
 * `&&` and `||`. That costs nothing where nothing is lost.
 */
import type { Past } from '../types.js';
import type { Span } from './errors.js';

/** A {@link Past} that can also call the guest's functions. */
export interface CallingPast extends Past {
  /**
   * Calls an exported function on a copy of the state of the entry (`back` is 0), or of the one before. Arguments
   * are as WebAssembly's JavaScript interface wants them, and so is the result; undefined if the function trapped.
   */
  call?(name: string, args: readonly (number | bigint)[], back: 0 | 1): number | bigint | undefined;
}

/** What one evaluation knows. */
export interface Run {
  past: CallingPast;
  lost: boolean;
}

/** Both ends included. */
export interface Range {
  low: bigint;
  high: bigint;
}

interface Common {
  at: Span;
  /** Whether it is the same at each entry. */
  constant: boolean;
}

export interface BooleanCode extends Common {
  type: 'boolean';
  run: () => boolean;
}
/** An integer that fits a number exactly, and is never -0. */
export interface SmallCode extends Common {
  type: 'integer';
  form: 'number';
  range: Range;
  run: () => number;
}
export interface BigCode extends Common {
  type: 'integer';
  form: 'bigint';
  range: Range;
  run: () => bigint;
}
export type IntegerCode = SmallCode | BigCode;
export interface FloatCode extends Common {
  type: 'float';
  run: () => number;
}
export interface StringCode extends Common {
  type: 'string';
  run: () => string;
  /** Of one that is read: whether it is these bytes, without decoding it. */
  is?: (bytes: Uint8Array) => () => boolean;
}
export interface BytesCode extends Common {
  type: 'bytes';
  run: () => Uint8Array;
}
export type Code = BooleanCode | IntegerCode | FloatCode | StringCode | BytesCode;
export type ValueType = Code['type'];

/** How messages call a type. */
export const TYPE_NAMES: Record<ValueType, string> = {
  boolean: 'a truth value',
  integer: 'an integer',
  float: 'a float',
  string: 'a string',
  bytes: 'bytes',
};

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);
export const isSmall = ({ low, high }: Range): boolean => low >= -SAFE && high <= SAFE;

/** An integer from a closure that computes with bigints. */
export function fromBig(at: Span, constant: boolean, range: Range, run: () => bigint): IntegerCode {
  return isSmall(range)
    ? { type: 'integer', form: 'number', at, constant, range, run: () => Number(run()) }
    : { type: 'integer', form: 'bigint', at, constant, range, run };
}

/** An integer from a closure that computes with numbers; of a range where those are exact. */
export function fromNumber(at: Span, constant: boolean, range: Range, run: () => number): SmallCode {
  return { type: 'integer', form: 'number', at, constant, range, run };
}

export function big(code: IntegerCode): () => bigint {
  if (code.form === 'bigint') return code.run;
  const { run } = code;
  return () => BigInt(run());
}

/** The nearest float. */
export function float(code: IntegerCode | FloatCode): () => number {
  if (code.type === 'float' || code.form === 'number') return code.run;
  const { run } = code;
  return () => Number(run());
}

/** An integer that stands there, or has been computed before anything is read. */
export function integerConstant(at: Span, value: bigint): IntegerCode {
  const range = { low: value, high: value };
  if (!isSmall(range))
    return { type: 'integer', form: 'bigint', at, constant: true, range, run: () => value };
  const number = Number(value);
  return { type: 'integer', form: 'number', at, constant: true, range, run: () => number };
}
