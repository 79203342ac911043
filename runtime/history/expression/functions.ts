/** The functions of the language. */
import {
  type BytesCode,
  big,
  type Code,
  type FloatCode,
  float,
  fromBig,
  fromNumber,
  type IntegerCode,
  type StringCode,
} from './code.js';
import { bytesOf } from './compare.js';
import type { Compiler } from './compile.js';
import type { Span } from './errors.js';
import { extreme, unary } from './integers.js';
import type { FunctionType, WasmType } from './names.js';
import { indexOfBytes, sameBytes } from './reads.js';
import { suggestion } from './resolve.js';
import type { Node } from './syntax.js';

interface Known {
  /** How it is written. */
  usage: string;
  /** The least and the largest number of operands. */
  count: [number, number];
  compile(compiler: Compiler, operands: Node[], at: Span): Code;
}

type NumberCode = IntegerCode | FloatCode;

function numberOf(compiler: Compiler, node: Node, who: string): NumberCode {
  const code = compiler.compile(node);
  if (code.type === 'integer' || code.type === 'float') return code;
  return compiler.operand(code, `'${who}'`, 'numbers');
}

const extremeOf = (which: 'min' | 'max'): Known => ({
  usage: `${which}(a, b, ...)`,
  count: [2, Number.POSITIVE_INFINITY],
  compile: (compiler, operands, at) =>
    operands
      .map((operand) => numberOf(compiler, operand, which))
      .reduce((a, b) => {
        if (a.type === 'integer' && b.type === 'integer') return extreme(at, which, a, b);
        const [left, right] = [float(a), float(b)];
        const pick = Math[which];
        return { type: 'float', at, constant: a.constant && b.constant, run: () => pick(left(), right()) };
      }),
});

type TextCode = StringCode | BytesCode;

/** A function of two texts; of bytes, if one of them is bytes. */
const textual = (
  name: string,
  strings: (text: string, part: string) => boolean,
  bytes: (text: Uint8Array, part: Uint8Array) => boolean,
): Known => ({
  usage: `${name}(text, part)`,
  count: [2, 2],
  compile: (compiler, operands, at) => {
    const [text, part] = operands.map((node): TextCode => {
      const code = compiler.compile(node);
      if (code.type === 'string' || code.type === 'bytes') return code;
      return compiler.operand(code, `'${name}'`, 'strings and bytes');
    }) as [TextCode, TextCode];
    const constant = text.constant && part.constant;
    if (text.type === 'string' && part.type === 'string') {
      const [a, b] = [text.run, part.run];
      return { type: 'boolean', at, constant, run: () => strings(a(), b()) };
    }
    const [a, b] = [bytesOf(text), bytesOf(part)];
    return { type: 'boolean', at, constant, run: () => bytes(a(), b()) };
  },
});

function hex(compiler: Compiler, [node]: Node[], at: Span): BytesCode {
  if (node!.kind !== 'string')
    return compiler.fail(node!.at, `'hex' takes a string as it stands, such as hex("00 ff")`);
  const digits = node!.value.replace(/\s/g, '');
  if (!/^(?:[\da-f]{2})*$/i.test(digits)) {
    compiler.fail(
      node!.at,
      'these are no bytes in hexadecimal: two digits each, with spaces between them or not',
    );
  }
  const bytes = Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return { type: 'bytes', at, constant: true, run: () => bytes };
}

/** Towards zero; of what is finite. */
function int(compiler: Compiler, [node]: Node[], at: Span): IntegerCode {
  const code = numberOf(compiler, node!, 'int');
  if (code.type === 'integer') return code;
  const { run } = compiler;
  const value = code.run;
  // A float has at most 1024 bits before its point.
  const range = { low: -(1n << 1024n), high: 1n << 1024n };
  return fromBig(at, code.constant, range, () => {
    const number = value();
    if (Number.isFinite(number)) return BigInt(Math.trunc(number));
    run.lost = true;
    return 0n;
  });
}

function defined(compiler: Compiler, [node]: Node[], at: Span): Code {
  const code = compiler.compile(node!);
  const { run } = compiler;
  const compute = (): boolean => {
    const before = run.lost;
    run.lost = false;
    code.run();
    const there = !run.lost;
    run.lost = before;
    return there;
  };
  return { type: 'boolean', at, constant: code.constant, run: compute };
}

// Calls.

/** As WebAssembly's JavaScript interface wants an argument: integers modulo 2^32, or 2^64. */
function argument(compiler: Compiler, node: Node, type: WasmType): () => number | bigint {
  const code = numberOf(compiler, node, 'call');
  if (type === 'f32' || type === 'f64') {
    const run = float(code);
    return type === 'f32' ? () => Math.fround(run()) : run;
  }
  if (code.type === 'float') {
    return compiler.fail(
      code.at,
      `this argument is an ${type}, and what is given is a float; write 'int(...)'`,
    );
  }
  const run = big(code);
  return type === 'i64' ? () => BigInt.asIntN(64, run()) : () => Number(BigInt.asIntN(32, run()));
}

function called(compiler: Compiler, node: Node): [name: string, type: FunctionType] {
  const { functions } = compiler.names;
  if (node.kind !== 'string') {
    return compiler.fail(node.at, `'call' takes the name of a function as it stands, such as call("total")`);
  }
  if (functions === undefined) {
    return compiler.fail(node.at, 'the functions of the module are not known here, and none can be called');
  }
  const type = functions.get(node.value);
  if (type === undefined) {
    const problem = `the module exports no function '${node.value}'`;
    return compiler.fail(node.at, problem + suggestion(node.value, [...functions.keys()]));
  }
  if (type.results.length !== 1 || [...type.params, ...type.results].includes('other')) {
    compiler.fail(
      node.at,
      `'${node.value}' cannot be called: it does not have numbers for parameters, and one for a result`,
    );
  }
  return [node.value, type];
}

function call(compiler: Compiler, [first, ...rest]: Node[], at: Span): Code {
  const [name, type] = called(compiler, first!);
  if (rest.length !== type.params.length) {
    const { length } = type.params;
    const wanted =
      length === 0
        ? 'no arguments'
        : `${length} argument${length === 1 ? '' : 's'} (${type.params.join(', ')})`;
    compiler.fail(
      at,
      `'${name}' takes ${wanted}, and ${rest.length} ${rest.length === 1 ? 'is' : 'are'} given`,
    );
  }
  const args = rest.map((node, i) => argument(compiler, node, type.params[i]!));
  if (!compiler.calls.some((c) => c.name === name)) compiler.calls.push({ name, ...type });
  compiler.access.areas = undefined;
  const { run } = compiler;
  const { back } = compiler.access;
  const result = (): number | bigint => {
    const values = args.map((arg) => arg());
    // What is not there is given to nobody.
    if (run.lost) return 0;
    const { past } = run;
    if (past.call === undefined) {
      compiler.fail(at, `'${name}' cannot be called here: there is no guest to call`);
    }
    const value = past.call(name, values, back);
    if (value !== undefined) return value;
    run.lost = true;
    return 0;
  };
  switch (type.results[0]) {
    case 'i32':
      return fromNumber(at, false, { low: -(2n ** 31n), high: 2n ** 31n - 1n }, () => Number(result()) | 0);
    case 'i64':
      return fromBig(at, false, { low: -(2n ** 63n), high: 2n ** 63n - 1n }, () =>
        BigInt.asIntN(64, BigInt(result())),
      );
    default:
      return { type: 'float', at, constant: false, run: () => Number(result()) };
  }
}

export const FUNCTIONS: ReadonlyMap<string, Known> = new Map<string, Known>(
  Object.entries({
    old: {
      usage: 'old(expression)',
      count: [1, 1],
      compile: (compiler, [node], at) => compiler.old(node!, at),
    },
    defined: { usage: 'defined(expression)', count: [1, 1], compile: defined },
    call: { usage: 'call("name", ...)', count: [1, Number.POSITIVE_INFINITY], compile: call },
    abs: {
      usage: 'abs(number)',
      count: [1, 1],
      compile: (compiler, [node], at) => {
        const code = numberOf(compiler, node!, 'abs');
        if (code.type === 'integer') return unary(at, 'abs', code);
        const { run, constant } = code;
        return { type: 'float', at, constant, run: () => Math.abs(run()) };
      },
    },
    min: extremeOf('min'),
    max: extremeOf('max'),
    int: { usage: 'int(number)', count: [1, 1], compile: int },
    float: {
      usage: 'float(number)',
      count: [1, 1],
      compile: (compiler, [node], at) => {
        const code = numberOf(compiler, node!, 'float');
        return { type: 'float', at, constant: code.constant, run: float(code) };
      },
    },
    fround: {
      usage: 'fround(number)',
      count: [1, 1],
      compile: (compiler, [node], at) => {
        const code = numberOf(compiler, node!, 'fround');
        const run = float(code);
        return { type: 'float', at, constant: code.constant, run: () => Math.fround(run()) };
      },
    },
    contains: textual(
      'contains',
      (text, part) => text.includes(part),
      (text, part) => indexOfBytes(text, part) >= 0,
    ),
    startsWith: textual(
      'startsWith',
      (text, part) => text.startsWith(part),
      (text, part) => part.length <= text.length && sameBytes(text.subarray(0, part.length), part),
    ),
    endsWith: textual(
      'endsWith',
      (text, part) => text.endsWith(part),
      (text, part) => part.length <= text.length && sameBytes(text.subarray(text.length - part.length), part),
    ),
    hex: { usage: 'hex("00 ff")', count: [1, 1], compile: hex },
  }),
);
