/** What is where in registers and tables (contract/state.ts), in words: the same wherever something tells of them. */
import type { Contract } from '../../contract/contract.js';
import type { StateShape } from '../guest/state.js';

export const hostSize = 'host state size';
export const memorySize = (memory: number): string => `memory ${memory} size`;
export const tableSize = (contract: Contract, table: number): string => `${tableName(contract, table)} size`;
export const tableElement = (contract: Contract, table: number, i: number): string =>
  `${tableName(contract, table)}[${i}]`;
export const dataDropped = (segment: number): string => `data segment ${segment} dropped`;
export const elementsDropped = (segment: number): string => `element segment ${segment} dropped`;

function tableName({ tables }: Contract, table: number): string {
  const { exports, index } = tables[table]!;
  return `table ${exports[0] ?? index}`;
}

/**
 * A global as it is exported, or as the module's section of names has it, or by its index in the original module.
 * @param global its place among the contract's
 * @param names of that section, by index
 */
export function globalName(
  { globals }: Contract,
  global: number,
  names?: ReadonlyMap<number, string>,
): string {
  const { exports, index } = globals[global]!;
  return `global ${exports[0] ?? names?.get(index) ?? index}`;
}

/** What the register is called that has a byte. */
export function describeRegister(contract: Contract, shape: StateShape, address: number): string {
  if (address < shape.globals) {
    const i = address >> 3;
    if (i === 0) return hostSize;
    return i <= shape.memories ? memorySize(i - 1) : tableSize(contract, i - 1 - shape.memories);
  }
  if (address < shape.segments) return globalName(contract, (address - shape.globals) >> 4);
  const i = address - shape.segments;
  const { data, elements } = contract.segments;
  return i < data.length ? dataDropped(data[i]!) : elementsDropped(elements[i - data.length]!);
}
