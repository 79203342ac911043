/**
 * A guest's whole state as bytes in numbered **spaces**: what a checkpoint covers, said in a way that can be stored,
 * compared and moved to another process, engine or machine.
 *
 *     space 0       registers: what has a fixed place and size (below)
 *     space 1       host: what companions (WASI) save, as one piece of MessagePack; it may change its length
 *     space 2 ..    the memories, in the order of the contract
 *     then          the tables, in the order of the contract: 4 bytes an element, 0 for null, else the index of
 *                   a function in the original module ({@link Contract.functions}), plus 1
 *
 * Registers, little-endian:
 *
 *     8 bytes each  sizes: of the host space in bytes, of each memory in pages of 64 KiB, of each table in elements
 *     16 bytes each the mutable globals, in the order of the contract: the bits of their value, then zeros;
 *                   a reference as an element of a table
 *     1 byte each   segments that the module may drop: 1 where it has; data segments first, then element segments
 *     zeros         up to a multiple of 8
 *
 * All bytes of a space that lie beyond its size are zero, and stay unsaid.
 */
import { type Contract, PAGE } from './contract.js';

export const REGISTERS = 0;
export const HOST = 1;
/** The space of a memory. */
export const memorySpace = (memory: number): number => 2 + memory;
/** The space of the `table`-th table of the contract. */
export const tableSpace = (contract: Contract, table: number): number => 2 + contract.memories.length + table;

/** Where in the registers what is. Offsets in bytes. */
export interface StateShape {
  memories: number;
  tables: number;
  /** Count of spaces. */
  spaces: number;
  /** Of the size of the host space; memories' and tables' follow, 8 bytes each. */
  sizes: number;
  globals: number;
  segments: number;
  /** Length of the registers. */
  length: number;
}

export function stateShape(contract: Contract): StateShape {
  const memories = contract.memories.length;
  const tables = contract.tables.length;
  const globals = 8 * (1 + memories + tables);
  const segments = globals + 16 * contract.globals.length;
  const dropped = contract.segments.data.length + contract.segments.elements.length;
  return {
    memories,
    tables,
    spaces: 2 + memories + tables,
    sizes: 0,
    globals,
    segments,
    length: Math.ceil((segments + dropped) / 8) * 8,
  };
}

/** Bytes of a space, as registers say; 0 for one that there is not. */
export function spaceSize(shape: StateShape, registers: DataView, space: number): number {
  if (space === REGISTERS) return shape.length;
  if (space >= shape.spaces) return 0;
  const at = shape.sizes + 8 * (space - HOST);
  const size = registers.getUint32(at, true) + registers.getUint32(at + 4, true) * 2 ** 32;
  if (space === HOST) return size;
  return space < memorySpace(shape.memories) ? size * PAGE : size * 4;
}

/** Bytes of each space. */
export function spaceSizes(shape: StateShape, registers: Uint8Array): number[] {
  const view = new DataView(registers.buffer, registers.byteOffset, registers.byteLength);
  return Array.from({ length: shape.spaces }, (_, space) => spaceSize(shape, view, space));
}

/** A state: the content of each space. */
export type GuestState = Uint8Array[];
