import { BelayError } from '../../contract/errors.js';
import { Decoder } from './decode.js';
import { OP } from './opcodes.js';
import { Reader } from './reader.js';

/** Numbers of the sections (core specification, 5.5.2; 13 is the tag section of exception handling). */
export const SECTION_ID = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** The order in which a module's sections must come. */
export const SECTION_ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

export interface Section {
  id: number;
  /** Custom sections only. */
  name: string;
  /** Where its content lies: after id and length (and after a custom section's name). */
  from: number;
  to: number;
  /** Where the section begins, id included. */
  start: number;
}

/** A type of the type section. Only what counting operands needs. */
export interface TypeInfo {
  kind: 'func' | 'struct' | 'array' | 'other';
  /** Functions: encoded parameter and result types. Structs: one entry a field in `params`. */
  params: Uint8Array[];
  results: Uint8Array[];
}

export interface ImportNames {
  module: string;
  name: string;
}

export interface FunctionInfo {
  type: number;
  import?: ImportNames;
}

export interface Limits {
  minimum: number;
  maximum?: number;
  shared: boolean;
  is64: boolean;
}

export interface MemoryInfo extends Limits {
  import?: ImportNames;
  /** Imports: where the limits are encoded. */
  from: number;
  to: number;
  /** Page size other than 64 KiB (custom-page-sizes proposal). */
  customPage: boolean;
}

export interface TableInfo extends Limits {
  import?: ImportNames;
  /** Encoded reference type. */
  type: Uint8Array;
}

export interface GlobalInfo {
  import?: ImportNames;
  type: Uint8Array;
  mutable: boolean;
  /** Defined globals: where type, mutability and initial value are encoded. */
  from: number;
  to: number;
}

export interface ExportInfo {
  name: string;
  kind: number;
  index: number;
}

export interface Body {
  /** The body's first byte (its locals) and the byte after its last. */
  from: number;
  to: number;
}

export const KIND = ['function', 'table', 'memory', 'global', 'tag'] as const;

/** A module, parsed as far as the rewriter needs: everything but the instructions of its functions. */
export interface Module {
  bytes: Uint8Array;
  sections: Section[];
  types: TypeInfo[];
  /** Entries of the type section (a recursion group counts once). */
  typeEntries: number;
  imports: { names: ImportNames; kind: number; from: number; to: number; limitsFrom: number }[];
  functions: FunctionInfo[];
  importedFunctions: number;
  tables: TableInfo[];
  memories: MemoryInfo[];
  globals: GlobalInfo[];
  /** Tags: their types. */
  tags: number[];
  exports: ExportInfo[];
  start?: number;
  elementSegments: number;
  dataSegments: number;
  /** Encoded reference type of each element segment. */
  elementTypes: Uint8Array[];
  /** Functions that are named outside of bodies: in element segments, and in initial values. */
  references: Set<number>;
  bodies: Body[];
}

const FUNCREF = Uint8Array.of(0x70);

/**
 * Parses `bytes`.
 * @throws ERR_BELAY_INVALID_MODULE naming the offset, for bytes that are not a complete module.
 */
export function parseModule(bytes: Uint8Array): Module {
  if (bytes.length < 8 || bytes[0] !== 0 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      'not a WebAssembly module: it does not begin with \\0asm; give a .wasm or .wat file',
    );
  }
  if (bytes[4] !== 1 || bytes[5] || bytes[6] || bytes[7]) {
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      bytes[6] === 1
        ? 'this is a WebAssembly component, not a core module: give one of its core modules'
        : `unknown WebAssembly version ${bytes[4]}: only version 1 is known`,
    );
  }
  const module: Module = {
    bytes,
    sections: [],
    types: [],
    typeEntries: 0,
    imports: [],
    functions: [],
    importedFunctions: 0,
    tables: [],
    memories: [],
    globals: [],
    tags: [],
    exports: [],
    elementSegments: 0,
    dataSegments: 0,
    elementTypes: [],
    references: new Set(),
    bodies: [],
  };
  const file = new Reader(bytes, 8);
  while (!file.done) {
    const start = file.pos;
    const id = file.byte();
    const length = file.u32();
    const from = file.pos;
    const to = from + length;
    if (to > bytes.length) {
      throw new BelayError(
        'ERR_BELAY_INVALID_MODULE',
        `the module is cut off: section ${id} at byte ${start} needs ${to - bytes.length} more bytes`,
      );
    }
    const section: Section = { id, name: '', from, to, start };
    const reader = new Reader(bytes, from, to);
    if (id === SECTION_ID.custom) {
      section.name = reader.name();
      section.from = reader.pos;
    } else {
      parseSection(module, section, reader);
    }
    module.sections.push(section);
    file.pos = to;
  }
  if (module.bodies.length !== module.functions.length - module.importedFunctions) {
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      `the module is cut off: it declares ${module.functions.length - module.importedFunctions} functions and has ${module.bodies.length} bodies`,
    );
  }
  return module;
}

function parseSection(module: Module, section: Section, r: Reader): void {
  switch (section.id) {
    case SECTION_ID.type:
      module.typeEntries = r.u32();
      for (let n = module.typeEntries; n > 0; n--) parseTypeEntry(module, r);
      break;
    case SECTION_ID.import:
      for (let n = r.u32(); n > 0; n--) parseImport(module, r);
      module.importedFunctions = module.functions.length;
      break;
    case SECTION_ID.function:
      for (let n = r.u32(); n > 0; n--) module.functions.push({ type: r.u32() });
      break;
    case SECTION_ID.table:
      for (let n = r.u32(); n > 0; n--) {
        const withInit = r.bytes[r.pos] === 0x40;
        if (withInit) r.take(2);
        const type = r.valueType();
        module.tables.push({ type, ...limits(r) });
        if (withInit) skipExpression(r, module.references);
      }
      break;
    case SECTION_ID.memory:
      for (let n = r.u32(); n > 0; n--) module.memories.push(memory(r));
      break;
    case SECTION_ID.tag:
      for (let n = r.u32(); n > 0; n--) {
        r.byte();
        module.tags.push(r.u32());
      }
      break;
    case SECTION_ID.global:
      for (let n = r.u32(); n > 0; n--) {
        const from = r.pos;
        const type = r.valueType();
        const mutable = r.byte() === 1;
        skipExpression(r, module.references);
        module.globals.push({ type, mutable, from, to: r.pos });
      }
      break;
    case SECTION_ID.export:
      for (let n = r.u32(); n > 0; n--) {
        module.exports.push({ name: r.name(), kind: r.byte(), index: r.u32() });
      }
      break;
    case SECTION_ID.start:
      module.start = r.u32();
      break;
    case SECTION_ID.element:
      module.elementSegments = r.u32();
      for (let n = module.elementSegments; n > 0; n--) parseElement(module, r);
      break;
    case SECTION_ID.code:
      for (let n = r.u32(); n > 0; n--) {
        const size = r.u32();
        const from = r.pos;
        r.take(size);
        module.bodies.push({ from, to: r.pos });
      }
      break;
    case SECTION_ID.data:
      module.dataSegments = r.u32();
      return; // contents need no look
    case SECTION_ID.dataCount:
      module.dataSegments = r.u32();
      break;
    default:
      throw new BelayError(
        'ERR_BELAY_REFUSED',
        `the module has a section of unknown kind ${section.id} at byte ${section.start}, which may hold state: it cannot be rolled back`,
      );
  }
  if (!r.done) r.fail(`section ${section.id} is longer than its content`);
}

function parseTypeEntry(module: Module, r: Reader): void {
  if (r.bytes[r.pos] === 0x4e) {
    r.byte();
    for (let n = r.u32(); n > 0; n--) parseSubType(module, r);
  } else {
    parseSubType(module, r);
  }
}

function parseSubType(module: Module, r: Reader): void {
  let form = r.byte();
  if (form === 0x50 || form === 0x4f) {
    for (let n = r.u32(); n > 0; n--) r.skipLeb();
    form = r.byte();
  }
  const field = () => {
    const packed = r.bytes[r.pos];
    const type = packed === 0x78 || packed === 0x77 ? r.take(1) : r.valueType();
    r.byte();
    return type;
  };
  const vector = (item: () => Uint8Array) => Array.from({ length: r.u32() }, item);
  switch (form) {
    case 0x60:
      module.types.push({
        kind: 'func',
        params: vector(() => r.valueType()),
        results: vector(() => r.valueType()),
      });
      break;
    case 0x5f:
      module.types.push({ kind: 'struct', params: vector(field), results: [] });
      break;
    case 0x5e:
      module.types.push({ kind: 'array', params: [field()], results: [] });
      break;
    case 0x5d: // continuation types
      r.skipLeb();
      module.types.push({ kind: 'other', params: [], results: [] });
      break;
    default:
      throw new BelayError(
        'ERR_BELAY_REFUSED',
        `unknown kind of type 0x${form.toString(16)} at byte ${r.pos - 1}`,
      );
  }
}

function parseImport(module: Module, r: Reader): void {
  const from = r.pos;
  const names = { module: r.name(), name: r.name() };
  const kind = r.byte();
  const limitsFrom = r.pos;
  switch (kind) {
    case 0:
      module.functions.push({ type: r.u32(), import: names });
      break;
    case 1: {
      const type = r.valueType();
      module.tables.push({ import: names, type, ...limits(r) });
      break;
    }
    case 2:
      module.memories.push({ ...memory(r), import: names });
      break;
    case 3: {
      const type = r.valueType();
      module.globals.push({ import: names, type, mutable: r.byte() === 1, from: 0, to: 0 });
      break;
    }
    case 4:
      r.byte();
      module.tags.push(r.u32());
      break;
    default:
      throw new BelayError('ERR_BELAY_REFUSED', `unknown kind of import ${kind} at byte ${r.pos - 1}`);
  }
  module.imports.push({ names, kind, from, to: r.pos, limitsFrom });
}

function limits(r: Reader): Limits & { customPage: boolean } {
  const flags = r.byte();
  if (flags > 15) r.fail(`unknown limits 0x${flags.toString(16)}`);
  const minimum = r.u64();
  const maximum = flags & 1 ? r.u64() : undefined;
  if (flags & 8) r.u32();
  return {
    minimum,
    maximum,
    shared: (flags & 2) !== 0,
    is64: (flags & 4) !== 0,
    customPage: (flags & 8) !== 0,
  };
}

function memory(r: Reader): MemoryInfo {
  const from = r.pos;
  return { ...limits(r), from, to: r.pos };
}

function parseElement(module: Module, r: Reader): void {
  const flags = r.u32();
  if (flags > 7) r.fail(`unknown element segment 0x${flags.toString(16)}`);
  const active = !(flags & 1);
  if (active && flags & 2) r.u32();
  if (active) skipExpression(r, module.references);
  let type = FUNCREF;
  if (flags & 3) {
    if (flags & 4) type = r.valueType() as Uint8Array<ArrayBuffer>;
    else r.byte();
  }
  for (let n = r.u32(); n > 0; n--) {
    if (flags & 4) skipExpression(r, module.references);
    else module.references.add(r.u32());
  }
  module.elementTypes.push(type);
}

/** Skips a constant expression, its `end` included, and notes the functions that it names. */
function skipExpression(r: Reader, references: Set<number>): void {
  const decoder = new Decoder(r.bytes, r.pos, r.end);
  while (decoder.next()) {
    if (decoder.code === OP.ref_func) references.add(decoder.a);
    if (decoder.code === OP.end) {
      r.pos = decoder.after;
      return;
    }
  }
  r.fail('constant expression without end');
}

/** Function names of the name section, where the module has one (specification, appendix: custom sections). */
export function functionNames(module: Module): Map<number, string> {
  const names = new Map<number, string>();
  const section = module.sections.find((s) => s.id === 0 && s.name === 'name');
  if (!section) return names;
  try {
    const r = new Reader(module.bytes, section.from, section.to);
    while (!r.done) {
      const id = r.byte();
      const to = r.u32() + r.pos;
      if (id === 1) for (let n = r.u32(); n > 0; n--) names.set(r.u32(), r.name());
      r.pos = to;
    }
  } catch {
    // A malformed custom section is ignored, as the specification asks.
  }
  return names;
}
