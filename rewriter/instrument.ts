import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { Packr } from 'msgpackr';
import {
  CONTRACT_VERSION,
  type Contract,
  EXPORTS,
  type GlobalState,
  isOutside,
  PAGE,
  type Placement,
  SECTION,
} from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';
import { type Plan, planChecks } from './analyse.js';
import type { StateOp, Write } from './find.js';
import { HINT_SECTION, type Hints, readHints, writeHints } from './hints.js';
import { type InsertContext, insertChecks } from './insert.js';
import type { Geometry } from './layout.js';
import { assemble, heapType, type Linked, linkSupport, TypePool } from './link.js';
import { storeMechanism } from './mechanisms/index.js';
import type { GuardPlan, StoreMechanism } from './mechanisms/mechanism.js';
import { checkOptions, DEFAULT_LOG_LIMIT, engineHasMultiMemory, type Settings } from './options.js';
import { functionSegment, globalAccessors, globalStates, reachableFunctions } from './reach.js';
import { type SupportSpec, supportText } from './support/index.js';
import { type Survey, survey } from './survey.js';
import type { Instrumented, InstrumentOptions, Omittable, Refusal, Report } from './types.js';
import { validate } from './validate.js';
import { type Module, SECTION_ID, SECTION_ORDER } from './wasm/module.js';
import { OP } from './wasm/opcodes.js';
import { Reader } from './wasm/reader.js';
import { Writer } from './wasm/writer.js';

/** ERR_BELAY_REFUSED: lists every reason. */
export class RefusedError extends BelayError {
  constructor(readonly refusals: Refusal[]) {
    const [first] = refusals;
    const where = first!.function ? ` in ${first!.function}` : '';
    const what = first!.instruction ? `: ${first!.instruction}` : '';
    const at = first!.offset === undefined ? '' : ` at byte ${first!.offset}`;
    const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more; belay inspect lists them)` : '';
    super(
      'ERR_BELAY_REFUSED',
      `the module cannot be rolled back: ${first!.reason}${where}${what}${at}${more}`,
    );
  }
}

/** Largest reserve that the inline layout takes unasked. */
const DEFAULT_RESERVE = 512 * 2 ** 20;

/**
 * Instruments a module, so that a runtime can take checkpoints of its whole state and roll back to them.
 * The output is a function of `bytes` and `options` alone (and, with `layout: 'auto'`, of the engine). Works
 * wherever Binaryen does: Node, Deno, Bun, browsers.
 *
 * @param bytes a WebAssembly binary (see toBinary for text)
 * @throws ERR_BELAY_INVALID_MODULE, ERR_BELAY_REFUSED (with `refusals`), ERR_BELAY_ALREADY_INSTRUMENTED,
 *   ERR_BELAY_OPTION
 * @see layout.ts and support/ for what comes out; LMC: Vogt et al., DSN 2015
 */
export function instrument(bytes: Uint8Array, options: InstrumentOptions = {}): Instrumented {
  const settings = checkOptions(options);
  const found = survey(bytes, settings.checkLoads, (done) => settings.onProgress(done * 0.5));
  if (found.instrumented) {
    throw new BelayError(
      'ERR_BELAY_ALREADY_INSTRUMENTED',
      'the module is instrumented already: instrument the original instead',
    );
  }
  if (found.refusals.length) throw new RefusedError(found.refusals);
  validate(bytes);
  return new Instrumentation(found, settings).run();
}

class Instrumentation {
  private readonly module: Module;
  private readonly layout: Placement;
  private readonly mechanism: StoreMechanism;
  private readonly plan: GuardPlan;
  /** Undo log: bytes. */
  private readonly logLimit: number;
  private readonly geometries: Geometry[];
  private readonly initialPages: number[];
  private readonly trackedTables: number[];
  /** The stack pointer's global, where its low-water mark is kept. */
  private readonly stack: number | undefined;
  /** Tables whose size the guest may see change. */
  private readonly growable: Set<number>;
  private readonly globals: GlobalState[];
  /** Functions that tables and globals can refer to. */
  private readonly functions: number[];

  constructor(
    private readonly survey: Survey,
    private readonly settings: Settings,
  ) {
    const { module } = survey;
    this.module = module;
    this.mechanism = storeMechanism(settings.mechanism);
    this.layout = this.chooseLayout();
    this.logLimit = settings.logLimit ?? DEFAULT_LOG_LIMIT[this.layout === 'inline' ? 'inline' : 'separate'];
    this.plan = this.mechanism.plan(this.layout, settings);
    this.stack = this.plan.stack ? survey.stackPointer : undefined;
    this.plan.stack = this.stack !== undefined;
    this.initialPages = module.memories.map((m) => m.minimum);
    this.geometries = module.memories.map((m, k) => {
      const given = { ...settings, logLimit: this.logLimit };
      const reservePages = this.layout === 'inline' ? this.reservePages(m) : 0;
      const geometry = this.mechanism.geometry(this.layout, { is64: m.is64, reservePages }, given);
      if (m.minimum <= geometry.maxPages) return geometry;
      const reason = `memory ${k} begins with ${m.minimum} pages, and pre-images of more than ${geometry.maxPages} do not fit into 4 GiB`;
      throw new RefusedError([{ reason }]);
    });
    const shared = new Set<number>([...survey.mutatedTables]);
    const visible = new Set<number>();
    module.tables.forEach((t, i) => {
      if (t.import) visible.add(i);
    });
    for (const e of module.exports) if (e.kind === 1) visible.add(e.index);
    for (const i of visible) shared.add(i);
    this.trackedTables = [...shared].sort((a, b) => a - b);
    this.growable = new Set([...visible, ...survey.grownTables]);
    this.globals = settings.omit.has('global') ? [] : globalStates(module);
    this.functions = reachableFunctions(survey, this.trackedTables);
  }

  /** Inline layout: pages that the guest's memory can grow to. @throws ERR_BELAY_OPTION */
  private reservePages(m: { minimum: number; maximum?: number }): number {
    const declared = (m.maximum ?? 65536) * PAGE;
    const reserve =
      this.settings.reserve ?? Math.min(declared, Math.max(DEFAULT_RESERVE, m.minimum * PAGE * 2));
    const pages = Math.min(Math.ceil(reserve / PAGE), m.maximum ?? 65536);
    if (pages >= m.minimum) return pages;
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `the reserve of ${reserve} bytes is smaller than the module's memory of ${m.minimum * PAGE}: raise it`,
    );
  }

  private chooseLayout(): Placement {
    const { memories } = this.module;
    const { layout } = this.settings;
    if (isOutside(this.settings.mechanism)) return 'outside';
    const needs = memories.length > 1 ? 'several memories' : memories[0]?.is64 ? 'a 64-bit memory' : '';
    if (layout === 'inline' && needs) {
      throw new BelayError('ERR_BELAY_OPTION', `a module with ${needs} needs layout 'separate'`);
    }
    if (layout !== 'auto') return layout;
    return needs || engineHasMultiMemory() ? 'separate' : 'inline';
  }

  run(): Instrumented {
    const { module, settings, survey: found } = this;
    const types = new TypePool(module.types.length);
    const spec = this.supportSpec();
    const support = assemble(supportText(spec));

    const globalsFunction = module.functions.length;
    const firstFunction = globalsFunction + 2;
    const firstGlobal = module.globals.length;
    const shadowTables = this.trackedTables.map((t) => nullableType(module.tables[t]!.type));
    const linked = linkSupport(support, {
      types,
      firstFunction,
      firstGlobal,
      firstTable: module.tables.length + shadowTables.length,
      functions: new Map([
        ['saveGlobals', globalsFunction],
        ['restoreGlobals', globalsFunction + 1],
        ...(module.start === undefined ? [] : ([['start', module.start]] as const)),
      ]),
      memories: this.memoryNames(),
      globals: new Map(this.stack === undefined ? [] : [['sp', this.stack]]),
      tables: new Map([
        ...module.tables.map((_, i) => [`x${i}`, i] as const),
        ...this.trackedTables.map((t, i) => [`y${t}`, module.tables.length + i] as const),
      ]),
      tableTypes: new Map(this.trackedTables.map((t) => [t, module.tables[t]!.type])),
      dataSegments: [...new Set(spec.memoryInits.map(([segment]) => segment))],
      elementSegments: [...new Set(spec.tableInits.map(([segment]) => segment))],
    });
    const shadows = this.shadowGlobals(linked, firstGlobal + linked.globals.length);

    const report: Report = {
      mechanism: settings.mechanism,
      region: this.mechanism.region(settings),
      layout: this.layout,
      functions: module.bodies.length,
      writes: found.writes,
      stores: 0,
      calls: 0,
      checksInserted: 0,
      checksRemoved: 0,
      checksMerged: 0,
      checksStack: 0,
      unreachable: 0,
      branchHints: 0,
      bytesBefore: module.bytes.length,
      bytesAfter: 0,
      codeGrowth: 0,
      warnings: found.warnings,
    };
    const emptyType = types.intern([], []);
    const added = [
      { body: shadows.save, type: emptyType, name: 'saveGlobals' },
      { body: shadows.restore, type: emptyType, name: 'restoreGlobals' },
      ...linked.functions,
      ...globalAccessors(module, this.globals, types),
    ];
    const { code, hints } = this.code(linked, report, added);
    const contract = this.contract();
    const { functions } = this;
    const functionTable = module.tables.length + shadowTables.length + linked.tables;

    const appended: Appended = {
      [SECTION_ID.type]: [types.encoded.length, concat(types.encoded)],
      [SECTION_ID.function]: [added.length, added.reduce((w, f) => w.u(f.type), new Writer())],
      [SECTION_ID.table]: this.tableEntries(shadowTables, linked.tables),
      [SECTION_ID.memory]: this.memoryEntries(),
      [SECTION_ID.global]: [
        linked.globals.length + shadows.globals.length,
        concat([...linked.globals, ...shadows.globals]),
      ],
      [SECTION_ID.export]: this.exportEntries(
        linked,
        firstFunction + linked.functions.length,
        functions.length ? functionTable : undefined,
      ),
      [SECTION_ID.element]: [functions.length ? 1 : 0, functionSegment(functionTable, functions)],
    };
    const start = new Writer().u(linked.functionIndex.get('setup')!);
    const names = added.map((f) => f.name);
    const wasm = this.emit(appended, start, code, hints, names, contract);
    report.branchHints = [...hints.values()].reduce((n, list) => n + list.length, 0);
    report.bytesAfter = wasm.length;
    report.codeGrowth = wasm.length / module.bytes.length;
    settings.onProgress(1);
    return { wasm, report, contract };
  }

  private supportSpec(): SupportSpec {
    const { module, survey: found, settings } = this;
    const pairs = (code: number) => {
      const seen = new Map<string, [number, number]>();
      for (const f of found.found)
        for (const s of f!.states) if (s.code === code) seen.set(`${s.a},${s.b}`, [s.a, s.b]);
      return [...seen.values()].sort((x, y) => x[0] - y[0] || x[1] - y[1]);
    };
    return {
      layout: this.layout,
      mechanism: this.mechanism,
      logLimit: this.logLimit,
      memories: this.geometries.map((geometry, k) => ({ geometry, initialPages: this.initialPages[k]! })),
      tables: this.trackedTables.map((index) => ({
        index,
        nullable: module.tables[index]!.type[0] !== 0x64,
      })),
      memoryCopies: pairs(OP.memory_copy),
      memoryInits: pairs(OP.memory_init),
      tableCopies: pairs(OP.table_copy),
      tableInits: pairs(OP.table_init),
      droppedData: found.droppedData,
      droppedElements: found.droppedElements,
      hasStart: module.start !== undefined,
      stack: this.stack !== undefined,
      steps: settings.steps,
      oracle: settings.oracle,
      omit: settings.omit,
    };
  }

  /** The first of a memory's support memories. */
  private supportMemory(k: number): number {
    const { length } = this.module.memories;
    return this.layout === 'inline' ? k : length + this.mechanism.supportMemories * k;
  }

  private memoryNames(): Map<string, number> {
    const names = new Map<string, number>();
    this.module.memories.forEach((_, k) => {
      names.set(`m${k}`, k);
      names.set(`t${k}`, this.supportMemory(k));
      names.set(`s${k}`, this.supportMemory(k) + 1);
    });
    return names;
  }

  /** Rewrites every body, and appends those of the support functions. */
  private code(linked: Linked, report: Report, added: { body: Uint8Array }[]) {
    const { module, settings, survey: found } = this;
    const fn = (name: string) => linked.functionIndex.get(name)!;
    const context: InsertContext = {
      bytes: module.bytes,
      memories: this.geometries.map((geometry, k) => ({
        geometry,
        support: this.supportMemory(k),
        fn: (name) => fn(`${name}${k}`),
        global: (name) => linked.globalIndex.get(`${name}${k}`)!,
        verify: settings.oracle ? fn(`verify${k}`) : undefined,
        load: settings.checkLoads && this.layout === 'inline' ? fn(`load${k}`) : undefined,
      })),
      guard: this.mechanism.guard,
      replace: (state) => this.replacement(state, linked, report),
      omitted: (write) => settings.omit.has(kindOf(write)),
      stack:
        this.stack === undefined
          ? undefined
          : {
              pointer: this.stack,
              low: linked.globalIndex.get('low')!,
              span: linked.globalIndex.get('span')!,
              deepen: fn('deepen'),
              restack: fn('restack'),
            },
      steps: settings.steps
        ? {
            global: linked.globalIndex.get('steps')!,
            tick: fn('tickNow'),
            turn: fn('turn'),
          }
        : undefined,
    };
    const hintSection = module.sections.find((s) => s.id === 0 && s.name === HINT_SECTION);
    const old = hintSection ? readHints(module.bytes, hintSection.from, hintSection.to) : new Map();
    const hints: Hints = new Map();
    const out = new Writer(Math.ceil(module.bytes.length * 1.5));
    out.u(module.bodies.length + added.length);
    module.bodies.forEach((body, i) => {
      if ((i & 1023) === 0) settings.onProgress(0.5 + (0.5 * i) / module.bodies.length);
      const f = found.found[i]!;
      const plan = this.mechanism.guard ? planChecks(f, this.geometries, this.plan) : UNGUARDED;
      const number = module.importedFunctions + i;
      const inserted = insertChecks(body, f, plan, context, number);
      out.u(inserted.body.length).bytes(inserted.body);
      report.stores += f.writes.length;
      report.unreachable += f.unreachable;
      report.checksInserted += plan.inserted;
      report.checksRemoved += plan.removed;
      report.checksMerged += plan.merged;
      report.checksStack += plan.stack;
      const kept: [number, number][] = (old.get(number) ?? []).map(([offset, likely]: [number, number]) => [
        inserted.moved(offset),
        likely,
      ]);
      if (settings.hints) for (const hint of inserted.hints) kept.push([hint, 0]);
      if (kept.length) hints.set(number, kept);
      // The facts about this function are not needed again.
      found.found[i] = undefined;
    });
    for (const { body } of added) out.u(body.length).bytes(body);
    return { code: out, hints };
  }

  /** Code in place of an instruction that changes other state than the bytes of memory, or looks at it. */
  private replacement(state: StateOp, linked: Linked, report: Report): Uint8Array | undefined {
    const { omit } = this.settings;
    const { code, op, a, b } = state;
    const call = (name: string) => {
      if (omit.has(op.name as Omittable)) return undefined;
      report.calls++;
      return new Writer().byte(0x10).u(linked.functionIndex.get(name)!).done();
    };
    const drop = (name: string) => {
      if (omit.has(op.name as Omittable)) return undefined;
      report.calls++;
      return new Writer().byte(0x41, 1, 0x24).u(linked.globalIndex.get(name)!).done();
    };
    const read = (name: string) => new Writer().byte(0x23).u(linked.globalIndex.get(name)!).done();
    switch (code) {
      case OP.memory_size:
        return omit.has('memory.grow') ? undefined : read(`pages${a}`);
      case OP.memory_grow:
        return call(`grow${a}`);
      case OP.memory_fill:
        return call(`fill${a}`);
      case OP.memory_copy:
        return call(`copy${a}_${b}`);
      case OP.memory_init:
        return call(`init${a}_${b}`);
      case OP.table_size:
        return this.growable.has(a) && !omit.has('table.grow') ? read(`count${a}`) : undefined;
      case OP.table_get:
        return this.growable.has(a) && !omit.has('table.grow') ? call(`tget${a}`) : undefined;
      case OP.table_set:
        return call(`tset${a}`);
      case OP.table_fill:
        return call(`tfill${a}`);
      case OP.table_grow:
        return call(`tgrow${a}`);
      case OP.table_copy:
        return call(`tcopy${a}_${b}`);
      case OP.table_init:
        return call(`tinit${a}_${b}`);
      case OP.data_drop:
        return drop(`droppedData${a}`);
      default:
        return drop(`droppedElement${a}`);
    }
  }

  /** A shadow for each mutable global and each dropped-segment flag, and the two functions that copy them. */
  private shadowGlobals(linked: Linked, first: number) {
    const save = new Writer().u(0);
    const restore = new Writer().u(0);
    const globals: Uint8Array[] = [];
    const shadow = (index: number, type: Uint8Array) => {
      const copy = first + globals.length;
      globals.push(
        new Writer().bytes(nullableType(type)).byte(1).bytes(zero(type)).byte(0x0b).done().slice(),
      );
      save.byte(0x23).u(index).byte(0x24).u(copy);
      restore.byte(0x23).u(copy);
      if (type[0] === 0x64) restore.byte(0xd4);
      restore.byte(0x24).u(index);
    };
    for (const { index } of this.globals) shadow(index, this.module.globals[index]!.type);
    for (const [name, index] of linked.globalIndex) {
      if (name.startsWith('dropped')) shadow(index, Uint8Array.of(0x7f));
    }
    return { save: save.byte(0x0b).done(), restore: restore.byte(0x0b).done(), globals };
  }

  private tableEntries(shadows: Uint8Array[], ticks: number): [number, Writer] {
    const w = new Writer();
    for (const type of shadows) w.bytes(type).byte(0, 0);
    for (let i = 0; i < ticks; i++) w.byte(0x70, 1, 1, 1);
    const { length } = this.functions;
    if (!length) return [shadows.length + ticks, w];
    w.byte(0x70, 1).u(length).u(length);
    return [shadows.length + ticks + 1, w];
  }

  private memoryEntries(): [number, Writer] {
    const w = new Writer();
    if (this.layout !== 'separate') return [0, w];
    this.geometries.forEach((g, k) => {
      for (const pages of this.mechanism.pages(g, this.initialPages[k]!)) w.byte(g.is64 ? 4 : 0).u(pages);
    });
    return [this.mechanism.supportMemories * this.geometries.length, w];
  }

  /**
   * What the runtime needs.
   * @param accessors index of the first function that reads or sets a global
   * @param functions index of the table of functions
   */
  private exportEntries(linked: Linked, accessors: number, functions: number | undefined): [number, Writer] {
    const w = new Writer();
    let count = 0;
    const add = (name: string, kind: number, index: number) => {
      w.name(name).byte(kind).u(index);
      count++;
    };
    const fn = (name: string, exported: string) => add(exported, 0, linked.functionIndex.get(name)!);
    const global = (name: string, exported: string) => add(exported, 3, linked.globalIndex.get(name)!);
    fn('checkpoint', EXPORTS.checkpoint);
    fn('rollback', EXPORTS.rollback);
    global('saved', EXPORTS.saved);
    this.geometries.forEach((geometry, k) => {
      for (const [name, exported] of Object.entries(this.mechanism.exports(geometry)))
        fn(`${name}${k}`, exported(k));
      fn(`size${k}`, EXPORTS.size(k));
      fn(`grow${k}`, EXPORTS.grow(k));
      fn(`shrink${k}`, EXPORTS.shrink(k));
      if (!this.ownExport(2, k)) add(EXPORTS.memory(k), 2, k);
      if (this.layout === 'separate') {
        [EXPORTS.tags, EXPORTS.shadow]
          .slice(0, this.mechanism.supportMemories)
          .forEach((name, i) => add(name(k), 2, this.supportMemory(k) + i));
      }
    });
    this.trackedTables.forEach((t, i) => {
      fn(`tset${t}`, EXPORTS.tableSet(i));
      fn(`tgrow${t}`, EXPORTS.tableGrow(i));
      fn(`tsize${t}`, EXPORTS.tableSize(i));
      fn(`tget${t}`, EXPORTS.tableGet(i));
      fn(`tshrink${t}`, EXPORTS.tableShrink(i));
      fn(`twritten${t}`, EXPORTS.tableWritten(i));
    });
    this.globals.forEach((_, i) => {
      add(EXPORTS.globalGet(i), 0, accessors + 2 * i);
      add(EXPORTS.globalSet(i), 0, accessors + 2 * i + 1);
    });
    for (const s of this.survey.droppedData) global(`droppedData${s}`, EXPORTS.droppedData(s));
    for (const s of this.survey.droppedElements) global(`droppedElement${s}`, EXPORTS.droppedElements(s));
    if (functions !== undefined) add(EXPORTS.functions, 1, functions);
    if (this.settings.steps) {
      global('steps', EXPORTS.steps);
      add(EXPORTS.tick, 1, linked.tableIndex.get('tick')!);
    }
    if (this.settings.mechanism === 'undolog') global('full', EXPORTS.full);
    if (this.layout === 'outside') add(EXPORTS.grown, 1, linked.tableIndex.get('grown')!);
    if (this.settings.oracle) {
      global('oracleFunction', EXPORTS.oracleFunction);
      global('oracleStore', EXPORTS.oracleStore);
    }
    return [count, w];
  }

  private ownExport(kind: number, index: number): string | undefined {
    return this.module.exports.find((e) => e.kind === kind && e.index === index)?.name;
  }

  private contract(): Contract {
    const { module, settings } = this;
    const names = (i?: { module: string; name: string }) =>
      i ? { import: [i.module, i.name] as [string, string] } : {};
    return {
      version: CONTRACT_VERSION,
      module: bytesToHex(sha256(module.bytes)),
      mechanism: settings.mechanism,
      region: this.mechanism.region(settings),
      layout: this.layout,
      memories: module.memories.map((m, k) => ({
        is64: m.is64,
        export: this.ownExport(2, k) ?? EXPORTS.memory(k),
        ...names(m.import),
        ...(this.layout === 'inline'
          ? { reserve: this.geometries[k]!.maxPages, total: this.geometries[k]!.totalPages }
          : {}),
      })),
      tables: this.trackedTables.map((index) => ({
        index,
        exports: module.exports.filter((e) => e.kind === 1 && e.index === index).map((e) => e.name),
        ...names(module.tables[index]!.import),
      })),
      globals: this.globals,
      segments: { data: this.survey.droppedData, elements: this.survey.droppedElements },
      functions: this.functions,
      steps: settings.steps,
      oracle: settings.oracle,
    };
  }

  private emit(
    appended: Appended,
    start: Writer,
    code: Writer,
    hints: Hints,
    functionNames: string[],
    contract: Contract,
  ): Uint8Array {
    const { module } = this;
    const { bytes } = module;
    const out = new Writer(code.length + bytes.length / 2 + 4096);
    out.bytes(bytes.subarray(0, 8));
    const section = (id: number, content: Writer) => out.byte(id).sized(content);
    const written = new Set<number>();
    /** Emits what belongs before section `id` and is not in the module. */
    const fillUpTo = (id: number) => {
      for (const next of SECTION_ORDER) {
        if (next === id) return;
        if (written.has(next) || module.sections.some((s) => s.id === next)) continue;
        written.add(next);
        if (next === SECTION_ID.start) section(next, start);
        else if (next === SECTION_ID.code) emitCode();
        else if (appended[next]?.[0])
          section(next, new Writer().u(appended[next][0]).bytes(appended[next][1].done()));
      }
    };
    const emitCode = () => {
      if (hints.size) section(0, writeHints(hints));
      section(SECTION_ID.code, code);
    };
    for (const s of module.sections) {
      if (s.id === SECTION_ID.custom) {
        if (s.name === HINT_SECTION) continue;
        if (s.name === 'name') section(0, this.nameSection(s.from, s.to, functionNames));
        else out.slice(bytes, s.start, s.to);
        continue;
      }
      fillUpTo(s.id);
      written.add(s.id);
      if (s.id === SECTION_ID.start) section(s.id, start);
      else if (s.id === SECTION_ID.code) emitCode();
      else if (s.id === SECTION_ID.import) this.emitImports(out, s.from, s.to);
      else if (s.id === SECTION_ID.memory && this.layout === 'inline') this.emitInlineMemory(out);
      else if (appended[s.id]?.[0]) {
        const [count, extra] = appended[s.id]!;
        const r = new Reader(bytes, s.from, s.to);
        const own = r.u32();
        section(
          s.id,
          new Writer()
            .u(own + count)
            .slice(bytes, r.pos, s.to)
            .bytes(extra.done()),
        );
      } else out.slice(bytes, s.start, s.to);
    }
    fillUpTo(-1);
    const plain = JSON.parse(JSON.stringify(contract)) as Contract;
    section(0, new Writer().name(SECTION).bytes(new Packr({ useRecords: false }).pack(plain)));
    return out.done().slice();
  }

  private inlineLimits(w: Writer): void {
    const { totalPages } = this.geometries[0]!;
    w.byte(1).u(totalPages).u(totalPages);
  }

  private emitInlineMemory(out: Writer): void {
    const w = new Writer().u(1);
    this.inlineLimits(w);
    out.byte(SECTION_ID.memory).sized(w);
  }

  /** Imports as they are, but for the limits of an imported memory in the inline layout. */
  private emitImports(out: Writer, from: number, to: number): void {
    const { bytes, imports, memories } = this.module;
    const memory = memories[0];
    if (this.layout !== 'inline' || !memory?.import) {
      out
        .byte(SECTION_ID.import)
        .u(to - from)
        .slice(bytes, from, to);
      return;
    }
    const w = new Writer(to - from + 16).u(imports.length);
    for (const i of imports) {
      if (i.kind === 2) {
        w.slice(bytes, i.from, i.limitsFrom);
        this.inlineLimits(w);
      } else w.slice(bytes, i.from, i.to);
    }
    out.byte(SECTION_ID.import).sized(w);
  }

  /** The name section with the names of the added functions behind the others. */
  private nameSection(from: number, to: number, added: string[]): Writer {
    const { bytes, functions } = this.module;
    const w = new Writer(to - from + 1024).name('name');
    const append = (target: Writer) =>
      added.forEach((name, i) => target.u(functions.length + i).name(`belay:${name}`));
    let done = false;
    const whole = () => {
      const names = new Writer().u(added.length);
      append(names);
      w.byte(1).sized(names);
      done = true;
    };
    try {
      const r = new Reader(bytes, from, to);
      while (!r.done) {
        const start = r.pos;
        const id = r.byte();
        const end = r.u32() + r.pos;
        if (id > 1 && !done) whole();
        if (id === 1) {
          const count = r.u32();
          const names = new Writer(end - r.pos + 1024).u(count + added.length).slice(bytes, r.pos, end);
          append(names);
          w.byte(1).sized(names);
          done = true;
        } else w.slice(bytes, start, end);
        r.pos = end;
      }
      if (!done) whole();
      return w;
    } catch {
      return new Writer().name('name').slice(bytes, from, to);
    }
  }
}

/** Stores that are left alone. */
const UNGUARDED: Plan = { checks: [], inserted: 0, removed: 0, merged: 0, stack: 0 };

/** What is appended to a section: count and encoded entries. */
type Appended = Record<number, [number, Writer]>;

function concat(parts: readonly Uint8Array[]): Writer {
  return parts.reduce((w, part) => w.bytes(part), new Writer());
}

/** The nullable reference type for a non-nullable one; any other type as it is. */
function nullableType(type: Uint8Array): Uint8Array {
  return type[0] === 0x64 ? new Writer().byte(0x63).bytes(type.subarray(1)).done() : type;
}

/** Encoded zero or null of a type, without `end`. */
function zero(type: Uint8Array): Uint8Array {
  switch (type[0]) {
    case 0x7f:
      return Uint8Array.of(0x41, 0);
    case 0x7e:
      return Uint8Array.of(0x42, 0);
    case 0x7d:
      return Uint8Array.of(0x43, 0, 0, 0, 0);
    case 0x7c:
      return Uint8Array.of(0x44, 0, 0, 0, 0, 0, 0, 0, 0);
    case 0x7b:
      return new Writer().byte(0xfd, 0x0c).bytes(new Uint8Array(16)).done();
    default:
      return new Writer().byte(0xd0).bytes(heapType(type)).done();
  }
}

/** The kind of a store, as `omit` names it. */
function kindOf({ op }: Write): Omittable {
  const { name } = op;
  if (name.includes('cmpxchg')) return 'atomic-cmpxchg';
  if (name.includes('rmw')) return 'atomic-rmw';
  if (name.includes('atomic')) return 'atomic-store';
  if (name.endsWith('_lane')) return 'store-lane';
  if (name.startsWith('v128')) return 'store-simd';
  if (name.startsWith('f')) return 'store-float';
  return /store\d/.test(name) ? 'store-narrow' : 'store';
}
