/**
 * What names in an expression stand for: globals, functions and memories, and symbols that the caller knows.
 *
 * The names come out of the module's bytes: https://webassembly.github.io/spec/core/binary/modules.html (sections) and
 * https://webassembly.github.io/spec/core/appendix/custom.html (the section of names).
 */
import type { Contract } from '../../../contract/contract.js';

/** Parameters and results: `i32`, `i64`, `f32`, `f64`; anything else is `other`. */
export type WasmType = 'i32' | 'i64' | 'f32' | 'f64' | 'other';

export interface FunctionType {
  params: WasmType[];
  results: WasmType[];
}

export interface Names {
  /** Of the instrumented module: which globals can change, and which memories there are. */
  contract: Contract;
  /** Index of each global that the original module has a name for, from its section of names. */
  globalNames: ReadonlyMap<string, number>;
  /** The functions that the original module exports; without them `call` is refused. */
  functions?: ReadonlyMap<string, FunctionType>;
  /** Addresses by name. */
  symbols?: ReadonlyMap<string, number>;
}

/** What a module says of itself. */
export type ModuleNames = Pick<Names, 'globalNames' | 'functions'>;

/** Exports that instrumentation adds. */
const OURS = /^belay:/;

/** A cursor in the bytes of a module. Beyond their end, everything is 0. */
class Bytes {
  at: number;
  constructor(
    private readonly bytes: Uint8Array,
    from: number,
    readonly end: number,
  ) {
    this.at = from;
  }

  get more(): boolean {
    return this.at < this.end;
  }

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  /** LEB128, unsigned. */
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128 || scale > 2 ** 70) return value;
    }
  }

  name(): string {
    const length = this.number();
    const text = new TextDecoder().decode(this.bytes.subarray(this.at, Math.min(this.at + length, this.end)));
    this.at += length;
    return text;
  }

  part(): Bytes {
    const length = this.number();
    const from = this.at;
    this.at = Math.min(this.end, from + length);
    return new Bytes(this.bytes, from, this.at);
  }
}

const NUMERIC: Record<number, WasmType> = { 127: 'i32', 126: 'i64', 125: 'f32', 124: 'f64' };

function valueType(bytes: Bytes): WasmType {
  const byte = bytes.byte();
  // (ref ht), (ref null ht)
  if (byte === 0x63 || byte === 0x64) bytes.number();
  return NUMERIC[byte] ?? 'other';
}

const list = <T>(bytes: Bytes, item: (bytes: Bytes) => T): T[] => {
  const items: T[] = [];
  for (let n = bytes.number(); n > 0 && bytes.more; n--) items.push(item(bytes));
  return items;
};

/** A module with types other than functions' has none that are understood here. */
function functionTypes(bytes: Bytes): FunctionType[] | undefined {
  const types: FunctionType[] = [];
  for (let n = bytes.number(); n > 0 && bytes.more; n--) {
    if (bytes.byte() !== 0x60) return undefined;
    types.push({ params: list(bytes, valueType), results: list(bytes, valueType) });
  }
  return types;
}

function limits(bytes: Bytes): void {
  const flags = bytes.byte();
  bytes.number();
  if (flags & 1) bytes.number();
  if (flags & 8) bytes.number();
}

/** The types, by number, of the functions that are imported. */
function importedFunctions(bytes: Bytes): number[] {
  const found: number[] = [];
  for (let n = bytes.number(); n > 0 && bytes.more; n--) {
    bytes.name();
    bytes.name();
    switch (bytes.byte()) {
      case 0:
        found.push(bytes.number());
        break;
      case 1:
        valueType(bytes);
        limits(bytes);
        break;
      case 2:
        limits(bytes);
        break;
      case 3:
        valueType(bytes);
        bytes.byte();
        break;
      default:
        bytes.byte();
        bytes.number();
    }
  }
  return found;
}

function globalNames(bytes: Bytes, into: Map<string, number>): void {
  if (bytes.name() !== 'name') return;
  while (bytes.more) {
    const id = bytes.byte();
    const part = bytes.part();
    if (id !== 7) continue;
    for (let n = part.number(); n > 0 && part.more; n--) {
      const index = part.number();
      const name = part.name();
      // Names need not be unique: the first has it.
      if (!into.has(name)) into.set(name, index);
    }
  }
}

/**
 * The names that a module carries, for {@link Names}. The module is one that has been validated; of anything else, the
 * result is what could be made of it.
 */
export function namesOf(module: Uint8Array): ModuleNames {
  const names = new Map<string, number>();
  const functions = new Map<string, FunctionType>();
  let types: FunctionType[] | undefined = [];
  let typeOf: number[] = [];
  const exported: [name: string, index: number][] = [];
  const bytes = new Bytes(module, 8, module.length);
  while (bytes.more) {
    const id = bytes.byte();
    const section = bytes.part();
    if (id === 0) globalNames(section, names);
    if (id === 1) types = functionTypes(section);
    if (id === 2) typeOf = importedFunctions(section);
    if (id === 3) typeOf = [...typeOf, ...list(section, (b) => b.number())];
    if (id !== 7) continue;
    for (let n = section.number(); n > 0 && section.more; n--) {
      const name = section.name();
      const kind = section.byte();
      const index = section.number();
      if (kind === 0 && !OURS.test(name)) exported.push([name, index]);
    }
  }
  for (const [name, index] of exported) {
    const type = types?.[typeOf[index] ?? -1];
    functions.set(name, type ?? { params: [], results: ['other'] });
  }
  return { globalNames: names, functions };
}
