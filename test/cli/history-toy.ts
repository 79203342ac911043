/** A guest that is a few lines of JavaScript, so that tests know each byte of its history. */
import { CONTRACT_VERSION, type Contract } from '../../contract/contract.js';
import { stateShape } from '../../runtime/guest/state.js';
import { createHistory } from '../../runtime/history/recorder.js';
import type { Guest } from '../../runtime/types.js';

export interface Toy {
  /** Writes as a request would. */
  write(address: number, bytes: Uint8Array | readonly number[]): void;
  u32(address: number, value: number): void;
  /** The global `hits`. */
  hits: number;
  /** Element 1 of the table. */
  element: number;
  checkpoint(info?: Info): void;
  rollback(reason: string): void;
}

/** What is said of the epoch that begins. */
export interface Info {
  request?: number;
  kind?: string;
  label?: string;
  digest?: string;
}

const contract = {
  module: '5a'.repeat(32),
  version: CONTRACT_VERSION,
  mechanism: 'lmc',
  region: 64,
  layout: 'separate',
  memories: [{ is64: false, export: 'memory' }],
  tables: [{ index: 0, exports: ['handlers'] }],
  globals: [
    { index: 0, type: 'i32', exports: ['hits'] },
    { index: 4, type: 'f64', exports: [] },
  ],
  segments: { data: [2], elements: [] },
  functions: [5, 6, 17],
  steps: false,
  oracle: false,
} as unknown as Contract;

/** Records what `use` does with a guest of `pages` pages of 64 KiB. */
export async function recordToy(
  directory: string,
  use: (toy: Toy) => void | Promise<void>,
  options: { pages?: number; module?: Uint8Array } = {},
): Promise<void> {
  const { pages = 1, module } = options;
  const shape = stateShape(contract);
  const memory = new Uint8Array(pages * 65536);
  const saved = new Map<number, Uint8Array>();
  const globals = { hits: 0, element: 0 };
  let kept = { ...globals };
  type Observer = { beforeCheckpoint(info?: Info): void; beforeRollback(reason?: string): void };
  let observer: Observer | undefined;
  const guest = {
    contract,
    kinds: [''],
    exports: {},
    state: {
      contract,
      shape,
      registers(into: Uint8Array) {
        into.fill(0);
        const view = new DataView(into.buffer, into.byteOffset);
        view.setBigUint64(8, BigInt(pages), true);
        view.setBigUint64(16, 3n, true);
        view.setInt32(shape.globals, globals.hits, true);
        view.setFloat64(shape.globals + 16, globals.hits / 4, true);
      },
      memory: () => memory,
      table: () => Uint32Array.of(0, globals.element, 0),
      tableWritten: () => true,
      host: () => undefined,
      written(visit: (memory: number, address: number, length: number) => void) {
        for (const region of saved.keys()) visit(0, region * 64, 64);
      },
    },
    observe(given: Observer) {
      observer = given;
      return () => {
        observer = undefined;
      };
    },
  };
  const toy: Toy = {
    write(address, bytes) {
      bytes.forEach((byte, i) => {
        const region = (address + i) >> 6;
        if (!saved.has(region)) saved.set(region, memory.slice(region * 64, region * 64 + 64));
        memory[address + i] = byte;
      });
    },
    u32: (address, value) => toy.write(address, new Uint8Array(Uint32Array.of(value).buffer)),
    get hits() {
      return globals.hits;
    },
    set hits(value) {
      globals.hits = value;
    },
    get element() {
      return globals.element;
    },
    set element(value) {
      globals.element = value;
    },
    checkpoint(info) {
      observer?.beforeCheckpoint(info);
      saved.clear();
      kept = { ...globals };
    },
    rollback(reason) {
      observer?.beforeRollback(reason);
      for (const [region, bytes] of saved) memory.set(bytes, region * 64);
      saved.clear();
      Object.assign(globals, kept);
    },
  };
  const history = await createHistory(directory);
  try {
    history.record(guest as unknown as Guest, { worker: false, ...(module && { module }) });
    await use(toy);
  } finally {
    await history.close();
  }
}
