/**
 * Comparisons. Numbers are compared as what they are, exactly, be they integers or floats: JavaScript's operators do
 * so with numbers and bigints in any mixture. A comparison with a NaN is false, but for `!=`.
 */
import type { BooleanCode, BytesCode, Code, FloatCode, IntegerCode, StringCode } from './code.js';
import type { Span } from './errors.js';
import { encode, sameBytes } from './reads.js';

type NumberCode = IntegerCode | FloatCode;
const isNumber = (code: Code): code is NumberCode => code.type === 'integer' || code.type === 'float';
const isText = (code: Code): code is StringCode | BytesCode =>
  code.type === 'string' || code.type === 'bytes';
const isBig = (code: NumberCode): boolean => code.type === 'integer' && code.form === 'bigint';

/** Numbers with a number that stands there: what most questions are. */
function withConstant(operator: string, left: () => number, right: number): () => boolean {
  switch (operator) {
    case '==':
      return () => left() === right;
    case '!=':
      return () => left() !== right;
    case '<':
      return () => left() < right;
    case '<=':
      return () => left() <= right;
    case '>':
      return () => left() > right;
    default:
      return () => left() >= right;
  }
}

function ofNumbers(operator: string, left: () => number, right: () => number): () => boolean {
  switch (operator) {
    case '==':
      return () => left() === right();
    case '!=':
      return () => left() !== right();
    case '<':
      return () => left() < right();
    case '<=':
      return () => left() <= right();
    case '>':
      return () => left() > right();
    default:
      return () => left() >= right();
  }
}

type Mixed = () => number | bigint;

function ofMixed(operator: string, left: Mixed, right: Mixed): () => boolean {
  const same = (a: number | bigint, b: number | bigint) => a <= b && a >= b;
  switch (operator) {
    case '==':
      return () => same(left(), right());
    case '!=':
      return () => !same(left(), right());
    case '<':
      return () => left() < right();
    case '<=':
      return () => left() <= right();
    case '>':
      return () => left() > right();
    default:
      return () => left() >= right();
  }
}

function numbers(operator: string, left: NumberCode, right: NumberCode): () => boolean {
  if (isBig(left) || isBig(right)) return ofMixed(operator, left.run, right.run);
  const [a, b] = [left.run as () => number, right.run as () => number];
  return right.constant ? withConstant(operator, a, b()) : ofNumbers(operator, a, b);
}

/** The bytes of a text, for a comparison with bytes. */
export function bytesOf(code: StringCode | BytesCode): () => Uint8Array {
  const { run } = code;
  if (!code.constant) return code.type === 'bytes' ? code.run : () => encode((run as () => string)());
  const value = run();
  const bytes = typeof value === 'string' ? encode(value) : value;
  return () => bytes;
}

/** A string that only bytes that are UTF-8 decode to, so that bytes may be compared instead. */
const isPlain = (code: Code): boolean =>
  code.type === 'string' && code.constant && !code.run().includes('\ufffd');

function texts(left: StringCode | BytesCode, right: StringCode | BytesCode): () => boolean {
  for (const [read, text] of [
    [left, right],
    [right, left],
  ] as const) {
    if (read.type !== 'string' || read.is === undefined || !isPlain(text)) continue;
    return read.is(bytesOf(text)());
  }
  if (left.type === 'string' && right.type === 'string') {
    const [a, b] = [left.run, right.run];
    return () => a() === b();
  }
  const [a, b] = [bytesOf(left), bytesOf(right)];
  return () => sameBytes(a(), b());
}

/** `==` and `!=`; undefined if the two cannot be equal by their types. */
export function equal(at: Span, operator: '==' | '!=', left: Code, right: Code): BooleanCode | undefined {
  const constant = left.constant && right.constant;
  const of = (run: () => boolean): BooleanCode => ({ type: 'boolean', at, constant, run });
  if (isNumber(left) && isNumber(right)) return of(numbers(operator, left, right));
  const wanted = operator === '==';
  if (left.type === 'boolean' && right.type === 'boolean') {
    const [a, b] = [left.run, right.run];
    return of(() => (a() === b()) === wanted);
  }
  if (!isText(left) || !isText(right)) return undefined;
  const same = texts(left, right);
  return of(wanted ? same : () => !same());
}

/** `<`, `<=`, `>`, `>=`; undefined if the two have no order. */
export function compare(at: Span, operator: string, left: Code, right: Code): BooleanCode | undefined {
  if (!isNumber(left) || !isNumber(right)) return undefined;
  const constant = left.constant && right.constant;
  return { type: 'boolean', at, constant, run: numbers(operator, left, right) };
}
