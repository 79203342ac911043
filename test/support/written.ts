/** Compares what a mechanism says was written with a copy of memory. Works in every engine. */
import type { Mechanism } from '../../runtime/mechanisms/mechanism.js';
import type { Guest } from '../../runtime/types.js';
import { firstDifference } from './oracle.js';

export interface Part {
  memory: number;
  address: number;
  length: number;
}

/** The mechanism behind a guest, which its interface does not show. */
export const mechanismOf = (guest: Guest): Mechanism => (guest as unknown as { saver: Mechanism }).saver;

/** Copies of all memories, as the guest sees them. */
export function copies(guest: Guest): Uint8Array[] {
  return views(guest).map((view) => view.slice());
}

function views(guest: Guest): Uint8Array[] {
  const all = guest.instance.exports;
  return guest.contract.memories.map((m, k) => {
    const size = Number((all[`belay:size:${k}`] as () => number | bigint)()) * 65536;
    return new Uint8Array((all[m.export] as WebAssembly.Memory).buffer, 0, size);
  });
}

/** What was written, in order. @throws where parts overlap, are empty, or lie outside of memory */
export function written(guest: Guest): Part[] {
  const parts: Part[] = [];
  mechanismOf(guest).written((memory, address, length) => parts.push({ memory, address, length }));
  parts.sort((a, b) => a.memory - b.memory || a.address - b.address);
  const sizes = views(guest).map((view) => view.length);
  parts.forEach(({ memory, address, length }, i) => {
    const what = `part ${address} + ${length} of memory ${memory}`;
    const sound = [address, length].every(Number.isSafeInteger) && address >= 0 && length > 0;
    if (!sound) throw new Error(`${what} makes no sense`);
    if (!(address + length <= sizes[memory]!)) throw new Error(`${what} is not in ${sizes[memory]} bytes`);
    const next = parts[i + 1];
    if (next?.memory === memory && address + length > next.address)
      throw new Error(`${what} overlaps ${next.address}`);
  });
  return parts;
}

export const bytesOf = (parts: readonly Part[]): number => parts.reduce((sum, { length }) => sum + length, 0);

/** @throws where a byte differs from `before` (zeros beyond its end) and is in no part; returns the parts */
export function checkWritten(guest: Guest, before: readonly Uint8Array[], when: string): Part[] {
  const parts = written(guest);
  views(guest).forEach((now, k) => {
    let then = before[k]!;
    if (then.length !== now.length) {
      then = new Uint8Array(now.length);
      then.set(before[k]!.subarray(0, now.length));
    }
    let from = 0;
    // Between the parts.
    for (const { memory, address, length } of [...parts, { memory: k, address: now.length, length: 0 }]) {
      if (memory !== k) continue;
      const at = firstDifference(then.subarray(from, address), now.subarray(from, address));
      if (at >= 0)
        throw new Error(`${when}: byte ${from + at} of memory ${k} was written, and no part has it`);
      from = address + length;
    }
  });
  return parts;
}

/** @throws where memory is not as in `before` */
export function checkRestored(guest: Guest, before: readonly Uint8Array[], when: string): void {
  views(guest).forEach((now, k) => {
    if (now.length !== before[k]!.length) throw new Error(`${when}: memory ${k} has ${now.length} bytes`);
    const at = firstDifference(now, before[k]!);
    if (at >= 0) throw new Error(`${when}: byte ${at} of memory ${k} was not restored`);
  });
}
