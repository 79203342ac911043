/**
 * A module that is not instrumented in the place of a guest: the same host code runs (WASI, the service), and
 * what it asks of a guest does nothing. The baseline of what needs a guest to run at all.
 */
import type { Contract } from '../../contract/contract.js';
import type { Guest, GuestStats } from '../../runtime/types.js';

const STATS: GuestStats = {
  mechanism: 'lmc',
  checkpoints: 0,
  rollbacks: 0,
  regionsSaved: 0,
  bytesSaved: 0,
  memoryBytes: 0,
  supportBytes: 0,
};

/** @param imports makes the imports, as `instantiate` has it; the module must export its memory. */
export function plainGuest(
  module: WebAssembly.Module,
  imports: (guest: Guest) => WebAssembly.Imports,
): Guest {
  const nothing = () => {};
  const guest = {
    module,
    contract: { steps: false, memories: [] } as unknown as Contract,
    running: false,
    overrun: false,
    checkpoint: nothing,
    rollback: nothing,
    touch: nothing,
    limit: nothing,
    join: nothing,
    stats: () => STATS,
    write(pointer: number, bytes: Uint8Array) {
      new Uint8Array(guest.memory.buffer).set(bytes, pointer);
    },
    fill(pointer: number, value: number, length: number) {
      new Uint8Array(guest.memory.buffer).fill(value, pointer, pointer + length);
    },
  } as unknown as Guest & { instance: object; exports: object; memory: WebAssembly.Memory };
  const instance = new WebAssembly.Instance(module, imports(guest));
  const memory = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory);
  return Object.assign(guest, { instance, exports: instance.exports, memory });
}
