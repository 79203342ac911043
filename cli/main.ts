#!/usr/bin/env node
/** The `belay` command: reads the command line and hands over; the verbs are in files of their own. */
import { Command, CommanderError } from 'commander';
import { bakeCommand } from './bake.js';
import { EXIT, errorLine, exitCode, oneLine, usageError } from './errors.js';
import { historyCommand } from './history/index.js';
import { inspectCommand } from './inspect.js';
import { instrumentCommand } from './instrument.js';
import { replayCommand } from './replay.js';
import { runCommands } from './run.js';
import { serveCommand } from './serve.js';
import { packageVersion } from './version.js';
import { outputError } from './write.js';

const AFTER = `
Exit codes:
  0  the work was done
  1  it failed: a file, a module that is invalid or refused, the service
  2  the command line was wrong: an option or argument that is unknown, malformed or contradicts another
  belay run: the program's own exit code, where it has one

Environment:
  BELAY_CACHE_DIR  where instrumented modules are kept, instead of the user's cache directory
  BELAY_DEBUG=1    print where an error came from
  NO_COLOR=1       no colours

Examples:
  $ belay inspect app.wasm
  $ belay instrument app.wasm -o app.belay.wasm
  $ belay serve app.wasm --port 8080

belay <command> --help shows more.
`;

function createProgram(): Command {
  const program = new Command('belay')
    .description('Checkpoints of a WebAssembly module, and rollback when a request fails.')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    // Commander's own error text is replaced by one line; see usageMessage().
    .configureOutput({ outputError: () => {} })
    .addHelpText('after', AFTER);
  instrumentCommand(program);
  inspectCommand(program);
  serveCommand(program);
  runCommands(program);
  replayCommand(program);
  historyCommand(program);
  bakeCommand(program);
  return program;
}

/** Runs the command line and returns its exit code. */
async function main(args: string[]): Promise<number> {
  const program = createProgram();
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    await program.parseAsync(args, { from: 'user' });
    // belay run ends with the program's.
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      return fail(usageError(usageMessage(error, args)));
    }
    return fail(error);
  }
}

function fail(error: unknown): number {
  process.stderr.write(`${errorLine(error)}\n`);
  if (process.env.BELAY_DEBUG) console.error(error);
  return exitCode(error);
}

const VERBS = ['instrument', 'inspect', 'serve', 'run', 'trace', 'replay', 'history', 'bake'];

/** What commander says, in our form: what is wrong, perhaps what was meant, and where to look. */
function usageMessage(error: CommanderError, args: readonly string[]): string {
  const verb = args.find((arg) => VERBS.includes(arg));
  const text = oneLine(error.message)
    .replace(/^error: /, '')
    .replace(/\s*\(Did you mean (?:one of )?(.+?)\?\)$/, '; did you mean $1?')
    .replace(/\.$/, '');
  return `${text}${text.endsWith('?') ? '' : ';'} see belay${verb ? ` ${verb}` : ''} --help`;
}

// `belay inspect app.wasm | head -1`: whoever reads has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : fail(outputError('standard output', error)));
});

process.exitCode = await main(process.argv.slice(2));
