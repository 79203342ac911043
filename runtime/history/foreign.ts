/** LMDB maps what it is given without looking: a file that is something else would end the process. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { historyError } from './errors.js';
import { DATA_FILE } from './lmdb.js';

/** Of the header of the first page, which is 24 bytes long in the LMDB that we use. */
const MAGIC_AT = 24;
const MAGIC = 0xbeefc0de;
/** Bytes of the two pages that every store begins with. */
const SMALLEST = 8192;

/** @throws ERR_BELAY_HISTORY_VERSION where a directory has a file in place of the store that is none of LMDB */
export function checkStoreFile(directory: string): void {
  const path = join(directory, DATA_FILE);
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size === undefined) return;
  const head = Buffer.alloc(MAGIC_AT + 4);
  if (size >= SMALLEST) {
    const fd = openSync(path, 'r');
    try {
      readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  }
  if (head.readUInt32LE(MAGIC_AT) === MAGIC) return;
  throw historyError(
    'ERR_BELAY_HISTORY_VERSION',
    `${directory} holds something else than a history of belay: ${path} is no store, or was cut off`,
  );
}
