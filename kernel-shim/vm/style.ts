/**
 * `npm run kernel:style`: the kernel's own checkpatch.pl over the module. It is in Debian's package of the kernel's
 * sources (140 MB to fetch, once), and not in the headers, so this is not part of the tests.
 *
 * Exit code 0: nothing but what is accepted below. 1: something else, which is printed. 0 with a loud line where the
 * sources cannot be had.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, Unavailable } from './cache.js';
import { fetchPackages } from './packages.js';

const MODULE = join(ROOT, 'kernel-shim/module');

/** What checkpatch says that stays as it is, and why. */
const ACCEPTED: readonly { complaint: RegExp; why: string }[] = [
  {
    complaint: /^WARNING: LINUX_VERSION_CODE should be avoided/,
    why: "the module lives outside of the kernel's tree, for one version",
  },
  {
    complaint: /^CHECK: spinlock_t definition without comment/,
    why: 'a local pointer to the lock of a page table defines none',
  },
];

function sources(): string[] {
  return (readdirSync(MODULE, { recursive: true }) as string[])
    .filter((name) => /\.[ch]$/.test(name) && !name.startsWith('policy/test/') && !name.endsWith('.mod.c'))
    .sort();
}

/** Complaints, each with where it is. */
function complaints(checkpatch: string): string[] {
  const options = ['--no-tree', '--strict', '--terse', '--no-summary', '--show-types', '--color=never'];
  const { stdout, stderr } = spawnSync(
    'perl',
    [checkpatch, ...options, '--max-line-length=100', '-f', ...sources()],
    { cwd: MODULE, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 },
  );
  // FILE:LINE: LEVEL:TYPE: text
  const lines = stdout.split('\n').filter((line) => /^\S+:\d+: (ERROR|WARNING|CHECK):/.test(line));
  if (lines.length === 0 && stderr.trim()) throw new Error(stderr);
  return lines;
}

try {
  const folder = await fetchPackages('source', (line) => console.log(line));
  const found = complaints(join(folder, 'scripts/checkpatch.pl'));
  const accepted = (line: string) => {
    const text = line.replace(/^\S+:\d+: (\w+):[A-Z_]+: /, '$1: ');
    return ACCEPTED.some(({ complaint }) => complaint.test(text));
  };
  const rest = found.filter((line) => !accepted(line));
  for (const line of rest) console.log(`kernel-shim/module/${line}`);
  for (const { complaint, why } of ACCEPTED) console.log(`accepted: ${complaint.source.slice(1)}: ${why}`);
  console.log(`${sources().length} files, ${found.length - rest.length} accepted, ${rest.length} to mend`);
  process.exitCode = rest.length > 0 ? 1 : 0;
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  console.log(`SKIPPED: ${error.message}`);
}
