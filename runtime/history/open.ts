/** A history's folder: its store, and who may write to it. */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { historyError } from './errors.js';
import { JOURNAL } from './journal.js';
import { DATA_FILE, openLmdb } from './lmdb.js';
import type { Store } from './store.js';

const LOCK = 'recorder.lock';
/** Locks of this thread. */
const held = new Set<string>();

/** @throws ERR_BELAY_HISTORY where there is none, ERR_BELAY_HISTORY_VERSION */
export function openStore(directory: string): Store {
  if (!existsSync(join(directory, DATA_FILE))) {
    throw historyError(
      'ERR_BELAY_HISTORY',
      `${directory} holds no history: record one (belay run --record ${directory})`,
    );
  }
  return openLmdb(directory, false);
}

/** The same, made where there is none. */
export function makeStore(directory: string): Store {
  try {
    mkdirSync(join(directory, JOURNAL), { recursive: true });
  } catch (error) {
    throw historyError(
      'ERR_BELAY_HISTORY',
      `${directory} cannot be made: ${(error as Error).message}`,
      error,
    );
  }
  return openLmdb(directory, false);
}

/**
 * Makes this process the only one that records there, until the function that is returned is called. A lock whose process
 * is gone does not count; one of this process may be that of a thread that is gone, which nobody can tell.
 * @throws ERR_BELAY_HISTORY when another process, or this thread, records there
 */
export function lockRecorder(directory: string): () => void {
  const path = join(directory, LOCK);
  const unlock = (): void => {
    held.delete(path);
    rmSync(path, { force: true });
  };
  if (held.has(path)) {
    throw historyError('ERR_BELAY_HISTORY', `${directory} is open for recording already: close it first`);
  }
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      const fd = openSync(path, 'wx');
      writeSync(fd, `${process.pid}\n`);
      closeSync(fd);
      held.add(path);
      return unlock;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw historyError(
          'ERR_BELAY_HISTORY',
          `${directory} cannot be written: ${(error as Error).message}`,
          error,
        );
      }
    }
    const holder = Number(readIfThere(path));
    if (holder !== process.pid && isAlive(holder)) {
      throw historyError(
        'ERR_BELAY_HISTORY',
        `process ${holder} records into ${directory}: choose another directory, or end it (if it is no recorder, remove ${path})`,
      );
    }
    rmSync(path, { force: true });
  }
  throw historyError(
    'ERR_BELAY_HISTORY',
    `${path} comes back again and again: another process records there`,
  );
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
