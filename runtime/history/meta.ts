/** What there is one of in a history: format, module, how far it has come. MessagePack, under keys of one letter. */
import { Packr } from 'msgpackr';
import type { Contract } from '../../contract/contract.js';
import { historyError } from './errors.js';
import type { Snapshot, Transaction } from './store.js';

/**
 * Raise it whenever a reader made for the old format would misread the new one.
 */
export const HISTORY_VERSION = 1;
const FORMAT = 'belay history';

/** What changes while recording. */
export interface Meta {
  /** The entry that is packed next: all before it are. */
  next: number;
  /** The first entry that can be asked for. */
  first: number;
  /** Chunks that only entries before this one need are gone. */
  pruned: number;
  /** Bytes of all pages of all versions, whole. */
  raw: number;
}

/** What does not change. */
export interface Identity {
  contract: Contract;
  /** The module as it was instrumented, where the recorder was given it. */
  module?: Uint8Array;
}

interface Format {
  format: string;
  version: number;
}

const packr = new Packr({ useRecords: false });
const key = (letter: 'f' | 'i' | 'm' | 'w'): Uint8Array => Buffer.from(letter);

/** @throws ERR_BELAY_HISTORY_VERSION, ERR_BELAY_HISTORY when there is no history */
export function checkFormat(from: Pick<Snapshot, 'get'>, directory: string): void {
  const bytes = from.get('meta', key('f'));
  if (!bytes) {
    throw historyError(
      'ERR_BELAY_HISTORY',
      `${directory} holds no history: record one (belay run --record ${directory})`,
    );
  }
  let format: Partial<Format> = {};
  try {
    format = packr.unpack(bytes) as Format;
  } catch {
    // Reported below.
  }
  if (format.format !== FORMAT) {
    throw historyError(
      'ERR_BELAY_HISTORY_VERSION',
      `${directory} holds something else than a history of belay`,
    );
  }
  if (format.version !== HISTORY_VERSION) {
    throw historyError(
      'ERR_BELAY_HISTORY_VERSION',
      `${directory} holds a history of version ${format.version}, and this package knows version ${HISTORY_VERSION}: use the wasm-belay that wrote it`,
    );
  }
}

/** Whether a store holds nothing yet. */
export const isNew = (from: Pick<Snapshot, 'get'>): boolean => from.get('meta', key('f')) === undefined;

/** Makes an empty store a history. */
export function initialise(t: Transaction, { contract, module }: Identity): void {
  t.put('meta', key('f'), packr.pack({ format: FORMAT, version: HISTORY_VERSION } satisfies Format));
  t.put('meta', key('i'), packr.pack(contract));
  if (module) t.put('meta', key('w'), module);
  writeMeta(t, { next: 0, first: 0, pruned: 0, raw: 0 });
}

export function readMeta(from: Pick<Snapshot, 'get'>, directory: string): Meta {
  checkFormat(from, directory);
  return packr.unpack(from.get('meta', key('m'))!) as Meta;
}

export function writeMeta(t: Transaction, meta: Meta): void {
  t.put('meta', key('m'), packr.pack(meta));
}

export function readIdentity(from: Pick<Snapshot, 'get'>): Identity {
  const module = from.get('meta', key('w'));
  const contract = packr.unpack(from.get('meta', key('i'))!) as Contract;
  return { contract, ...(module && { module: Uint8Array.from(module) }) };
}
