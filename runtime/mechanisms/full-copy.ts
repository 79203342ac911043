/**
 * A full copy of memory at each checkpoint, which a rollback copies back: what a host can do with any module, and
 * what every other mechanism has to beat. Its cost is that of memory's size, whatever is written.
 */
import type { Contract } from '../../contract/contract.js';
import { PAGE_BYTES } from './addon.js';
import { instrumented } from './instrumented.js';
import type { Mechanism, MechanismParts } from './mechanism.js';

export function fullCopy(contract: Contract, parts: MechanismParts): Mechanism {
  const { memories, bytes } = parts;
  const images = memories.map(() => new Uint8Array(0));
  const base = instrumented(contract, parts, images);
  let copied = 0;
  return {
    ...base,
    name: 'full-copy',
    checkpoint(kind) {
      base.checkpoint(kind);
      memories.forEach((memory, k) => {
        const view = new Uint8Array(memory.buffer, 0, bytes(k));
        if (images[k]!.length !== view.length) images[k] = new Uint8Array(view.length);
        images[k]!.set(view);
        copied += view.length / PAGE_BYTES;
      });
    },
    rollback() {
      base.rollback();
      memories.forEach((memory, k) => {
        new Uint8Array(memory.buffer).set(images[k]!);
      });
    },
    // All of it is saved already.
    touch() {},
    region: PAGE_BYTES,
    stats: () => ({
      regionsSaved: copied,
      supportBytes: images.reduce((sum, image) => sum + image.length, 0),
    }),
  };
}
