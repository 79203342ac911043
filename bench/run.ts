/**
 * `npm run bench`: measures everything and writes docs/measurements.md. See arguments.ts for options, compare.ts
 * for the method, suite.ts for how tasks are carried out.
 */
import { join } from 'node:path';
import type { Job, ResultOf } from './jobs/types.js';
import { type Label, plan, SECTIONS } from './plan.js';
import { writeReport } from './report/index.js';
import type { Measured, Results } from './results.js';
import { ROOT } from './subjects/host.js';
import { main } from './suite.js';

await main<Label, Job, ResultOf<Job>>({
  command: { name: 'bench', sections: SECTIONS, file: 'measurements.md' },
  child: join(ROOT, 'dist', 'bench', 'child.js'),
  describe: ({ section, engine, subject, layout, region, variant }) =>
    [section, engine, subject, layout, region && `region ${region}`, variant].filter(Boolean).join(' / '),
  plan,
  write: (results, folder) => writeReport(results as Results<Measured>, folder),
});
