import type { MicroResult } from '../jobs/types.js';
import { MICRO_BASE, MICRO_DIRTY, MICRO_MEMORY, MICRO_REGION } from '../plan.js';
import { inSection, type Results } from '../results.js';
import { bytes, duration, table } from './markdown.js';
import { costLines } from './plots.js';
import { engineTitle, type Part, picture } from './section.js';

type Point = MicroResult['points'][number] & { series: string };

/** Every point, named by engine and layout. */
export function microPoints(results: Results): Point[] {
  return inSection(results, 'micro').flatMap(({ engine, result }) =>
    result.points.map((point) => ({
      ...point,
      series:
        point.layout === 'copy' ? 'full copy, and back' : `${engineTitle(results, engine)}, ${point.layout}`,
    })),
  );
}

/** checkpoint() and rollback() by themselves. */
export function microSection(results: Results): Part | undefined {
  const points = microPoints(results);
  if (!points.length) return undefined;
  const series = [...new Set(points.map((point) => point.series))];
  const cell = (name: string, memoryBytes: number, dirty: number) => {
    const found = points.find((p) => p.series === name && p.memoryBytes === memoryBytes && p.dirty === dirty);
    return found ? duration(found.nanoseconds) : '–';
  };
  const bySize = points.filter((p) => p.dirty === 1);
  // A copy costs the same, however many regions are dirty.
  const copy = points.find((p) => p.layout === 'copy' && p.memoryBytes === MICRO_BASE);
  const flat = copy ? MICRO_DIRTY.map((dirty) => ({ ...copy, dirty })) : [];
  const byDirty = [...points.filter((p) => p.memoryBytes === MICRO_BASE && p.layout !== 'copy'), ...flat];
  const plotted = (list: readonly Point[], x: 'memoryBytes' | 'dirty') =>
    list.map((point) => ({ x: point[x], nanoseconds: point.nanoseconds, series: point.series }));
  return {
    title: 'Checkpoint and rollback by themselves',
    text: `guest.checkpoint(), one store into each of K regions of ${MICRO_REGION} bytes spread evenly over memory, and
guest.rollback(); the lower quartile of batches, all three together.

### One dirty region, by size of memory

${table(
  ['memory', ...series],
  MICRO_MEMORY.map((size) => [bytes(size), ...series.map((name) => cell(name, size, 1))]),
)}

${picture('memory-size', 'Cost of checkpoint and rollback against the size of memory')}

### ${bytes(MICRO_BASE)}, by dirty regions

${table(
  ['dirty regions', ...series],
  MICRO_DIRTY.map((dirty) => [
    String(dirty),
    ...series.map((name) => cell(name, MICRO_BASE, name === copy?.series ? 1 : dirty)),
  ]),
)}

${picture('dirty-regions', 'Cost of an epoch against the number of dirty regions')}`,
    pictures: {
      'memory-size': costLines(plotted(bySize, 'memoryBytes'), series, {
        label: 'guest memory →',
        ticks: MICRO_MEMORY,
        format: bytes,
      }),
      'dirty-regions': costLines(plotted(byDirty, 'dirty'), series, {
        label: 'dirty regions →',
        ticks: MICRO_DIRTY,
        format: String,
      }),
    },
  };
}
