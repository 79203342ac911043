/** Value types: their names in the text format, and what they refer to (core specification, 5.3). */
import type { Module } from './module.js';
import { Reader } from './reader.js';

const NUMERIC: Record<number, string> = { 127: 'i32', 126: 'i64', 125: 'f32', 124: 'f64', 123: 'v128' };

/** Heap types that have no number, as `(ref null …)` names them; the nullable reference to each has a name of its own. */
const HEAP: Record<number, [heap: string, nullable: string]> = {
  116: ['noexn', 'nullexnref'],
  115: ['nofunc', 'nullfuncref'],
  114: ['noextern', 'nullexternref'],
  113: ['none', 'nullref'],
  112: ['func', 'funcref'],
  111: ['extern', 'externref'],
  110: ['any', 'anyref'],
  109: ['eq', 'eqref'],
  108: ['i31', 'i31ref'],
  107: ['struct', 'structref'],
  106: ['array', 'arrayref'],
  105: ['exn', 'exnref'],
};
const REF_NULL = 0x63;
const REF = 0x64;

/** The heap type of an encoded reference: a byte for one that has no number, or an index of a type. */
function heap(type: Uint8Array): { byte?: number; index?: number } {
  if (type[0] !== REF_NULL && type[0] !== REF) return { byte: type[0]! };
  const value = new Reader(type, 1).s64();
  return value < 0 ? { byte: value + 0x80 } : { index: value };
}

/** An encoded value type as the text format has it: `i32`, `funcref`, `(ref null 3)`. */
export function typeName(type: Uint8Array): string {
  const numeric = NUMERIC[type[0]!];
  if (numeric) return numeric;
  const { byte, index } = heap(type);
  const known = byte === undefined ? undefined : HEAP[byte];
  if (known && type[0] !== REF) return known[1];
  const name = known?.[0] ?? index ?? `0x${byte!.toString(16)}`;
  return `(ref ${type[0] === REF ? '' : 'null '}${name})`;
}

/** Whether values of an encoded type are functions, or null. */
export function refersToFunction(module: Module, type: Uint8Array): boolean {
  if (NUMERIC[type[0]!]) return false;
  const { byte, index } = heap(type);
  return index === undefined ? byte === 112 || byte === 115 : module.types[index]?.kind === 'func';
}
