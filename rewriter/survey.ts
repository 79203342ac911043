/**
 * Stage 1 of 4: parse the module, find its writes (find.ts), and say what cannot be rolled back. Nothing is
 * changed here, so inspect() and instrument() share this stage.
 */
import { SECTION } from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';
import { type Found, findWrites } from './find.js';
import { findStackPointer } from './stack.js';
import type { Refusal } from './types.js';
import { UnknownInstruction } from './wasm/decode.js';
import { functionNames, type Module, parseModule } from './wasm/module.js';
import { OP, STACK_SWITCHING } from './wasm/opcodes.js';

export interface Survey {
  module: Module;
  names: Map<number, string>;
  /** One a function body; missing where the body holds an unknown instruction. */
  found: (Found | undefined)[];
  refusals: Refusal[];
  warnings: string[];
  instrumented: boolean;
  /** Instructions that change state, by mnemonic. */
  writes: Record<string, number>;
  /** Tables that the module changes by an instruction. */
  mutatedTables: Set<number>;
  grownTables: Set<number>;
  droppedData: number[];
  droppedElements: number[];
  /** Functions that can be referred to: exported, imported, in an element segment, or named by ref.func. */
  references: Set<number>;
  /** The stack pointer's global, where one was found. */
  stackPointer: number | undefined;
}

/** State instructions that only look, or only drop. */
const READS: ReadonlySet<number> = new Set([OP.memory_size, OP.table_get, OP.table_size]);

/** Refusals listed before the rest is only counted. */
const MOST_REFUSALS = 50;

/** @throws ERR_BELAY_INVALID_MODULE; ERR_BELAY_REFUSED for a section that cannot even be parsed. */
export function survey(bytes: Uint8Array, wantLoads: boolean, onProgress: (done: number) => void): Survey {
  const module = parseModule(bytes);
  const names = functionNames(module);
  const refusals: Refusal[] = [];
  const warnings: string[] = [];
  refuseState(module, refusals);
  const customs = module.sections.filter((s) => s.id === 0).map((s) => s.name);
  if (customs.some((name) => name === 'linking' || name.startsWith('reloc.'))) {
    refusals.push({ reason: 'this is a relocatable object file: link it first' });
  }
  if (customs.includes('dylink') || customs.includes('dylink.0')) {
    warnings.push(
      'a dynamic library shares its memory and table with other modules: what those write is not seen',
    );
  }
  if (customs.some((name) => name.startsWith('.debug_'))) {
    warnings.push('debug sections (.debug_*) are kept, but their code offsets are those of the original');
  }
  if (customs.includes('sourceMappingURL')) {
    warnings.push('the source map is kept, but its offsets are those of the original');
  }

  const stackPointer = findStackPointer(module);
  const found: (Found | undefined)[] = [];
  const writes: Record<string, number> = {};
  const mutatedTables = new Set<number>();
  const grownTables = new Set<number>();
  const droppedData = new Set<number>();
  const droppedElements = new Set<number>();
  const references = new Set(module.references);
  for (const e of module.exports) if (e.kind === 0) references.add(e.index);
  for (let i = 0; i < module.importedFunctions; i++) references.add(i);
  const segmentReads: ['data' | 'elem', number, number][] = [];
  const label = (index: number) => {
    const number = module.importedFunctions + index;
    const name = names.get(number);
    return name === undefined ? `function ${number}` : `function ${number} ($${name})`;
  };
  for (let i = 0; i < module.bodies.length; i++) {
    if ((i & 1023) === 0) onProgress(i / module.bodies.length);
    let f: Found;
    try {
      f = findWrites(module, i, wantLoads, stackPointer);
    } catch (error) {
      if (!(error instanceof UnknownInstruction)) throw invalid(error, label(i));
      const switching = STACK_SWITCHING.get(error.opcode);
      refusals.push({
        reason: switching
          ? 'a suspended computation would outlive the checkpoint'
          : 'an instruction that is not known may change state',
        function: label(i),
        instruction: switching ?? `0x${error.opcode.toString(16)}`,
        offset: error.offset,
      });
      found.push(undefined);
      continue;
    }
    found.push(f);
    for (const index of f.references) references.add(index);
    for (const { at, op } of f.refused) {
      refusals.push({
        reason: 'a garbage-collected object is mutated, and objects are not checkpointed',
        function: label(i),
        instruction: op.name,
        offset: at,
      });
    }
    for (const { op, memory } of f.writes) {
      writes[op.name] = (writes[op.name] ?? 0) + 1;
      if (memory >= module.memories.length) throw invalid(undefined, label(i));
    }
    for (const { at, op, code, a, b } of f.states) {
      if (!READS.has(code)) writes[op.name] = (writes[op.name] ?? 0) + 1;
      if (code === OP.table_set || code === OP.table_fill || code === OP.table_grow) mutatedTables.add(a);
      if (code === OP.table_grow) {
        grownTables.add(a);
        // A table cannot shrink, and what a rollback takes away cannot be made null here.
        if (module.tables[a]?.type[0] === 0x64) {
          refusals.push({
            reason: `table ${a} grows, and its elements cannot be null: after a rollback they could still be called`,
            function: label(i),
            instruction: op.name,
            offset: at,
          });
        }
      }
      if (code === OP.table_copy) mutatedTables.add(a);
      if (code === OP.table_init) mutatedTables.add(b);
      if (code === OP.data_drop) droppedData.add(a);
      if (code === OP.elem_drop) droppedElements.add(a);
    }
    for (const [kind, segment] of f.segmentReads) segmentReads.push([kind, segment, i]);
  }
  for (const [kind, segment, i] of segmentReads) {
    if (!(kind === 'data' ? droppedData : droppedElements).has(segment)) continue;
    refusals.push({
      reason: `${kind} segment ${segment} is dropped, and read into an array as well`,
      function: label(i),
      instruction: `array.new_${kind}`,
    });
  }
  if (refusals.length > MOST_REFUSALS) {
    const more = refusals.length - MOST_REFUSALS;
    refusals.length = MOST_REFUSALS;
    refusals.push({ reason: `and ${more} more like these` });
  }
  const mutableGlobals = module.globals.filter((g) => g.mutable).length;
  if (mutableGlobals) writes['mutable global'] = mutableGlobals;
  const sorted = (set: Set<number>) => [...set].sort((a, b) => a - b);
  return {
    module,
    names,
    found,
    refusals,
    warnings,
    instrumented: customs.includes(SECTION),
    writes,
    mutatedTables,
    grownTables,
    droppedData: sorted(droppedData),
    droppedElements: sorted(droppedElements),
    references,
    stackPointer,
  };
}

/**
 * The stages take indices and the nesting of blocks for granted: what follows from wrong ones is the module's
 * fault. (The engine validates later, and only modules that are not too new for it.)
 */
function invalid(error: unknown, where: string): unknown {
  if (error instanceof BelayError) return error;
  return new BelayError(
    'ERR_BELAY_INVALID_MODULE',
    `the module does not validate: ${where} refers to something that is not there; build it anew`,
    { cause: error },
  );
}

/** What can be told without looking at instructions. */
function refuseState(module: Module, refusals: Refusal[]): void {
  module.memories.forEach((memory, i) => {
    if (memory.shared) {
      refusals.push({ reason: `memory ${i} is shared: other threads could write while it is rolled back` });
    }
    if (memory.customPage)
      refusals.push({ reason: `memory ${i} has a page size of its own, which is not supported` });
  });
  module.tables.forEach((table, i) => {
    if (table.shared) refusals.push({ reason: `table ${i} is shared: other threads could change it` });
    if (table.is64) refusals.push({ reason: `table ${i} has 64-bit indices, which are not supported` });
  });
  for (const { name } of module.exports) {
    if (name.startsWith('belay:')) {
      refusals.push({ reason: `the module exports '${name}': names that begin with 'belay:' are taken` });
    }
  }
}
