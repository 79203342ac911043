import { unpack } from 'msgpackr';
import type { Contract } from '../contract/contract.js';
import { SECTION } from '../contract/contract.js';
import { survey } from './survey.js';
import type { Inspection } from './types.js';
import { validate } from './validate.js';
import { KIND } from './wasm/module.js';
import { typeName } from './wasm/types.js';

/**
 * Says of a module what state it has, what instrument() would do to it, and whether it can be rolled back.
 * @throws ERR_BELAY_INVALID_MODULE, ERR_BELAY_REFUSED (for a module that cannot even be parsed)
 */
export function inspect(bytes: Uint8Array): Inspection {
  const { module, refusals, warnings, writes, instrumented, ...found } = survey(bytes, false, () => {});
  // What is refused may be newer than this engine in ways that its words do not tell.
  if (refusals.length === 0) validate(bytes);
  const exported = (kind: number, index: number) =>
    module.exports.some((e) => e.kind === kind && e.index === index);
  const names = new Set(module.exports.map((e) => e.name));
  const section = module.sections.find((s) => s.id === 0 && s.name === SECTION);
  const byType: Record<string, number> = {};
  const mutable = module.globals.filter((g) => g.mutable);
  for (const g of mutable) byType[typeName(g.type)] = (byType[typeName(g.type)] ?? 0) + 1;
  const limits = ({ minimum, maximum }: { minimum: number; maximum?: number }) => ({
    initial: minimum,
    ...(maximum === undefined ? {} : { maximum }),
  });
  return {
    bytes: bytes.length,
    instrumented,
    ...(section ? { contract: unpack(bytes.subarray(section.from, section.to)) as Contract } : {}),
    canRollBack: refusals.length === 0,
    // What Belay itself added is no reason to refuse.
    refusals: instrumented ? [] : refusals,
    warnings,
    kind: names.has('_start') ? 'command' : names.has('_initialize') ? 'reactor' : 'library',
    functions: { imported: module.importedFunctions, defined: module.bodies.length },
    memories: module.memories.map((m, index) => ({
      index,
      imported: m.import !== undefined,
      exported: exported(2, index),
      is64: m.is64,
      shared: m.shared,
      ...limits(m),
    })),
    tables: module.tables.map((t, index) => ({
      index,
      type: typeName(t.type),
      imported: t.import !== undefined,
      exported: exported(1, index),
      mutated: found.mutatedTables.has(index),
      ...limits(t),
    })),
    globals: { mutable: mutable.length, immutable: module.globals.length - mutable.length, byType },
    segments: {
      data: module.dataSegments,
      dataDropped: found.droppedData.length,
      elem: module.elementSegments,
      elemDropped: found.droppedElements.length,
    },
    start: module.start !== undefined,
    imports: module.imports.map((i) => ({ ...i.names, kind: KIND[i.kind]! })),
    exports: module.exports.map((e) => ({ name: e.name, kind: KIND[e.kind]! })),
    customSections: module.sections.filter((s) => s.id === 0).map((s) => s.name),
    writes,
  };
}
