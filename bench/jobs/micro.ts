/**
 * What checkpoint() and rollback() cost by themselves: dirty regions are spread evenly over memory, one store
 * in each.
 */
import { readFileSync } from 'node:fs';
import { instantiateSync } from '../../runtime/index.js';
import { now } from '../clock.js';
import type { Effort } from '../compare.js';
import { quantile } from '../statistics.js';
import type { MicroJob, MicroPoint, MicroResult } from './types.js';

/** Bytes above which a full copy is not measured: it takes a second, and as much memory again. */
const LARGEST_COPY = 2 ** 30;

export function measureMicro({ points, effort }: MicroJob): MicroResult {
  return {
    points: points
      .filter((point) => point.file !== undefined || point.memoryBytes <= LARGEST_COPY)
      .map((point) => ({
        ...point,
        nanoseconds: point.file ? checkpoints(point, effort) : copies(point, effort),
      })),
  };
}

function checkpoints({ file, memoryBytes, dirty, region }: MicroPoint, effort: Effort): number {
  const guest = instantiateSync(new WebAssembly.Module(readFileSync(file!)));
  const store = guest.exports.dirty as (n: number, step: number) => void;
  const step = stepOf(memoryBytes, dirty, region);
  return fastest(effort, () => {
    guest.checkpoint();
    store(dirty, step);
    guest.rollback();
  });
}

function copies({ memoryBytes }: MicroPoint, effort: Effort): number {
  const memory = new Uint8Array(memoryBytes).fill(1);
  const copy = new Uint8Array(memoryBytes);
  return fastest({ ...effort, rounds: Math.min(effort.rounds, 5) }, () => {
    copy.set(memory);
    memory.set(copy);
  });
}

/** Bytes between stores, so that no two fall into one region. */
function stepOf(memoryBytes: number, dirty: number, region: number): number {
  const step = Math.floor(memoryBytes / dirty / region) * region;
  if (step < region) throw new Error(`${dirty} regions do not fit into ${memoryBytes} bytes`);
  // The address is a signed 32-bit number on its way in.
  return Math.min(step, 2 ** 30);
}

/** Nanoseconds of one call: the lower quartile of batches, because there is nothing to compare with by turns. */
function fastest({ batch, rounds, warm: [least] }: Effort, call: () => void): number {
  const timed = (count: number) => {
    const start = now();
    for (let i = 0; i < count; i++) call();
    return now() - start;
  };
  let count = 1;
  let spent = 0;
  for (let time = 0; time < batch || spent < least / 4; spent += time) {
    time = timed(count);
    if (time < batch) count *= 2;
  }
  return quantile(
    Array.from({ length: rounds }, () => timed(count) / count),
    0.25,
  );
}
