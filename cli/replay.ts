/** `belay replay`: what each policy of speculation would have done on a recorded program. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { BelayError } from '../contract/errors.js';
import type { Outcome, PolicyName } from '../runtime/speculation/index.js';
import type { Costs } from '../runtime/speculation/types.js';
import { fileReason, usageError } from './errors.js';
import { parsePolicy } from './guest.js';

const EXAMPLES = `
Costs are in nanoseconds, measured here (--machine), or given (--costs). share: of what the oracle gains.

Examples:
  $ belay replay notes.trace --policy all
  $ belay replay notes.trace --policy gspec:population=10,seed=3 --costs 1,8,0.5
  $ belay replay *.trace --policy all --machine mprotect --json
`;

interface Flags {
  policy: string;
  costs?: Costs;
  machine: 'uffd' | 'mprotect';
  json?: boolean;
}

/** Adds the verb to the program. */
export function replayCommand(program: Command): void {
  program
    .command('replay')
    .description('replay traces of written pages through policies of speculation')
    .argument('<traces...>', 'files that belay trace wrote')
    .option('--policy <name[:option=value,...]>', 'one of them, or all', 'all')
    .option('--costs <copy,fault,compare[,protect]>', 'what a page costs, in any unit', parseCosts)
    .addOption(
      new Option('--machine <mechanism>', 'measure the costs of this mechanism here')
        .choices(['uffd', 'mprotect'])
        .default('uffd'),
    )
    .option('--json', 'print results as JSON')
    .addHelpText('after', EXAMPLES)
    .action((files: string[], flags: Flags) => run(files, flags));
}

function parseCosts(text: string): Costs {
  const numbers = text.split(',').map(Number);
  const [copy = 0, fault = 0, compare = 0, protect = 0] = numbers;
  if (numbers.length < 3 || numbers.length > 4 || !(Math.min(copy, fault, compare) > 0 && protect >= 0)) {
    throw new InvalidArgumentError('It is three numbers greater than 0, like 1,8,0.5, and perhaps a fourth.');
  }
  return { copy, fault, compare, protect };
}

async function run(files: string[], flags: Flags): Promise<void> {
  const { POLICY_NAMES, policyNamed, replayAll } = await import('../runtime/speculation/index.js');
  const { readTrace } = await import('../runtime/speculation/trace.js');
  const costs = flags.costs ?? (await measured(flags.machine));
  const results: { file: string; outcomes: Outcome[] }[] = [];
  for (const file of files) {
    const trace = (() => {
      try {
        return readTrace(readFileSync(file));
      } catch (error) {
        if (error instanceof BelayError)
          throw new BelayError(error.code, `${file}: ${error.message}`, { cause: error });
        throw new BelayError('ERR_BELAY_FILE', `cannot read ${file}: ${fileReason(error)}`, { cause: error });
      }
    })();
    const { name, options } = parsePolicy(flags.policy);
    const all = (name as string) === 'all';
    if (all && options) throw usageError('options are for one policy: name it');
    // None and the oracle are what the others are measured by: they are always there.
    const names = POLICY_NAMES.filter((one) => one !== 'none' && one !== 'oracle');
    const asked = all ? names : [name].filter((one) => one !== 'none' && one !== 'oracle');
    const makers = asked.map((one) => policyNamed(one as Exclude<PolicyName, 'oracle'>, options as never));
    results.push({ file, outcomes: replayAll(trace, makers, costs) });
  }
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ costs, results }, null, 2)}\n`);
    return;
  }
  const { copy, fault, compare, protect = 0 } = costs;
  const short = (n: number) =>
    n >= 100 ? Math.round(n).toLocaleString('en-US') : String(Number(n.toPrecision(3)));
  process.stdout.write(
    `costs of a page: copy ${short(copy)}, fault ${short(fault)}, compare ${short(compare)}, protect ${short(protect)}\n`,
  );
  const head = [
    '',
    'faults',
    'copies',
    'wasted',
    'compares',
    'protects',
    'cost',
    'share',
    'pages held',
    'rollback',
  ];
  for (const { file, outcomes } of results) {
    const rows = outcomes.map((o) => [
      o.policy,
      ...[o.faults, o.copies, o.wasted, o.compares, o.protects].map((n) => n.toLocaleString('en-US')),
      short(o.cost),
      `${(100 * o.share).toFixed(1)} %`,
      `${o.meanHeld.toFixed(1)} (${o.peakHeld})`,
      short(o.meanRollback),
    ]);
    const [first] = outcomes;
    process.stdout.write(`\n${file}: ${first?.epochs} epochs, ${first?.written} pages written\n`);
    process.stdout.write(`${columns([head, ...rows])}\n`);
  }
}

/** Left-aligned names, right-aligned figures. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
    .join('\n');
}

async function measured(mechanism: 'uffd' | 'mprotect'): Promise<Costs> {
  const { machineCosts } = await import('../runtime/mechanisms/native.js');
  const costs = machineCosts(mechanism);
  if (typeof costs !== 'string') return costs;
  throw new BelayError(
    'ERR_BELAY_MECHANISM',
    `the costs of ${mechanism} cannot be measured here: ${costs}; give them: --costs 1,8,0.5`,
  );
}
