/** What the file-system module is given in place of the guest's WebAssembly objects. */
import type { Guest } from '../types.js';

/** Stands for the guest's WebAssembly.Module: what it imports and exports, as the module will ask. */
export class StandInModule {
  readonly imports: WebAssembly.ModuleImportDescriptor[];
  readonly exports: WebAssembly.ModuleExportDescriptor[] = [{ name: 'memory', kind: 'memory' }];

  constructor(readonly namespace: string) {
    this.imports = [{ module: namespace, name: 'fd_write', kind: 'function' }];
  }
}

/** Stands for the guest's memory, which exists only after the imports were made. */
export class StandInMemory {
  readonly #guest: Guest;

  constructor(guest: Guest) {
    this.#guest = guest;
  }

  get buffer(): ArrayBuffer {
    return this.#guest.memory.buffer;
  }
}

/** Stands for the guest's WebAssembly.Instance. */
export class StandInInstance {
  readonly exports: { memory: StandInMemory };

  constructor(memory: StandInMemory) {
    this.exports = { memory };
  }
}
