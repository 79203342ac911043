/**
 * Pages that are kept whole, each once, whatever entry, address or space it belongs to: by the first 20 bytes of its
 * SHA-256. Pages of zeros are not kept at all. A count of references says when one is no longer needed.
 *
 *     key    name (20 bytes)
 *     value  4 bytes references, then the page, sealed (codec.ts)
 */
import { type Codec, damaged, seal, unseal } from './codec.js';
import type { Snapshot, Transaction } from './store.js';

const REFERENCES = 4;

/** The page of a name. @throws ERR_BELAY_HISTORY_DAMAGED */
export function readContent(
  from: Pick<Snapshot, 'get'>,
  codec: Codec,
  hash: Uint8Array,
  what: () => string,
): Uint8Array {
  const value = from.get('contents', hash);
  if (!value) throw damaged(what());
  return unseal(codec, hash, value.subarray(REFERENCES), what);
}

/** Adds a reference to a content, and the content where it is not there yet. @returns whether it was there */
export function addReference(to: Transaction, codec: Codec, hash: Uint8Array, page: Uint8Array): boolean {
  const value = to.get('contents', hash);
  if (!value) {
    const sealed = seal(codec, hash, page, true);
    const fresh = new Uint8Array(REFERENCES + sealed.length);
    fresh[0] = 1;
    fresh.set(sealed, REFERENCES);
    to.put('contents', hash, fresh);
    return false;
  }
  count(to, hash, value, 1);
  return true;
}

export function dropReference(to: Transaction, hash: Uint8Array): void {
  const value = to.get('contents', hash);
  if (value) count(to, hash, value, -1);
}

function count(to: Transaction, hash: Uint8Array, value: Uint8Array, change: 1 | -1): void {
  const changed = value.slice();
  const view = new DataView(changed.buffer);
  const references = view.getUint32(0, true) + change;
  if (references <= 0) {
    to.remove('contents', hash);
    return;
  }
  view.setUint32(0, references, true);
  to.put('contents', hash, changed);
}
