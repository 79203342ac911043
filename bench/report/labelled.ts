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

const SIZE = { height: 440, marginLeft: 74, marginTop: 38, marginRight: 190, marginBottom: 44 };
/** Pixels between the base lines of two names. */
const GAP = 13;

/**
 * Names stand at the right end, moved apart where they would overlap, with a thin line to where they belong.
 * Logarithms are taken here: Plot's own logarithmic axes leave out labels.
 */
export function labelledLines(all: readonly Line[], x: Axis, y: Axis): string {
  const along = scaled(x);
  const up = scaled(y);
  const lines = all
    .filter(({ points }) => points.length > 0)
    .map((line) => ({ ...line, points: line.points.map((p) => ({ x: along(p.x), y: up(p.y) })) }));
  const ends = lines.map(({ points }) => points[points.length - 1]!);
  const height = SIZE.height - SIZE.marginTop - SIZE.marginBottom;
  const place = ([low, high]: readonly [number, number]) =>
    apart(
      ends.map((end) => end.y),
      (GAP * (high - low)) / height,
    );
  const tight = span([...lines.flatMap(({ points }) => points.map((p) => p.y)), ...y.ticks.map(up)]);
  // Names that were moved must not leave the picture.
  const domain = span([...tight, ...place(tight)]);
  const places = place(domain);
  const [left, right] = span(lines.flatMap(({ points }) => points.map((p) => p.x)));
  // Room for the thin lines.
  const edge = right + (right - left) * 0.035;
  const names = lines.map((line, i) => ({ ...line, x: edge, y: places[i]!, end: ends[i]! }));
  const plot = Plot.plot({
    ...COMMON,
    ...SIZE,
    width: 860,
    x: { ...ticked(x, along), domain: [left, edge], labelAnchor: 'center' },
    y: { ...ticked(y, up), domain: [...domain], grid: true },
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
        }),
      ]),
    ],
  });
  return `${svgIn(plot).toString()}\n`;
}

const scaled =
  ({ log }: Axis) =>
  (value: number) =>
    log ? Math.log(value) : value;

const span = (values: readonly number[]): [number, number] => [Math.min(...values), Math.max(...values)];

const ticked = ({ label, ticks, format }: Axis, scale: (value: number) => number): Plot.ScaleOptions => ({
  type: 'linear',
  label,
  ticks: ticks.map(scale) as never,
  tickFormat: ((_: number, i: number) => format(ticks[i]!)) as never,
});

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
