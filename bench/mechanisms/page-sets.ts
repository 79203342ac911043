/** The pages that epochs write, drawn from a seed: the guest, the oracle and the copy are told the same. */
import { PAGE_BYTES } from '../../runtime/mechanisms/addon.js';
import { Random } from '../../runtime/speculation/random.js';

/** Most entries of all sets together. */
const ENTRIES = 2 ** 16;
const SEED = 1;

export interface PageSets {
  /** For each epoch the addresses that it stores to, in the order of the stores: what lies at address 0. */
  list: Uint32Array;
  /** The same as numbers of pages. */
  pages: Uint32Array[];
}

/** @param most sets to draw before they come again: fewer where they would not fit */
export function pageSets(memoryBytes: number, dirty: number, most: number): PageSets {
  const sets = Math.max(1, Math.min(most, ENTRIES / dirty, Math.floor(memoryBytes / 64 / dirty)));
  const list = new Uint32Array(sets * dirty);
  const first = Math.ceil(list.byteLength / PAGE_BYTES);
  const all = Uint32Array.from({ length: memoryBytes / PAGE_BYTES - first }, (_, i) => first + i);
  if (dirty > all.length) throw new Error(`${dirty} pages do not fit into ${memoryBytes} bytes`);
  const random = new Random(SEED);
  const pages: Uint32Array[] = [];
  for (let n = 0; n < sets; n++) {
    // The first `dirty` elements of a shuffle; the next one begins with what this one left.
    for (let i = 0; i < dirty; i++) {
      const j = i + random.below(all.length - i);
      const page = all[j]!;
      all[j] = all[i]!;
      all[i] = page;
      list[n * dirty + i] = page * PAGE_BYTES + 8 * random.below(PAGE_BYTES / 8);
    }
    pages.push(all.slice(0, dirty));
  }
  return { list, pages };
}
