/**
 * A guest that is a plain object: the parts of Guest that a recorder uses, and nothing to be compiled or run, so that
 * thousands of checkpoints take milliseconds. It tells exactly which regions of 64 bytes were written, and restores
 * them; growth, globals, tables, segments and host state are as a real guest's.
 */
import { CONTRACT_VERSION, type Contract } from '../../contract/contract.js';
import {
  type GuestState,
  HOST,
  memorySpace,
  REGISTERS,
  type StateAccess,
  spaceSizes,
  stateShape,
  tableSpace,
} from '../../runtime/guest/state.js';
import type { Guest } from '../../runtime/types.js';

export const WASM_PAGE = 65536;
const REGION = 64;

export const TOY_CONTRACT = {
  module: '70'.repeat(32),
  version: CONTRACT_VERSION,
  mechanism: 'lmc',
  region: REGION,
  layout: 'inside',
  memories: [
    { is64: false, export: 'memory' },
    { is64: false, export: 'second' },
  ],
  tables: [{ index: 0, exports: ['table'] }],
  globals: [
    { index: 0, type: 'i32', exports: ['g'] },
    { index: 1, type: 'i64', exports: ['h'] },
  ],
  segments: { data: [0], elements: [0] },
  functions: [1, 2, 3, 4],
  steps: false,
  oracle: false,
} as unknown as Contract;

/** What may be said of an epoch. */
export interface Info {
  request?: number;
  kind?: string;
  label?: string;
  digest?: string;
}

interface Observer {
  beforeCheckpoint(info?: Info): void;
  beforeRollback(reason?: string): void;
}

/** What a rollback restores. */
interface Saved {
  pages: number[];
  table: Uint32Array;
  globals: bigint[];
  dropped: number[];
  host: Uint8Array;
}

export class Toy {
  readonly kinds = [''];
  readonly exports = {};
  readonly state: StateAccess;
  /** Of floats the bits. */
  globals: bigint[];
  table: Uint32Array = new Uint32Array(2);
  dropped: number[];
  host: Uint8Array = new Uint8Array(0);
  /** Of each memory, as much as it may have; what lies beyond its size is zero. */
  private readonly buffers: Uint8Array[];
  private pages: number[];
  /** Of each memory: what its regions had at the last checkpoint. */
  private readonly before: Map<number, Uint8Array>[];
  private saved: Saved;
  private hostWritten = true;
  private tableWritten = true;
  private loaded = false;
  private observer: Observer | undefined;

  constructor(
    pages: readonly number[] = [1, 1],
    readonly most = 4,
    readonly contract: Contract = TOY_CONTRACT,
  ) {
    const { globals, segments } = contract;
    this.globals = globals.map(() => 0n);
    this.dropped = [...segments.data, ...segments.elements].map(() => 0);
    this.before = pages.map(() => new Map());
    this.pages = [...pages];
    this.buffers = pages.map(() => new Uint8Array(most * WASM_PAGE));
    this.saved = this.save();
    const shape = stateShape(this.contract);
    this.state = {
      contract: this.contract,
      shape,
      registers: (into) => this.writeRegisters(into),
      memory: (memory) => this.memory(memory),
      table: () => this.table.slice(),
      tableWritten: () => this.tableWritten,
      host: (always) => (always || this.hostWritten ? this.host.slice() : undefined),
      written: (visit) => {
        if (this.loaded) {
          this.pages.forEach((pages, memory) => visit(memory, 0, pages * WASM_PAGE));
          return;
        }
        this.before.forEach((regions, memory) => {
          // Neighbours as one part, as mechanisms tell them.
          const sorted = [...regions.keys()].sort((a, b) => a - b);
          for (let i = 0; i < sorted.length; ) {
            const first = sorted[i]!;
            let count = 1;
            while (sorted[i + count] === first + count) count++;
            // Of the first memory it tells what differs, of the other one the recorder has to find out.
            visit(memory, first * REGION, count * REGION, memory === 0 ? this.differing : undefined);
            i += count;
          }
        });
      },
      load: (state) => this.load(state),
    } as StateAccess;
  }

  /** Of the first memory, in a part that was written: the words that differ. */
  private readonly differing = {
    runs: new Uint32Array(1025),
    find: (from: number, to: number): number => {
      const { runs } = this.differing;
      const now = new DataView(this.buffers[0]!.buffer);
      const differs = (word: number): boolean => {
        const then = this.before[0]!.get(Math.floor((word * 4) / REGION))!;
        return (
          now.getUint32(word * 4) !==
          new DataView(then.buffer, then.byteOffset).getUint32((word * 4) % REGION)
        );
      };
      let length = 0;
      for (let first = from / 4; first < to / 4; first++) {
        if (!differs(first)) continue;
        let last = first;
        for (let word = first + 1; word < to / 4 && word - last <= 2; word++) if (differs(word)) last = word;
        runs[length++] = (((4 * first) % 4096) << 16) | (4 * (last - first + 1));
        for (; first <= last; first++) runs[length++] = now.getUint32(4 * first, true);
      }
      return length;
    },
  };

  get guest(): Guest {
    return this as unknown as Guest;
  }

  memory(memory: number): Uint8Array {
    return this.buffers[memory]!.subarray(0, this.pages[memory]! * WASM_PAGE);
  }

  write(memory: number, address: number, bytes: Uint8Array): void {
    const target = this.memory(memory);
    const end = Math.min(address + bytes.length, target.length);
    for (let region = Math.floor(address / REGION); region * REGION < end; region++) {
      if (!this.before[memory]!.has(region))
        this.before[memory]!.set(region, target.slice(region * REGION, (region + 1) * REGION));
    }
    target.set(bytes.subarray(0, end - address), address);
  }

  grow(memory: number, by: number): boolean {
    if (this.pages[memory]! + by > this.most) return false;
    this.pages[memory]! += by;
    return true;
  }

  setTable(index: number, value: number): void {
    this.table[index % this.table.length] = value;
    this.tableWritten = true;
  }

  growTable(by: number): void {
    const table = new Uint32Array(this.table.length + by);
    table.set(this.table);
    this.table = table;
    this.tableWritten = true;
  }

  setHost(bytes: Uint8Array): void {
    this.host = bytes;
    this.hostWritten = true;
  }

  observe(observer: Observer): () => void {
    this.observer = observer;
    return () => {
      this.observer = undefined;
    };
  }

  checkpoint(info?: Info): void {
    this.observer?.beforeCheckpoint(info);
    this.begin();
  }

  rollback(reason?: string): void {
    this.observer?.beforeRollback(reason);
    this.before.forEach((regions, memory) => {
      for (const [region, bytes] of regions) this.buffers[memory]!.set(bytes, region * REGION);
    });
    // What grew is gone, and was zero where nobody wrote.
    this.pages = [...this.saved.pages];
    this.table = this.saved.table.slice();
    this.globals = [...this.saved.globals];
    this.dropped = [...this.saved.dropped];
    this.host = this.saved.host;
    this.begin();
  }

  /** The whole state of now, as bytes. */
  whole(): GuestState {
    const registers = new Uint8Array(this.state.shape.length);
    this.writeRegisters(registers);
    return [
      registers,
      this.host.slice(),
      ...this.buffers.map((_, k) => this.memory(k).slice()),
      new Uint8Array(this.table.slice().buffer),
    ];
  }

  private begin(): void {
    for (const regions of this.before) regions.clear();
    this.saved = this.save();
    this.loaded = false;
    this.hostWritten = false;
    this.tableWritten = false;
  }

  private save(): Saved {
    return {
      pages: [...this.pages],
      table: this.table.slice(),
      globals: [...this.globals],
      dropped: [...this.dropped],
      host: this.host,
    };
  }

  private load(state: readonly (Uint8Array | undefined)[]): void {
    const { shape } = this.state;
    const sizes = spaceSizes(shape, state[REGISTERS]!);
    const view = new DataView(state[REGISTERS]!.buffer, state[REGISTERS]!.byteOffset);
    this.globals = this.contract.globals.map(({ type }, i) =>
      BigInt.asIntN(type === 'i32' ? 32 : 64, view.getBigInt64(shape.globals + 16 * i, true)),
    );
    this.dropped = this.dropped.map((_, i) => state[REGISTERS]![shape.segments + i]!);
    this.host = state[HOST]!.slice();
    this.buffers.forEach((buffer, k) => {
      this.pages[k] = sizes[memorySpace(k)]! / WASM_PAGE;
      buffer.fill(0);
      buffer.set(state[memorySpace(k)]!);
    });
    this.table = new Uint32Array(state[tableSpace(this.contract, 0)]!.slice().buffer);
    this.hostWritten = true;
    this.tableWritten = true;
    this.loaded = true;
    this.checkpoint();
  }

  private writeRegisters(into: Uint8Array): void {
    const { shape } = this.state;
    into.fill(0);
    const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
    const sizes = [this.host.length, ...this.pages, this.table.length];
    sizes.forEach((size, i) => view.setBigUint64(shape.sizes + 8 * i, BigInt(size), true));
    this.contract.globals.forEach(({ type }, i) => {
      const bits = BigInt.asUintN(type === 'i32' ? 32 : 64, this.globals[i]!);
      view.setBigUint64(shape.globals + 16 * i, bits, true);
    });
    this.dropped.forEach((value, i) => {
      into[shape.segments + i] = value;
    });
  }
}
