/** `belay run` and `belay trace`: a program without a server. A trace is a run whose written pages are recorded. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { BelayError } from '../contract/errors.js';
import type { Loaded } from '../runtime/service/load.js';
import type { GuestRequest, Outcome } from '../runtime/service/types.js';
import type { PolicyMaker } from '../runtime/speculation/types.js';
import type { EpochInfo, Guest } from '../runtime/types.js';
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
import { startProgress } from './progress.js';
import { inputName, readInput } from './read.js';
import { table } from './report.js';
import { parseValue } from './values.js';
import { writeOutput } from './write.js';

const MODES = `
Three ways to run, each with a checkpoint before what it runs, and a rollback when that fails:
  a command (_start)      once, with standard input, and its exit code
  --requests <file>       a command or reactor: one request a line, METHOD /target [body]; - for standard input
  --invoke <name>         an exported function, with the arguments after the module as numbers
`;

const RUN_EXAMPLES = `
Examples:
  $ belay run tool.wasm < input.txt
  $ belay run samples/notes/notes.wasm --requests requests.txt --repeat 10 --stats
  $ belay run app.wasm --invoke add --repeat 1000 --mechanism uffd --policy adaptive --json 1 2
`;

const TRACE_EXAMPLES = `
Every epoch's written pages go to a file that belay replay reads (docs/trace-format.md).

Examples:
  $ belay trace samples/notes/notes.wasm --requests requests.txt --repeat 100 -o notes.trace
  $ belay replay notes.trace --policy all
`;

interface Flags extends GuestFlags, KeepFlags {
  requests?: string;
  invoke?: string;
  repeat: number;
  stats?: boolean;
  json?: boolean;
  output?: string;
}

/** Adds both verbs to the program. */
export function runCommands(program: Command): void {
  const run = program
    .command('run')
    .description('run a program; what fails is undone')
    .option('--stats', 'print what the guest did, and what it cost, on standard error');
  const trace = program
    .command('trace')
    .description('run a program, and record which pages each epoch writes')
    .option('-o, --output <file>', 'where the trace goes (required)');
  for (const [command, examples] of [
    [run, RUN_EXAMPLES],
    [trace, TRACE_EXAMPLES],
  ] as const) {
    command
      .argument('<app.wasm>', 'a module, binary or text, instrumented or not')
      .argument('[args...]', "the program's arguments; with --invoke, numbers for the function")
      .option('--requests <file>', 'carry out the requests of a file, one a line')
      .option('--invoke <name>', 'call an exported function')
      .option('--repeat <n>', 'do it so many times, each an epoch (default: 1)', parsePositive, 1)
      .option('--json', 'print results as JSON')
      .option('--deadline <ms>', 'undo what runs longer; 0 for never', parseCount, 0)
      .option('--max-steps <n>', 'undo what takes more calls and loop turns', parsePositive);
    if (command === run) addKeepOptions(command);
    addGuestOptions(command)
      .addHelpText('after', MODES + examples)
      .action((input: string, args: string[], flags: Flags) =>
        command === trace ? record(input, args, flags) : carryOut(input, args, flags),
      );
  }
}

async function record(input: string, args: string[], flags: Flags): Promise<void> {
  const { output } = flags;
  if (output === undefined) throw usageError('say where the trace goes: -o <file>');
  if (flags.policy) throw usageError('--policy would hide writes: a trace is recorded without');
  if (flags.requests === undefined && flags.invoke === undefined) {
    throw usageError('a trace has epochs: give --requests <file> or --invoke <name>');
  }
  const { TraceWriter } = await import('../runtime/speculation/trace.js');
  const { recorder } = await import('../runtime/speculation/index.js');
  const name = basename(input).replace(/\.\w+$/, '');
  const what =
    flags.requests === undefined ? `${flags.invoke}(${args.join(', ')})` : basename(flags.requests);
  const writer = new TraceWriter({ name, description: `${what}, ${flags.repeat} times` });
  const mechanism = flags.mechanism ?? 'page-cow';
  const ran = await execute(input, args, { ...flags, mechanism }, (guest) =>
    recorder(writer, () => guest().kinds),
  );
  const bytes = writer.bytes();
  await writeOutput(output, bytes);
  const said = { output, bytes: bytes.length, ...ran.summary };
  if (flags.json) process.stdout.write(`${JSON.stringify(said, null, 2)}\n`);
  else
    process.stdout.write(`${table([['trace', output], ['size', `${bytes.length} bytes`], ...ran.rows])}\n`);
}

async function carryOut(input: string, args: string[], flags: Flags): Promise<void> {
  const ran = await execute(input, args, flags);
  if (flags.json) process.stdout.write(`${JSON.stringify(ran.summary, null, 2)}\n`);
  if (flags.stats) process.stderr.write(`${table(ran.rows)}\n`);
  process.exitCode = ran.exitCode;
}

/** A policy that records, given the guest that there will be. */
type Recording = (guest: () => Guest) => PolicyMaker;

interface Ran {
  /** For --json. */
  summary: Record<string, unknown>;
  rows: [string, string][];
  exitCode: number;
}

async function execute(input: string, args: string[], flags: Flags, recording?: Recording): Promise<Ran> {
  if (flags.requests !== undefined && flags.invoke !== undefined) {
    throw usageError('--requests and --invoke are two ways to run: give one');
  }
  if (input === '-' && flags.requests === '-')
    throw usageError('both the module and --requests are standard input');
  const name = inputName(input);
  try {
    const prepared = await prepareModule(input, flags);
    if (prepared.why) process.stderr.write(`mechanism auto: ${prepared.why}\n`);
    const run = flags.invoke === undefined ? runProgram : invoke;
    return await run(prepared, args, flags, recording);
  } catch (error) {
    throw aboutInput(error, name);
  }
}

/** A command once, or requests. */
async function runProgram(
  { module, wasm, name, options }: Prepared,
  args: string[],
  flags: Flags,
  recording?: Recording,
): Promise<Ran> {
  await import('../runtime/node.js');
  const { createRunner, load, parseRequests, runBatch } = await import('../runtime/service/index.js');
  const { guest, wasi }: Loaded = await load(module, {
    wasi: flags.wasi,
    args: [basename(name), ...args],
    ...(flags.env && { env: flags.env }),
    ...(flags.dir && { dirs: flags.dir }),
    ...options,
    ...(recording && { policy: recording(() => guest) }),
  });
  const kept = await (await import('../runtime/service/keep.js')).keep(guest, keepOptions(flags, wasm));
  if (flags.requests === undefined) {
    if (typeof guest.exports._start !== 'function') {
      throw new BelayError(
        'ERR_BELAY_SERVICE',
        'a reactor needs something to do: --requests <file> or --invoke <name>',
      );
    }
    wasi.setStdin(process.stdin.isTTY ? '' : readFileSync(0));
    const failed = attempt(guest, flags, () => wasi.start(guest), { kind: '_start' });
    if (kept.recorder && !failed.error) guest.checkpoint();
    if (!failed.error) {
      process.stdout.write(wasi.takeStdout());
      process.stderr.write(wasi.takeStderr());
    }
    await kept.close();
    if (failed.error) throw trapped(failed.error);
    return { ...account(guest, {}), exitCode: failed.value ?? 0 };
  }
  const runner = createRunner(guest, {
    wasi,
    ...(flags.deadline > 0 && { deadline: flags.deadline }),
    ...(flags.maxSteps !== undefined && { maxSteps: flags.maxSteps }),
    env: { ...flags.env },
    ...kept.runner,
  });
  const requests = parseRequests(readInput(flags.requests).toString());
  if (requests.length === 0) throw usageError(`${inputName(flags.requests)} holds no request`);
  const progress = startProgress(name);
  try {
    const quiet = flags.json || recording !== undefined || flags.repeat > 1;
    const result = runBatch(runner, requests, flags.repeat, (request, outcome, done) => {
      progress.onProgress?.(done);
      if (!quiet) process.stdout.write(answer(request, outcome));
    });
    if (recording) guest.checkpoint();
    return { ...account(guest, { ...result }), exitCode: 0 };
  } finally {
    progress.stop();
    await kept.close();
  }
}

function answer({ method, target }: GuestRequest, { response, failure }: Outcome): string {
  const head = `${method} ${target}: `;
  if (!response) return `${head}undone, ${failure?.reason ?? 'error'}: ${failure?.message ?? ''}\n`;
  const body = new TextDecoder().decode(response.body).trimEnd();
  return `${head}${response.status}${body ? ` ${body}` : ''}\n`;
}

/** An exported function, again and again. */
async function invoke(
  { module, wasm, options }: Prepared,
  args: string[],
  flags: Flags,
  recording?: Recording,
): Promise<Ran> {
  const { instantiate } = await import('../runtime/node.js');
  const { createWasi } = await import('../runtime/wasi/index.js');
  const { policyNamed } = await import('../runtime/speculation/index.js');
  const wasi = await createWasi({ ...(flags.env && { env: flags.env }) });
  const { mechanism, policy } = options;
  const guest: Guest = await instantiate(module, (g) => wasi.imports(g), {
    ...(mechanism && { mechanism }),
    ...(policy && { policy: policyNamed(policy.name, policy.options as never) }),
    ...(recording && { policy: recording(() => guest) }),
  });
  wasi.initialize(guest);
  const kept = await (await import('../runtime/service/keep.js')).keep(guest, keepOptions(flags, wasm));
  const fn = guest.exports[flags.invoke!];
  if (typeof fn !== 'function') {
    const names = Object.entries(guest.exports).filter(([, value]) => typeof value === 'function');
    throw usageError(
      `there is no exported function ${flags.invoke}; there are ${names.map(([key]) => key).join(', ') || 'none'}`,
    );
  }
  const values = args.map(parseValue);
  let failures = 0;
  let value: unknown;
  const begin = performance.now();
  for (let n = 0; n < flags.repeat; n++) {
    const result = attempt(guest, flags, () => (fn as (...a: unknown[]) => unknown)(...values), {
      kind: flags.invoke!,
      request: n + 1,
    });
    if (result.error) failures++;
    value = result.error ? result.error.message : result.value;
    if (n === 0 && flags.repeat === 1 && result.error) {
      await kept.close();
      throw trapped(result.error);
    }
  }
  const milliseconds = performance.now() - begin;
  if (recording || kept.recorder) guest.checkpoint();
  await kept.close();
  const result = String(value);
  if (!flags.json && !recording) process.stdout.write(`${result}\n`);
  return {
    ...account(guest, { calls: flags.repeat, failures, milliseconds, result }),
    exitCode: failures ? 1 : 0,
  };
}

function attempt<T>(guest: Guest, flags: Flags, fn: () => T, info?: EpochInfo): { value?: T; error?: Error } {
  const { deadline, maxSteps: steps } = flags;
  if (deadline > 0 || steps !== undefined) {
    guest.limit({ ...(deadline > 0 && { deadline }), ...(steps !== undefined && { steps }) });
  }
  try {
    return { value: guest.attempt(fn, info) };
  } catch (error) {
    return { error: error as Error };
  }
}

function trapped(error: Error): Error {
  if (error instanceof BelayError) return error;
  return new BelayError('ERR_BELAY_SERVICE', `the program failed, and was rolled back: ${error.message}`, {
    cause: error,
  });
}

function account(guest: Guest, more: Record<string, unknown>): Pick<Ran, 'summary' | 'rows'> {
  const stats = guest.stats();
  const summary = { ...more, stats };
  const rows = Object.entries({ ...more, ...stats }).map(([key, value]): [string, string] => [
    key.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`),
    typeof value === 'object' ? JSON.stringify(value) : String(value),
  ]);
  guest[Symbol.dispose]();
  return { summary, rows };
}
