/** Fills kernel.md, and writes its pictures and results.json. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill } from '../../report/fill.js';
import { table } from '../../report/markdown.js';
import { Folder } from '../../report/write.js';
import { PATTERNS } from '../plan.js';
import type { Results } from '../results.js';
import { crossingList, ratioTable, sweepPicture, sweepTable } from './epochs.js';
import { serverPicture, serverTables, thesisTable } from './servers.js';
import { count } from './words.js';

export const SCRIPT = 'bench:kernel';
export const REPORT = 'kernel.md';
/** Folder of the pictures and the results, beside the report. */
export const FOLDER = 'kernel';

/** The texts between the marks of kernel.md. */
export function texts(results: Results): Record<string, string> {
  return {
    circumstances: circumstances(results),
    costs: costTable(results),
    ratio: ratioTable(results),
    ...Object.fromEntries(PATTERNS.map((pattern) => [pattern, sweepTable(results, pattern)])),
    crossings: crossingList(results, 'uniform'),
    thesis: thesisTable(results),
    servers: serverTables(results),
  };
}

/** Writes into `folder`; returns the paths. */
export function writeReport(results: Results, folder: string): string[] {
  const files = new Folder(folder);
  if (results.epochs.length > 0) {
    for (const pattern of PATTERNS) {
      files.write(join(FOLDER, `epochs-${pattern}.svg`), sweepPicture(results, pattern));
    }
  }
  if (results.serving.length > 0) files.write(join(FOLDER, 'servers.svg'), serverPicture(results));
  files.write(join(FOLDER, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  const path = join(folder, REPORT);
  if (existsSync(path)) files.write(REPORT, fill(readFileSync(path, 'utf8'), SCRIPT, texts(results)));
  return files.written;
}

function circumstances({ kernel, seconds, quick }: Results): string {
  const warning = quick ? '**Made with `--quick`: none of these figures means anything.**\n\n' : '';
  return `${warning}Linux ${kernel} in QEMU's translator with \`-icount shift=0\`, one processor; made in ${Math.round(seconds / 60)} minutes by \`npm run bench:kernel\`.`;
}

function costTable({ costs }: Results): string {
  return table(
    ['step', 'instructions'],
    costs.map(({ cost, each }) => [
      cost === 'clock' ? 'reading the clock (taken off the others)' : cost,
      count(each),
    ]),
  );
}
