/**
 * Adds exports to a module, so that all of its state can be compared: every memory, table and global, and for
 * v128 globals, whose value JavaScript cannot read, a function that returns both halves. Nothing is
 * renumbered, and code is untouched.
 */
import { parseModule, SECTION_ID, SECTION_ORDER } from '../../rewriter/wasm/module.js';
import { Reader } from '../../rewriter/wasm/reader.js';
import { Writer } from '../../rewriter/wasm/writer.js';

/** Exports added by {@link exposeState} begin like this. */
export const STATE_PREFIX = 'state:';

const V128 = 0x7b;

/** Returns `bytes` with all state exported, as `state:memory:N`, `state:table:N`, `state:global:N`. */
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
  const bodies: Writer[] = [];
  for (const i of module.memories.keys()) add(`memory:${i}`, 2, i);
  for (const i of module.tables.keys()) add(`table:${i}`, 1, i);
  module.globals.forEach((global, i) => {
    if (!global.mutable) return;
    if (global.type[0] !== V128) {
      add(`global:${i}`, 3, i);
      return;
    }
    add(`v128:${i}`, 0, module.functions.length + bodies.length);
    const half = (lane: number) => (w: Writer) => w.byte(0x23).u(i).byte(0xfd, 0x1d, lane);
    const body = new Writer().u(0);
    half(0)(body);
    half(1)(body);
    bodies.push(body.byte(0x0b));
  });
  // Types of `() -> (i64, i64)`, functions and bodies go behind the module's own.
  const appended: Record<number, Writer[]> = {
    [SECTION_ID.export]: exports,
    [SECTION_ID.type]: bodies.length ? [new Writer().byte(0x60, 0, 2, 0x7e, 0x7e)] : [],
    [SECTION_ID.function]: bodies.map(() => new Writer().u(module.types.length)),
    [SECTION_ID.code]: bodies.map((body) => new Writer().sized(body)),
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
