/** What there is one of in a history: format, module, how far it has come. MessagePack, under keys of one letter, with checksums. */
import { Packr } from 'msgpackr';
import type { Contract } from '../../contract/contract.js';
import { checksum, damaged } from './codec.js';
import { historyError } from './errors.js';
import type { Snapshot, Transaction } from './store.js';

/**
 * Raise it whenever a reader made for the old format would misread the new one.
 */
export const HISTORY_VERSION = 2;
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
  put(t, 'i', packr.pack(contract));
  if (module) put(t, 'w', module);
  writeMeta(t, { next: 0, first: 0, pruned: 0, raw: 0 });
}

/** Puts a value with its checksum: 4 bytes CRC-32 of key and value come first. */
function put(t: Transaction, letter: 'i' | 'm' | 'w', value: Uint8Array): void {
  const sealed = new Uint8Array(4 + value.length);
  sealed.set(value, 4);
  new DataView(sealed.buffer).setUint32(0, checksum(key(letter), value), true);
  t.put('meta', key(letter), sealed);
}

/** @throws ERR_BELAY_HISTORY_DAMAGED */
function get(from: Pick<Snapshot, 'get'>, letter: 'i' | 'm' | 'w', what: string): Uint8Array | undefined {
  const sealed = from.get('meta', key(letter));
  if (!sealed) return undefined;
  const value = sealed.subarray(4);
  const crc =
    sealed.length < 4 ? undefined : new DataView(sealed.buffer, sealed.byteOffset).getUint32(0, true);
  if (crc !== checksum(key(letter), value)) throw damaged(what);
  return value;
}

function getObject<T>(from: Pick<Snapshot, 'get'>, letter: 'i' | 'm', what: string): T {
  const value = get(from, letter, what);
  if (!value) throw damaged(what);
  return packr.unpack(value) as T;
}

export function readMeta(from: Pick<Snapshot, 'get'>, directory: string): Meta {
  checkFormat(from, directory);
  return getObject(from, 'm', 'how far it has come');
}

export function writeMeta(t: Transaction, meta: Meta): void {
  put(t, 'm', packr.pack(meta));
}

export function readIdentity(from: Pick<Snapshot, 'get'>): Identity {
  const module = get(from, 'w', 'the module');
  const contract = getObject<Contract>(from, 'i', 'what the module says of itself');
  return { contract, ...(module && { module: Uint8Array.from(module) }) };
}
