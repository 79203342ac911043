/**
 * Probabilities in whole numbers, so that every implementation computes the same bits.
 *
 *     counter    a 16-bit probability and how often it was trained: p << 14 | n. Each outcome moves p by 1 / (n + 1.5)
 *                of the way, n up to a limit: a mean at first, then a decaying mean.
 *     stretch    ln(p / (1 - p)) in 1/256, from -2047 to 2047, of a 12-bit probability
 *     squash     the inverse, by linear interpolation between 33 points; a table
 *
 * @see Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression, 2005 (logistic mixing)
 */

/** 4096 / (1 + e^(8 - i / 2)), rounded, from 1 to 4095. */
const POINTS = [
  1, 2, 4, 6, 10, 17, 27, 45, 74, 120, 194, 311, 488, 747, 1102, 1546, 2048, 2550, 2994, 3349, 3608, 3785,
  3902, 3976, 4022, 4051, 4069, 4079, 4086, 4090, 4092, 4094, 4095,
] as const;

function interpolated(stretched: number): number {
  const at = (stretched >> 7) + 16;
  const part = stretched & 127;
  return (POINTS[at]! * (128 - part) + POINTS[at + 1]! * part + 64) >> 7;
}

const SQUASH = /* @__PURE__ */ Int16Array.from({ length: 4096 }, (_, i) =>
  i === 0 ? 1 : interpolated(i - 2048),
);

/** 12-bit probability of a stretched one. */
export function squash(stretched: number): number {
  if (stretched > 2047) return 4095;
  if (stretched < -2047) return 1;
  return SQUASH[stretched + 2048]!;
}

/** {@link squash} backwards: for each 12-bit probability the lowest stretched value whose squash reaches it. */
export const STRETCH = /* @__PURE__ */ (() => {
  const table = new Int16Array(4096);
  let from = 0;
  for (let x = -2047; x <= 2047; x++) {
    const p = squash(x);
    while (from <= p) table[from++] = x;
  }
  while (from < 4096) table[from++] = 2047;
  return table;
})();

/** floor(2^15 / (2 n + 3)): 1 / (n + 1.5) in 1/2^14. */
const RATE = /* @__PURE__ */ Int32Array.from({ length: 1024 }, (_, n) => Math.floor(32768 / (2 * n + 3)));

/** The trainings of a counter: these bits of it. Thirty bits in all, which engines keep as small integers. */
export const TRAININGS = 0x3fff;

/** Bits to shift a counter right by for a 12-bit probability. */
export const TO_12_BITS = 18;

/** From this probability on, 12 bits, an outcome that is not looked at counts as a write. */
export const HALF = 2048;

/** A counter that knows nothing. */
export const UNTRAINED = 32768 << 14;

/** A counter after an outcome, 0 or 1. @param limit most trainings that count, below 1024 */
export function trained(value: number, outcome: number, limit: number): number {
  const n = value & TRAININGS;
  const p = value >> 14;
  const moved = p + ((((outcome ? 65535 : 0) - p) * RATE[n]!) >> 14);
  return (moved << 14) | (n < limit ? n + 1 : n);
}
