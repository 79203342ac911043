/** A past for tests of expressions: two states of bytes, the entry's and the one before. */
import type { Contract } from '../../../contract/contract.js';
import { memorySpace, REGISTERS, stateShape } from '../../../runtime/guest/state.js';
import type { CallingPast } from '../../../runtime/history/expression/index.js';

const PAGE = 4096;

/** A contract with as much in it as expressions look at. */
export function contractOf(globals: Partial<Contract['globals'][number]>[], memories = ['memory']): Contract {
  return {
    memories: memories.map((name) => ({ is64: false, export: name })),
    tables: [],
    globals: globals.map((global, index) => ({ index, type: 'i32', exports: [], ...global })),
    segments: { data: [], elements: [] },
  } as unknown as Contract;
}

/**
 * The spaces, by number, now and before. As hostile as a past may be: it has one buffer for a page, whichever state is
 * asked for, at an odd place of a larger one, and fills it with rubbish at the next call.
 */
export class TwoStates implements CallingPast {
  entry = 12;
  call?: CallingPast['call'];
  private readonly buffers = new Map<string, DataView>();
  private last: DataView | undefined;

  constructor(private readonly spaces: [now: Map<number, Uint8Array>, before: Map<number, Uint8Array>]) {}

  page(space: number, page: number, back: 0 | 1): DataView {
    const bytes = this.spaces[back].get(space);
    if (bytes === undefined || page * PAGE >= bytes.length) throw new Error(`no page ${page} in ${space}`);
    if (this.last) new Uint8Array(this.last.buffer).fill(0xa5);
    const key = `${space} ${page}`;
    const view = this.buffers.get(key) ?? new DataView(new ArrayBuffer(PAGE + 6), 3, PAGE);
    this.buffers.set(key, view);
    const content = bytes.subarray(page * PAGE, (page + 1) * PAGE);
    new Uint8Array(view.buffer, view.byteOffset, PAGE).fill(0);
    new Uint8Array(view.buffer, view.byteOffset, PAGE).set(content);
    this.last = view;
    return view;
  }

  size(space: number, back: 0 | 1): number {
    return this.spaces[back].get(space)?.length ?? 0;
  }
}

/** Registers in which globals have values, as bits. */
export function registersOf(contract: Contract, globals: readonly bigint[]): Uint8Array {
  const shape = stateShape(contract);
  const bytes = new Uint8Array(shape.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of globals.entries()) {
    view.setBigUint64(shape.globals + 16 * i, BigInt.asUintN(64, value), true);
    view.setBigUint64(shape.globals + 16 * i + 8, BigInt.asUintN(64, value >> 64n), true);
  }
  return bytes;
}

/** A past of memories' bytes. */
export function pastOf(
  contract: Contract,
  now: { memories: Uint8Array[]; globals?: bigint[] },
  before: { memories: Uint8Array[]; globals?: bigint[] } = now,
): TwoStates {
  const spaces = [now, before].map(({ memories, globals = [] }) => {
    const map = new Map([[REGISTERS, registersOf(contract, globals)]]);
    for (const [k, bytes] of memories.entries()) map.set(memorySpace(k), bytes);
    return map;
  });
  return new TwoStates(spaces as [Map<number, Uint8Array>, Map<number, Uint8Array>]);
}
