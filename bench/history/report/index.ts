/** Fills history.md, and writes its picture and results.json. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill } from '../../report/fill.js';
import { table } from '../../report/markdown.js';
import { Folder } from '../../report/write.js';
import type { Results } from '../results.js';
import { compressionText } from './compression.js';
import { partialText, questionsText } from './questions.js';
import { recordingText } from './recording.js';
import { growthPicture, sizeText } from './size.js';
import { targets } from './targets.js';
import { count, yes } from './words.js';

export const SCRIPT = 'bench:history';
export const REPORT = 'history.md';
/** Folder of the pictures and the results, beside the report. */
export const FOLDER = 'history';

/** The texts between the marks of history.md. */
export function texts(results: Results): Record<string, string> {
  return {
    circumstances: circumstances(results),
    size: sizeText(results),
    questions: questionsText(results),
    partial: partialText(results),
    recording: recordingText(results),
    compression: compressionText(results),
  };
}

/** Writes into `folder`; returns the paths. */
export function writeReport(results: Results, folder: string): string[] {
  const files = new Folder(folder);
  if (results.size.length > 0) files.write(join(FOLDER, 'growth.svg'), growthPicture(results));
  files.write(join(FOLDER, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  const path = join(folder, REPORT);
  if (existsSync(path)) files.write(REPORT, fill(readFileSync(path, 'utf8'), SCRIPT, texts(results)));
  return files.written;
}

function circumstances(results: Results): string {
  const { machine, engines, seconds, load, quick } = results;
  const warning = quick ? '**Made with `--quick`: none of these figures means anything.**\n\n' : '';
  const list = Object.values(engines).map(({ title, node, v8 }) => `${title} (${node}, V8 ${v8})`);
  const rows = targets(results);
  const missed = new Set(
    rows.flatMap(({ met, what, whose = what, why }) => (!met && why ? [`- ${whose}: ${why}`] : [])),
  );
  const where = missed.size
    ? `\n\nWhere it goes, where a target is missed:\n\n${[...missed].join('\n')}`
    : '';
  // The bench itself keeps two or three busy.
  const busy =
    load > machine.cores + 3
      ? `**The machine was busy with other things (a load of ${count(load)} on ${machine.cores} processors): times are several times too long, sizes are right.** `
      : '';
  return `${warning}${busy}${machine.processor}, ${machine.cores} processors, ${count(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}; ${list.join(' and ')}. Made in ${Math.round(seconds / 60)} minutes by
\`npm run ${SCRIPT}\`; \`-- --help\` says how to measure a part. [results.json](history/results.json) has all figures.

${table(
  ['what', 'target', 'measured', 'met'],
  rows.map(({ what, target, measured, met }) => [what, target, measured, yes(met)]),
)}${where}`;
}
