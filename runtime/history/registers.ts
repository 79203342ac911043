/** What is where in the registers (runtime/guest/state.ts), in words. */
import type { Contract } from '../../contract/contract.js';
import type { StateShape } from '../guest/state.js';

/** What the register is called that has a byte. */
export function describeRegister(contract: Contract, shape: StateShape, address: number): string {
  if (address < shape.globals) {
    const i = address >> 3;
    if (i === 0) return 'host state size';
    if (i <= shape.memories) return `memory ${i - 1} size`;
    return `table ${contract.tables[i - 1 - shape.memories]!.index} size`;
  }
  if (address < shape.segments) {
    const global = contract.globals[(address - shape.globals) >> 4]!;
    return `global ${global.exports[0] ?? global.index}`;
  }
  const i = address - shape.segments;
  const { data, elements } = contract.segments;
  return i < data.length ? `data segment ${data[i]}` : `element segment ${elements[i - data.length]}`;
}

export function describeTable(contract: Contract, table: number, address: number): string {
  return `table ${contract.tables[table]!.index}[${address >> 2}]`;
}
