/** What WASI needs to know of a guest's memory. */
import { EXPORTS, PAGE } from '../../contract/contract.js';
import type { Guest } from '../types.js';

const sizes = new WeakMap<Guest, () => number>();

/**
 * Bytes of the guest's first memory as the guest sees it: less than `guest.memory.buffer.byteLength` in the
 * inline layout, where the support area follows, and after a grow that was undone.
 */
export function memoryBytes(guest: Guest): number {
  let size = sizes.get(guest);
  if (!size) {
    const pages = guest.instance.exports[EXPORTS.size(0)] as (() => number) | undefined;
    size = pages ? () => pages() * PAGE : () => guest.memory.buffer.byteLength;
    sizes.set(guest, size);
  }
  return size();
}
