/** Writes measurements.md and its pictures from results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Results } from '../results.js';
import { microSection } from './micro.js';
import { modulesSection } from './modules.js';
import { regionsSection } from './regions.js';
import { rewriterSection } from './rewriter.js';
import type { Part } from './section.js';
import { serviceSection } from './service.js';
import { targetsSection } from './targets.js';
import { optionsSection } from './variants.js';

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
  const written: string[] = [];
  const write = (name: string, content: string) => {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    written.push(path);
  };
  for (const { pictures = {} } of parts) {
    for (const [name, svg] of Object.entries(pictures)) write(join(PICTURES, `${name}.svg`), svg);
  }
  const body = parts.map(({ title, text }) => `## ${title}\n\n${text}\n`).join('\n');
  write('measurements.md', `${head(results)}\n${body}`);
  return written;
}

function head(results: Results): string {
  const { machine, engines, rounds, seconds, clock, quick } = results;
  const warning = quick ? '\n**Made with `--quick`: none of these figures means anything.**\n' : '';
  const list = Object.values(engines)
    .map(({ title, node, v8 }) => `${title}: ${node}, V8 ${v8}`)
    .join('; ');
  return `# Measurements

Written by \`npm run bench\` (bench/run.ts); do not edit. \`npm run bench -- --help\` says how to measure a part.
${warning}
Machine: ${machine.processor}, ${machine.cores} processors, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.system}.
Engines: ${list}.
Time: ${clock}. ${rounds} rounds, half as many where there are many variants; ${Math.round(seconds / 60)} minutes in all.

Each row is a process of its own, in which the original module and the instrumented one take turns: a ratio is the
time of a batch of requests to that of the batches of the original just before and after it. Tables give the
median ratio over all rounds, and the quartiles beside it. Before that, everything runs until three rounds in a
row agree within 5 %. The programs of both sides must compute the same, or the row is an error. Figures of
another machine differ; ratios differ less.
`;
}
