/**
 * Deliberate breakage: leaves out each kind of instrumentation in turn and sees whether any test fails for it.
 *
 *     npm run breakage
 *
 * Tests instrument through Twins (oracle.ts), which adds what the environment variable BELAY_OMIT names to the
 * option `omit`. A kind for which nothing fails is a hole in the tests.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { OMITTABLE, type Omittable } from '../../rewriter/types.js';
import { countsOf, plain } from './engines-count.js';

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

export interface Breakage {
  kind: Omittable | '(nothing)';
  file: string;
  passed: number;
  failed: number;
  /** The name of the first test that failed. */
  first?: string;
  /** Why the run says nothing, where it does not. */
  problem?: string;
}

function run(file: string, kind: Omittable | undefined): Breakage {
  const path = fileURLToPath(new URL(`../rewriter/${file}.test.js`, import.meta.url));
  const { stdout, stderr, signal } = spawnSync(process.execPath, [path], {
    encoding: 'utf8',
    env: { ...process.env, BELAY_OMIT: kind ?? '', NO_COLOR: '1', FORCE_COLOR: '0' },
    timeout: 240_000,
    maxBuffer: 1 << 26,
  });
  const output = plain(stdout);
  const counts = countsOf(stdout);
  const first = /^\s*FAIL\s+"(.*)"$/m.exec(output)?.[1];
  return {
    kind: kind ?? '(nothing)',
    file,
    passed: counts?.passed ?? 0,
    failed: counts?.failed ?? 0,
    ...(first === undefined ? {} : { first }),
    ...(counts ? {} : { problem: signal ? `killed by ${signal}` : stderr.slice(-500) }),
  };
}

/** With nothing left out: one row for each file, and all of it must pass. */
export const intact = (): Breakage[] => FILES.map((file) => run(file, undefined));

/** With `kind` left out. */
export const broken = (kind: Omittable): Breakage => run(fileOf(kind), kind);

/** What is wrong with a row: '' where it is as it should be. */
export function verdict({ kind, failed, passed, problem }: Breakage): string {
  if (problem !== undefined) return `the tests did not run: ${problem}`;
  if (kind === '(nothing)') return failed ? 'tests fail with nothing left out' : '';
  if (failed === 0) return 'NOTHING FAILS: no test needs this kind';
  return passed === 0 ? 'everything fails: the tests say nothing about this kind' : '';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows: Breakage[] = [];
  const add = (row: Breakage) => {
    rows.push(row);
    const wrong = verdict(row);
    const counts = `${String(row.failed).padStart(3)} of ${String(row.failed + row.passed).padStart(3)} tests of ${row.file} fail`;
    console.log(
      `${row.kind.padEnd(15)} ${counts.padEnd(36)} ${wrong || (row.first ? `first: ${row.first}` : 'as it should be')}`,
    );
  };
  for (const row of intact()) add(row);
  for (const kind of OMITTABLE) add(broken(kind));
  const bad = rows.filter((row) => verdict(row));
  console.log(
    bad.length ? `${bad.length} of ${rows.length} are wrong` : `all ${OMITTABLE.length} kinds are noticed`,
  );
  if (bad.length) process.exitCode = 1;
}
