/** `belay serve`. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { LogLevel, ServeOptions, Service } from '../runtime/service/node.js';
import { usageError } from './errors.js';
import {
  addGuestOptions,
  type GuestFlags,
  type Prepared,
  parseCount,
  parsePositive,
  prepareModule,
} from './guest.js';
import { aboutInput } from './instrument.js';
import { addKeepOptions, type KeepFlags, keepOptions } from './keep.js';
import { parseSize } from './options.js';
import { inputName } from './read.js';

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

interface Flags extends GuestFlags, KeepFlags {
  port: number;
  host: string;
  rollback?: 'on-failure' | 'always';
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
  metricsPort?: number;
  logLevel: LogLevel;
  logFormat?: 'json' | 'text';
}

/** Adds the verb to the program. */
export function serveCommand(program: Command): void {
  const command = program
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
    .option('--grace <ms>', 'for requests to finish at the end (default: 30000)', parseCount);
  addKeepOptions(addGuestOptions(command))
    .option('--record-late', 'with --record: answer first; one that is killed in between loses that request')
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
  if (flags.wasi === 'node' && flags.rollback === 'always') throw realFiles('--rollback always');
  if ((flags.instances ?? 1) > 1 && flags.rollback === 'on-failure') {
    throw usageError('--instances would each keep a state of their own: several need --rollback always');
  }
  if (flags.metricsPort !== undefined && flags.metricsPort !== 0 && flags.metricsPort === flags.port) {
    throw usageError('--metrics-port and --port are the same: give metrics a port of their own');
  }
  const name = inputName(input);
  // Nothing of the service is loaded before it is needed: belay --help stays quick.
  const { createLogger, kindOf, serve } = await import('../runtime/service/node.js');
  try {
    const {
      module,
      wasm,
      instrumented,
      options: guest,
      why,
    } = await prepareModule(input, flags, (given) => {
      if (kindOf(given) === 'command' && flags.wasi === 'node')
        throw realFiles(`${name} is a command, and its policy`);
    });
    const log = createLogger({
      level: flags.logLevel,
      ...(flags.logFormat && { json: flags.logFormat === 'json' }),
    });
    const finished = signals(log);
    const options = serveOptions(flags, guest);
    if (why) log.info(`mechanism auto: ${why}`);
    // A module that was instrumented before may count no steps; then only a deadline that was asked for is an error.
    if (instrumented && command.getOptionValueSource('deadline') === 'default') delete options.deadline;
    const service = await serve(module, {
      ...options,
      ...keepOptions(flags, wasm),
      args: [basename(name)],
      log,
      onBroken(error) {
        log.fatal({ error: error.message }, 'ending: the guest cannot be used any more');
        process.exit(1);
      },
    });
    const { url, metricsUrl, kind, rollback, contract } = service;
    const { region, layout, steps } = contract;
    const { mechanism = contract.mechanism, policy } = options;
    log.info(
      {
        ...{ url, metricsUrl, program: name, kind, rollback, mechanism, policy: policy?.name },
        ...{ region, layout, steps, pid: process.pid },
      },
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
function serveOptions({ dir: dirs, ...flags }: Flags, guest: Prepared['options']): ServeOptions {
  const { region: _, layout: _l, cache: _c, typical: _t, logLevel: _v, logFormat: _f, ...more } = flags;
  // Said by keepOptions().
  const { record: _r, recordEvery: _e, recordLag: _g, recordLate: _a, keep: _k, restore: _s, ...rest } = more;
  const all = { ...rest, dirs, ...guest };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
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

function parsePort(text: string): number {
  const value = parseCount(text);
  if (value > 65535) throw new InvalidArgumentError('It is a number from 0 to 65535.');
  return value;
}
