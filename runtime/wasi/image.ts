/**
 * A memory as what differs from another one that is known everywhere: the file-system module's right after
 * instantiation, whose 1.1 MB are a stack of zeros and constants. Compared word by word, so that the result is a few
 * kilobytes beside what files hold.
 *
 *     runs of words:   gap since the last run, length (both in words, LEB128), then the run's bytes
 *
 * Gaps of up to two words go along with the runs: to begin another would take about as much.
 */

const WORD = 4;
const GAP = 2;

/** A memory to compare with: its words without the zeros at both ends. */
export interface Base {
  /** Where `words` begin, in words. */
  from: number;
  words: Int32Array;
  /** Of its bytes, by which a base is known again. */
  checksum: number;
}

export function baseOf(memory: Uint8Array): Base {
  const words = wordsOf(memory);
  let from = 0;
  let to = words.length;
  while (from < to && words[from] === 0) from++;
  while (to > from && words[to - 1] === 0) to--;
  const kept = words.slice(from, to);
  return { from, words: kept, checksum: checksum(from, new Uint8Array(kept.buffer)) };
}

/** The runs of `memory` that differ from `base`; beyond either are zeros. */
export function difference(memory: Uint8Array, base: Base): Uint8Array {
  const words = wordsOf(memory);
  const { from, words: known } = base;
  const to = from + known.length;
  const differs = (at: number) => words[at] !== (at >= from && at < to ? known[at - from] : 0);
  const runs: [gap: number, length: number][] = [];
  let last = 0;
  let size = 0;
  for (let start = 0; start < words.length; ) {
    if (!differs(start)) {
      start++;
      continue;
    }
    let end = start + 1;
    for (let at = end; at < words.length && at - end <= GAP; at++) if (differs(at)) end = at + 1;
    runs.push([start - last, end - start]);
    last = start = end;
  }
  for (const [gap, length] of runs) size += lebLength(gap) + lebLength(length) + length * WORD;
  const result = new Uint8Array(size);
  let next = 0;
  let at = 0;
  const number = (value: number) => {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) result[next++] = (value & 0x7f) | 0x80;
    result[next++] = value;
  };
  for (const [gap, length] of runs) {
    number(gap);
    number(length);
    at += gap;
    result.set(memory.subarray(at * WORD, (at + length) * WORD), next);
    next += length * WORD;
    at += length;
  }
  return result;
}

/** The memory of `bytes` bytes that has this difference from `base`; undefined where there is none. */
export function assemble(runs: Uint8Array, base: Base, bytes: number): Uint8Array | undefined {
  const start = base.from * WORD;
  if (start + base.words.length * WORD > bytes) return undefined;
  const memory = new Uint8Array(bytes);
  memory.set(new Uint8Array(base.words.buffer), start);
  let from = 0;
  let at = 0;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = runs[from++];
      // Past the end, or larger than any memory.
      if (byte === undefined || scale > 2 ** 35) return Number.NaN;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (from < runs.length) {
    at += number() * WORD;
    const length = number() * WORD;
    if (!(at + length <= bytes && from + length <= runs.length)) return undefined;
    memory.set(runs.subarray(from, from + length), at);
    from += length;
    at += length;
  }
  return memory;
}

/** A number by which damage is noticed: FNV-1a (RFC 9923) over 32-bit words, then over the bytes that are left. */
export function checksum(seed: number, ...pieces: Uint8Array[]): number {
  const PRIME = 0x01000193;
  let hash = 0x811c9dc5 ^ seed;
  for (const piece of pieces) {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
    let at = 0;
    // Multiplying carries upwards only; turning brings high bits down.
    for (; at + WORD <= piece.length; at += WORD) {
      hash = Math.imul(hash ^ view.getInt32(at, true), PRIME);
      hash = (hash << 13) | (hash >>> 19);
    }
    for (; at < piece.length; at++) hash = Math.imul(hash ^ piece[at]!, PRIME);
  }
  return hash >>> 0;
}

function lebLength(value: number): number {
  let length = 1;
  for (; value >= 0x80; value = Math.floor(value / 0x80)) length++;
  return length;
}

/** As words; memories begin at, and are, multiples of a page. */
export function wordsOf(memory: Uint8Array): Int32Array {
  return new Int32Array(memory.buffer, memory.byteOffset, memory.length / WORD);
}
