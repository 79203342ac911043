/** Lines that carry their names at their ends, where a legend would have too many colours. */
import * as Plot from '@observablehq/plot';
import { COMMON, svgIn } from './plots.js';

export interface Line {
  name: string;
  colour: string;
  /** SVG's stroke-dasharray; absent for a solid line. */
  dash?: string;
  points: readonly { x: number; y: number }[];
}

export interface Axis {
  label: string;
  log?: boolean;
  ticks: readonly number[];
  format: (value: number) => string;
}

const SIZE = { height: 440, marginLeft: 74, marginTop: 34, marginRight: 190, marginBottom: 44 };
/** Pixels between the base lines of two names. */
const GAP = 13;

/** Names stand at the right end, moved apart where they would overlap, with a thin line to where they belong. */
export function labelledLines(all: readonly Line[], x: Axis, y: Axis): string {
  const lines = all.filter(({ points }) => points.length > 0);
  const values = lines.flatMap(({ points }) => points.map((point) => point.y));
  const domain: [number, number] = [Math.min(...values, ...y.ticks), Math.max(...values, ...y.ticks)];
  const height = SIZE.height - SIZE.marginTop - SIZE.marginBottom;
  const to = (value: number) => (y.log ? Math.log(value) : value);
  const from = (value: number) => (y.log ? Math.exp(value) : value);
  const perPixel = (to(domain[1]) - to(domain[0])) / height;
  const ends = lines.map(({ points }) => points[points.length - 1]!);
  const places = apart(
    ends.map((end) => to(end.y)),
    GAP * perPixel,
  );
  const right = Math.max(...lines.flatMap(({ points }) => points.map((point) => point.x)));
  const left = Math.min(...lines.flatMap(({ points }) => points.map((point) => point.x)));
  // Room for the thin lines.
  const edge = x.log ? right * (right / left) ** 0.035 : right + (right - left) * 0.035;
  const names = lines.map((line, i) => ({ ...line, x: edge, y: from(places[i]!), end: ends[i]! }));
  const plot = Plot.plot({
    ...COMMON,
    ...SIZE,
    width: 860,
    x: {
      type: x.log ? 'log' : 'linear',
      ...(x.log && { base: 2 }),
      domain: [left, edge],
      label: x.label,
      labelAnchor: 'center',
      ticks: [...x.ticks] as never,
      tickFormat: x.format as never,
    },
    y: {
      type: y.log ? 'log' : 'linear',
      domain,
      label: y.label,
      grid: true,
      ticks: [...y.ticks] as never,
      tickFormat: y.format as never,
    },
    marks: [
      ...lines.flatMap(({ points, colour, dash }) => [
        Plot.line(points, {
          x: 'x',
          y: 'y',
          stroke: colour,
          strokeWidth: 2,
          ...(dash && { strokeDasharray: dash }),
        }),
        ...(points.length < 20 ? [Plot.dot(points, { x: 'x', y: 'y', fill: colour, r: 2.5 })] : []),
      ]),
      ...names.flatMap((name) => [
        Plot.link([name], {
          x1: (d: typeof name) => d.end.x,
          y1: (d: typeof name) => d.end.y,
          x2: 'x',
          y2: 'y',
          stroke: name.colour,
          strokeWidth: 0.7,
          strokeOpacity: 0.6,
        }),
        Plot.text([name], {
          x: 'x',
          y: 'y',
          text: 'name',
          fill: name.colour,
          dx: 4,
          textAnchor: 'start',
          fontSize: 11,
          fontWeight: 'bold',
          clip: false,
        }),
      ]),
    ],
  });
  return `${svgIn(plot).toString()}\n`;
}

/** Moves values apart until they differ by `gap`, each group as little as can be: groups keep their mean. */
export function apart(values: readonly number[], gap: number): number[] {
  const order = values.map((value, i) => ({ value, i })).sort((a, b) => a.value - b.value);
  const groups: { members: number[]; mean: number }[] = [];
  for (const { value, i } of order) {
    groups.push({ members: [i], mean: value });
    for (;;) {
      const [low, high] = groups.slice(-2) as [(typeof groups)[0], (typeof groups)[0] | undefined];
      if (!high) break;
      const [m, n] = [low.members.length, high.members.length];
      if (high.mean - low.mean >= (gap * (m + n)) / 2) break;
      groups.splice(-2, 2, {
        members: [...low.members, ...high.members],
        mean: (low.mean * m + high.mean * n) / (m + n),
      });
    }
  }
  const places = new Array<number>(values.length);
  for (const { members, mean } of groups) {
    members.forEach((member, k) => {
      places[member] = mean + gap * (k - (members.length - 1) / 2);
    });
  }
  return places;
}

/** Powers of ten that span values. */
export function decades(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
}
