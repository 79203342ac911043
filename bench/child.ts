/** A process that carries out one job of `npm run bench`. */
import { answer } from './answer.js';
import { measureMicro } from './jobs/micro.js';
import { measureRewriter } from './jobs/rewriter.js';
import { measureService } from './jobs/service.js';
import { measureSubject } from './jobs/subject.js';
import type { Job, ResultOf } from './jobs/types.js';

await answer(async (job: Job): Promise<ResultOf<Job>> => {
  switch (job.kind) {
    case 'subject':
      return measureSubject(job);
    case 'micro':
      return measureMicro(job);
    case 'service':
      return measureService(job);
    case 'rewriter':
      return measureRewriter(job);
  }
});
