import { type Contract, EXPORTS } from '../../contract/contract.js';
import type { Mechanism } from './mechanism.js';

type Touch = (pointer: number | bigint, length: number | bigint) => void;

/** Lightweight memory checkpointing: all of it is WebAssembly inside of the module; this only calls it. */
export function lmc(exports: WebAssembly.Exports, contract: Contract): Mechanism {
  const touches = contract.memories.map((_, k) => exports[EXPORTS.touch(k)] as unknown as Touch);
  const saved = exports[EXPORTS.saved] as WebAssembly.Global;
  return {
    checkpoint: exports[EXPORTS.checkpoint] as () => void,
    rollback: exports[EXPORTS.rollback] as () => void,
    touch: (memory, pointer, length) => {
      touches[memory]!(pointer, length);
    },
    regionsSaved: () => Number(saved.value),
    supportBytes: () => {
      let bytes = 0;
      contract.memories.forEach((m, k) => {
        if (contract.layout === 'inline') bytes += (m.total! - m.reserve!) * 65536;
        else {
          for (const name of [EXPORTS.tags(k), EXPORTS.shadow(k)]) {
            bytes += (exports[name] as WebAssembly.Memory).buffer.byteLength;
          }
        }
      });
      return bytes;
    },
  };
}
