/**
 * What this epoch may have written, as mechanisms inside of the module know it: by the tags, cards or entries that they
 * keep anyway. The module walks them (`belay:written:N`, rewriter/support/parts.ts), one call a part:
 *
 *     lmc, page-cow   tags of dirty blocks      | 0 | 1 | 1 | 0 | ... | 1 |   ->  two parts, each with the 16 bytes behind it
 *     cards           cards under super cards   | 0 | 1 | 1 | 0 | ... | 1 |   ->  two parts, each with the 16 bytes before it
 *     undolog         an entry                  address, length               ->  the granules that it lies in
 *
 * A store that straddles two regions of lmc is tested by its first byte, one over two cards marks the last: so up to 16
 * bytes beyond what is tagged may have been written, see rewriter/layout.ts and rewriter/mechanisms/cards.ts. The parts
 * are what was saved, which is no less than what was written: all of a region, the stack that was saved ahead, pages that
 * a policy had copied.
 *
 * In a file of its own because an edge bundle does not carry it (addFinder of instrumented.ts).
 */
import { type Contract, EXPORTS, PAGE } from '../../contract/contract.js';
import type { Finder } from './instrumented.js';
import type { MechanismParts, Visit } from './mechanism.js';

/** Where a store may have written beyond its region. */
const BEYOND = 16;
/** Bytes in which entries of an undo log are counted, so that a place written often is visited once. */
const GRANULE = 256;
/** Bytes that are compared with an image in one go. */
const COMPARED = 4096;
/** What `belay:written:N` returns is the first region of a run times this, plus the rest. */
export const RUN = 2 ** 14;

type Next = (cursor: number) => number;
/** `belay:differing:N`. */
export type FindDiffering = (from: number, to: number, enough: number) => number;
/** Words that it finds in a page, at most, with their heads. */
const FOUND = 1025;

/** lmc, page-cow, cards: parts of memory `k` whose tags are set. */
function tagged(contract: Contract, parts: MechanismParts, k: number) {
  const next = parts.exports[EXPORTS.written(k)] as unknown as Next;
  const differing = foundWords(contract, parts, k);
  const { region } = contract;
  const before = contract.mechanism === 'cards' ? BEYOND : 0;

  return (visit: Visit): void => {
    differing?.renew();
    for (let run = next(0); run !== 1; run = next(run)) {
      const first = Math.floor(run / RUN);
      const rest = run - first * RUN;
      const edge = rest & 1;
      visit(k, first * region - edge * before, (rest >> 1) * region + edge * BEYOND, differing);
    }
  };
}

/** lmc, page-cow: what is different, by the module's own code. Absent where regions are smaller than a word. */
function foundWords(contract: Contract, { exports, memories }: MechanismParts, k: number) {
  const find = exports[EXPORTS.differing(k)] as unknown as FindDiffering | undefined;
  if (!find) return undefined;
  const shadow = exports[EXPORTS.shadow(k)] as WebAssembly.Memory | undefined;
  const memory = shadow ?? memories[k]!;
  const at = shadow ? 0 : contract.memories[k]!.reserve! * PAGE;
  const view = () => new Uint32Array(memory.buffer, at, FOUND);
  return {
    runs: view(),
    find: (from: number, to: number) => find(from, to, -1),
    /** A memory that has grown has another buffer. */
    renew() {
      if (this.runs.buffer !== memory.buffer) this.runs = view();
    },
  };
}

/** undolog: the granules of memory `k` that an entry of the log lies in, neighbours in one part. */
function logged({ exports, memories, bytes }: MechanismParts, k: number) {
  const next = exports[EXPORTS.written(k)] as unknown as Next;
  const memory = (exports[EXPORTS.tags(k)] as WebAssembly.Memory | undefined) ?? memories[k]!;

  return (visit: Visit): void => {
    const view = new DataView(memory.buffer);
    const size = bytes(k);
    const granules = new Set<number>();
    const word = (at: number) => view.getUint32(at, true);
    for (let end = next(0), last = -1; end !== 1; end = next(end)) {
      const width = view.getUint16(end - 2, true);
      const address = word(end - 8) + view.getUint16(end - 4, true) * 2 ** 32;
      const length = width || word(end - 16) + word(end - 12) * 2 ** 32;
      const stop = Math.floor((address + length - 1) / GRANULE);
      for (let granule = Math.floor(address / GRANULE); granule <= stop; granule++) {
        if (granule !== last) granules.add(granule);
        last = granule;
      }
    }
    for (const granule of granules) {
      let low = granule;
      let high = granule + 1;
      granules.delete(granule);
      while (granules.delete(low - 1)) low--;
      while (granules.delete(high)) high++;
      const end = Math.min(high * GRANULE, size);
      if (low * GRANULE < end) visit(k, low * GRANULE, end - low * GRANULE);
    }
  };
}

/** full-copy: pages of memory `k` that differ from its image. Where that ends there were zeros. */
function differing({ memories, bytes }: MechanismParts, k: number, images: readonly Uint8Array[]) {
  return (visit: Visit): void => {
    const size = bytes(k);
    const image = images[k]!;
    const now = new Int32Array(memories[k]!.buffer, 0, size / 4);
    const then = new Int32Array(image.buffer, 0, Math.min(size, image.length) / 4);
    let open = -1;
    for (let page = 0; page < size; page += COMPARED) {
      const end = (page + COMPARED) / 4;
      let at = page / 4;
      if (at < then.length) while (at < end && now[at] === then[at]) at++;
      else while (at < end && now[at] === 0) at++;
      if (at < end) {
        if (open < 0) open = page;
      } else if (open >= 0) {
        visit(k, open, page - open);
        open = -1;
      }
    }
    if (open >= 0) visit(k, open, size - open);
  };
}

/** To be given to addFinder(). */
export const finder: Finder = (contract, parts, images) => {
  const each = contract.memories.map((_, k) => {
    if (images) return differing(parts, k, images);
    return contract.mechanism === 'undolog' ? logged(parts, k) : tagged(contract, parts, k);
  });
  return (visit) => {
    for (const one of each) one(visit);
  };
};
