/** `belay history`: questions about the past of a guest; one file a verb. */
import { type Command, CommanderError } from 'commander';
import { closestMatch } from 'leven';
import { EXIT } from '../errors.js';
import { callCommand } from './call.js';
import { diffCommand } from './diff.js';
import { infoCommand } from './info.js';
import { listCommand } from './list.js';
import { pruneCommand } from './prune.js';
import { bisectCommand, searchCommand } from './search.js';
import { showCommand } from './show.js';
import { writesCommand } from './writes.js';

const AFTER = `
A checkpoint is given by its number, first, last, -N (from the end: -1 is the last but one), or a time such as
2026-01-31T12:00 (the last one that is not later).

Examples:
  $ belay serve app.wasm --record history
  $ belay history list history --kind rolled-back
  $ belay history show history 0x1f40:64 --at 5311
  $ belay history writes history --at 0x1f40:4 --as u32
  $ belay history search history 'u32[0x1f40] > 100'
  $ belay history bisect history 'u32[0x1f40] > 100'

belay history <verb> --help shows more; docs/history.md says what a history is, docs/expressions.md what can be asked.
`;

/** Adds the verbs to the program. */
export function historyCommand(program: Command): void {
  const history = program
    .command('history')
    .description('what the recorded checkpoints of a guest say of its past')
    .usage('<verb> <dir> [options]')
    .helpCommand('help [verb]', 'display help for a verb')
    .allowExcessArguments()
    .addHelpText('after', AFTER)
    .action(() => {
      const [verb] = history.args;
      if (verb !== undefined) throw unknown(verb, history);
      history.outputHelp({ error: true });
      process.exitCode = EXIT.usage;
    });
  infoCommand(history);
  listCommand(history);
  showCommand(history);
  diffCommand(history);
  writesCommand(history);
  searchCommand(history);
  bisectCommand(history);
  callCommand(history);
  pruneCommand(history);
}

/** A verb that there is not, as commander says it of commands. */
function unknown(verb: string, history: Command): CommanderError {
  const known = history.commands.map((command) => command.name());
  const close = closestMatch(verb, known, { maxDistance: 2 });
  const hint = close === undefined ? '' : ` (Did you mean ${close}?)`;
  return new CommanderError(
    EXIT.usage,
    'commander.unknownCommand',
    `error: unknown command '${verb}'${hint}`,
  );
}
