/** `belay history info`. */
import type { Command } from 'commander';
import { BelayError } from '../../contract/errors.js';
import type { Damage, HistoryInfo } from '../../runtime/history/index.js';
import { EXIT } from '../errors.js';
import { count, size, table } from '../report.js';
import { carryOut, counted, timeText, withHistory } from './common.js';
import { Document, Output, Watch } from './output.js';

interface Flags {
  check?: boolean;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  $ belay history info history
  $ belay history info history --check
  $ belay history info history --json | jq .bytesStored
`;

export function infoCommand(history: Command): void {
  history
    .command('info')
    .description('how many checkpoints a history has, and how large it is')
    .argument('<dir>', 'the directory of a history')
    .option('--check', 'read all of it, and list what cannot be read (exit code 1)')
    .option('--json', 'print it as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, flags: Flags) => carryOut(() => info(directory, flags)));
}

async function info(directory: string, { check, json }: Flags): Promise<void> {
  await withHistory(directory, undefined, async (history) => {
    const damage = check ? checked(directory, (onProgress) => history.check(onProgress)) : undefined;
    const moduleBytes = history.module?.length;
    const out = new Output();
    let about: HistoryInfo | undefined;
    try {
      about = history.info();
    } catch (error) {
      // What is lost is listed below.
      const isListed = error instanceof BelayError && error.code === 'ERR_BELAY_HISTORY_DAMAGED';
      if (!isListed || !damage?.length) throw error;
    }
    if (json) {
      const document = new Document(out);
      if (about) await document.all({ ...about, ...(moduleBytes !== undefined && { moduleBytes }) });
      if (damage) await document.list('damage', damage);
      await document.end();
    } else {
      if (about) await out.write(report(directory, about, moduleBytes));
      if (damage) await out.write(damageReport(damage));
      await out.flush();
    }
    if (damage?.length) process.exitCode = EXIT.failed;
  });
}

function checked(
  directory: string,
  check: (onProgress: (done: number, of: number) => void) => Damage[],
): Damage[] {
  const watch = new Watch(`checking ${directory}`);
  try {
    return check((done, of) => watch.report(done / of));
  } finally {
    watch.stop();
  }
}

function report(directory: string, about: HistoryInfo, moduleBytes: number | undefined): string {
  const { entries, first, last, firstTime, lastTime, bytesStored, bytesRaw, bytesOnDisk, unpacked } = about;
  // The module is there once, however many checkpoints there are.
  const ofStates = bytesStored - (moduleBytes ?? 0);
  const saved = bytesRaw > 0 ? 100 * (1 - ofStates / bytesRaw) : 0;
  const rows: [string, string][] = [
    ['written pages', `${size(bytesRaw)} (${count(bytesRaw / 4096)} pages of 4 KiB)`],
    [
      'stored',
      size(ofStates) +
        (entries > 0 ? `, ${count(Math.round(ofStates / entries))} bytes a checkpoint` : '') +
        (saved > 0 ? `, ${saved.toFixed(1)} % saved` : ''),
    ],
    ['on disk', size(bytesOnDisk)],
    ['contents', `${count(about.contents)} pages that are stored whole`],
    ['chunks', `${count(about.chunks)} pieces of versions of pages`],
    ['not yet packed', size(unpacked)],
    ['memory', `${size(about.memoryBytes)} at the last checkpoint`],
    ['module', about.module],
    ['', moduleBytes === undefined ? 'not in the history' : `in the history, ${size(moduleBytes)} more`],
    ['format', `version ${about.version}`],
  ];
  if (entries > 0) {
    rows.unshift([
      'recorded',
      `${timeText(firstTime)} to ${timeText(lastTime)} (${duration(lastTime - firstTime)})`,
    ]);
  }
  const which = entries > 0 ? `, ${first} to ${last}` : '';
  return `${directory}: ${counted(entries, 'checkpoint')}${which}\n${table(rows)}\n`;
}

function damageReport(damage: readonly Damage[]): string {
  if (damage.length === 0) return '  all of it can be read\n';
  const lines = damage.map(({ what }) => `  - ${what}`);
  return `  ${counted(damage.length, 'part')} cannot be read:\n${lines.join('\n')}\n`;
}

/** `3 d 4 h`, `12 min 5 s`, `0.25 s`. */
function duration(milliseconds: number): string {
  if (milliseconds < 60_000) return `${milliseconds / 1000} s`;
  const seconds = Math.floor(milliseconds / 1000);
  const units: [number, string][] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const i = units.findIndex(([length]) => seconds >= length);
  const [[large, a], [small, b]] = units.slice(i, i + 2) as [[number, string], [number, string]];
  return `${Math.floor(seconds / large)} ${a} ${Math.floor((seconds % large) / small)} ${b}`;
}
