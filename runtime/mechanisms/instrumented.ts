/**
 * Mechanisms inside of the module: lmc, cards, undolog. All of the work is WebAssembly (rewriter/mechanisms/);
 * this only calls it.
 */
import { type Contract, EXPORTS } from '../../contract/contract.js';
import type { Mechanism, MechanismParts, Visit } from './mechanism.js';

/**
 * Makes what tells the parts of memory that were written, for after the first checkpoint.
 * @param images full-copy: of each memory
 */
export type Finder = (
  contract: Contract,
  parts: MechanismParts,
  images: readonly Uint8Array[] | undefined,
) => (visit: Visit) => void;

/** Absent in an edge bundle: all of memory is said to be written then. */
let finder: Finder | undefined;

/** Adds what Mechanism.written() needs to say less than all of memory. */
export function addFinder(found: Finder): void {
  finder = found;
}

/** All of every memory. */
export function everything({ memories, bytes }: MechanismParts, visit: Visit): void {
  memories.forEach((_, k) => {
    if (bytes(k)) visit(k, 0, bytes(k));
  });
}

type Touch = (pointer: number | bigint, length: number | bigint) => void;

/**
 * What every instrumented module does by itself, whatever its mechanism.
 * @param images full-copy: of each memory, at the checkpoint
 */
export function instrumented(
  contract: Contract,
  parts: MechanismParts,
  images?: readonly Uint8Array[],
): Mechanism {
  const { exports } = parts;
  const touches = contract.memories.map((_, k) => exports[EXPORTS.touch(k)] as unknown as Touch);
  const saved = exports[EXPORTS.saved] as WebAssembly.Global;
  const full = exports[EXPORTS.full] as WebAssembly.Global | undefined;
  const support = contract.memories.flatMap((_, k) =>
    [EXPORTS.tags(k), EXPORTS.shadow(k)]
      .map((name) => exports[name] as WebAssembly.Memory | undefined)
      .filter((memory) => memory !== undefined),
  );
  const inline = contract.memories.reduce((sum, m) => sum + ((m.total ?? 0) - (m.reserve ?? 0)) * 65536, 0);
  const checkpoint = exports[EXPORTS.checkpoint] as () => void;
  let begun = false;
  let find: ((visit: Visit) => void) | undefined;
  return {
    name: contract.mechanism,
    checkpoint() {
      checkpoint();
      begun = true;
    },
    rollback: exports[EXPORTS.rollback] as () => void,
    touch: (memory, pointer, length) => {
      touches[memory]!(pointer, length);
    },
    written(visit) {
      if (begun) find ??= finder?.(contract, parts, images);
      if (find) find(visit);
      else everything(parts, visit);
    },
    region: contract.region,
    stats() {
      const regionsSaved = Number(saved.value);
      return {
        regionsSaved,
        supportBytes: support.reduce((sum, memory) => sum + memory.buffer.byteLength, inline),
        ...(contract.mechanism === 'page-cow' && { faults: regionsSaved, copiedAhead: 0 }),
      };
    },
    ...(full && { full: () => full.value !== 0 }),
  };
}
