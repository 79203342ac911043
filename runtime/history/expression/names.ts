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
  /** Addresses by name: the module's own ({@link ModuleNames.symbols}), and what else the caller knows. */
  symbols?: ReadonlyMap<string, number>;
}

/** What a module says of itself. */
export interface ModuleNames extends Pick<Names, 'globalNames' | 'functions'> {
  /**
   * Exported globals that are integers and cannot change. That is how linkers export a variable: the global is its
   * address.
   */
  symbols: ReadonlyMap<string, number>;
}

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

  /** LEB128, signed. */
  signed(): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      const byte = this.byte();
      value |= BigInt(byte & 127) << shift;
      shift += 7n;
      if (byte < 128 || shift > 70n) return BigInt.asIntN(Number(shift), value);
    }
  }

  skip(bytes: number): void {
    this.at += bytes;
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

/** The types, by number, of the functions that are imported, and how many globals are. */
function imports(bytes: Bytes): { functions: number[]; globals: number } {
  const functions: number[] = [];
  let globals = 0;
  for (let n = bytes.number(); n > 0 && bytes.more; n--) {
    bytes.name();
    bytes.name();
    switch (bytes.byte()) {
      case 0:
        functions.push(bytes.number());
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
        globals++;
        break;
      default:
        bytes.byte();
        bytes.number();
    }
  }
  return { functions, globals };
}

const MUTABLE = 1;
const END = 0x0b;

/** A constant expression: its value where it is one integer. Undefined beyond what is understood here. */
function constant(bytes: Bytes): { value?: bigint } | undefined {
  let found: { value?: bigint } = {};
  for (let first = true; bytes.more; first = false) {
    const code = bytes.byte();
    if (code === END) return found;
    let value: bigint | undefined;
    if (code === 0x41) value = BigInt.asUintN(32, bytes.signed());
    else if (code === 0x42) value = BigInt.asUintN(64, bytes.signed());
    else if (code === 0x43) bytes.skip(4);
    else if (code === 0x44) bytes.skip(8);
    // global.get, ref.func, ref.null
    else if (code === 0x23 || code === 0xd2 || code === 0xd0) bytes.number();
    // v128.const
    else if (code === 0xfd && bytes.number() === 0x0c) bytes.skip(16);
    // Additions and the like have no immediates.
    else if (code < 0x6a || code > 0x7e) return undefined;
    found = first && value !== undefined ? { value } : {};
  }
  return undefined;
}

/** Values of the globals that a module defines, where they are integers that cannot change. */
function constants(bytes: Bytes): (bigint | undefined)[] {
  const values: (bigint | undefined)[] = [];
  for (let n = bytes.number(); n > 0 && bytes.more; n--) {
    valueType(bytes);
    const mutable = bytes.byte() === MUTABLE;
    const found = constant(bytes);
    if (!found) break;
    values.push(mutable ? undefined : found.value);
  }
  return values;
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
  const symbols = new Map<string, number>();
  let types: FunctionType[] | undefined = [];
  let imported: ReturnType<typeof imports> = { functions: [], globals: 0 };
  let defined: number[] = [];
  let values: (bigint | undefined)[] = [];
  const exported: (readonly [name: string, kind: number, index: number])[] = [];
  const bytes = new Bytes(module, 8, module.length);
  while (bytes.more) {
    const id = bytes.byte();
    const section = bytes.part();
    if (id === 0) globalNames(section, names);
    if (id === 1) types = functionTypes(section);
    if (id === 2) imported = imports(section);
    if (id === 3) defined = list(section, (b) => b.number());
    if (id === 6) values = constants(section);
    if (id === 7) exported.push(...list(section, (b) => [b.name(), b.byte(), b.number()] as const));
  }
  const typeOf = [...imported.functions, ...defined];
  for (const [name, kind, index] of exported) {
    if (OURS.test(name)) continue;
    if (kind === 0) functions.set(name, types?.[typeOf[index] ?? -1] ?? { params: [], results: ['other'] });
    const value = kind === 3 ? values[index - imported.globals] : undefined;
    if (value !== undefined && value <= Number.MAX_SAFE_INTEGER) symbols.set(name, Number(value));
  }
  return { globalNames: names, functions, symbols };
}
