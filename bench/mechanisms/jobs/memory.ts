/**
 * Memory over one long epoch: the checkpoint is taken once, and requests go on and on. Held is what the mechanism
 * needs to get back:
 *
 *     lmc, page-cow    pre-images, and a byte of tag for each
 *     undolog          the log, from its first entry to its last
 *     cards            the image, and the cards
 */
import { EXPORTS } from '../../../contract/contract.js';
import type { Guest } from '../../../runtime/types.js';
import { subjectNamed } from '../../subjects/index.js';
import { startGuest } from './epochs.js';
import type { GuestSpec, MemoryJob, MemoryResult } from './types.js';

export async function measureMemory(job: MemoryJob): Promise<MemoryResult> {
  const series: MemoryResult['series'] = [];
  for (const spec of job.guests) {
    const running = await startGuest(subjectNamed(job.subject), spec);
    const guest = running.guest!;
    const before = guest.stats();
    guest.checkpoint();
    const points: MemoryResult['series'][number]['points'] = [];
    for (let requests = 0; ; requests++) {
      if (requests % job.step === 0) {
        const { supportBytes } = guest.stats();
        points.push({ requests, held: heldBy(guest, spec, before.regionsSaved), setAside: supportBytes });
      }
      if (requests === job.requests) break;
      running.request(requests);
    }
    series.push({ name: spec.name, memoryBytes: guest.stats().memoryBytes, points });
  }
  return { series };
}

function heldBy(guest: Guest, { mechanism }: GuestSpec, before: number): number {
  const { regionsSaved, supportBytes } = guest.stats();
  switch (mechanism) {
    case 'undolog':
      return logBytes(guest);
    case 'lmc':
    case 'page-cow':
      return (regionsSaved - before) * (guest.contract.region + 1);
    default:
      return supportBytes;
  }
}

/** The log of a guest's only epoch: behind its end nothing was ever written. */
function logBytes(guest: Guest): number {
  const log = guest.instance.exports[EXPORTS.tags(0)] as WebAssembly.Memory;
  const words = new BigUint64Array(log.buffer);
  let end = words.length;
  while (end > 0 && words[end - 1] === 0n) end--;
  return end * 8;
}
