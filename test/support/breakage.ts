/**
 * Deliberate breakage: leaves out each kind of instrumentation in turn, for each mechanism, and sees whether any test
 * fails for it.
 *
 *     npm run breakage
 *     npm run breakage -- cards undolog
 *
 * Tests instrument through Twins (oracle.ts), which adds what the environment variable BELAY_OMIT names to the
 * option `omit`. A kind for which nothing fails is a hole in the tests.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isOutside, type MechanismName } from '../../contract/contract.js';
import { OMITTABLE, type Omittable } from '../../rewriter/types.js';
import { FAULTS, NativeBreakage } from './breakage-native.js';
import { countsOf, plain } from './engines-count.js';
import { mechanismVariants } from './mechanisms.js';

/** The quick test files that know of every kind. */
const FILES: readonly string[] = ['stores', 'memory', 'tables', 'globals'];

const FILE_OF: Partial<Record<Omittable, string>> = {
  global: 'globals',
  'elem.drop': 'tables',
  'data.drop': 'memory',
};

/** The file whose tests should notice that `kind` is missing. */
function fileOf(kind: Omittable): string {
  const file = FILE_OF[kind];
  if (file) return file;
  if (kind.startsWith('memory.')) return 'memory';
  return kind.startsWith('table.') ? 'tables' : 'stores';
}

/** Mechanisms that can be had here. */
export const mechanismsHere = (): MechanismName[] => [
  ...new Set(
    mechanismVariants()
      .filter(({ why }) => why === undefined)
      .map(({ mechanism }) => mechanism),
  ),
];

/** What can be left out of a mechanism's instrumentation: those outside leave stores and ranges alone. */
export function kindsOf(mechanism: MechanismName): readonly Omittable[] {
  if (isOutside(mechanism)) {
    return OMITTABLE.filter((kind) => /^(table|global|data|elem)|memory\.grow/.test(kind));
  }
  return mechanism === 'undolog' ? OMITTABLE.filter((kind) => kind !== 'tail') : OMITTABLE;
}

export interface Breakage {
  mechanism: MechanismName;
  kind: Omittable | '(nothing)';
  file: string;
  passed: number;
  failed: number;
  /** The name of the first test that failed. */
  first?: string;
  /** Why the run says nothing, where it does not. */
  problem?: string;
}

function run(mechanism: MechanismName, file: string, kind: Omittable | undefined): Breakage {
  const path = fileURLToPath(new URL(`../rewriter/${file}.test.js`, import.meta.url));
  const { stdout, stderr, signal } = spawnSync(process.execPath, [path], {
    encoding: 'utf8',
    env: {
      ...process.env,
      BELAY_OMIT: kind ?? '',
      BELAY_MECHANISM: mechanism,
      NO_COLOR: '1',
      FORCE_COLOR: '0',
    },
    timeout: 240_000,
    maxBuffer: 1 << 26,
  });
  const output = plain(stdout);
  const counts = countsOf(stdout);
  const first = /^\s*FAIL\s+"(.*)"$/m.exec(output)?.[1];
  return {
    mechanism,
    kind: kind ?? '(nothing)',
    file,
    passed: counts?.passed ?? 0,
    failed: counts?.failed ?? 0,
    ...(first === undefined ? {} : { first }),
    ...(counts ? {} : { problem: signal ? `killed by ${signal}` : stderr.slice(-500) }),
  };
}

/** With nothing left out: one row for each file, and all of it must pass. */
export const intact = (mechanism: MechanismName): Breakage[] =>
  FILES.map((file) => run(mechanism, file, undefined));

/** With `kind` left out. */
export const broken = (mechanism: MechanismName, kind: Omittable): Breakage =>
  run(mechanism, fileOf(kind), kind);

/** What is wrong with a row: '' where it is as it should be. */
export function verdict({ kind, failed, passed, problem }: Breakage): string {
  if (problem !== undefined) return `the tests did not run: ${problem}`;
  if (kind === '(nothing)') return failed ? 'tests fail with nothing left out' : '';
  if (failed === 0) return 'NOTHING FAILS: no test needs this kind';
  return passed === 0 ? 'everything fails: the tests say nothing about this kind' : '';
}

/** Faults in the native core: see breakage-native.ts. */
function breakCore(here: readonly MechanismName[]): void {
  const breakage = new NativeBreakage();
  for (const fault of FAULTS) {
    const unnoticed = breakage.unnoticed(fault).filter((name) => here.includes(name));
    if (unnoticed.length) process.exitCode = 1;
    const said = unnoticed.length ? `NOTHING FAILS for ${unnoticed.join(', ')}` : 'found';
    console.log(`native     ${fault.what.padEnd(60)} ${said}`);
  }
  breakage.remove();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows: Breakage[] = [];
  const add = (row: Breakage) => {
    rows.push(row);
    const wrong = verdict(row);
    const counts = `${String(row.failed).padStart(3)} of ${String(row.failed + row.passed).padStart(3)} tests of ${row.file} fail`;
    console.log(
      `${row.mechanism.padEnd(10)} ${row.kind.padEnd(15)} ${counts.padEnd(36)} ${wrong || (row.first ? `first: ${row.first}` : 'as it should be')}`,
    );
  };
  const here = mechanismsHere();
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !here.includes(name as MechanismName));
  if (unknown.length) throw new Error(`${unknown.join(', ')}: here there are ${here.join(', ')}`);
  for (const mechanism of here.filter((name) => asked.length === 0 || asked.includes(name))) {
    for (const row of intact(mechanism)) add(row);
    for (const kind of kindsOf(mechanism)) add(broken(mechanism, kind));
  }
  const native = here.filter((name) => ['mprotect', 'uffd', 'uffd-async'].includes(name));
  if (native.length > 0 && asked.length === 0) breakCore(native);
  const bad = rows.filter((row) => verdict(row));
  console.log(
    bad.length
      ? `${bad.length} of ${rows.length} are wrong`
      : `all ${rows.length} runs are as they should be`,
  );
  if (bad.length) process.exitCode = 1;
}
