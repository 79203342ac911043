/**
 * Mechanisms inside of the module: lmc, cards, undolog. All of the work is WebAssembly (rewriter/mechanisms/);
 * this only calls it.
 */
import { type Contract, EXPORTS } from '../../contract/contract.js';
import type { Mechanism, MechanismParts } from './mechanism.js';

type Touch = (pointer: number | bigint, length: number | bigint) => void;

/** What every instrumented module does by itself, whatever its mechanism. */
export function instrumented(contract: Contract, { exports }: MechanismParts): Mechanism {
  const touches = contract.memories.map((_, k) => exports[EXPORTS.touch(k)] as unknown as Touch);
  const saved = exports[EXPORTS.saved] as WebAssembly.Global;
  const full = exports[EXPORTS.full] as WebAssembly.Global | undefined;
  const support = contract.memories.flatMap((_, k) =>
    [EXPORTS.tags(k), EXPORTS.shadow(k)]
      .map((name) => exports[name] as WebAssembly.Memory | undefined)
      .filter((memory) => memory !== undefined),
  );
  const inline = contract.memories.reduce((sum, m) => sum + ((m.total ?? 0) - (m.reserve ?? 0)) * 65536, 0);
  return {
    name: contract.mechanism,
    checkpoint: exports[EXPORTS.checkpoint] as () => void,
    rollback: exports[EXPORTS.rollback] as () => void,
    touch: (memory, pointer, length) => {
      touches[memory]!(pointer, length);
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
