/** Writes measurements.md and its pictures from results. */
import type { Results } from '../results.js';
import { microSection } from './micro.js';
import { modulesSection } from './modules.js';
import { regionsSection } from './regions.js';
import { rewriterSection } from './rewriter.js';
import type { Part } from './section.js';
import { serviceSection } from './service.js';
import { targetsSection } from './targets.js';
import { optionsSection } from './variants.js';
import { circumstances, Folder } from './write.js';

/** Folder of the pictures, beside the report. */
const PICTURES = 'measurements';

/** Writes into `folder`; returns the paths. */
export function writeReport(results: Results, folder: string): string[] {
  const parts = [
    targetsSection,
    modulesSection,
    regionsSection,
    optionsSection,
    microSection,
    serviceSection,
    rewriterSection,
  ]
    .map((section) => section(results))
    .filter((part): part is Part => part !== undefined);
  const files = new Folder(folder);
  files.report('measurements.md', PICTURES, head(results), parts);
  return files.written;
}

function head(results: Results): string {
  const rounds = `${results.rounds} rounds, half as many where there are many variants`;
  return `# Measurements

Written by \`npm run bench\` (bench/run.ts); do not edit. \`npm run bench -- --help\` says how to measure a part.
${circumstances(results, rounds)}

Each row is a process of its own, in which the original module and the instrumented one take turns: a ratio is the
time of a batch of requests to that of the batches of the original just before and after it. Tables give the
median ratio over all rounds, and the quartiles beside it. Before that, everything runs until three rounds in a
row agree within 5 %. The programs of both sides must compute the same, or the row is an error. Figures of
another machine differ; ratios differ less.
`;
}
