/**
 * A process that carries out one job: `node child.js FILE`, where FILE holds the job as JSON. Its last line is the
 * result as JSON, together with what ran it.
 */
import { readFileSync } from 'node:fs';
import { CLOCK } from './clock.js';
import { measureMicro } from './jobs/micro.js';
import { measureRewriter } from './jobs/rewriter.js';
import { measureService } from './jobs/service.js';
import { measureSubject } from './jobs/subject.js';
import type { Job, ResultOf } from './jobs/types.js';

/** The last line of a child's output. */
export interface Answer {
  result: ResultOf<Job>;
  node: string;
  v8: string;
  clock: string;
}

async function carryOut(job: Job): Promise<ResultOf<Job>> {
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
}

const job = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Job;
const result = await carryOut(job);
const answer: Answer = { result, node: process.version, v8: process.versions.v8, clock: CLOCK };
// What programs print (SQLite, Lua) ends before this line.
process.stdout.write(`\n${JSON.stringify(answer)}\n`, () => process.exit(0));
