/**
 * Links the support module (support/) into the guest: each of its types, functions, globals and tables gets
 * an index behind the guest's own, so nothing that the guest has is renumbered; what the support module
 * imports is replaced by what the import stands for.
 */
import binaryen from 'binaryen';
import { Decoder } from './wasm/decode.js';
import { type Module, parseModule } from './wasm/module.js';
import { Imm, OP } from './wasm/opcodes.js';
import { Reader } from './wasm/reader.js';
import { Writer } from './wasm/writer.js';

/** Support modules by their text: assembling one takes longer than all the rest does for a small module. */
const assembled = new Map<string, Module>();
const MOST_ASSEMBLED = 64;

/** Parses support text. @throws when the text is wrong, which is a bug of this package. */
export function assemble(text: string): Module {
  let module = assembled.get(text);
  if (!module) {
    module = parseText(text);
    if (assembled.size >= MOST_ASSEMBLED) assembled.delete(assembled.keys().next().value!);
    assembled.set(text, module);
  }
  return module;
}

function parseText(text: string): Module {
  const parsed = binaryen.parseText(text);
  try {
    // CompactImports is a feature bit that the package's types do not name yet.
    const { All, CompactImports = 0 } = binaryen.Features as typeof binaryen.Features & {
      CompactImports?: number;
    };
    parsed.setFeatures(All & ~CompactImports);
    return parseModule(parsed.emitBinary());
  } finally {
    parsed.dispose();
  }
}

/** Function types appended to the guest's, each once. */
export class TypePool {
  private readonly index = new Map<string, number>();
  readonly encoded: Uint8Array[] = [];

  constructor(private readonly base: number) {}

  intern(params: Uint8Array[], results: Uint8Array[]): number {
    const w = new Writer().byte(0x60).u(params.length);
    for (const p of params) w.bytes(p);
    w.u(results.length);
    for (const r of results) w.bytes(r);
    const bytes = w.done().slice();
    const key = bytes.join();
    let index = this.index.get(key);
    if (index === undefined) {
      index = this.base + this.encoded.length;
      this.index.set(key, index);
      this.encoded.push(bytes);
    }
    return index;
  }
}

export interface LinkTargets {
  types: TypePool;
  /** Index of the first function, global and table that is appended. */
  firstFunction: number;
  firstGlobal: number;
  firstTable: number;
  /** What the support module's imports stand for, by their names. */
  functions: Map<string, number>;
  memories: Map<string, number>;
  tables: Map<string, number>;
  globals: Map<string, number>;
  /** Encoded element type of each guest table that has support: takes the place of funcref. */
  tableTypes: Map<number, Uint8Array>;
  /** Data and element segments, in the order in which the support module declares them. */
  dataSegments: number[];
  elementSegments: number[];
}

export interface Linked {
  functions: { type: number; body: Uint8Array; name: string }[];
  /** Encoded globals (type, mutability, initial value). */
  globals: Uint8Array[];
  /** Count of tables appended (all `funcref`, of one element). */
  tables: number;
  /** Final indices by the support module's names. */
  functionIndex: Map<string, number>;
  globalIndex: Map<string, number>;
  tableIndex: Map<string, number>;
}

const TABLE_FUNCTION =
  /^t(?:get|set|fill|grow|checkpoint|rollback|save|sync|setup|size|shrink|written)(\d+)$/;

/** The heap type of an encoded reference type. */
export function heapType(type: Uint8Array): Uint8Array {
  return type[0] === 0x63 || type[0] === 0x64 ? type.subarray(1) : type;
}

export function linkSupport(support: Module, to: LinkTargets): Linked {
  const functionMap: number[] = [];
  const memoryMap: number[] = [];
  const tableMap: number[] = [];
  const globalMap: number[] = [];
  for (const { names, kind } of support.imports) {
    const [from, into] = (
      [
        [to.functions, functionMap],
        [to.tables, tableMap],
        [to.memories, memoryMap],
        [to.globals, globalMap],
      ] as const
    )[kind as 0 | 1 | 2 | 3];
    const index = from.get(names.name);
    if (index === undefined) throw new Error(`support module imports unknown ${names.name}`);
    into.push(index);
  }
  support.bodies.forEach((_, i) => functionMap.push(to.firstFunction + i));
  const definedTables = support.tables.length - tableMap.length;
  for (let i = 0; i < definedTables; i++) tableMap.push(to.firstTable + i);

  const defined = support.globals.filter((g) => !g.import);
  defined.forEach((_, i) => {
    globalMap.push(to.firstGlobal + i);
  });

  const functionIndex = new Map<string, number>();
  const globalIndex = new Map<string, number>();
  const tableIndex = new Map<string, number>();
  const nameOf: string[] = [];
  for (const e of support.exports) {
    if (e.kind === 0) {
      functionIndex.set(e.name, functionMap[e.index]!);
      nameOf[e.index] = e.name;
    } else if (e.kind === 1) tableIndex.set(e.name, tableMap[e.index]!);
    else if (e.kind === 3) globalIndex.set(e.name, globalMap[e.index]!);
  }

  const functions = support.bodies.map((body, i) => {
    const own = support.importedFunctions + i;
    const name = nameOf[own] ?? `function${i}`;
    const table = TABLE_FUNCTION.exec(name);
    const element = table ? to.tableTypes.get(Number(table[1])) : undefined;
    const retype = (t: Uint8Array) => (element && t[0] === 0x70 ? element : t);
    const signature = support.types[support.functions[own]!.type]!;
    return {
      name,
      type: to.types.intern(signature.params.map(retype), signature.results.map(retype)),
      body: relocate(support, body.from, body.to, element),
    };
  });
  return {
    functions,
    globals: defined.map((g) => support.bytes.slice(g.from, g.to)),
    tables: definedTables,
    functionIndex,
    globalIndex,
    tableIndex,
  };

  /** Copies a body, with every index replaced by the final one. */
  function relocate(module: Module, from: number, end: number, element: Uint8Array | undefined): Uint8Array {
    const out = new Writer(end - from + 64);
    const header = new Reader(module.bytes, from, end);
    for (let n = header.u32(); n > 0; n--) {
      header.u32();
      header.valueType();
    }
    out.slice(module.bytes, from, header.pos);
    const d = new Decoder(module.bytes, header.pos, end);
    while (d.next()) {
      const opcode = () => {
        if (d.code > 0xff) out.byte(d.code >>> 16).u(d.code & 0xffff);
        else out.byte(d.code);
        return out;
      };
      switch (d.code) {
        case OP.call:
        case OP.ref_func:
          opcode().u(functionMap[d.a]!);
          continue;
        case OP.global_get:
        case OP.global_set:
          opcode().u(globalMap[d.a]!);
          continue;
        case OP.memory_size:
        case OP.memory_grow:
        case OP.memory_fill:
          opcode().u(memoryMap[d.a]!);
          continue;
        case OP.memory_copy:
          opcode().u(memoryMap[d.a]!).u(memoryMap[d.b]!);
          continue;
        case OP.memory_init:
          opcode().u(to.dataSegments[d.a]!).u(memoryMap[d.b]!);
          continue;
        case OP.table_get:
        case OP.table_set:
        case OP.table_size:
        case OP.table_grow:
        case OP.table_fill:
          opcode().u(tableMap[d.a]!);
          continue;
        case OP.table_copy:
          opcode().u(tableMap[d.a]!).u(tableMap[d.b]!);
          continue;
        case OP.table_init:
          opcode().u(to.elementSegments[d.a]!).u(tableMap[d.b]!);
          continue;
        case OP.call_indirect: {
          const t = module.types[d.a]!;
          opcode().u(to.types.intern(t.params, t.results)).u(tableMap[d.b]!);
          continue;
        }
      }
      if (d.op.imm === Imm.Mem) {
        // opcode, alignment, memory, offset
        const r = new Reader(module.bytes, d.start + (d.code > 0xff ? 1 : 0), end);
        r.skipLeb();
        const align = r.u32() & 0x3f;
        const memory = memoryMap[d.memory]!;
        opcode().u(memory ? align | 0x40 : align);
        if (memory) out.u(memory);
        out.u(d.offset);
      } else if (d.op.imm === Imm.HeapType && element) {
        opcode().bytes(heapType(element));
      } else if (d.op.imm === Imm.BlockType && d.blockType >= 0) {
        const t = module.types[d.blockType]!;
        opcode().s(to.types.intern(t.params, t.results));
      } else {
        out.slice(module.bytes, d.start, d.after);
      }
    }
    return out.done().slice();
  }
}
