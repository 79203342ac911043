/** A process that carries out one job of `npm run bench:history`: gets it as a message, tells how far it is, answers. */

import '../../runtime/node.js';
import { compression } from './jobs/compression.js';
import { materialise } from './jobs/partial.js';
import { ask } from './jobs/questions.js';
import { record } from './jobs/record.js';
import { recording } from './jobs/recording.js';
import type { Job } from './plan.js';

/** What it tells. */
export type Told = { progress: string } | { result: unknown; node: string; v8: string } | { error: string };

const tell = (message: Told): Promise<void> => new Promise((done) => process.send!(message, () => done()));

async function carryOut(job: Job): Promise<unknown> {
  const progress = (text: string): void => void tell({ progress: text });
  switch (job.kind) {
    case 'record':
      return record(job, progress);
    case 'questions':
      return ask(job, progress);
    case 'partial':
      return materialise(job, progress);
    case 'recording':
      return recording(job, progress);
    case 'compression':
      return compression(job, progress);
  }
}

process.once('message', async (job: Job) => {
  try {
    await tell({ result: await carryOut(job), node: process.version, v8: process.versions.v8 });
  } catch (error) {
    await tell({ error: (error as Error).stack ?? String(error) });
  }
  process.exit(0);
});
