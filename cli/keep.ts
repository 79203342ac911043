/** What `serve` and `run` keep of a guest: its checkpoints in a history, and a checkpoint to go on from. */
import { type Command, Option } from 'commander';
import type { Retention } from '../runtime/history/types.js';
import type { KeepOptions } from '../runtime/service/keep.js';
import { usageError } from './errors.js';
import { parsePositive } from './guest.js';
import { parseSize } from './options.js';

export interface KeepFlags {
  record?: string;
  recordEvery?: number;
  recordLag?: 'wait' | 'skip';
  /** Of a service alone. */
  recordLate?: true;
  keep?: Retention;
  restore?: string;
}

/** Adds the options. */
export function addKeepOptions(command: Command): Command {
  return command
    .option('--record <dir>', 'record checkpoints into a history, for belay history (docs/history.md)')
    .option('--record-every <n>', 'with --record: each n-th checkpoint only', parsePositive)
    .addOption(
      new Option('--record-lag <what>', 'with --record, when the disk is too slow: wait, or skip checkpoints')
        .choices(['wait', 'skip'])
        .default(undefined, 'wait'),
    )
    .option(
      '--keep <amount[,amount...]>',
      'with --record: how much of the past, as checkpoints (100000), time (36h, 7d) or size (2GiB)',
      parseRetention,
    )
    .option('--restore <dir[@checkpoint]>', 'go on from a checkpoint of a history, or from a saved state');
}

/** What a guest keeps beside its memory. @throws ERR_BELAY_OPTION for flags that say how to record, without --record */
export function keepOptions(flags: KeepFlags, wasm: Uint8Array): KeepOptions {
  const {
    record: directory,
    recordEvery: every,
    recordLag: lag,
    recordLate: late,
    keep: retention,
    restore,
  } = flags;
  if (directory === undefined) {
    const said = { '--record-every': every, '--record-lag': lag, '--record-late': late, '--keep': retention };
    const flag = Object.entries(said).find(([, value]) => value !== undefined)?.[0];
    if (flag) throw usageError(`${flag} says how to record: it needs --record <dir>`);
  }
  return {
    ...(directory !== undefined && {
      record: {
        directory,
        module: wasm,
        ...(every !== undefined && { every }),
        ...(lag !== undefined && { lag }),
        ...(late && { late }),
        ...(retention && { retention }),
      },
    }),
    ...(restore !== undefined && { restore }),
  };
}

const MILLISECONDS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `100000`, `36h`, `2GiB`, or several of them: the history keeps what all of them allow. */
export function parseRetention(text: string): Retention {
  const retention: Retention = {};
  for (const part of text.split(',')) {
    const time = /^(\d+(?:\.\d+)?)([smhd])$/.exec(part);
    if (time) retention.age = Number(time[1]) * MILLISECONDS[time[2]!]!;
    else if (/^\d+$/.test(part)) retention.count = parsePositive(part);
    else retention.bytes = parseSize(part);
  }
  return retention;
}
