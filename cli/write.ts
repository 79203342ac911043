/** Writes results so that a failed write loses nothing. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BelayError } from '../contract/errors.js';
import { fileReason } from './errors.js';

/**
 * Writes a file whole or not at all: into a file beside it that takes its place when every byte is on disk.
 * Until then what was there stays. A symbolic link stays a link; a device or pipe is written directly.
 * @throws the file system's error, after removing the unfinished file.
 */
export function replaceFile(
  path: string,
  parts: readonly Uint8Array[],
  options: { sync?: boolean } = {},
): void {
  const old = statSync(path, { throwIfNoEntry: false });
  if (old && !old.isFile()) {
    // Renaming over a device would replace the device; a directory fails here with EISDIR.
    writeAll(openSync(path, 'w'), parts, false);
    return;
  }
  const target = old ? realpathSync(path) : path;
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  const file = openSync(temporary, 'wx');
  try {
    writeAll(file, parts, options.sync ?? true, old?.mode);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function writeAll(file: number, parts: readonly Uint8Array[], sync: boolean, mode?: number): void {
  try {
    if (mode !== undefined) fchmodSync(file, mode & 0o7777);
    for (const part of parts) {
      for (let done = 0; done < part.length; ) done += writeSync(file, part, done);
    }
    if (sync) fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Writes the result of a command to `path`, or to standard output for `-`.
 * @throws ERR_BELAY_FILE
 */
export async function writeOutput(path: string, bytes: Uint8Array): Promise<void> {
  if (path === '-') {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(bytes, (cause) =>
        cause ? reject(outputError('standard output', cause)) : resolve(),
      );
    });
    return;
  }
  try {
    replaceFile(path, [bytes]);
  } catch (cause) {
    throw outputError(path, cause);
  }
}

/** The error for output that could not be written, with what to do about it. */
export function outputError(name: string, cause: unknown): BelayError {
  const code = (cause as NodeJS.ErrnoException).code;
  const advice =
    code === 'EISDIR'
      ? '; name a file in it'
      : code === 'ENOENT'
        ? '; create the directory first'
        : code === 'ENOSPC' || code === 'EDQUOT'
          ? '; free some, nothing was replaced'
          : '';
  const reason = code === 'ENOENT' ? 'no such directory' : fileReason(cause);
  return new BelayError('ERR_BELAY_FILE', `cannot write ${name}: ${reason}${advice}`, { cause });
}
