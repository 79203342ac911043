/** Where lines cross: between two points that were measured, on logarithmic axes. */
export interface Curve {
  name: string;
  /** Ascending in x. */
  points: readonly { x: number; y: number }[];
}

export interface Crossing {
  /** Cheaper below, and cheaper above. */
  below: string;
  above: string;
  x: number;
}

/** Lines that differ by less are not told apart. */
const CLEAR = Math.log(1.1);

/** The crossings of each two curves, of those that are clearly apart on both sides. */
export function crossings(curves: readonly Curve[]): Crossing[] {
  const found: Crossing[] = [];
  curves.forEach((a, i) => {
    for (const b of curves.slice(i + 1)) {
      let last: { x: number; gap: number } | undefined;
      for (const { x, y } of a.points) {
        const other = b.points.find((point) => point.x === x);
        if (!other) continue;
        const gap = Math.log(y / other.y);
        if (Math.abs(gap) < CLEAR) continue;
        if (last && last.gap * gap < 0) {
          const share = last.gap / (last.gap - gap);
          const at = Math.exp(Math.log(last.x) + share * Math.log(x / last.x));
          found.push({ below: gap > 0 ? a.name : b.name, above: gap > 0 ? b.name : a.name, x: at });
        }
        last = { x, gap };
      }
    }
  });
  return found.sort((a, b) => a.x - b.x);
}
