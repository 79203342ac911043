/**
 * `npm run bench:mechanisms`: compares the mechanisms with each other, and writes docs/mechanisms-measured.md and the
 * table of docs/mechanisms.md. See ../arguments.ts for options, ../compare.ts for the method.
 */
import { join } from 'node:path';
import { ROOT } from '../subjects/host.js';
import { main, type Suite } from '../suite.js';
import type { Job, Result } from './jobs/types.js';
import { describe, type Label, plan, SECTIONS } from './plan.js';
import { REPORT, writeReport } from './report/index.js';
import type { Results } from './results.js';

const suite: Suite<Label, Job, Result> = {
  command: { name: 'bench:mechanisms', sections: SECTIONS, file: REPORT },
  child: join(ROOT, 'dist', 'bench', 'mechanisms', 'child.js'),
  describe,
  plan,
  write: (results, folder) => writeReport(results as Results, folder),
};

await main(suite);
