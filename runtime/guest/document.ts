/**
 * One checkpoint as a document: a map in MessagePack, in this order,
 *
 *     belay      'state'
 *     version    1; raised whenever a reader made for the old one would misread a new document
 *     module     SHA-256 of the original module, in hexadecimal
 *     registers  as state.ts has them
 *     host       the same
 *     memories   of each memory a list: number of a page of 4096 bytes, bytes from there on, and so on, ascending.
 *                What is not said is zero
 *     tables     as state.ts has them
 *     checksum   of all bytes before those of this number, which are the document's last four
 */
import { PAGE } from '../../contract/contract.js';
import { stateError } from './access.js';
import { decode, encode } from './msgpack.js';
import { type GuestState, HOST, memorySpace, REGISTERS, type StateAccess } from './state.js';

const VERSION = 1;
const PAGE_BYTES = 4096;
/** Bytes of a run at most: MessagePack has lengths of 32 bits. */
const RUN = 2 ** 30;

interface StateDocument {
  belay: 'state';
  version: number;
  module: string;
  registers: Uint8Array;
  host: Uint8Array;
  memories: (number | Uint8Array)[][];
  tables: Uint8Array[];
  checksum: number;
}

/** 32 bits that no change of a single word leaves as they are. */
function checksum(bytes: Uint8Array): number {
  const whole = bytes.length & ~3;
  const words =
    bytes.byteOffset % 4 === 0
      ? new Int32Array(bytes.buffer, bytes.byteOffset, whole / 4)
      : new Int32Array(bytes.slice(0, whole).buffer);
  let sum = bytes.length;
  const add = (word: number) => {
    sum = Math.imul(sum ^ word, 0x9e3779b1);
    sum ^= sum >>> 15;
  };
  for (let i = 0; i < words.length; i++) add(words[i]!);
  for (let i = whole; i < bytes.length; i++) add(bytes[i]!);
  return sum >>> 0;
}

/** Runs of pages that are not all zero. */
function runs(memory: Uint8Array): (number | Uint8Array)[] {
  const words = new Int32Array(memory.buffer, memory.byteOffset, memory.length / 4);
  const list: (number | Uint8Array)[] = [];
  const isZero = (page: number): boolean => {
    const end = (page + 1) * (PAGE_BYTES / 4);
    let i = end - PAGE_BYTES / 4;
    while (i < end && words[i] === 0) i++;
    return i === end;
  };
  const pages = memory.length / PAGE_BYTES;
  for (let page = 0; page < pages; page++) {
    if (isZero(page)) continue;
    const first = page++;
    while (page < pages && page - first < RUN / PAGE_BYTES && !isZero(page)) page++;
    list.push(first, memory.subarray(first * PAGE_BYTES, page * PAGE_BYTES));
    page--;
  }
  return list;
}

/** The state of now. @throws ERR_BELAY_STATE */
export function writeDocument(access: StateAccess): Uint8Array<ArrayBuffer> {
  const { contract, shape } = access;
  const host = access.host(true)!;
  const registers = new Uint8Array(shape.length);
  access.registers(registers);
  const tables = contract.tables.map((_, t) => {
    const elements = access.table(t);
    const view = new DataView(new ArrayBuffer(elements.length * 4));
    elements.forEach((element, i) => view.setUint32(4 * i, element, true));
    return new Uint8Array(view.buffer);
  });
  const document: StateDocument = {
    belay: 'state',
    version: VERSION,
    module: contract.module,
    registers,
    host,
    memories: contract.memories.map((_, k) => runs(access.memory(k))),
    tables,
    // Of 32 bits, whatever comes in its place.
    checksum: 0xffff_ffff,
  };
  try {
    const bytes = encode(document);
    const end = bytes.length - 4;
    new DataView(bytes.buffer).setUint32(end, checksum(bytes.subarray(0, end)));
    return bytes;
  } catch (cause) {
    throw stateError('the state is too large for one document: record a history instead', cause);
  }
}

const broken = (how: string, cause?: unknown) =>
  stateError(`the document of a state is ${how}: take another copy of it`, cause);

/**
 * Reads what {@link writeDocument} wrote.
 * @throws ERR_BELAY_STATE for anything else, for other versions, and where it is cut off or damaged
 */
export function readDocument(bytes: Uint8Array): { module: string; state: GuestState } {
  // Behind the tag of the map: what it is, then the version in one byte. They are there whatever follows.
  const head = encode({ belay: 'state', version: VERSION });
  const last = head.length - 1;
  for (let i = 1; i < last; i++) {
    if (i < bytes.length ? bytes[i] !== head[i] : i === 1) {
      throw stateError('this is no state of a guest: give what guest.save() returned');
    }
  }
  const version = bytes[last] ?? VERSION;
  if (version !== VERSION) {
    throw stateError(
      `this state has version ${version}, and version ${VERSION} is understood: load it with the version of wasm-belay that saved it`,
    );
  }
  let document: StateDocument;
  try {
    document = decode(bytes) as StateDocument;
  } catch (cause) {
    throw broken(`cut off or damaged (it has ${bytes.length} bytes)`, cause);
  }
  if (document.checksum !== checksum(bytes.subarray(0, bytes.length - 4))) throw broken('damaged');
  const { module, registers, host, memories, tables } = document;
  try {
    const state: GuestState = [];
    state[REGISTERS] = registers;
    state[HOST] = host;
    const sizes = new DataView(registers.buffer, registers.byteOffset, registers.length);
    memories.forEach((list, k) => {
      const space = new Uint8Array(Number(sizes.getBigUint64(8 * (1 + k), true)) * PAGE);
      for (let i = 0; i < list.length; i += 2) {
        space.set(list[i + 1] as Uint8Array, (list[i] as number) * PAGE_BYTES);
      }
      state[memorySpace(k)] = space;
    });
    return { module, state: [...state, ...tables] };
  } catch (cause) {
    throw stateError(`the state cannot be had here (${(cause as Error).message})`, cause);
  }
}
