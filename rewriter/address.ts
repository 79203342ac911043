/** Code that pushes the address of a write, for what is spliced in before it. */
import type { Geometry } from './layout.js';
import type { Writer } from './wasm/writer.js';

/** How code reaches the address operand of a write. */
export interface Address {
  is64: boolean;
  constant?: number;
  local: number;
}

/** Pushes the address plus `plus`. */
export function pushAddress(w: Writer, address: Address, plus: number): void {
  const { is64 } = address;
  const constant = (value: number) => w.byte(is64 ? 0x42 : 0x41).s(is64 ? value : value | 0);
  if (address.constant !== undefined) {
    constant(address.constant + plus);
    return;
  }
  w.byte(0x20).u(address.local);
  if (plus) {
    constant(plus);
    w.byte(is64 ? 0x7c : 0x6a);
  }
}

/** Alignment (1) and static offset of an access to a memory. */
export function memoryArgument(w: Writer, memory: number, offset: number): void {
  w.u(memory ? 0x40 : 0);
  if (memory) w.u(memory);
  w.u(offset);
}

/** Pushes (address + plus) >> shift. */
export function pushShifted(
  w: Writer,
  g: Pick<Geometry, 'is64'>,
  address: Address,
  plus: number,
  shift: number,
): void {
  if (address.constant !== undefined) {
    const value = Math.floor((address.constant + plus) / 2 ** shift);
    w.byte(g.is64 ? 0x42 : 0x41).s(g.is64 ? value : value | 0);
    return;
  }
  pushAddress(w, address, plus);
  if (!shift) return;
  w.byte(g.is64 ? 0x42 : 0x41)
    .s(shift)
    .byte(g.is64 ? 0x88 : 0x76);
}
