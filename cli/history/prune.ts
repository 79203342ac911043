/** `belay history prune`. */
import type { Command } from 'commander';
import { usageError } from '../errors.js';
import { parsePositive } from '../guest.js';
import { size } from '../report.js';
import { carryOut, counted, parseCheckpoint, withHistory } from './common.js';
import { Document, Output } from './output.js';

interface Flags {
  before?: string;
  keep?: number;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  $ belay history prune history --keep 100000
  $ belay history prune history --before 2026-01-31T12:00
`;

export function pruneCommand(history: Command): void {
  history
    .command('prune')
    .description('let go of the oldest checkpoints; nobody may be recording')
    .argument('<dir>', 'the directory of a history')
    .option('--before <checkpoint>', 'those before this one', parseCheckpoint)
    .option('--keep <count>', 'all but the last so many', parsePositive)
    .option('--json', 'print what is left as JSON')
    .addHelpText('after', EXAMPLES)
    .action((directory: string, flags: Flags) => carryOut(() => prune(directory, flags)));
}

async function prune(directory: string, { before, keep, json }: Flags): Promise<void> {
  if ((before === undefined) === (keep === undefined)) {
    throw usageError('say what goes: --before <checkpoint>, or --keep <count>, one of them');
  }
  await withHistory(directory, undefined, async (history) => {
    const last = history.find('last');
    const old = history.info();
    const first = before === undefined ? Math.max(history.first, last - keep! + 1) : history.find(before);
    await history.prune(first);
    const now = history.info();
    const removed = old.entries - now.entries;
    const out = new Output();
    if (json) {
      const { entries, bytesStored, bytesOnDisk } = now;
      const document = new Document(out);
      await document.all({ removed, entries, first: now.first, last: now.last, bytesStored, bytesOnDisk });
      await document.end();
      return;
    }
    await out.line(
      `${directory}: ${counted(removed, 'checkpoint')} removed, ${counted(now.entries, 'checkpoint')} left ` +
        `(${now.first} to ${now.last}); ${size(old.bytesStored)} stored, now ${size(now.bytesStored)}`,
    );
    await out.flush();
  });
}
