/** A process that carries out one job of `npm run bench:mechanisms`. */
import '../../runtime/node.js';
import { answer } from '../answer.js';
import { measureEpochs } from './jobs/epochs.js';
import { measureMemory } from './jobs/memory.js';
import { measurePages } from './jobs/pages.js';
import { measurePolicies } from './jobs/policies.js';
import type { Job, Result } from './jobs/types.js';

await answer(async (job: Job): Promise<Result> => {
  switch (job.kind) {
    case 'pages':
      return measurePages(job);
    case 'epochs':
      return measureEpochs(job);
    case 'memory':
      return measureMemory(job);
    case 'policies':
      return measurePolicies(job);
  }
});
