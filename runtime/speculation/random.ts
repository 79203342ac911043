/**
 * The random numbers of the policies: xorshift32, small enough to write again in any language, and the same there
 * to the last bit.
 *
 *     x ^= x << 13;  x ^= x >>> 17;  x ^= x << 5          all in 32 bits, unsigned; x is never 0
 *
 * A draw below n takes the high half of a product, `(x * n) >> 32`, and no remainder: in C
 * `(uint64_t)x * n >> 32`, and in doubles `floor(x * n / 2^32)`, which is exact as long as n is at most 2^21
 * (x * n then stays below 2^53). Chances are 32-bit fixed point for the same reason. The bias of both is below
 * n / 2^32. What this is not: good enough for anything that an adversary should not guess.
 *
 * @see Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003
 */

/** Largest bound of {@link Random.below}. */
export const MOST = 2 ** 21;

/** A chance as a 32-bit fraction: `floor(p * 2^32)`, from 0 (never) to 2^32 (always). */
export function chance(probability: number): number {
  return Math.floor(probability * 2 ** 32);
}

/** A stream of numbers that its seed determines. */
export class Random {
  private x: number;

  /** @param seed 32 bits; 0, which would stay 0 for ever, counts as 0x9e3779b9 */
  constructor(seed: number) {
    this.x = seed >>> 0 || 0x9e3779b9;
  }

  /** The next state: a whole number from 1 to 2^32 - 1. */
  next(): number {
    let x = this.x;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.x = x >>> 0;
    return this.x;
  }

  /** A whole number from 0 to `n` - 1. @param n from 1 to {@link MOST} */
  below(n: number): number {
    return Math.floor((this.next() * n) / 2 ** 32);
  }

  /** Whether something of a chance (see {@link chance}) happens. Always draws. */
  happens(fraction: number): boolean {
    return this.next() < fraction;
  }
}
