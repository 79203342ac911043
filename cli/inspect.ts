/** `belay inspect`. */
import type { Command } from 'commander';
import { aboutInput } from './instrument.js';
import { inputName, readModule } from './read.js';
import { inspectReport } from './report.js';

const EXAMPLES = `
Examples:
  $ belay inspect app.wasm
  $ belay inspect app.wasm --json | jq .refusals
  $ curl -s https://example.org/app.wasm | belay inspect -
`;

/** Adds the verb to the program. */
export function inspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('say what state a module has and whether it can be rolled back, and why not')
    .argument('<in.wasm>', 'a WebAssembly module, binary or text; - for standard input')
    .option('--json', 'print everything known about it as JSON')
    .addHelpText('after', EXAMPLES)
    .action((input: string, flags: { json?: boolean }) => run(input, flags.json === true));
}

async function run(input: string, json: boolean): Promise<void> {
  const bytes = await readModule(input);
  const name = inputName(input);
  const { inspect } = await import('../rewriter/index.js');
  try {
    const module = inspect(bytes);
    process.stdout.write(json ? `${JSON.stringify(module, null, 2)}\n` : inspectReport(name, module));
  } catch (error) {
    throw aboutInput(error, name);
  }
}
