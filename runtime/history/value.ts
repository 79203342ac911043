/** The value of an expression at one entry. */
import { REGISTERS } from '../guest/state.js';
import type { Value } from './expression/index.js';
import type { History } from './history.js';
import type { Past } from './types.js';
import { PAGE_BYTES } from './versions.js';

/**
 * What an expression has for a value at an entry; undefined where it has none (docs/expressions.md).
 * @throws ERR_BELAY_EXPRESSION, ERR_BELAY_HISTORY
 */
export function valueAt(history: History, text: string, entry: number): Value | undefined {
  return history.expression(text).evaluate(pastOf(history, entry));
}

function pastOf(history: History, entry: number): Past {
  const spaces = new Map<string, Uint8Array>();
  // Whole spaces but for memories, of which expressions look at little.
  const memories = history.contract.memories.length;
  const entryOf = (back: 0 | 1) => Math.max(history.first, entry - back);
  const spaceOf = (space: number, back: 0 | 1): Uint8Array => {
    const key = `${space} ${back}`;
    const known = spaces.get(key) ?? history.space(entryOf(back), space);
    spaces.set(key, known);
    return known;
  };
  const isMemory = (space: number) => space > REGISTERS + 1 && space < 2 + memories;
  return {
    entry,
    size(space, back) {
      return isMemory(space) ? history.memorySize(entryOf(back), space - 2) : spaceOf(space, back).length;
    },
    page(space, page, back) {
      const at = page * PAGE_BYTES;
      if (isMemory(space)) return viewOf(history.read(entryOf(back), at, PAGE_BYTES, space - 2));
      const bytes = new Uint8Array(PAGE_BYTES);
      bytes.set(spaceOf(space, back).subarray(at, at + PAGE_BYTES));
      return viewOf(bytes);
    },
  };
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
