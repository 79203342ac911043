/** What `serve`, `run` and `trace` have in common: the options of a guest, and a module that is ready to load. */
import { setFlagsFromString } from 'node:v8';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { MECHANISMS, type MechanismName, SECTION } from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';
import type { LoadOptions, NamedPolicy } from '../runtime/service/load.js';
import type { PolicyName } from '../runtime/speculation/index.js';
import { instrumentCached } from './cache.js';
import { usageError } from './errors.js';
import { instrumentOptions, parseRegion } from './options.js';
import { startProgress } from './progress.js';
import { inputName, readModule } from './read.js';

export interface GuestFlags {
  wasi: 'wasmer' | 'node';
  dir?: Record<string, string>;
  env?: Record<string, string>;
  mechanism?: MechanismName | 'auto';
  policy?: NamedPolicy;
  typical?: number;
  region?: number;
  layout?: 'separate' | 'inline' | 'auto';
  cache?: boolean;
  deadline: number;
  maxSteps?: number;
}

/** Adds the options that say how a program becomes a guest. */
export function addGuestOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--wasi <provider>', 'wasmer: files in memory, rolled back; node: real files, which are not')
        .choices(['wasmer', 'node'])
        .default('wasmer'),
    )
    .option(
      '--dir <host[::guest]>',
      'with --wasi node: a directory the program may use; repeatable',
      collectDir,
    )
    .option('--env <name=value>', 'an environment variable of the program; repeatable', collectEnv)
    .addOption(
      new Option('--mechanism <name>', 'how writes are seen: docs/mechanisms.md (default: lmc)').choices([
        ...MECHANISMS,
        'auto',
      ]),
    )
    .option(
      '--policy <name[:option=value,...]>',
      'page-cow, mprotect, uffd: copies pages ahead that will probably be written (docs/speculation.md)',
      parsePolicy,
    )
    .option('--typical <ms>', 'with --mechanism auto: how long a request runs, about', parseMilliseconds)
    .option('--region <bytes>', 'bytes saved at once: a power of two, 1 to 4096', parseRegion)
    .addOption(
      new Option(
        '--layout <where>',
        'where pre-images live: memories of their own, or the same memory',
      ).choices(['auto', 'separate', 'inline']),
    )
    .option('--no-cache', 'neither use nor keep a cached instrumented module');
}

/** A module to be loaded, and the options that go with it. */
export interface Prepared {
  name: string;
  module: WebAssembly.Module;
  /** The same as bytes: what a history keeps. */
  wasm: Uint8Array;
  /** Whether it was instrumented before. */
  instrumented: boolean;
  options: Pick<LoadOptions, 'mechanism'> & { policy?: NamedPolicy };
  /** With `auto`: why this mechanism. */
  why?: string;
}

/**
 * Reads a module, and instruments it unless that was done.
 * @throws ERR_BELAY_FILE, ERR_BELAY_INVALID_MODULE, ERR_BELAY_REFUSED, ERR_BELAY_OPTION
 */
export async function prepareModule(
  input: string,
  flags: GuestFlags,
  checkGiven: (module: WebAssembly.Module) => void = () => {},
): Promise<Prepared> {
  if (flags.dir !== undefined && flags.wasi !== 'node') {
    throw usageError('--dir gives real directories: it needs --wasi node');
  }
  if (flags.typical !== undefined && flags.mechanism !== 'auto') {
    throw usageError('--typical is what --mechanism auto chooses by; give both or neither');
  }
  useBranchHints();
  const name = inputName(input);
  const bytes = await readModule(input);
  const given = await compile(bytes, name);
  checkGiven(given);
  if (WebAssembly.Module.customSections(given, SECTION).length > 0) {
    const module = checkFlags(given, flags, name);
    return { name, module, wasm: bytes, instrumented: true, options: guestOptions(flags) };
  }
  const chosen = flags.mechanism === 'auto' ? await choose(bytes, flags) : { flags };
  return {
    name,
    ...(await instrumentModule(bytes, chosen.flags, name)),
    instrumented: false,
    options: guestOptions(chosen.flags),
    ...('why' in chosen && { why: chosen.why }),
  };
}

const guestOptions = ({ mechanism, policy }: GuestFlags): Prepared['options'] => ({
  ...(mechanism && { mechanism }),
  ...(policy && { policy }),
});

async function choose(bytes: Uint8Array, flags: GuestFlags): Promise<{ flags: GuestFlags; why: string }> {
  const { inspect } = await import('../rewriter/index.js');
  const { recommendMechanism } = await import('../runtime/node-mechanisms.js');
  const { writes, memories } = inspect(bytes);
  const { mechanism, policy, why } = recommendMechanism({
    stores: Object.values(writes).reduce((sum, n) => sum + n, 0),
    codeBytes: bytes.length,
    memoryBytes: memories.reduce((sum, m) => sum + m.initial * 65536, 0),
    ...(flags.typical !== undefined && { epochSeconds: flags.typical / 1000 }),
  });
  // What was asked for by name stays: a policy for a mechanism that takes none is an error that says so.
  return {
    why,
    flags: { ...flags, mechanism, ...(policy && !flags.policy && { policy: { name: policy } }) },
  };
}

async function compile(bytes: Uint8Array, name: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    const reason =
      cause instanceof Error ? cause.message.replace(/^WebAssembly\.compile\(\): /, '') : String(cause);
    throw new BelayError('ERR_BELAY_INVALID_MODULE', `${name} does not compile here: ${reason}`, { cause });
  }
}

async function instrumentModule(
  bytes: Uint8Array,
  flags: GuestFlags,
  name: string,
): Promise<Pick<Prepared, 'wasm' | 'module'>> {
  const options = instrumentOptions({
    ...(flags.mechanism && { mechanism: flags.mechanism as MechanismName }),
    ...(flags.region !== undefined && { region: flags.region }),
    ...(flags.layout !== undefined && { layout: flags.layout }),
    steps: flags.deadline > 0 || flags.maxSteps !== undefined,
    optimize: true,
    hints: true,
    cache: flags.cache !== false,
  });
  const progress = startProgress(`instrumenting ${name}`);
  try {
    const { wasm } = await instrumentCached(bytes, options, {
      cache: flags.cache !== false,
      ...(progress.onProgress && { onProgress: progress.onProgress }),
    });
    return { wasm, module: await compile(wasm, `${name}, instrumented,`) };
  } finally {
    progress.stop();
  }
}

/** @throws ERR_BELAY_OPTION for options of instrumenting, when that was done before. */
function checkFlags(module: WebAssembly.Module, flags: GuestFlags, name: string): WebAssembly.Module {
  const flag = flags.region !== undefined ? '--region' : flags.layout !== undefined ? '--layout' : undefined;
  if (flag) throw usageError(`${flag} says how to instrument, but ${name} is instrumented already`);
  return module;
}

/**
 * Makes V8 heed the branch hints that instrumented modules carry, where it knows them but does not by itself:
 * from Node 20 on, until V8 14.1 (Node 25), which needs no flag. Affects what is compiled afterwards.
 */
function useBranchHints(): void {
  const [major = 0, minor = 0] = (process.versions.v8 ?? '').split('.').map(Number);
  if (process.versions.bun || !(major >= 11 && (major < 14 || (major === 14 && minor < 1)))) return;
  setFlagsFromString('--experimental-wasm-branch-hinting');
}

function collectEnv(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It is NAME=VALUE.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function collectDir(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('::');
  const host = at < 0 ? text : text.slice(0, at);
  const guest = at < 0 ? text : text.slice(at + 2);
  if (host === '' || guest === '') throw new InvalidArgumentError('It is a directory, or HOST::GUEST.');
  return { ...before, [guest]: host };
}

/** `adaptive`, or `gspec:population=10,seed=3`. */
export function parsePolicy(text: string): NamedPolicy {
  const [name, ...rest] = text.split(':') as [string, ...string[]];
  const options: Record<string, unknown> = {};
  for (const part of rest.join(':').split(',').filter(Boolean)) {
    const at = part.indexOf('=');
    if (at < 1) throw new InvalidArgumentError('It is a name, or NAME:OPTION=VALUE,...');
    const value = part.slice(at + 1);
    options[part.slice(0, at)] =
      value === 'true' || value === 'false'
        ? value === 'true'
        : Number.isNaN(Number(value))
          ? value
          : Number(value);
  }
  // Which there are is known where they are made (policyNamed).
  return { name: name as PolicyName, ...(rest.length > 0 && { options }) };
}

function parseMilliseconds(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It is a number of milliseconds, greater than 0.');
  return value;
}

export function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.');
  return Number(text);
}

export function parsePositive(text: string): number {
  const value = parseCount(text);
  if (value === 0) throw new InvalidArgumentError('It is a whole number of at least 1.');
  return value;
}
