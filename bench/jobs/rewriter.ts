/** How long instrument() takes, and how much memory. A process for each module. */
import { readFileSync } from 'node:fs';
import { instrument } from '../../rewriter/index.js';
import type { RewriterJob, RewriterResult } from './types.js';

export function measureRewriter({ file, times }: RewriterJob): RewriterResult {
  const bytes = readFileSync(file);
  let seconds = Number.POSITIVE_INFINITY;
  let report: ReturnType<typeof instrument>['report'];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    ({ report } = instrument(bytes, { layout: 'separate' }));
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return {
    seconds,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    bytesBefore: report!.bytesBefore,
    bytesAfter: report!.bytesAfter,
    stores: report!.stores,
    inserted: report!.checksInserted,
    removed: report!.checksRemoved,
    merged: report!.checksMerged,
    stack: report!.checksStack,
  };
}
