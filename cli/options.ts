/** The command line's spelling of the rewriter's options. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { MECHANISMS, type MechanismName } from '../contract/contract.js';
import type { InstrumentOptions } from '../rewriter/types.js';
import { usageError } from './errors.js';

/** What commander makes of the flags added by {@link addInstrumentOptions}. */
export interface InstrumentFlags {
  mechanism?: MechanismName;
  logLimit?: number;
  region?: number;
  layout?: 'separate' | 'inline' | 'auto';
  reserve?: number;
  checkLoads?: boolean;
  steps?: boolean;
  optimize: boolean;
  hints: boolean;
  oracle?: boolean;
  cache: boolean;
}

/** Adds the options that say how a module is instrumented. */
export function addInstrumentOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--mechanism <name>', 'how writes are seen, and pre-images kept: docs/mechanisms.md')
        .choices(MECHANISMS)
        .default(undefined, 'lmc'),
    )
    .option('--region <bytes>', 'bytes saved at once: a power of two, 1 to 4096', parseRegion)
    .addOption(
      new Option('--layout <where>', 'where pre-images live: memories of their own, or the same memory')
        .choices(['auto', 'separate', 'inline'])
        .default(undefined, 'auto: separate where this engine has several memories'),
    )
    .option('--reserve <size>', 'inline layout: what memory can grow to, e.g. 64MiB', parseSize)
    .option('--log-limit <size>', 'undolog: bytes that the log of a memory may have', parseSize)
    .option('--check-loads', 'inline layout: trap wild loads exactly as before')
    .option('--steps', 'count steps, so that an endless loop can be ended')
    .option('--no-optimize', 'keep checks that another check makes redundant')
    .option('--no-hints', 'emit no branch hints')
    .option('--oracle', 'debug: assert at every store that its bytes are saved')
    .option('--no-cache', 'neither use nor keep a cached result');
}

/**
 * The rewriter's options. @throws ERR_BELAY_OPTION for flags that contradict each other, by their names here.
 */
export function instrumentOptions(flags: InstrumentFlags): InstrumentOptions {
  if (flags.layout === 'separate') {
    if (flags.reserve !== undefined) throw contradiction('--reserve');
    if (flags.checkLoads) throw contradiction('--check-loads');
  }
  const options: InstrumentOptions = {};
  if (flags.mechanism !== undefined) options.mechanism = flags.mechanism;
  if (flags.logLimit !== undefined) options.logLimit = flags.logLimit;
  if (flags.region !== undefined) options.region = flags.region;
  if (flags.layout !== undefined) options.layout = flags.layout;
  if (flags.reserve !== undefined) options.reserve = flags.reserve;
  if (flags.checkLoads) options.checkLoads = true;
  if (flags.steps) options.steps = true;
  if (!flags.optimize) options.optimize = false;
  if (!flags.hints) options.hints = false;
  if (flags.oracle) options.oracle = true;
  return options;
}

function contradiction(flag: string): Error {
  return usageError(
    `${flag} is for the inline layout and contradicts --layout separate; leave one of them out`,
  );
}

export function parseRegion(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 4096 || (value & (value - 1)) !== 0) {
    throw new InvalidArgumentError('It is a power of two from 1 to 4096.');
  }
  return value;
}

const UNITS: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Bytes from `65536`, `64k`, `64KiB`, `1.5GiB`: units are powers of 1024. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmg])(?:i?b)?|b)?$/i.exec(text);
  const bytes = match ? Number(match[1]) * UNITS[(match[2] ?? '').toLowerCase()]! : Number.NaN;
  if (!Number.isInteger(bytes) || bytes <= 0) {
    throw new InvalidArgumentError('It is a number of bytes, or like 512KiB, 64MiB, 1GiB.');
  }
  return bytes;
}
