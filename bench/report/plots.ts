/** The report's pictures, drawn by Observable Plot into a document that is no browser's (linkedom). */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { duration } from './markdown.js';

export const { document } = parseHTML('<!doctype html><html><body></body></html>');

/** Legible on any page: the picture brings its own background. */
export const COMMON: Plot.PlotOptions = {
  document: document as unknown as Document,
  style: { background: 'white', color: '#222', fontFamily: 'system-ui, sans-serif' } as never,
  width: 760,
};

const COLORS = ['#2b6cb0', '#dd6b20', '#718096', '#2f855a', '#805ad5', '#b83280'];

/** The SVG of a plot that Plot may have wrapped. */
export function svgIn(plot: unknown): Element {
  const found = plot as Element;
  const svg = found.tagName?.toLowerCase() === 'svg' ? found : found.querySelector('svg')!;
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg;
}

function svgOf(plot: unknown, legend: { series: readonly string[] }): string {
  const svg = svgIn(plot);
  // Plot's own legends are HTML; a line of coloured words does in an SVG.
  const words = legend.series.map((name, i) => {
    const span = document.createElementNS('http://www.w3.org/2000/svg', 'tspan');
    span.setAttribute('fill', COLORS[i % COLORS.length]!);
    span.setAttribute('font-weight', 'bold');
    span.setAttribute('dx', i ? '14' : '0');
    span.textContent = `■ ${name}`;
    return span;
  });
  const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
  text.setAttribute('x', '16');
  text.setAttribute('y', '16');
  text.setAttribute('font-size', '12');
  text.setAttribute('text-anchor', 'start');
  text.append(...(words as unknown as string[]));
  (svg as unknown as { append(node: unknown): void }).append(text);
  return `${svg.toString()}\n`;
}

const color = (series: readonly string[]): Plot.ScaleOptions => ({
  domain: [...series],
  range: COLORS.slice(0, series.length),
});

/** Bars of ratios, a group for each module, and a line at 1. */
export function ratioBars(
  bars: readonly { module: string; series: string; ratio: number }[],
  series: readonly string[],
  caption: string,
): string {
  const modules = [...new Set(bars.map((bar) => bar.module))];
  const plot = Plot.plot({
    ...COMMON,
    height: 40 + modules.length * Math.max(52, 10 + 14 * series.length),
    marginLeft: 130,
    marginRight: 50,
    marginTop: 36,
    x: { label: caption, grid: true, zero: true },
    y: { axis: null, domain: [...series] },
    fy: { label: null, domain: modules, padding: 0.2 },
    color: color(series),
    marks: [
      Plot.axisFy({ label: null, anchor: 'left' }),
      Plot.ruleX([1], { stroke: '#222', strokeDasharray: '3,3' }),
      Plot.barX(bars, { x: 'ratio', y: 'series', fy: 'module', fill: 'series' }),
      Plot.text(bars, {
        // Beside a bar that goes to the left, not upon it.
        x: (bar: { ratio: number }) => Math.max(0, bar.ratio),
        y: 'series',
        fy: 'module',
        text: (bar: { ratio: number }) => bar.ratio.toFixed(2),
        dx: 4,
        textAnchor: 'start',
        fontSize: 9,
        stroke: 'white',
        strokeWidth: 3,
        fill: '#222',
      }),
    ],
  });
  return svgOf(plot, { series });
}

/** Without digits that say nothing: 10 µs, not 10.0 µs. */
export const round = (format: (value: number) => string) => (value: number) =>
  format(value).replace(/\.0+(?=\D|$)/, '');

/** Lines on two logarithmic axes; y is nanoseconds. */
export function costLines(
  points: readonly { x: number; nanoseconds: number; series: string }[],
  series: readonly string[],
  x: { label: string; ticks: readonly number[]; format: (value: number) => string },
): string {
  const most = Math.ceil(Math.log10(Math.max(...points.map((p) => p.nanoseconds))));
  const least = Math.floor(Math.log10(Math.min(...points.map((p) => p.nanoseconds))));
  const plot = Plot.plot({
    ...COMMON,
    height: 380,
    marginLeft: 70,
    marginTop: 40,
    marginRight: 30,
    x: {
      type: 'log',
      base: 2,
      label: x.label,
      ticks: [...x.ticks] as never,
      tickFormat: round(x.format) as never,
    },
    y: {
      type: 'log',
      label: null,
      grid: true,
      ticks: Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i)) as never,
      tickFormat: round(duration) as never,
      domain: [10 ** least, 10 ** most],
    },
    color: color(series),
    marks: [
      Plot.lineY(points, { x: 'x', y: 'nanoseconds', stroke: 'series', strokeWidth: 2 }),
      Plot.dot(points, { x: 'x', y: 'nanoseconds', fill: 'series', r: 3 }),
    ],
  });
  return svgOf(plot, { series });
}
