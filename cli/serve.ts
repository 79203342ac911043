/** `belay serve`. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { SECTION } from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';
import type { InstrumentOptions } from '../rewriter/types.js';
import type { LogLevel, ServeOptions, Service } from '../runtime/service/node.js';
import { instrumentCached } from './cache.js';
import { usageError } from './errors.js';
import { aboutInput } from './instrument.js';
import { type InstrumentFlags, instrumentOptions, parseRegion, parseSize } from './options.js';
import { startProgress } from './progress.js';
import { inputName, readModule } from './read.js';

const EXAMPLES = `
A program that exports _start is run once for each request and speaks CGI/1.1. One that exports handle (and
_initialize) keeps its state, reads an HTTP/1.1 request from stdin and writes the response to stdout.
SIGINT and SIGTERM stop accepting, finish what was accepted and end with exit code 0; a second one ends at once.

Examples:
  $ belay serve app.wasm
  $ belay serve app.wasm --port 3000 --host 0.0.0.0 --deadline 2000 --metrics-port 9090
  $ belay serve cgi.wasm --instances 4 --max-steps 100000000
  $ belay serve app.wasm --wasi node --dir ./data::/data --env MODE=production
  $ curl -i http://127.0.0.1:8080/
`;

interface Flags extends Partial<InstrumentFlags> {
  port: number;
  host: string;
  rollback?: 'on-failure' | 'always';
  deadline: number;
  maxSteps?: number;
  instances?: number;
  queue?: number;
  maxBody?: number;
  maxHeader?: number;
  maxResponse?: number;
  headerTimeout?: number;
  requestTimeout?: number;
  responseTimeout?: number;
  keepAlive?: number;
  maxConnections?: number;
  grace?: number;
  wasi: 'wasmer' | 'node';
  dir?: Record<string, string>;
  env?: Record<string, string>;
  metricsPort?: number;
  logLevel: LogLevel;
  logFormat?: 'json' | 'text';
}

/** Adds the verb to the program. */
export function serveCommand(program: Command): void {
  program
    .command('serve')
    .description('serve a program over HTTP; a request that fails is undone')
    .argument('<app.wasm>', 'a command or reactor module, binary or text, instrumented or not')
    .option('-p, --port <number>', 'where to listen; 0 for any port that is free', parsePort, 8080)
    .option('--host <address>', 'where to listen; 0.0.0.0 for every address', '127.0.0.1')
    .addOption(
      new Option(
        '--rollback <policy>',
        'undo requests that fail, or every request (default: always for a command, on-failure for a reactor)',
      ).choices(['on-failure', 'always']),
    )
    .option(
      '--deadline <ms>',
      'undo a request that runs longer, and answer 504; 0 for never',
      parseCount,
      10_000,
    )
    .option(
      '--max-steps <n>',
      'undo a request after so many calls and loop turns, and answer 504',
      parsePositive,
    )
    .option(
      '--instances <n>',
      'guests, each in a thread of its own; several need --rollback always',
      parsePositive,
    )
    .option('--queue <n>', 'requests that may wait; one more is answered 503 (default: 128)', parseCount)
    .option('--max-body <size>', 'a longer body is answered 413 (default: 1MiB)', parseSize)
    .option('--max-header <size>', 'a longer head is answered 431 (default: 16KiB)', parseSize)
    .option('--max-response <size>', 'undo a request whose answer is longer (default: 16MiB)', parseSize)
    .option('--header-timeout <ms>', 'for a head to arrive, then 408 (default: 10000)', parsePositive)
    .option(
      '--request-timeout <ms>',
      'for a whole request to arrive, then 408 (default: 30000)',
      parsePositive,
    )
    .option('--response-timeout <ms>', 'for a client that takes nothing (default: 30000)', parsePositive)
    .option('--keep-alive <ms>', 'for an idle connection (default: 5000)', parsePositive)
    .option('--max-connections <n>', 'more are closed at once (default: 1024)', parsePositive)
    .option('--grace <ms>', 'for requests to finish at the end (default: 30000)', parseCount)
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
    .option('--region <bytes>', 'bytes saved at once: a power of two, 1 to 4096', parseRegion)
    .addOption(
      new Option(
        '--layout <where>',
        'where pre-images live: memories of their own, or the same memory',
      ).choices(['auto', 'separate', 'inline']),
    )
    .option('--no-cache', 'neither use nor keep a cached instrumented module')
    .option(
      '--metrics-port <number>',
      'serve /metrics (Prometheus) and /health there; 0 for any port',
      parsePort,
    )
    .addOption(
      new Option('--log-level <level>', 'the least that is logged')
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default('info'),
    )
    .addOption(
      new Option(
        '--log-format <format>',
        'of the log on standard output (default: text on a terminal, else json)',
      ).choices(['json', 'text']),
    )
    .addHelpText('after', EXAMPLES)
    .action((input: string, flags: Flags, command: Command) => run(input, flags, command));
}

async function run(input: string, flags: Flags, command: Command): Promise<void> {
  if (flags.dir !== undefined && flags.wasi !== 'node') {
    throw usageError('--dir gives real directories: it needs --wasi node');
  }
  if (flags.wasi === 'node' && flags.rollback === 'always') throw realFiles('--rollback always');
  if ((flags.instances ?? 1) > 1 && flags.rollback === 'on-failure') {
    throw usageError('--instances would each keep a state of their own: several need --rollback always');
  }
  if (flags.metricsPort !== undefined && flags.metricsPort !== 0 && flags.metricsPort === flags.port) {
    throw usageError('--metrics-port and --port are the same: give metrics a port of their own');
  }
  useBranchHints();
  const name = inputName(input);
  // Nothing of the service is loaded before it is needed: belay --help stays quick.
  const { createLogger, kindOf, serve } = await import('../runtime/service/node.js');
  try {
    const bytes = await readModule(input);
    const given = await compile(bytes, name);
    if (kindOf(given) === 'command' && flags.wasi === 'node')
      throw realFiles(`${name} is a command, and its policy`);
    const instrumented = WebAssembly.Module.customSections(given, SECTION).length > 0;
    const module = instrumented ? checkFlags(given, flags, name) : await instrumentModule(bytes, flags, name);
    const log = createLogger({
      level: flags.logLevel,
      ...(flags.logFormat && { json: flags.logFormat === 'json' }),
    });
    const finished = signals(log);
    const options = serveOptions(flags);
    // A module that was instrumented before may count no steps; then only a deadline that was asked for is an error.
    if (instrumented && command.getOptionValueSource('deadline') === 'default') delete options.deadline;
    const service = await serve(module, {
      ...options,
      args: [basename(name)],
      log,
      onBroken(error) {
        log.fatal({ error: error.message }, 'ending: the guest cannot be used any more');
        process.exit(1);
      },
    });
    const { url, metricsUrl, kind, rollback, contract } = service;
    const { region, layout, steps } = contract;
    log.info(
      { url, metricsUrl, program: name, kind, rollback, region, layout, steps, pid: process.pid },
      'listening',
    );
    announce(name, input, service);
    await finished;
    log.info('closing: finishing what was accepted');
    await service.close();
    log.info('closed');
  } catch (error) {
    throw aboutInput(error, name);
  }
}

function realFiles(who: string): Error {
  return usageError(
    `${who} promises that nothing is left of a request, but --wasi node changes real files: use --wasi wasmer` +
      (who.startsWith('-') ? ', or --rollback on-failure' : ''),
  );
}

/** The flags that the service takes as they are, those not given left out. */
function serveOptions({ dir: dirs, ...flags }: Flags): ServeOptions {
  const { region: _, layout: _l, cache: _c, logLevel: _v, logFormat: _f, ...rest } = { ...flags, dirs };
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
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

async function instrumentModule(bytes: Uint8Array, flags: Flags, name: string): Promise<WebAssembly.Module> {
  const options: InstrumentOptions = instrumentOptions({
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
    return await compile(wasm, `${name}, instrumented,`);
  } finally {
    progress.stop();
  }
}

/** @throws ERR_BELAY_OPTION for options of instrumenting, when that was done before. */
function checkFlags(module: WebAssembly.Module, flags: Flags, name: string): WebAssembly.Module {
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

/** Resolves at the first SIGINT or SIGTERM; the second one ends the process. */
function signals(log: { warn(message: string): void }): Promise<void> {
  return new Promise((resolve) => {
    let seen = false;
    for (const [signal, number] of [
      ['SIGINT', 2],
      ['SIGTERM', 15],
    ] as const) {
      process.on(signal, () => {
        if (seen) {
          log.warn('ending at once');
          process.exit(128 + number);
        }
        seen = true;
        resolve();
      });
    }
  });
}

/** Tells people where the service is and, if there is a file `app.try` beside `app.wasm`, what to try. */
function announce(name: string, input: string, { url, metricsUrl, kind, rollback }: Service): void {
  const lines = [`${name} (${kind}, rollback ${rollback}) listens on ${url}`];
  if (metricsUrl) lines.push(`metrics on ${metricsUrl}`);
  const examples = input === '-' ? undefined : readTry(input.replace(/\.[^./\\]*$/, '.try'));
  if (examples) lines.push('', examples.trimEnd().replaceAll('{url}', url));
  process.stderr.write(`${lines.join('\n')}\n`);
}

function readTry(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.');
  return Number(text);
}

function parsePositive(text: string): number {
  const value = parseCount(text);
  if (value === 0) throw new InvalidArgumentError('It is a whole number of at least 1.');
  return value;
}

function parsePort(text: string): number {
  const value = parseCount(text);
  if (value > 65535) throw new InvalidArgumentError('It is a number from 0 to 65535.');
  return value;
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
