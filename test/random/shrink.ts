/**
 * Makes a failing tape smaller while it still fails: cuts pieces out of it, then makes its bytes zero, then
 * smaller (delta debugging, Zeller and Hildebrandt 2002). Draws past a tape's end are 0, so a shorter tape is a
 * simpler case.
 */
export async function shrink(
  bytes: Uint8Array,
  fails: (bytes: Uint8Array) => Promise<boolean>,
  budget = 400,
): Promise<Uint8Array> {
  let best = bytes;
  let left = budget;
  const attempt = async (candidate: Uint8Array): Promise<boolean> => {
    if (left <= 0) return false;
    left--;
    if (!(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  // From the end: what a shorter tape does not decide is simplest.
  for (let length = best.length >> 1; length > 0 && left > 0; ) {
    if (length < best.length && (await attempt(best.slice(0, length)))) length = best.length >> 1;
    else
      length =
        length + Math.max(1, (best.length - length) >> 1) < best.length ? (length + best.length) >> 1 : 0;
  }
  for (let size = best.length >> 1; size > 0 && left > 0; size >>= 1) {
    for (let at = 0; at < best.length && left > 0; ) {
      const without = new Uint8Array(best.length - Math.min(size, best.length - at));
      without.set(best.subarray(0, at));
      without.set(best.subarray(at + size), at);
      if (await attempt(without)) continue;
      if (best.subarray(at, at + size).some((byte) => byte !== 0)) {
        const zeroed = best.slice();
        zeroed.fill(0, at, at + size);
        await attempt(zeroed);
      }
      at += size;
    }
  }
  return best;
}
