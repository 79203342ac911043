/** Writes mechanisms-measured.md, its pictures, and the table of mechanisms.md from results. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from '../../report/section.js';
import { circumstances, Folder } from '../../report/write.js';
import type { Results } from '../results.js';
import { withTable } from './choose.js';
import { frequencySection } from './frequency.js';
import { memorySection } from './memory.js';
import { pagesSection, sizeSection } from './pages.js';
import { PICTURES } from './part.js';
import { liveSection, policiesSection } from './policies.js';
import { reachSection } from './reach.js';

export const REPORT = 'mechanisms-measured.md';
/** Written by hand, but for its table. */
const GUIDE = 'mechanisms.md';

/** Writes into `folder`; returns the paths. */
export function writeReport(results: Results, folder: string): string[] {
  const parts = [
    reachSection,
    pagesSection,
    sizeSection,
    frequencySection,
    memorySection,
    policiesSection,
    liveSection,
  ]
    .map((section) => section(results))
    .filter((part): part is Part => part !== undefined);
  const files = new Folder(folder);
  files.report(REPORT, PICTURES, head(results), parts);
  const guide = join(folder, GUIDE);
  if (existsSync(guide)) files.write(GUIDE, withTable(readFileSync(guide, 'utf8'), results));
  return files.written;
}

function head(results: Results): string {
  const rounds = `${results.rounds} rounds for *reach*, half as many for the others`;
  return `# Mechanisms, measured

Written by \`npm run bench:mechanisms\` (bench/mechanisms/run.ts); do not edit. \`npm run bench:mechanisms -- --help\` says how
to measure a part. [mechanisms.md](mechanisms.md) says what the mechanisms are, and which to take.
${circumstances(results, rounds)}

Contenders take turns in one process with the baseline in between, as in [measurements.md](measurements.md): ratios are medians over all
rounds, to the baseline's batches just before and after, with the quartiles beside them; times are medians. The layout is \`separate\`
where nothing else is said.
`;
}
