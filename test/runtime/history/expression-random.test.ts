/**
 * Random expressions, against an evaluator that has neither bounds nor numbers nor pages: all integers are bigints, and
 * what has no value is null. And random text: an expression, or an error with a code.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile, type ExpressionError, type Names } from '../../../runtime/history/expression/index.js';
import { contractOf, pastOf } from './expression-state.js';

const RUNS = 800;
const contract = contractOf([{ exports: ['g'] }, { type: 'i64', exports: ['h'] }]);
const names: Names = {
  contract,
  globalNames: new Map(),
  symbols: new Map([['page', 4092]]),
  functions: new Map(),
};

/** What is evaluated naively: a memory and two globals, now and before. */
interface State {
  memory: Uint8Array;
  g: bigint;
  h: bigint;
}
type Past = [now: State, before: State];
type Value = bigint | number | boolean | null;
interface Random {
  text: string;
  value: (past: Past, back: 0 | 1) => Value;
}

const SIZES = [65536, 131072] as const;

const bytes = fc.uint8Array({ minLength: 64, maxLength: 64 });
const special = fc.constantFrom(
  0n,
  1n,
  -1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 63n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
);
const state: fc.Arbitrary<State> = fc
  .record({
    size: fc.constantFrom(...SIZES),
    seed: bytes,
    g: fc.bigInt({ min: -(2n ** 31n), max: 2n ** 31n - 1n }),
    h: fc.oneof(special, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  })
  .map(({ size, seed, g, h }) => {
    const memory = new Uint8Array(size);
    for (const at of [0, 4064, 8160, size - 64]) memory.set(seed, at);
    // Small numbers, so that pointers point somewhere.
    for (let i = 1; i < 64; i += 4) memory[i + 1] = memory[i + 2] = 0;
    return { memory, g, h };
  });

function naiveRead(memory: Uint8Array, at: bigint, type: string): Value {
  const length = BigInt(Number(type.slice(1)) / 8);
  if (at < 0n || at + length > BigInt(memory.length)) return null;
  let raw = 0n;
  for (let i = length - 1n; i >= 0n; i--) raw = (raw << 8n) | BigInt(memory[Number(at + i)]!);
  const bits = Number(length) * 8;
  if (type.startsWith('u')) return raw;
  if (type.startsWith('i')) return BigInt.asIntN(bits, raw);
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, raw, true);
  return type === 'f32' ? view.getFloat32(0, true) : view.getFloat64(0, true);
}

const abs = (a: bigint) => (a < 0n ? -a : a);
const inShift = (n: bigint) => n >= 0n && n <= 1023n;

const INTEGER: Record<string, (a: bigint, b: bigint) => bigint | null> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0n ? null : (abs(a) / abs(b)) * (a < 0n === b < 0n ? 1n : -1n)),
  '%': (a, b) => (b === 0n ? null : a - (a / b) * b),
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
  '<<': (a, n) => (inShift(n) ? a * 2n ** n : null),
  '>>': (a, n) => (inShift(n) ? (a - (((a % 2n ** n) + 2n ** n) % 2n ** n)) / 2n ** n : null),
};
const FLOAT: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
};
/** -1, 0, 1, or NaN where there is no order. */
function order(a: bigint | number, b: bigint | number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.NaN;
  if (typeof a === typeof b || !Number.isFinite(Number(a)) || !Number.isFinite(Number(b))) {
    return a < b ? -1 : a > b ? 1 : 0;
  }
  // Doubles as fractions: a multiple of 2^-1074.
  const exact = (v: bigint | number): bigint => {
    if (typeof v === 'bigint') return v << 1074n;
    let [mantissa, exponent] = [v, 0];
    while (!Number.isInteger(mantissa)) {
      mantissa *= 2;
      exponent++;
    }
    return BigInt(mantissa) << BigInt(1074 - exponent);
  };
  const [p, q] = [exact(a), exact(b)];
  return p < q ? -1 : p > q ? 1 : 0;
}
const COMPARE: Record<string, (order: number) => boolean> = {
  '==': (o) => o === 0,
  '!=': (o) => o !== 0,
  '<': (o) => o < 0,
  '<=': (o) => o <= 0,
  '>': (o) => o > 0,
  '>=': (o) => o >= 0,
};

const lift =
  <A extends Value, B extends Value>(a: Random, b: Random, f: (x: A, y: B) => Value): Random['value'] =>
  (past, back) => {
    const [x, y] = [a.value(past, back), b.value(past, back)];
    return x === null || y === null ? null : f(x as A, y as B);
  };
const group = ({ text }: Random) => `(${text})`;

const { integer, float, boolean } = fc.letrec<{
  integer: Random;
  float: Random;
  boolean: Random;
  address: Random;
}>((tie) => {
  const shallow = { maxDepth: 4, depthSize: 'small' } as const;
  const literal = fc
    .oneof(
      fc.bigInt({ min: 0n, max: 300n }),
      fc.constantFrom(4095n, 0xffffffffn, 2n ** 31n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n, 2n ** 90n),
    )
    .map((n): Random => ({ text: String(n), value: () => n }));
  const place = fc
    .oneof(
      fc.nat(80),
      fc.nat(64).map((n) => 4064 + n),
      fc.nat(70).map((n) => 65480 + n),
    )
    .map((n): Random => ({ text: `0x${n.toString(16)}`, value: () => BigInt(n) }));
  const known = fc.constantFrom<Random>(
    { text: 'g', value: (past, back) => past[back].g },
    { text: 'h', value: (past, back) => past[back].h },
    { text: 'size', value: (past, back) => BigInt(past[back].memory.length) },
    { text: 'page', value: () => 4092n },
  );
  const read = (types: string[]) =>
    fc.tuple(fc.constantFrom(...types), tie('address')).map(
      ([type, address]): Random => ({
        text: `${type}[${address.text}]`,
        value: (past, back) => {
          const at = address.value(past, back);
          return at === null ? null : naiveRead(past[back].memory, at as bigint, type);
        },
      }),
    );
  const binary = (
    operators: object,
    of: 'integer' | 'float',
    apply: (op: string) => (a: never, b: never) => Value,
  ) =>
    fc
      .tuple(fc.constantFrom(...Object.keys(operators)), tie(of), tie(of))
      .map(([op, a, b]): Random => ({ text: `${group(a)} ${op} ${group(b)}`, value: lift(a, b, apply(op)) }));
  const unary = (
    of: 'integer' | 'float' | 'boolean',
    shape: (text: string) => string,
    f: (a: never) => Value,
  ) =>
    tie(of).map(
      (a): Random => ({
        text: shape(a.text),
        value: (past, back) => {
          const x = a.value(past, back);
          return x === null ? null : f(x as never);
        },
      }),
    );
  const choice = (of: 'integer' | 'float' | 'boolean') =>
    fc.tuple(tie('boolean'), tie(of), tie(of)).map(
      ([c, a, b]): Random => ({
        text: `${group(c)} ? ${group(a)} : ${group(b)}`,
        value: (past, back) => {
          const chosen = c.value(past, back);
          return chosen === null ? null : (chosen ? a : b).value(past, back);
        },
      }),
    );
  const pick = (name: 'min' | 'max', chosen: (o: number) => boolean) =>
    fc.tuple(tie('integer'), tie('integer')).map(
      ([a, b]): Random => ({
        text: `${name}(${a.text}, ${b.text})`,
        value: lift(a, b, (x: bigint, y: bigint) => (chosen(order(x, y)) ? x : y)),
      }),
    );
  const logic = (op: '&&' | '||') =>
    fc.tuple(tie('boolean'), tie('boolean')).map(
      ([a, b]): Random => ({
        text: `${group(a)} ${op} ${group(b)}`,
        value: (past, back) => {
          const both = [a.value(past, back), b.value(past, back)];
          const decisive = op === '||';
          return both.includes(decisive) ? decisive : both.includes(null) ? null : !decisive;
        },
      }),
    );
  const number = fc.oneof(tie('integer'), tie('float'));
  return {
    address: fc.oneof(
      shallow,
      place,
      fc.tuple(place, tie('integer')).map(
        ([p, i]): Random => ({
          text: `${p.text} + (${i.text}) % 64`,
          value: lift(p, i, (x: bigint, y: bigint) => x + (y % 64n)),
        }),
      ),
      read(['u8', 'u16', 'u32']),
      tie('integer').map((i): Random => i),
    ),
    integer: fc.oneof(
      shallow,
      literal,
      known,
      read(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64']),
      read(['u8', 'u32']),
      binary(INTEGER, 'integer', (op) => INTEGER[op]!),
      unary(
        'integer',
        (t) => `-(${t})`,
        (a: bigint) => -a,
      ),
      unary(
        'integer',
        (t) => `~(${t})`,
        (a: bigint) => ~a,
      ),
      unary('integer', (t) => `abs(${t})`, abs),
      unary(
        'integer',
        (t) => `((${t}) & 0xffffffff) >>> 3`,
        (a: bigint) => BigInt.asUintN(32, a) >> 3n,
      ),
      unary(
        'float',
        (t) => `int(${t})`,
        (a: number) => (Number.isFinite(a) ? BigInt(Math.trunc(a)) : null),
      ),
      pick('min', (o) => o <= 0),
      pick('max', (o) => o >= 0),
      choice('integer'),
    ),
    float: fc.oneof(
      shallow,
      fc.constantFrom(0.5, 1e300, 0.1).map((n): Random => ({ text: `${n}`, value: () => n })),
      read(['f32', 'f64']),
      binary(FLOAT, 'float', (op) => FLOAT[op]!),
      unary(
        'integer',
        (t) => `float(${t})`,
        (a: bigint) => Number(a),
      ),
      unary(
        'float',
        (t) => `-(${t})`,
        (a: number) => -a,
      ),
      choice('float'),
    ),
    boolean: fc.oneof(
      shallow,
      fc.tuple(fc.constantFrom(...Object.keys(COMPARE)), number, number).map(
        ([op, a, b]): Random => ({
          text: `${group(a)} ${op} ${group(b)}`,
          value: lift(a, b, (x: number, y: number) => COMPARE[op]!(order(x, y))),
        }),
      ),
      logic('&&'),
      logic('||'),
      unary(
        'boolean',
        (t) => `!(${t})`,
        (a: boolean) => !a,
      ),
      number.map(
        (a): Random => ({ text: `defined(${a.text})`, value: (past, back) => a.value(past, back) !== null }),
      ),
      choice('boolean'),
    ),
  };
});

/** Half of it asks the entry before. */
const withOld = (of: fc.Arbitrary<Random>): fc.Arbitrary<Random> =>
  fc.oneof(
    of,
    of.map((a): Random => ({ text: `old(${a.text})`, value: (past) => a.value(past, 1) })),
  );

/** Constants that never have a value are refused, wherever they stand; the naive evaluator does not know. */
const NEVER = /never has a value|no memory has this address|nested more than/;

function agrees(random: Random, [now, before]: Past): void {
  let compiled: ReturnType<typeof compile>;
  try {
    compiled = compile(random.text, names);
  } catch (error) {
    if (NEVER.test((error as Error).message)) return;
    throw error;
  }
  const shape = ({ memory, g, h }: State) => ({ memories: [memory], globals: [g, h] });
  const past = pastOf(contract, shape(now), shape(before));
  const expected = random.value([now, before], 0) ?? undefined;
  const got = compiled.evaluate(past);
  assert.ok(Object.is(got, expected), `${random.text} is ${String(got)}, not ${String(expected)}`);
  assert.is(compiled.undefinedCount, expected === undefined ? 1 : 0);
  if (compiled.type === 'boolean') assert.is(compiled.holds(past), expected === true);
}

for (const [name, of] of Object.entries({ integer, float, boolean })) {
  test(`random expressions: ${name}`, () => {
    fc.assert(
      fc.property(withOld(of), state, state, (random, now, before) => agrees(random, [now, before])),
      { numRuns: RUNS },
    );
  });
}

test('random strings are what a decoder makes of their bytes', () => {
  const memory = new Uint8Array(65536);
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.string({ unit: 'binary', maxLength: 20 }).map((s) => new TextEncoder().encode(s)),
  );
  const place = fc.constantFrom(0, 4080, 8150, 61300, 65536 - 61);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  fc.assert(
    fc.property(content, place, fc.nat(60), (bytes, at, length) => {
      memory.fill(0).set(bytes, at);
      const past = pastOf(contract, { memories: [memory] });
      const value = (text: string) => compile(text, names).evaluate(past);
      const whole = memory.subarray(at, at + length);
      const end = memory.indexOf(0, at);
      const text = decoder.decode(memory.subarray(at, end));
      assert.is(value(`str[${at}]`), text);
      assert.is(value(`str[${at}] == ${JSON.stringify(text)}`), true);
      assert.is(value(`str[${at}] == ${JSON.stringify(`${text}.`)}`), false);
      assert.is(
        value(`${JSON.stringify([...text].slice(0, -1).join(''))} == str[${at} + u8[30000]]`),
        text === '',
      );
      assert.is(value(`str(${at}, ${length})`), decoder.decode(whole));
      assert.equal(value(`bytes(${at}, ${length})`), Uint8Array.from(whole));
      const hex = Array.from(whole, (b) => b.toString(16).padStart(2, '0')).join('');
      assert.is(value(`hex("${hex}") == bytes(${at} + u8[30000], ${length})`), true);
    }),
    { numRuns: 500 },
  );
});

/** @throws what is no error of the language. */
function taken(text: string): boolean {
  try {
    compile(text, names).evaluate(pastOf(contract, { memories: [new Uint8Array(65536)], globals: [0n, 0n] }));
    return true;
  } catch (error) {
    const { code, message, column, line } = error as ExpressionError;
    assert.is(code, 'ERR_BELAY_EXPRESSION', String((error as Error).stack));
    const lines = message.split('\n');
    assert.is(lines.length, 3, message);
    assert.match(lines[2]!, /^ *\^+$/);
    assert.ok(lines[2]!.length <= lines[1]!.length + 1, message);
    const source = text.split('\n')[line - 1]!;
    assert.ok(column >= 1 && column <= [...source].length + 1, message);
    return false;
  }
}

test('any text is an expression, or an error that points into it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => void taken(text)),
    { numRuns: RUNS },
  );
});

const WORDS = `u32 u64 i8 f32 f64 str bytes memory size entry old defined call abs min int hex contains global symbol g h page
  true false null this new in of let static yield await async function class typeof [ ] ( ) . , ? : ; + - * / % ** & | ^ && || ?? ! ~ < <= >
  >= == != === = += => ?. ... << >> >>> >>>= # @ \\ { } \` \${ // /* */ <!-- --> " ' 0 1 0x 0xff 1_0 0.5 1e9 5n "a" 'b' "\\u" \n`;

test('and so are any words of the language, and of JavaScript', () => {
  const words = fc.array(fc.constantFrom(...WORDS.trim().split(/ +|\n +/)), { maxLength: 12 });
  let expressions = 0;
  fc.assert(
    fc.property(words, fc.constantFrom('', ' ', '\n'), (list, between) => {
      if (taken(list.join(between))) expressions++;
    }),
    { numRuns: 5 * RUNS },
  );
  assert.ok(expressions > 0);
});

test('and expressions with a change in them', () => {
  const change = fc.tuple(fc.nat(), fc.nat(3), fc.constantFrom('', ...WORDS.trim().split(/\s+/)));
  fc.assert(
    fc.property(withOld(boolean), change, ({ text }, [at, gone, put]) => {
      const from = at % (text.length + 1);
      taken(text.slice(0, from) + put + text.slice(from + gone));
    }),
    { numRuns: RUNS },
  );
});

test.run();
