/**
 * The folder where all that a virtual machine needs is kept between runs (`.cache/kernel` of the repository),
 * and how folders in it come to be: as a whole or not at all, by one process at a time, once for each content.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the repository. */
export const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));

/** The cache: safe to delete whole when nothing runs. `BELAY_KERNEL_CACHE` names another folder. */
export const CACHE: string = process.env.BELAY_KERNEL_CACHE || join(ROOT, '.cache', 'kernel');

/** Hears what is going on, a line at a time. */
export type Say = (line: string) => void;

/** Thrown where this machine cannot have a virtual machine: tests are skipped then, with the message as reason. */
export class Unavailable extends Error {
  override name = 'Unavailable';
}

const STAMP = '.stamp';

/**
 * Makes `<cache>/<name>` by `make(folder)` unless it is there with the same `stamp`. `make` works in a folder of
 * its own that takes the place of the old one when it is complete, so an interrupted run leaves nothing half
 * made; runs at the same time wait for each other.
 *
 * @returns the folder's path.
 */
export async function folderOf(
  name: string,
  stamp: string,
  make: (folder: string) => Promise<void> | void,
): Promise<string> {
  const folder = join(CACHE, name);
  const isThere = () => readText(join(folder, STAMP)) === stamp;
  if (isThere()) return folder;
  return withLock(name, async () => {
    if (isThere()) return folder;
    const partial = mkdtempSync(join(CACHE, `partial-${name}-`));
    try {
      await make(partial);
      writeFileSync(join(partial, STAMP), stamp);
      rmSync(folder, { recursive: true, force: true });
      renameSync(partial, folder);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
    return folder;
  });
}

/** Milliseconds after which a folder of a run is certainly one that was interrupted. */
const LEFT_BEHIND = 3 * 3_600_000;

/** A new folder for one run, below the cache. Removes what runs that were killed left behind. */
export function scratchFolder(): string {
  mkdirSync(CACHE, { recursive: true });
  for (const name of readdirSync(CACHE).filter((entry) => /^(run|partial)-/.test(entry))) {
    const path = join(CACHE, name);
    const { mtimeMs = Date.now() } = statSync(path, { throwIfNoEntry: false }) ?? {};
    if (Date.now() - mtimeMs > LEFT_BEHIND) rmSync(path, { recursive: true, force: true });
  }
  return mkdtempSync(join(CACHE, 'run-'));
}

/** Runs `body` while no other process holds the lock of this name; a process that dies lets go of it. */
export async function withLock<T>(name: string, body: () => Promise<T>): Promise<T> {
  mkdirSync(CACHE, { recursive: true });
  // The lock is held by flock(1), which ends when our end of its standard input closes, however that comes about.
  const holder = spawn('flock', ['--exclusive', join(CACHE, `${name}.lock`), 'sh', '-c', 'echo held; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  holder.stdin.on('error', () => {});
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve());
    holder.once('error', (error) => reject(new Unavailable(`flock(1) cannot be run: ${error.message}`)));
    holder.once('exit', () => reject(new Error(`flock(1) ended without the lock ${name}`)));
  });
  try {
    return await body();
  } finally {
    holder.stdin.end();
    await ended;
  }
}

/** A hash over texts, and over the names and bytes of the files in folders (missing ones count as empty). */
export function hashOf(texts: readonly string[], folders: readonly string[] = []): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text.length}:${text}`);
  for (const folder of folders) {
    for (const name of filesIn(folder)) {
      const bytes = readFileSync(join(folder, name));
      hash.update(`${name}\0${bytes.length}\0`).update(bytes);
    }
  }
  return hash.digest('hex');
}

/** Paths of all files below a folder, relative to it and sorted; none where there is no such folder. */
export function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Copies the files of a folder as they are now. */
export function copyFolder(from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
