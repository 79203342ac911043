/** How the command line fails: one line on standard error and a documented exit code. */
import { inspect } from 'node:util';
import { BelayError } from '../contract/errors.js';

/** Exit codes of the `belay` command; docs/cli.md and `--help` describe them. */
export const EXIT = {
  /** The work was done. */
  ok: 0,
  /** The work failed: a file, a module or the service. */
  failed: 1,
  /** The command line itself was wrong: an unknown, malformed or contradictory option or argument. */
  usage: 2,
} as const;

/** A mistake in the command line. */
export function usageError(message: string): BelayError {
  return new BelayError('ERR_BELAY_OPTION', message);
}

/** The exit code that belongs to an error. */
export function exitCode(error: unknown): number {
  return error instanceof BelayError && error.code === 'ERR_BELAY_OPTION' ? EXIT.usage : EXIT.failed;
}

/** Folds a message into one line. */
export function oneLine(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
}

/** The line that tells the user what went wrong, without a newline. */
export function errorLine(error: unknown): string {
  if (error instanceof BelayError) return `belay: ${oneLine(error.message)} (${error.code})`;
  const what = error instanceof Error ? `${error.name}: ${error.message}` : inspect(error);
  return `belay: internal error: ${oneLine(what)}; BELAY_DEBUG=1 shows where, please report it`;
}

/** What the operating system calls a failure, in words. */
const REASONS: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'disk quota exceeded',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
  EFBIG: 'the file would be too large',
  EIO: 'input/output error',
};

/** The reason of a failed file operation, in words. */
export function fileReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && REASONS[code]) || code || message;
}
