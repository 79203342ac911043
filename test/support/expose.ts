/**
 * Adds exports to a module, so that all of its state can be compared: every memory, table and global. Numbers
 * and vectors in globals are read by functions, because an exported global is one that the host can change,
 * which the rewriter has to allow for. Nothing is renumbered, and code is untouched.
 */
import { parseModule, SECTION_ID, SECTION_ORDER } from '../../rewriter/wasm/module.js';
import { Reader } from '../../rewriter/wasm/reader.js';
import { Writer } from '../../rewriter/wasm/writer.js';

/** Exports added by {@link exposeState} begin like this. */
export const STATE_PREFIX = 'state:';

const [V128, I64, I32] = [0x7b, 0x7e, 0x7f];

/**
 * Returns `bytes` with all state exported, as `state:memory:N`, `state:table:N`, and `state:global:N` (for
 * references) or `state:get:N` (a function that returns the value; two i64 for a v128).
 */
export function exposeState(bytes: Uint8Array): Uint8Array {
  const module = parseModule(bytes);
  const exports: Writer[] = [];
  const add = (name: string, kind: number, index: number) =>
    exports.push(
      new Writer()
        .name(STATE_PREFIX + name)
        .byte(kind)
        .u(index),
    );
  const getters: { body: Writer; results: number[] }[] = [];
  for (const i of module.memories.keys()) add(`memory:${i}`, 2, i);
  for (const i of module.tables.keys()) add(`table:${i}`, 1, i);
  module.globals.forEach((global, i) => {
    if (!global.mutable) return;
    const type = global.type[0]!;
    if (type < V128 || type > I32) {
      add(`global:${i}`, 3, i);
      return;
    }
    add(`get:${i}`, 0, module.functions.length + getters.length);
    const body = new Writer().u(0);
    for (let lane = 0; lane < (type === V128 ? 2 : 1); lane++) {
      body.byte(0x23).u(i);
      if (type === V128) body.byte(0xfd, 0x1d, lane);
    }
    getters.push({ body: body.byte(0x0b), results: type === V128 ? [I64, I64] : [type] });
  });
  // Types, functions and bodies go behind the module's own.
  const appended: Record<number, Writer[]> = {
    [SECTION_ID.export]: exports,
    [SECTION_ID.type]: getters.map(({ results }) =>
      new Writer()
        .byte(0x60, 0)
        .u(results.length)
        .byte(...results),
    ),
    [SECTION_ID.function]: getters.map((_, i) => new Writer().u(module.types.length + i)),
    [SECTION_ID.code]: getters.map(({ body }) => new Writer().sized(body)),
  };
  const out = new Writer(bytes.length + 1024).bytes(bytes.subarray(0, 8));
  const written = new Set<number>();
  const emit = (id: number, own?: { from: number; to: number }) => {
    written.add(id);
    const r = own && new Reader(bytes, own.from, own.to);
    const extra = appended[id] ?? [];
    if (!r && !extra.length) return;
    const w = new Writer().u((r ? r.u32() : 0) + extra.length);
    if (r && own) w.slice(bytes, r.pos, own.to);
    for (const item of extra) w.bytes(item.done());
    out.byte(id).sized(w);
  };
  const fillUpTo = (id: number) => {
    for (const next of SECTION_ORDER) {
      if (next === id) return;
      if (!written.has(next) && !module.sections.some((s) => s.id === next)) emit(next);
    }
  };
  for (const section of module.sections) {
    if (section.id === SECTION_ID.custom) {
      out.slice(bytes, section.start, section.to);
      continue;
    }
    fillUpTo(section.id);
    if (appended[section.id]?.length) emit(section.id, section);
    else {
      written.add(section.id);
      out.slice(bytes, section.start, section.to);
    }
  }
  fillUpTo(-1);
  return out.done().slice();
}
