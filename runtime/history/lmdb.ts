/**
 * A store on LMDB: a memory-mapped B+ tree whose readers see snapshots and never wait, and whose transactions are there
 * as a whole or not at all, whatever moment the process is killed at.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open } from 'lmdb';
import { historyError } from './errors.js';
import { type Snapshot, type Store, type StoreStats, TABLES, type Table, type Transaction } from './store.js';

type Db = Database<Uint8Array, Uint8Array>;
type Reading = ReturnType<Db['useReadTransaction']>;

export const DATA_FILE = 'data.mdb';

/** Bytes of free space that are as good as none. */
const LITTLE = 2 ** 20;

/** Bytes of free space where a directory is. */
function room(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

/**
 * Refuses a file that LMDB would be ended by, and the process with it: one that is something else, or so much cut off that
 * the roots of its trees are gone. (Its pages have no checksums. Values have, but what is damaged between them may still
 * end the process.)
 *
 * A file begins with two pages of the same layout, written in turns: 24 bytes of head, then magic and version (u32 each),
 * and from byte 48 on two trees of 48 bytes, which begin with the bytes of a page (u32; the first tree) and end with the
 * number of their root (u64).
 */
function checkFile(directory: string): void {
  const path = join(directory, DATA_FILE);
  if (!existsSync(path)) return;
  const head = new DataView(new ArrayBuffer(65536 + 160));
  const fd = openSync(path, 'r');
  let size: number;
  try {
    readSync(fd, new Uint8Array(head.buffer), 0, head.byteLength, 0);
    // After that: somebody may be writing, and the file only becomes longer.
    size = fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
  if (size === 0) return;
  const page = head.getUint32(48, true);
  const whole = [0, page].every((at) => {
    if (at + 160 > head.byteLength || head.getUint32(at + 24, true) !== 0xbeefc0de) return false;
    return [88, 136].every((root) => {
      const number = head.getBigUint64(at + root, true);
      return number === 2n ** 64n - 1n || (Number(number) + 1) * page <= size;
    });
  });
  if (whole) return;
  throw historyError(
    'ERR_BELAY_HISTORY_VERSION',
    `${directory} holds something else than a history of belay: ${path} is no store, or was cut off`,
  );
}

/** Opens the store of a directory, which exists. @throws ERR_BELAY_HISTORY where LMDB cannot, ERR_BELAY_HISTORY_VERSION */
export function openLmdb(directory: string, readOnly: boolean): Store {
  checkFile(directory);
  const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
  const fail = (error: unknown, what: string) =>
    historyError('ERR_BELAY_HISTORY', `${what} ${directory} failed: ${(error as Error).message}`, error);
  let root: ReturnType<typeof open<Uint8Array, Uint8Array>>;
  const tables = {} as Record<Table, Db>;
  try {
    root = open<Uint8Array, Uint8Array>({
      path: join(directory, DATA_FILE),
      noSubdir: true,
      maxDbs: TABLES.length + 1,
      readOnly,
      ...binary,
    });
    for (const name of TABLES) tables[name] = root.openDB<Uint8Array, Uint8Array>({ name, ...binary });
  } catch (error) {
    throw fail(error, 'opening the history in');
  }

  const reader = (transaction: Reading | undefined): Omit<Snapshot, 'done'> => {
    const options = transaction ? { transaction } : {};
    return {
      get: (table, key) => tables[table].get(key, options),
      atMost(table, key) {
        for (const pair of tables[table].getRange({ start: key, reverse: true, limit: 1, ...options }))
          return pair;
        return undefined;
      },
      from: (table, key) => tables[table].getRange({ start: key, ...options }),
      keys: (table, key) => tables[table].getKeys({ start: key, ...options }),
    };
  };
  const within: Transaction = {
    ...reader(undefined),
    put: (table, key, value) => tables[table].putSync(key, value),
    remove: (table, key) => {
      tables[table].removeSync(key);
    },
  };
  return {
    snapshot() {
      // Without this the snapshot would be the one of an earlier one that has not been let go.
      root.resetReadTxn();
      const transaction = root.useReadTransaction();
      return { ...reader(transaction), done: () => transaction.done() };
    },
    write<T>(fn: (transaction: Transaction) => T): T {
      try {
        return root.transactionSync(() => fn(within));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const said = `${code} ${message}`;
        // Of a write that was cut short for want of room LMDB says that it failed, and not why.
        const cutShort = /EIO|input\/output error/i.test(said) && room(directory) < LITTLE;
        if (!cutShort && !/ENOSPC|no space left|MDB_MAP_FULL/i.test(said)) throw error;
        throw historyError(
          'ERR_BELAY_HISTORY_FULL',
          `the disk that holds the history in ${directory} is full: nothing of it is lost; make room, or keep less (retention)`,
          error,
        );
      }
    },
    async flushed() {
      await root.flushed;
    },
    stats(): StoreStats {
      const pairs = {} as StoreStats['pairs'];
      let stored = 0;
      for (const name of TABLES) {
        const s = tables[name].getStats() as Record<string, number>;
        pairs[name] = s.entryCount!;
        stored += (s.treeBranchPageCount! + s.treeLeafPageCount! + s.overflowPages!) * s.pageSize!;
      }
      return { pairs, stored, file: statSync(join(directory, DATA_FILE)).size };
    },
    close: () => root.close(),
  };
}
