/** Where time and chance come from. */
import type { WasiOptions } from './types.js';

export interface Sources {
  /** Nanoseconds since 1970. */
  now: () => bigint;
  /** Fills its argument. */
  random: (bytes: Uint8Array) => void;
}

// The most bytes that crypto.getRandomValues takes at once.
const MAX_RANDOM = 65536;

export function sourcesOf(options: WasiOptions): Sources {
  return { now: options.now ?? systemTime, random: options.random ?? systemRandom };
}

function systemTime(): bigint {
  // A double holds microseconds since 1970, not nanoseconds.
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
}

function systemRandom(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += MAX_RANDOM) {
    crypto.getRandomValues(bytes.subarray(at, at + MAX_RANDOM) as Uint8Array<ArrayBuffer>);
  }
}
