/** Reads all that is stored, and says what cannot be read. */
import { BelayError } from '../../contract/errors.js';
import { chunkPlace, openChunk } from './chunks.js';
import type { Codec } from './codec.js';
import { readContent } from './contents.js';
import { decodeEntries } from './entries.js';
import { getNumber, type Store } from './store.js';

/** A part of a history that is lost. */
export interface Damage {
  /** What it is, in words. */
  what: string;
  /** Entries from this one on miss it. */
  entry: number;
}

export function check(
  store: Store,
  codec: Codec,

  onProgress?: (done: number, of: number) => void,
): Damage[] {
  const found: Damage[] = [];
  const { pairs } = store.stats();
  const of = pairs.chunks + pairs.entries;
  let done = 0;
  const attempt = (entry: number, what: string, fn: () => void): void => {
    try {
      fn();
    } catch (error) {
      if (!(error instanceof BelayError) && !(error instanceof RangeError)) throw error;
      found.push({ what, entry });
    }
    if (++done % 256 === 0) onProgress?.(done, of);
  };
  const snapshot = store.snapshot();
  try {
    for (const { key, value } of snapshot.from('entries', new Uint8Array(1))) {
      const first = getNumber(key, 0);
      attempt(first, `the list of checkpoints from ${first} on`, () => decodeEntries(codec, key, value));
    }
    for (const { key, value } of snapshot.from('chunks', new Uint8Array(1))) {
      const { space, page, first } = chunkPlace(key);
      const what = `page ${page} of space ${space} from checkpoint ${first} on`;
      attempt(first, what, () => {
        const versions = openChunk(codec, key, value, () => what);
        for (const hash of versions.contents()) readContent(snapshot, codec, hash, () => what);
      });
    }
  } finally {
    snapshot.done();
  }
  return found;
}
