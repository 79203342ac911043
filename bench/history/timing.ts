import { median } from '../statistics.js';
import type { Timed } from './results.js';

/** Summary of times in milliseconds. */
export const summary = (times: readonly number[]): Timed => ({
  median: median(times),
  most: Math.max(...times),
  times: times.length,
});

/** Milliseconds of each of several calls, with what the last one returned. */
export function timed<T>(times: number, fn: (i: number) => T): { time: Timed; last: T } {
  const took: number[] = [];
  let last: T;
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    last = fn(i);
    took.push(performance.now() - start);
  }
  return { time: summary(took), last: last! };
}

/** Numbers that look random and are the same in each run. */
export function dice(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
