/** Arithmetic of integers without limits; see code.ts for how it is done fast. */
import {
  big,
  fromBig,
  fromNumber,
  type IntegerCode,
  isSmall,
  type Range,
  type Run,
  type SmallCode,
} from './code.js';
import type { Span } from './errors.js';

/** The largest count of a shift. */
export const SHIFT_LIMIT = 1023;

const U32 = { low: 0n, high: 0xffff_ffffn };
const I32 = { low: -(1n << 31n), high: (1n << 31n) - 1n };

const within = (range: Range, { low, high }: Range): boolean => range.low >= low && range.high <= high;
const magnitude = ({ low, high }: Range): bigint => (-low > high ? -low : high);
const least = (values: bigint[]): bigint => values.reduce((a, b) => (b < a ? b : a));
const greatest = (values: bigint[]): bigint => values.reduce((a, b) => (b > a ? b : a));
const hull = (values: bigint[]): Range => ({ low: least(values), high: greatest(values) });

/** Bits that the absolute value of every number of the range has at most. */
const bits = (range: Range): bigint => BigInt(magnitude(range).toString(2).length);

function bitwiseRange(operator: string, a: Range, b: Range): Range {
  if (operator === '&' && (a.low >= 0n || b.low >= 0n)) {
    return { low: 0n, high: least([a, b].filter(({ low }) => low >= 0n).map(({ high }) => high)) };
  }
  const width = greatest([bits(a), bits(b)]);
  return { low: a.low >= 0n && b.low >= 0n ? 0n : -(1n << width), high: (1n << width) - 1n };
}

function shiftRange(operator: string, a: Range, count: Range): Range {
  const clip = (n: bigint) => (n < 0n ? 0n : n > SHIFT_LIMIT ? BigInt(SHIFT_LIMIT) : n);
  const counts = [clip(count.low), clip(count.high)];
  const shifted = (v: bigint) => counts.map((n) => (operator === '<<' ? v << n : v >> n));
  // 0 is what a count that is out of bounds leaves behind.
  return hull([0n, ...shifted(a.low), ...shifted(a.high)]);
}

function range(operator: string, a: Range, b: Range): Range {
  switch (operator) {
    case '+':
      return { low: a.low + b.low, high: a.high + b.high };
    case '-':
      return { low: a.low - b.high, high: a.high - b.low };
    case '*':
      return hull([a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high]);
    case '/': {
      const most = magnitude(a);
      return { low: a.low >= 0n && b.low >= 0n ? 0n : -most, high: most };
    }
    case '%': {
      const divisor = magnitude(b) - 1n;
      const most = least([magnitude(a), divisor < 0n ? 0n : divisor]);
      return { low: a.low >= 0n ? 0n : -most, high: a.high <= 0n ? 0n : most };
    }
    case '<<':
    case '>>':
      return shiftRange(operator, a, b);
    default:
      return bitwiseRange(operator, a, b);
  }
}

/** `+ 0` makes 0 of -0. */
function withNumbers(
  run: Run,
  operator: string,
  a: SmallCode,
  b: SmallCode,
  result: Range,
): (() => number) | undefined {
  const [left, right] = [a.run, b.run];
  const none = (): number => {
    run.lost = true;
    return 0;
  };
  const counts = (n: number) => n >= 0 && n <= SHIFT_LIMIT;
  const signed = within(a.range, I32) && within(b.range, I32);
  const unsigned = within(a.range, U32) && within(b.range, U32);
  switch (operator) {
    case '+':
      return () => left() + right();
    case '-':
      return () => left() - right();
    case '*':
      return () => left() * right() + 0;
    case '/':
      return () => {
        const [p, q] = [left(), right()];
        // The difference is a multiple of q, so that the division is exact.
        return q === 0 ? none() : (p - (p % q)) / q + 0;
      };
    case '%':
      return () => {
        const [p, q] = [left(), right()];
        return q === 0 ? none() : (p % q) + 0;
      };
    case '<<':
      return () => {
        const [p, n] = [left(), right()];
        return counts(n) ? p * 2 ** n : none();
      };
    case '>>':
      return () => {
        const [p, n] = [left(), right()];
        return counts(n) ? Math.floor(p / 2 ** n) : none();
      };
    case '&':
      if (signed) return () => left() & right();
      // The lower 32 bits of an operand are all that counts.
      return within(result, U32) ? () => (left() & right()) >>> 0 : undefined;
    case '|':
      if (signed) return () => left() | right();
      return unsigned ? () => (left() | right()) >>> 0 : undefined;
    case '^':
      if (signed) return () => left() ^ right();
      return unsigned ? () => (left() ^ right()) >>> 0 : undefined;
    default:
      return undefined;
  }
}

function withBigints(run: Run, operator: string, a: IntegerCode, b: IntegerCode): () => bigint {
  const [left, right] = [big(a), big(b)];
  const none = (): bigint => {
    run.lost = true;
    return 0n;
  };
  const counts = (n: bigint) => n >= 0n && n <= SHIFT_LIMIT;
  switch (operator) {
    case '+':
      return () => left() + right();
    case '-':
      return () => left() - right();
    case '*':
      return () => left() * right();
    case '/':
      return () => {
        const [p, q] = [left(), right()];
        return q === 0n ? none() : p / q;
      };
    case '%':
      return () => {
        const [p, q] = [left(), right()];
        return q === 0n ? none() : p % q;
      };
    case '<<':
      return () => {
        const [p, n] = [left(), right()];
        return counts(n) ? p << n : none();
      };
    case '>>':
      return () => {
        const [p, n] = [left(), right()];
        return counts(n) ? p >> n : none();
      };
    case '&':
      return () => left() & right();
    case '|':
      return () => left() | right();
    default:
      return () => left() ^ right();
  }
}

/** `+ - * / % << >> & | ^` */
export function binary(run: Run, at: Span, operator: string, a: IntegerCode, b: IntegerCode): IntegerCode {
  const result = range(operator, a.range, b.range);
  const constant = a.constant && b.constant;
  if (a.form === 'number' && b.form === 'number' && isSmall(result)) {
    const compute = withNumbers(run, operator, a, b, result);
    if (compute) return fromNumber(at, constant, result, compute);
  }
  return fromBig(at, constant, result, withBigints(run, operator, a, b));
}

/** Whether `>>>` has a meaning for it. */
export const has32Bits = ({ range }: IntegerCode): boolean => within(range, { low: I32.low, high: U32.high });

/** The 32 bits of an integer that {@link has32Bits}, as an unsigned one. */
export function unsigned32(code: IntegerCode): IntegerCode {
  if (code.range.low >= 0n || code.form !== 'number') return code;
  const { run } = code;
  return fromNumber(code.at, code.constant, U32, () => run() >>> 0);
}

export function unary(at: Span, operator: '-' | '~' | 'abs', code: IntegerCode): IntegerCode {
  const { low, high } = code.range;
  const result = {
    '-': { low: -high, high: -low },
    '~': { low: -high - 1n, high: -low - 1n },
    abs: { low: low > 0n ? low : high < 0n ? -high : 0n, high: magnitude(code.range) },
  }[operator];
  if (code.form === 'number' && isSmall(result)) {
    const { run } = code;
    const compute = { '-': () => 0 - run(), '~': () => -1 - run(), abs: () => Math.abs(run()) }[operator];
    return fromNumber(at, code.constant, result, compute);
  }
  const run = big(code);
  const compute = {
    '-': () => -run(),
    '~': () => ~run(),
    abs: () => {
      const value = run();
      return value < 0n ? -value : value;
    },
  }[operator];
  return fromBig(at, code.constant, result, compute);
}

/** The least, or the greatest, of two. */
export function extreme(at: Span, which: 'min' | 'max', a: IntegerCode, b: IntegerCode): IntegerCode {
  const pick = which === 'min' ? least : greatest;
  const result = {
    low: pick([a.range.low, b.range.low]),
    high: pick([a.range.high, b.range.high]),
  };
  const constant = a.constant && b.constant;
  if (a.form === 'number' && b.form === 'number') {
    const [left, right] = [a.run, b.run];
    const compute = which === 'min' ? () => Math.min(left(), right()) : () => Math.max(left(), right());
    return fromNumber(at, constant, result, compute);
  }
  const [left, right] = [big(a), big(b)];
  return fromBig(at, constant, result, () => pick([left(), right()]));
}

/** One of two, as `choose` says. */
export function either(at: Span, choose: () => boolean, a: IntegerCode, b: IntegerCode): IntegerCode {
  const result = { low: least([a.range.low, b.range.low]), high: greatest([a.range.high, b.range.high]) };
  if (a.form === 'number' && b.form === 'number') {
    const [yes, no] = [a.run, b.run];
    return fromNumber(at, false, result, () => (choose() ? yes() : no()));
  }
  const [yes, no] = [big(a), big(b)];
  return fromBig(at, false, result, () => (choose() ? yes() : no()));
}
