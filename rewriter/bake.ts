/**
 * Baking: a state is written into the module that it is a state of. What comes out is an ordinary module, without a
 * trace of Belay, that starts where the state was taken. (Wizer, github.com/bytecodealliance/wizer, does this for the
 * moment after an initialisation function; a state is that of any checkpoint, tables and dropped segments included.)
 *
 *     (memory 2 100)                           (memory 7 100)            as large as it had become
 *     (global $sp (mut i32) (i32.const 65536)) (global $sp (mut i32) (i32.const 65104))
 *     (table 3 funcref)                        (table 4 funcref)
 *     (elem (i32.const 0) $f $g $h)            (elem (i32.const 0))      they have been written, once and for all:
 *     (data (i32.const 1024) "…")              (data (i32.const 0))      nothing is left of them but their numbers
 *     (data $p "…")                            (data $p "…")             passive: as it was, or empty if it was dropped
 *                                              (data (i32.const 1024) "…") (data (i32.const 70000) "…")
 *                                              (elem (i32.const 0) $f $k $h $g)
 *     (start $main)                                                      has run
 *     (export "_initialize" (func $init))      (export "_initialize" (func $nothing))
 *
 * Nothing is renumbered, and no code is touched. An active segment that has been written is a segment of length zero, so
 * that an active one without content takes its place: an instruction that refers to it finds what it found before.
 * Segments of tables that can change neither by an instruction nor from outside stay as they are, and so do the initial
 * values of immutable globals, which may depend on imports.
 *
 * A function may be named by `ref.func` only if something outside of the code names it, too. Where the names in what is
 * taken away are not in what comes instead, a declarative segment keeps them.
 *
 * What is refused: an imported mutable global, because a module cannot give its import a value. What is only warned of:
 * what the host has to bring itself, which is the state that it kept for the guest, and imported memories and tables of
 * the size of the checkpoint.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { CONTRACT_VERSION, type Contract, SECTION } from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';
import {
  type GuestState,
  HOST,
  memorySpace,
  REGISTERS,
  type StateShape,
  spaceSizes,
  stateShape,
  tableSpace,
} from '../contract/state.js';
import {
  isDeclarative,
  readData,
  readElements,
  readExpression,
  readTables,
  type Segment,
} from './bake/parts.js';
import { byteRuns, elementRuns } from './bake/runs.js';
import { heapType } from './link.js';
import type { Baked, BakeOptions, BakeReport, StateReader } from './types.js';
import { type Module, parseModule, SECTION_ID, SECTION_ORDER, type Section } from './wasm/module.js';
import { Reader } from './wasm/reader.js';
import { refersToFunction } from './wasm/types.js';
import { Writer } from './wasm/writer.js';

/** Segments that are added, at most, for all memories, and for all tables. Engines take 100,000 of each kind. */
const MOST_SEGMENTS = 20_000;
/** The largest module that engines take (JavaScript interface, "implementation-defined limits"). */
const MOST_BYTES = 2 ** 30;

/** Functions that toolchains have the host call once, before all others (tool-conventions, "Reactor"; Emscripten). */
const INITIALIZERS = ['_initialize', '__wasm_call_ctors'];

const OPTIONS: Record<keyof BakeOptions, true> = { finished: true };

/**
 * Writes `state` into `original`, so that it starts there.
 *
 * @param original the module as it was before it was instrumented
 * @param contract of the instrumented module that the state was taken from
 * @param state a stored one, or that of a living guest: `guest.state`
 * @throws ERR_BELAY_STATE when contract, state and module do not belong together; ERR_BELAY_ALREADY_INSTRUMENTED;
 *   ERR_BELAY_CONTRACT_VERSION; ERR_BELAY_OPTION; ERR_BELAY_REFUSED for an imported mutable global;
 *   ERR_BELAY_INVALID_MODULE
 */
export function bake(
  original: Uint8Array,
  contract: Contract,
  state: GuestState | StateReader,
  options: BakeOptions = {},
): Baked {
  for (const key of Object.keys(options)) {
    if (key in OPTIONS) continue;
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `unknown option '${key}': the options are ${Object.keys(OPTIONS)}`,
    );
  }
  const module = parseModule(original);
  checkModule(module, contract);
  return new Baking(module, contract, isReader(state) ? read(state, contract) : state, options).run();
}

const isReader = (state: GuestState | StateReader): state is StateReader => !Array.isArray(state);

function read(reader: StateReader, contract: Contract): GuestState {
  const registers = new Uint8Array(stateShape(contract).length);
  reader.registers(registers);
  const host = reader.host(true) ?? new Uint8Array();
  const memories = contract.memories.map((_, k) => reader.memory(k));
  const tables = contract.tables.map((_, t) => {
    const elements = reader.table(t);
    const bytes = new DataView(new ArrayBuffer(4 * elements.length));
    elements.forEach((element, i) => bytes.setUint32(4 * i, element, true));
    return new Uint8Array(bytes.buffer);
  });
  return [registers, host, ...memories, ...tables];
}

/** @throws unless `contract` is that of the module */
function checkModule(module: Module, contract: Contract): void {
  if (module.sections.some((s) => s.id === SECTION_ID.custom && s.name === SECTION)) {
    throw new BelayError(
      'ERR_BELAY_ALREADY_INSTRUMENTED',
      'the module is instrumented: a state is baked into the original, as it was before; give that',
    );
  }
  if (contract.version !== CONTRACT_VERSION) {
    throw new BelayError(
      'ERR_BELAY_CONTRACT_VERSION',
      `the state is of a guest of contract version ${contract.version}, and this version of wasm-belay knows ${CONTRACT_VERSION}: bake with the version that recorded it`,
    );
  }
  const hash = bytesToHex(sha256(module.bytes));
  if (hash !== contract.module) {
    throw stateError(
      `the state is of another module: its SHA-256 is ${contract.module}, and that of the one given is ${hash}; give the very file that was instrumented`,
    );
  }
}

const stateError = (what: string) => new BelayError('ERR_BELAY_STATE', what);
const damaged = (what: string) =>
  stateError(`the state is damaged, or not of this module: ${what}; take it anew`);

class Baking {
  private readonly shape: StateShape;
  private readonly registers: DataView;
  private readonly referable: Set<number>;
  /** Functions that what is taken away named, and those that are named by what comes instead. */
  private readonly undeclared = new Set<number>();
  private readonly declared = new Set<number>();
  /** Contents of sections that change. */
  private readonly changed = new Map<number, Writer | undefined>();
  private readonly report: BakeReport;

  constructor(
    private readonly module: Module,
    private readonly contract: Contract,
    private readonly state: GuestState,
    private readonly options: BakeOptions,
  ) {
    this.shape = stateShape(contract);
    this.referable = new Set(contract.functions);
    const registers = state[REGISTERS];
    if (state.length !== this.shape.spaces || registers?.length !== this.shape.length) {
      throw damaged(
        `it has ${state.length} spaces and ${registers?.length} bytes of registers, and not ${this.shape.spaces} and ${this.shape.length}`,
      );
    }
    this.registers = new DataView(registers.buffer, registers.byteOffset, registers.byteLength);
    spaceSizes(this.shape, registers).forEach((size, space) => {
      if (state[space]!.length > size) throw damaged(`space ${space} has more than its ${size} bytes`);
    });
    this.report = {
      segments: 0,
      bytes: 0,
      elementSegments: 0,
      elements: 0,
      finished: [],
      bytesBefore: module.bytes.length,
      bytesAfter: 0,
      warnings: [],
    };
  }

  run(): Baked {
    const { module, report, changed } = this;
    this.checkGlobals();
    this.warn();
    this.memories();
    this.tables();
    this.globals();
    this.imports();
    this.data();
    this.finish();
    this.elements();
    if (module.start !== undefined) changed.set(SECTION_ID.start, undefined);
    const wasm = this.emit();
    this.validate(wasm);
    report.bytesAfter = wasm.length;
    if (wasm.length > MOST_BYTES) {
      report.warnings.push(`the module has ${wasm.length} bytes, and engines take at most ${MOST_BYTES}`);
    }
    return { wasm, report };
  }

  /** A size of the state: pages of a memory, elements of a table. */
  private size(i: number): number {
    return Number(this.registers.getBigUint64(this.shape.sizes + 8 * i, true));
  }

  private pages(memory: number): number {
    return this.size(1 + memory);
  }

  /** Elements of the `t`-th table of the contract. */
  private length(t: number): number {
    return this.size(1 + this.shape.memories + t);
  }

  /** Which of the contract's tables has this index in the module, or -1: it is as it was at the beginning. */
  private tracked(table: number): number {
    return this.contract.tables.findIndex((t) => t.index === table);
  }

  private section(id: number): Section | undefined {
    return this.module.sections.find((s) => s.id === id);
  }

  private checkGlobals(): void {
    const { module, contract } = this;
    const mutable = module.globals.flatMap((g, i) => (g.mutable ? [i] : []));
    if (contract.globals.map((g) => g.index).join() !== mutable.join()) {
      throw damaged('the mutable globals are others');
    }
    if (contract.memories.length !== module.memories.length) throw damaged('the memories are others');
    const names = mutable.flatMap((i) => {
      const { import: from } = module.globals[i]!;
      return from ? [`${from.module}.${from.name}`] : [];
    });
    if (!names.length) return;
    throw new BelayError(
      'ERR_BELAY_REFUSED',
      `the state cannot be baked: the mutable global ${names.join(', ')} is imported, and a module cannot give its import a value; link the module so that it defines the global itself, or load the state into an instrumented guest`,
    );
  }

  private warn(): void {
    const { module, contract, state, report } = this;
    const { warnings } = report;
    const host = state[HOST]!.length;
    if (host) {
      warnings.push(
        `${host} bytes of state that the host kept for the guest are left out (WASI: open files, files in memory, arguments, environment, pending input and output): the host of the new module begins anew`,
      );
    }
    module.memories.forEach(({ import: from }, k) => {
      if (!from) return;
      const pages = this.pages(k);
      warnings.push(
        `memory ${k} is imported (${from.module}.${from.name}): the host has to give one of exactly ${pages} pages, all zeros`,
      );
    });
    contract.tables.forEach(({ import: from, index }, t) => {
      if (!from) return;
      warnings.push(
        `table ${index} is imported (${from.join('.')}): the host has to give one of exactly ${this.length(t)} elements`,
      );
    });
    if (module.sections.some((s) => s.name === 'sourceMappingURL')) {
      warnings.push('the source map is kept, but its offsets are those of the original');
    }
  }

  // --- sizes ---------------------------------------------------------------------------------------------------------

  private memories(): void {
    const { module, changed } = this;
    const own = module.memories.flatMap((m, k) => (m.import ? [] : [k]));
    if (!own.length) return;
    const w = new Writer().u(own.length);
    for (const k of own) this.limits(w, module.memories[k]!.from, module.memories[k]!.to, this.pages(k));
    changed.set(SECTION_ID.memory, w);
  }

  /** The limits at [from, to) with another minimum. */
  private limits(w: Writer, from: number, to: number, minimum: number): void {
    const { bytes } = this.module;
    const r = new Reader(bytes, from + 1, to);
    r.skipLeb();
    w.byte(bytes[from]!).u(minimum).slice(bytes, r.pos, to);
  }

  private tables(): void {
    const { module, changed } = this;
    const { bytes } = module;
    const entries = readTables(bytes, this.section(SECTION_ID.table));
    if (!entries.length) return;
    const imported = module.tables.length - entries.length;
    const w = new Writer().u(entries.length);
    entries.forEach((entry, i) => {
      const t = this.tracked(imported + i);
      if (t < 0) {
        w.slice(bytes, entry.from, entry.to);
        return;
      }
      // All elements are said below. Where they may be null, a value for the others would be wrong.
      const init = entry.type[0] === 0x64 ? entry.init : undefined;
      if (init) w.byte(0x40, 0);
      else this.undeclare(entry.init?.functions ?? []);
      w.bytes(entry.type);
      this.limits(w, entry.limits, entry.init?.from ?? entry.to, this.length(t));
      if (init) w.slice(bytes, init.from, init.to);
    });
    changed.set(SECTION_ID.table, w);
  }

  private imports(): void {
    const { module, contract, changed } = this;
    const { bytes } = module;
    if (!module.memories.some((m) => m.import) && !contract.tables.some((t) => t.import)) return;
    const w = new Writer().u(module.imports.length);
    let memory = 0;
    let table = 0;
    for (const i of module.imports) {
      w.slice(bytes, i.from, i.limitsFrom);
      if (i.kind === 2) this.limits(w, i.limitsFrom, i.to, this.pages(memory++));
      else if (i.kind === 1) {
        const { type } = module.tables[table]!;
        const t = this.tracked(table++);
        if (t < 0) w.slice(bytes, i.limitsFrom, i.to);
        else this.limits(w.bytes(type), i.limitsFrom + type.length, i.to, this.length(t));
      } else w.slice(bytes, i.limitsFrom, i.to);
    }
    changed.set(SECTION_ID.import, w);
  }

  // --- contents ------------------------------------------------------------------------------------------------------

  private globals(): void {
    const { module, contract, changed, shape } = this;
    const { bytes } = module;
    const own = module.globals.filter((g) => !g.import);
    if (!own.length) return;
    const at = new Map(contract.globals.map((g, i) => [module.globals[g.index], shape.globals + 16 * i]));
    const w = new Writer().u(own.length);
    for (const global of own) {
      const offset = at.get(global);
      if (offset === undefined) {
        w.slice(bytes, global.from, global.to);
        continue;
      }
      const before = new Reader(bytes, global.from + global.type.length + 1, global.to);
      this.undeclare(readExpression(before).functions);
      w.bytes(global.type).byte(1);
      this.constant(w, global.type, offset, `global ${module.globals.indexOf(global)}`);
      w.byte(0x0b);
    }
    changed.set(SECTION_ID.global, w);
  }

  /** The constant instruction for the 16 bytes at `offset` of the registers. */
  private constant(w: Writer, type: Uint8Array, offset: number, what: string): void {
    const { registers } = this;
    const raw = (length: number) => new Uint8Array(registers.buffer, registers.byteOffset + offset, length);
    switch (type[0]) {
      case 0x7f:
        w.byte(0x41).s(registers.getInt32(offset, true));
        break;
      case 0x7e:
        signed(w.byte(0x42), registers.getBigInt64(offset, true));
        break;
      case 0x7d:
        w.byte(0x43).bytes(raw(4));
        break;
      case 0x7c:
        w.byte(0x44).bytes(raw(8));
        break;
      case 0x7b:
        w.byte(0xfd, 0x0c).bytes(raw(16));
        break;
      default:
        this.reference(w, type, registers.getUint32(offset, true), what);
    }
  }

  /** `ref.null` or `ref.func` for an element of a table or the value of a global. */
  private reference(w: Writer, type: Uint8Array, value: number, what: string): void {
    if (value) {
      w.byte(0xd2).u(this.function(type, value, what));
      return;
    }
    if (type[0] === 0x64) throw damaged(`${what} is null, and its type has no null`);
    w.byte(0xd0).bytes(heapType(type));
  }

  /** The function that a reference of the state stands for. */
  private function(type: Uint8Array, value: number, what: string): number {
    const index = value - 1;
    if (!this.referable.has(index)) throw damaged(`${what} is a function that is not there`);
    if (!refersToFunction(this.module, type)) throw damaged(`${what} is a function, and its type has none`);
    this.declared.add(index);
    return index;
  }

  private data(): void {
    const { module, contract, changed, report } = this;
    const { bytes } = module;
    const segments = readData(bytes, this.section(SECTION_ID.data));
    const dropped = this.dropped(contract.segments.data, 0);
    const own = new Writer(1024);
    segments.forEach((segment, i) => {
      if (segment.target !== undefined) {
        this.empty(own, segment, module.memories[segment.target]!.is64);
        own.u(0);
      } else if (dropped.has(i)) own.byte(1, 0);
      else own.slice(bytes, segment.from, segment.to);
    });
    const added = new Writer(1 << 20);
    const limit = Math.floor(MOST_SEGMENTS / Math.max(1, module.memories.length));
    module.memories.forEach((memory, k) => {
      const content = this.state[memorySpace(k)]!;
      for (const [from, to] of byteRuns(content, limit)) {
        if (k) added.byte(2).u(k);
        else added.byte(0);
        offset(added, from, memory.is64);
        added.u(to - from).slice(content, from, to);
        report.segments++;
        report.bytes += to - from;
      }
    });
    const count = segments.length + report.segments;
    if (!count) return;
    const w = new Writer(own.length + added.length + 10).u(count).bytes(own.done()).bytes(added.done());
    changed.set(SECTION_ID.data, w);
    if (this.section(SECTION_ID.dataCount)) changed.set(SECTION_ID.dataCount, new Writer().u(count));
  }

  private elements(): void {
    const { module, contract, changed, report } = this;
    const { bytes } = module;
    const segments = readElements(bytes, this.section(SECTION_ID.element));
    const dropped = this.dropped(contract.segments.elements, contract.segments.data.length);
    const own = new Writer(1024);
    segments.forEach((segment, i) => {
      const { target } = segment;
      const written = target !== undefined && this.tracked(target) >= 0;
      if (!written && !(target === undefined && dropped.has(i) && !isDeclarative(segment))) {
        own.slice(bytes, segment.from, segment.to);
        return;
      }
      if (target === undefined) own.u(segment.flags);
      else this.empty(own, segment, module.tables[target]!.is64);
      own.bytes(segment.type).u(0);
      this.undeclare(segment.functions);
    });
    const added = new Writer(1024);
    contract.tables.forEach((_, t) => this.tableElements(added, t));
    const lost = [...this.undeclared].filter((f) => !this.declared.has(f)).sort((a, b) => a - b);
    let count = segments.length + report.elementSegments;
    if (lost.length) {
      count++;
      added.byte(3, 0).u(lost.length);
      for (const f of lost) added.u(f);
    }
    if (!count) return;
    changed.set(SECTION_ID.element, new Writer().u(count).bytes(own.done()).bytes(added.done()));
  }

  /** Writes the segments of the `t`-th table of the contract. */
  private tableElements(w: Writer, t: number): void {
    const { module, contract, report } = this;
    const { index, import: from } = contract.tables[t]!;
    const { type, is64 } = module.tables[index]!;
    const content = this.state[tableSpace(contract, t)]!;
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    const elements = new Uint32Array(this.length(t));
    for (let i = 0; 4 * i < content.length; i++) elements[i] = view.getUint32(4 * i, true);
    const limit = Math.floor(MOST_SEGMENTS / contract.tables.length);
    // What the host gives may have something where the state has null.
    const whole: [number, number][] = elements.length ? [[0, elements.length]] : [];
    for (const [begin, end] of from ? whole : elementRuns(elements, limit)) {
      const run = elements.subarray(begin, end);
      const what = `an element of table ${index}`;
      const plain = type[0] === 0x70 && !run.includes(0);
      if (plain) {
        if (index) w.byte(2).u(index);
        else w.byte(0);
      } else w.byte(6).u(index);
      offset(w, begin, is64);
      if (!plain) w.bytes(type);
      else if (index) w.byte(0);
      w.u(run.length);
      for (const value of run) {
        if (plain) w.u(this.function(type, value, what));
        else {
          this.reference(w, type, value, what);
          w.byte(0x0b);
        }
      }
      report.elementSegments++;
      report.elements += run.length;
    }
  }

  /** An active segment without its content: up to the type of its elements. */
  private empty(w: Writer, { flags, target }: Segment, is64: boolean): void {
    w.u(flags);
    if (flags & 2) w.u(target!);
    offset(w, 0, is64);
  }

  /** Of these segments, those that have been dropped. `first`: where their flags are, among those of all segments. */
  private dropped(segments: readonly number[], first: number): Set<number> {
    const at = this.shape.segments + first;
    return new Set(segments.filter((_, i) => this.registers.getUint8(at + i) !== 0));
  }

  private undeclare(functions: readonly number[]): void {
    for (const f of functions) this.undeclared.add(f);
  }

  // --- functions that have run ---------------------------------------------------------------------------------------

  private finish(): void {
    const { module, changed, report } = this;
    const { bytes } = module;
    /** Index of the function that does nothing, by type. */
    const nothing = new Map<number, number>();
    for (const name of this.options.finished ?? INITIALIZERS) {
      const found = module.exports.find((e) => e.name === name);
      const type = found?.kind === 0 ? module.functions[found.index]!.type : undefined;
      if (type === undefined || module.types[type]?.results.length !== 0) {
        if (!this.options.finished) continue;
        throw new BelayError(
          'ERR_BELAY_OPTION',
          `finished: ${found ? `export '${name}' is not a function without results` : `the module exports no '${name}'`}`,
        );
      }
      if (!nothing.has(type)) nothing.set(type, module.functions.length + nothing.size);
      this.undeclare([found!.index]);
      report.finished.push(name);
    }
    if (!nothing.size) return;
    const exports = new Writer().u(module.exports.length);
    for (const { name, kind, index } of module.exports) {
      const gone = kind === 0 && report.finished.includes(name);
      exports.name(name).byte(kind);
      exports.u(gone ? nothing.get(module.functions[index]!.type)! : index);
    }
    changed.set(SECTION_ID.export, exports);
    const append = (id: number, entry: (w: Writer, type: number) => void) => {
      const section = this.section(id);
      const r = section && new Reader(bytes, section.from, section.to);
      const w = new Writer(section ? section.to - section.from + 16 : 16).u((r?.u32() ?? 0) + nothing.size);
      if (r) w.slice(bytes, r.pos, r.end);
      for (const type of nothing.keys()) entry(w, type);
      changed.set(id, w);
    };
    append(SECTION_ID.function, (w, type) => w.u(type));
    append(SECTION_ID.code, (w) => w.byte(2, 0, 0x0b));
  }

  // --- the module ----------------------------------------------------------------------------------------------------

  private emit(): Uint8Array {
    const { module, changed } = this;
    const { bytes } = module;
    let length = bytes.length + 64;
    for (const content of changed.values()) length += content?.length ?? 0;
    const out = new Writer(length).slice(bytes, 0, 8);
    const known = module.sections.filter((s) => s.id !== SECTION_ID.custom);
    const emit = (id: number) => {
      const content = changed.get(id);
      if (content) out.byte(id).sized(content);
    };
    /** Emits what comes between two sections and is not in the module; it must not come behind the names. */
    const fill = (after: number | undefined, before: number | undefined) => {
      const from = after === undefined ? 0 : SECTION_ORDER.indexOf(after) + 1;
      const to = before === undefined ? SECTION_ORDER.length : SECTION_ORDER.indexOf(before);
      for (const id of SECTION_ORDER.slice(from, to)) emit(id);
    };
    if (!known.length) fill(undefined, undefined);
    for (const section of module.sections) {
      const { id, start, to } = section;
      const i = known.indexOf(section);
      if (i === 0) fill(undefined, id);
      if (i >= 0 && changed.has(id)) emit(id);
      else out.slice(bytes, start, to);
      if (i >= 0) fill(id, known[i + 1]?.id);
    }
    return out.done().slice();
  }

  /** @throws when the state does not fit into the module: a function of the wrong type in a typed table. */
  private validate(wasm: Uint8Array): void {
    try {
      if (WebAssembly.validate(wasm as Uint8Array<ArrayBuffer>)) return;
      // The original may be newer than this engine.
      if (!WebAssembly.validate(this.module.bytes as Uint8Array<ArrayBuffer>)) return;
      new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
    } catch (cause) {
      throw new BelayError(
        'ERR_BELAY_STATE',
        `the state does not fit into the module: ${(cause as Error).message}; take it anew`,
        { cause },
      );
    }
  }
}

/** A constant expression for an address or index. */
function offset(w: Writer, value: number, is64: boolean): void {
  if (is64) w.byte(0x42).s(value);
  else w.byte(0x41).s(value | 0);
  w.byte(0x0b);
}

/** Signed LEB128 of all 64 bits. */
function signed(w: Writer, value: bigint): void {
  let rest = value;
  for (;;) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const last = (rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40);
    w.byte(last ? low : low | 0x80);
    if (last) return;
  }
}
