/** `belay bake`. */
import type { Command } from 'commander';
import { usageError } from './errors.js';
import { aboutInput } from './instrument.js';
import { inputName, readModule } from './read.js';
import { count, size, table } from './report.js';
import { writeOutput } from './write.js';

const EXAMPLES = `
The result is an ordinary module that starts with the memory, globals and tables of the checkpoint, in any engine
(docs/bake.md).

Examples:
  $ belay run samples/notes/notes.wasm --requests requests.txt --record history
  $ belay bake samples/notes/notes.wasm --restore history -o warm.wasm
  $ belay bake app.wasm --restore history@5311 -o then.wasm
`;

interface Flags {
  restore?: string;
  output?: string;
  json?: boolean;
}

/** Adds the verb to the program. */
export function bakeCommand(program: Command): void {
  program
    .command('bake')
    .description("write a checkpoint's state into a new module, which starts there")
    .argument(
      '<app.wasm>',
      'the module as it was before it was instrumented, binary or text; - for standard input',
    )
    .option('--restore <dir[@checkpoint]>', 'a checkpoint of a history, or a saved state (required)')
    .option('-o, --output <file>', 'where the new module goes (required)')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', EXAMPLES)
    .action((input: string, flags: Flags) => run(input, flags));
}

async function run(input: string, { restore, output, json }: Flags): Promise<void> {
  if (restore === undefined)
    throw usageError('say what the module starts from: --restore <dir[@checkpoint]>');
  if (output === undefined) throw usageError('say where the result goes: -o <file>');
  const { bake, instrument } = await import('../rewriter/index.js');
  const { readCheckpoint } = await import('../runtime/history/index.js');
  const name = inputName(input);
  const bytes = await readModule(input);
  const checkpoint = await readCheckpoint(restore);
  try {
    // A saved state does not say how its module is made up; the module does.
    const contract = checkpoint.contract ?? instrument(bytes).contract;
    const { wasm, report } = bake(bytes, contract, checkpoint.state);
    await writeOutput(output, wasm);
    const { entry, time } = checkpoint;
    if (json) {
      process.stdout.write(`${JSON.stringify({ input, output, restore, entry, time, report }, null, 2)}\n`);
      return;
    }
    const rows: [string, string][] = [
      ['checkpoint', entry === undefined ? restore : `${entry}, of ${new Date(time!).toISOString()}`],
      ['size', `${size(bytes.length)} to ${size(wasm.length)}`],
      ['data segments', count(report.segments)],
    ];
    const warnings = report.warnings.map((warning) => `  warning: ${warning}\n`);
    process.stdout.write(`${output}:\n${table(rows)}\n${warnings.join('')}`);
  } catch (error) {
    throw aboutInput(error, name);
  }
}
