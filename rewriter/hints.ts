/**
 * The custom section `metadata.code.branch_hint` (branch hinting proposal): for each function, offsets of
 * `if` and `br_if` instructions from the start of its body, and whether they are likely. V8 honours it by
 * default from 14.1 on, and behind --experimental-wasm-branch-hinting before.
 */
import { Reader } from './wasm/reader.js';
import { Writer } from './wasm/writer.js';

export const HINT_SECTION = 'metadata.code.branch_hint';

/** Hints of one function: [offset from the body's first byte, likely]. */
export type Hints = Map<number, [number, number][]>;

/** Reads the section's content; a malformed one is taken as empty, as it may be by engines. */
export function readHints(bytes: Uint8Array, from: number, to: number): Hints {
  const hints: Hints = new Map();
  try {
    const r = new Reader(bytes, from, to);
    for (let n = r.u32(); n > 0; n--) {
      const fn = r.u32();
      const list: [number, number][] = [];
      for (let k = r.u32(); k > 0; k--) {
        const offset = r.u32();
        r.u32();
        list.push([offset, r.byte()]);
      }
      hints.set(fn, list);
    }
  } catch {
    return new Map();
  }
  return hints;
}

export function writeHints(hints: Hints): Writer {
  const w = new Writer(1024).name(HINT_SECTION);
  const functions = [...hints].filter(([, list]) => list.length).sort((a, b) => a[0] - b[0]);
  w.u(functions.length);
  for (const [fn, list] of functions) {
    w.u(fn).u(list.length);
    for (const [offset, likely] of list.sort((a, b) => a[0] - b[0])) w.u(offset).u(1).byte(likely);
  }
  return w;
}
