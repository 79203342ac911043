/** A checkpoint from somewhere, for a guest that is to go on from it: of a history, or a document that guest.save() gave. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Contract } from '../../contract/contract.js';
import { readDocument } from '../guest/document.js';
import type { GuestState } from '../guest/state.js';
import type { Guest } from '../types.js';
import { historyError } from './errors.js';
import { openHistory } from './history.js';
import { DATA_FILE } from './lmdb.js';

/** A state, and where it comes from. */
export interface Checkpoint {
  state: GuestState;
  /** SHA-256 of the original module, in hexadecimal. */
  module: string;
  /** What the module said of itself, where that is known. */
  contract?: Contract;
  /** Of a history: number and time (milliseconds since 1970). */
  entry?: number;
  time?: number;
}

/**
 * Reads a checkpoint.
 * @param where a history's directory, which may be followed by `@` and what {@link History.find} takes (default: the
 *   last checkpoint); or a file that guest.save() filled
 * @throws ERR_BELAY_HISTORY, ERR_BELAY_HISTORY_VERSION, ERR_BELAY_HISTORY_DAMAGED, ERR_BELAY_STATE
 */
export async function readCheckpoint(where: string): Promise<Checkpoint> {
  const at = where.lastIndexOf('@');
  const whole = existsSync(where) || at < 0;
  const path = whole ? where : where.slice(0, at);
  const which = whole ? 'last' : where.slice(at + 1);
  if (!existsSync(path)) {
    throw historyError(
      'ERR_BELAY_HISTORY',
      `there is no ${path}: give a history's directory, or a file of a state`,
    );
  }
  if (statSync(path).isDirectory() || existsSync(join(path, DATA_FILE))) {
    const history = await openHistory(path);
    try {
      const entry = history.find(which);
      const { contract } = history;
      return {
        state: history.state(entry),
        module: contract.module,
        contract,
        entry,
        time: history.entry(entry).time,
      };
    } finally {
      await history.close();
    }
  }
  return readDocument(readFileSync(path));
}

/**
 * Makes a guest go on from a checkpoint, which is then its own.
 * @throws as {@link readCheckpoint}; ERR_BELAY_STATE for that of another module
 */
export async function restoreFrom(guest: Guest, where: string): Promise<Checkpoint> {
  const checkpoint = await readCheckpoint(where);
  if (checkpoint.module !== guest.contract.module) {
    throw historyError(
      'ERR_BELAY_STATE',
      `${where} is of another module: give the module that was recorded (its SHA-256 begins with ${checkpoint.module.slice(0, 12)})`,
    );
  }
  guest.state.load(checkpoint.state);
  return checkpoint;
}
