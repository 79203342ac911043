/** What a checkpoint has beside the bytes of its memories: sizes, globals, tables and segments, by name and as values. */
import type { Contract } from '../../contract/contract.js';
import { spaceSizes, stateShape, tableSpace } from '../guest/state.js';
import type { History } from './history.js';
import {
  dataDropped,
  elementsDropped,
  globalName,
  hostSize,
  memorySize,
  tableElement,
  tableSize,
} from './registers.js';

/** `null` and `function 3` are references; 128 bits are 32 hexadecimal digits. */
export type NamedValue = number | bigint | string | boolean;

export interface Named {
  /** `global counter`, `memory 0 size`, `table 0 size`, `table 0[3]`, `data segment 2 dropped`, `host state size`. */
  what: string;
  value: NamedValue;
}

export interface NamedGlobal {
  /** Index in the original module. */
  index: number;
  /** As it is exported, or as the module's section of names has it. */
  name?: string;
  type: string;
  value: NamedValue;
}

export interface NamedState {
  memories: { name?: string; bytes: number }[];
  tables: { index: number; name?: string; elements: number }[];
  globals: NamedGlobal[];
  /** Bytes of what companions saved. */
  hostBytes: number;
  /** Numbers of the segments that the module has dropped. */
  dropped: { data: number[]; elements: number[] };
}

export interface NamedChange {
  what: string;
  before: NamedValue;
  after: NamedValue;
}

const OURS = /^belay:/;

/** A reference as tables and globals have it (contract/state.ts): functions by their index in the original module. */
const reference = ({ functions }: Contract, element: number): string =>
  element === 0 ? 'null' : `function ${functions[element - 1] ?? `of number ${element - 1}`}`;

function decode(contract: Contract, type: string, view: DataView, at: number): NamedValue {
  switch (type) {
    case 'i32':
      return view.getInt32(at, true);
    case 'i64':
      return view.getBigInt64(at, true);
    case 'f32':
      return view.getFloat32(at, true);
    case 'f64':
      return view.getFloat64(at, true);
    case 'v128':
      return Buffer.from(view.buffer, view.byteOffset + at, 16).toString('hex');
    default:
      return reference(contract, view.getUint32(at, true));
  }
}

/** Sizes, and the values of all globals that can change, at an entry. @throws ERR_BELAY_HISTORY */
export function namedState(history: History, entry: number): NamedState {
  const { contract } = history;
  const shape = stateShape(contract);
  const registers = history.registers(entry);
  const view = new DataView(registers.buffer, registers.byteOffset, registers.byteLength);
  const sizes = spaceSizes(shape, registers);
  const names = globalNames(history);
  const { data, elements } = contract.segments;
  const isDropped = (_: number, i: number) => registers[shape.segments + i] === 1;
  return {
    memories: contract.memories.map((memory, k) => ({
      ...(!OURS.test(memory.export) && { name: memory.export }),
      bytes: sizes[2 + k]!,
    })),
    tables: contract.tables.map(({ index, exports: [name] }, t) => ({
      index,
      ...(name !== undefined && { name }),
      elements: sizes[tableSpace(contract, t)]! / 4,
    })),
    globals: contract.globals.map(({ index, type, exports: [exported] }, i) => {
      const name = exported ?? names.get(index);
      return {
        index,
        ...(name !== undefined && { name }),
        type,
        value: decode(contract, type, view, shape.globals + 16 * i),
      };
    }),
    hostBytes: sizes[1]!,
    dropped: {
      data: data.filter(isDropped),
      elements: elements.filter((n, i) => isDropped(n, data.length + i)),
    },
  };
}

/** Names of globals by index. */
function globalNames({ names }: History): Map<number, string> {
  return new Map([...names.globalNames].map(([name, index]) => [index, name]));
}

/** The same as a list, whose length and order are those of every entry. */
function listed(
  { memories, tables, globals, hostBytes, dropped }: NamedState,
  contract: Contract,
  names: ReadonlyMap<number, string>,
): Named[] {
  const { segments } = contract;
  return [
    ...memories.map(({ bytes }, k) => ({ what: memorySize(k), value: bytes })),
    ...tables.map(({ elements }, t) => ({ what: tableSize(contract, t), value: elements })),
    ...globals.map(({ value }, i) => ({ what: globalName(contract, i, names), value })),
    ...segments.data.map((n) => ({ what: dataDropped(n), value: dropped.data.includes(n) })),
    ...segments.elements.map((n) => ({ what: elementsDropped(n), value: dropped.elements.includes(n) })),
    { what: hostSize, value: hostBytes },
  ];
}

/** What is not the same at two entries, beside bytes of memories and of what companions saved. @throws ERR_BELAY_HISTORY */
export function* namedChanges(history: History, from: number, to: number): IterableIterator<NamedChange> {
  const { contract } = history;
  const [first, last] = [namedState(history, from), namedState(history, to)];
  const names = globalNames(history);
  const after = listed(last, contract, names);
  for (const [i, { what, value }] of listed(first, contract, names).entries()) {
    // (A NaN is the same as itself.)
    if (!Object.is(value, after[i]!.value)) yield { what, before: value, after: after[i]!.value };
  }
  for (const t of last.tables.keys()) {
    const space = tableSpace(contract, t);
    const [a, b] = [from, to].map((entry) => elementsOf(history.space(entry, space)));
    const length = Math.max(a!.length, b!.length);
    for (let i = 0; i < length; i++) {
      const [old, now] = [a![i] ?? 0, b![i] ?? 0];
      if (old === now) continue;
      yield {
        what: tableElement(contract, t, i),
        before: reference(contract, old),
        after: reference(contract, now),
      };
    }
  }
}

function elementsOf(space: Uint8Array): Uint32Array {
  const view = new DataView(space.buffer, space.byteOffset, space.byteLength);
  return Uint32Array.from({ length: space.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}
