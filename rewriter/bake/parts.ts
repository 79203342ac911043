/** The sections that baking rewrites entry by entry, parsed as far as that needs. */
import { Decoder } from '../wasm/decode.js';
import type { Section } from '../wasm/module.js';
import { OP } from '../wasm/opcodes.js';
import { Reader } from '../wasm/reader.js';

/** A constant expression: where it is, its `end` included, and the functions that it names. */
export interface Expression {
  from: number;
  to: number;
  functions: number[];
}

export function readExpression(r: Reader): Expression {
  const from = r.pos;
  const functions: number[] = [];
  const decoder = new Decoder(r.bytes, from, r.end);
  while (decoder.next()) {
    if (decoder.code === OP.ref_func) functions.push(decoder.a);
    if (decoder.code !== OP.end) continue;
    r.pos = decoder.after;
    return { from, to: r.pos, functions };
  }
  return r.fail('constant expression without end');
}

/** A table that the module defines. */
export interface TableEntry {
  from: number;
  to: number;
  type: Uint8Array;
  /** Where its limits are. */
  limits: number;
  /** The value of its elements, where it is not null. */
  init?: Expression;
}

export function readTables(bytes: Uint8Array, section: Section | undefined): TableEntry[] {
  return entries(bytes, section, (r) => {
    const from = r.pos;
    const withInit = r.bytes[r.pos] === 0x40;
    if (withInit) r.take(2);
    const type = r.valueType();
    const limits = r.pos;
    skipLimits(r);
    const init = withInit ? readExpression(r) : undefined;
    return { from, to: r.pos, type, limits, ...(init && { init }) };
  });
}

function skipLimits(r: Reader): void {
  const flags = r.byte();
  r.skipLeb();
  if (flags & 1) r.skipLeb();
  if (flags & 8) r.skipLeb();
}

/** A data or element segment. */
export interface Segment {
  from: number;
  to: number;
  flags: number;
  /** Active ones: the memory or table that they are written to. */
  target?: number;
  /** Element segments: how the type of the elements is encoded, between offset and elements. */
  type: Uint8Array;
  /** Element segments: the functions that they name. */
  functions: number[];
}

const PASSIVE = 1;
const EXPLICIT = 2;
const EXPRESSIONS = 4;
/** Element segments: dropped from the beginning. */
const DECLARATIVE = PASSIVE | EXPLICIT;

export const isDeclarative = (segment: Segment): boolean => (segment.flags & 3) === DECLARATIVE;

export function readElements(bytes: Uint8Array, section: Section | undefined): Segment[] {
  return entries(bytes, section, (r) => {
    const from = r.pos;
    const flags = r.u32();
    const active = !(flags & PASSIVE);
    const target = active ? { target: flags & EXPLICIT ? r.u32() : 0 } : {};
    if (active) readExpression(r);
    const typeFrom = r.pos;
    if (flags & 3) {
      if (flags & EXPRESSIONS) r.valueType();
      else r.byte();
    }
    const type = bytes.subarray(typeFrom, r.pos);
    const functions: number[] = [];
    for (let n = r.u32(); n > 0; n--) {
      if (flags & EXPRESSIONS) for (const f of readExpression(r).functions) functions.push(f);
      else functions.push(r.u32());
    }
    return { from, to: r.pos, flags, ...target, type, functions };
  });
}

export function readData(bytes: Uint8Array, section: Section | undefined): Segment[] {
  return entries(bytes, section, (r) => {
    const from = r.pos;
    const flags = r.u32();
    const active = !(flags & PASSIVE);
    const target = active ? { target: flags & EXPLICIT ? r.u32() : 0 } : {};
    if (active) readExpression(r);
    r.take(r.u32());
    return { from, to: r.pos, flags, ...target, type: new Uint8Array(), functions: [] };
  });
}

function entries<T>(bytes: Uint8Array, section: Section | undefined, entry: (r: Reader) => T): T[] {
  if (!section) return [];
  const r = new Reader(bytes, section.from, section.to);
  return Array.from({ length: r.u32() }, () => entry(r));
}
