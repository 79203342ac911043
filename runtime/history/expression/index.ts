/**
 * Expressions over the past of a guest's memory and globals: `u32[counter] > 5 && old(u32[counter]) <= 5`.
 * docs/expressions.md specifies the language.
 *
 *     text ──syntax.ts──> tree ──compile.ts──> closures of types and bounds (code.ts) ──> Expression
 *
 * Works wherever JavaScript does; generates no code.
 */

import type { Area } from './access.js';
import { type CallingPast, TYPE_NAMES, type ValueType } from './code.js';
import { type CalledFunction, Compiler } from './compile.js';
import { ExpressionError } from './errors.js';
import type { Names } from './names.js';
import { parse } from './syntax.js';

export type { Area } from './access.js';
export type { CallingPast, ValueType } from './code.js';
export type { CalledFunction } from './compile.js';
export { ExpressionError } from './errors.js';
export { type FunctionType, type ModuleNames, type Names, namesOf, type WasmType } from './names.js';

/** Integers are bigints, whatever their size. */
export type Value = boolean | bigint | number | string | Uint8Array;

export interface Expression {
  readonly text: string;
  readonly type: ValueType;
  /** Whether it looks at the entry before, too. */
  readonly usesOld: boolean;
  /** Whether the number of the entry matters, and not only its state. */
  readonly usesEntry: boolean;
  /** The functions that it calls: {@link CallingPast.call} is needed then. */
  readonly calls: readonly CalledFunction[];
  /**
   * All bytes that its value depends on, where they are the same at each entry; the sizes of memories are in the
   * registers. Undefined where addresses are computed from what is read, functions are called, or the number of the
   * entry is asked for. (With {@link usesOld}, the value can change at an entry that changes them, and at the one behind.)
   */
  readonly reads: readonly Area[] | undefined;
  /** Evaluations so far that had no value: something was read beyond the end of memory, or divided by zero. */
  readonly undefinedCount: number;
  /** The value at the entry of `past`; undefined where it has none. */
  evaluate(past: CallingPast): Value | undefined;
  /** Whether it is true at the entry of `past`. Where it has no value, it is not. @throws ERR_BELAY_EXPRESSION where it is no truth value */
  holds(past: CallingPast): boolean;
}

export interface CompileOptions {
  /** Refuses an expression of any other type. */
  type?: ValueType;
}

const EXPECTED: Partial<Record<ValueType, string>> = {
  boolean: `a condition is expected, such as 'u32[0x1000] > 5'`,
};

/** @throws ERR_BELAY_EXPRESSION ({@link ExpressionError}) if it is no expression, or names what is not there. */
export function compile(text: string, names: Names, options: CompileOptions = {}): Expression {
  const compiler = new Compiler(text, names);
  const code = compiler.compile(parse(text));
  const { usesOld, calls, run } = compiler;
  const { usesEntry, areas } = compiler.access;
  const { type } = code;
  const refuse = (wanted: ValueType): never => {
    const expected = EXPECTED[wanted] ?? `${TYPE_NAMES[wanted]} is expected`;
    throw new ExpressionError(text, code.at, `${expected}; this is ${TYPE_NAMES[type]}`);
  };
  if (options.type !== undefined && options.type !== type) refuse(options.type);
  const value: () => Value =
    code.type === 'integer' && code.form === 'number' ? () => BigInt(code.run()) : code.run;
  const truth = code.type === 'boolean' ? code.run : () => refuse('boolean');
  let undefinedCount = 0;
  return {
    text,
    type,
    usesOld,
    usesEntry,
    calls,
    reads: areas && distinct(areas),
    get undefinedCount() {
      return undefinedCount;
    },
    evaluate(past) {
      run.past = past;
      run.lost = false;
      const result = value();
      if (!run.lost) return result;
      undefinedCount++;
      return undefined;
    },
    holds(past) {
      run.past = past;
      run.lost = false;
      const result = truth();
      if (!run.lost) return result;
      undefinedCount++;
      return false;
    },
  };
}

function distinct(areas: readonly Area[]): Area[] {
  const key = (area: Area) => `${area.space} ${area.address} ${area.length}`;
  return [...new Map(areas.map((area) => [key(area), area])).values()];
}
