/** `belay instrument`. */
import type { Command } from 'commander';
import { BelayError } from '../contract/errors.js';
import { instrumentCached } from './cache.js';
import { usageError } from './errors.js';
import { addInstrumentOptions, type InstrumentFlags, instrumentOptions } from './options.js';
import { startProgress } from './progress.js';
import { inputName, readModule } from './read.js';
import { instrumentReport } from './report.js';
import { writeOutput } from './write.js';

const EXAMPLES = `
Examples:
  $ belay instrument app.wasm -o app.belay.wasm
  $ belay instrument app.wat -o app.belay.wasm --region 64 --layout separate
  $ belay instrument app.wasm -o app.belay.wasm --layout inline --reserve 64MiB
  $ belay instrument app.wasm -o app.belay.wasm --steps --json
  $ wasm-opt -O app.wasm -o - | belay instrument - -o - > app.belay.wasm
`;

/** Adds the verb to the program. */
export function instrumentCommand(program: Command): void {
  const command = program
    .command('instrument')
    .description('add checkpoints to a module')
    .argument('<in.wasm>', 'a WebAssembly module, binary or text; - for standard input')
    .option('-o, --output <file>', 'where the instrumented module goes (required); - for standard output')
    .option('--json', 'print the report as JSON');
  addInstrumentOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((input: string, flags: Flags) => run(input, flags));
}

interface Flags extends InstrumentFlags {
  output?: string;
  json?: boolean;
}

async function run(input: string, flags: Flags): Promise<void> {
  const options = instrumentOptions(flags);
  const { output } = flags;
  // Not commander's requiredOption: that would be reported ahead of a misspelt option.
  if (output === undefined)
    throw usageError('say where the result goes: -o <file>, or -o - for standard output');
  const toStandardOutput = output === '-';
  if (toStandardOutput && flags.json) {
    throw usageError('--json and -o - both want standard output; give -o a file name');
  }
  if (toStandardOutput && process.stdout.isTTY) {
    throw usageError('a module is not for the terminal; redirect standard output or give -o a file name');
  }
  const bytes = await readModule(input);
  const name = inputName(input);
  const progress = startProgress(name);
  try {
    const { onProgress } = progress;
    const result = await instrumentCached(bytes, options, {
      cache: flags.cache,
      ...(onProgress && { onProgress }),
    });
    progress.stop();
    await writeOutput(output, result.wasm);
    const { report, contract, cached } = result;
    if (flags.json) {
      process.stdout.write(`${JSON.stringify({ input, output, cached, report, contract }, null, 2)}\n`);
    } else if (toStandardOutput) {
      process.stderr.write(instrumentReport(name, report, cached));
    } else {
      process.stdout.write(instrumentReport(output, report, cached));
    }
  } catch (error) {
    throw aboutInput(error, name);
  } finally {
    progress.stop();
  }
}

/** The same error with the input's name in front, unless it is not about the input. */
export function aboutInput(error: unknown, name: string): unknown {
  if (!(error instanceof BelayError)) return error;
  if (error.code === 'ERR_BELAY_FILE' || error.code === 'ERR_BELAY_OPTION') return error;
  if (error.message.startsWith(name)) return error;
  return new BelayError(error.code, `${name}: ${error.message}`, { cause: error });
}
