/** A toy guest whose state has names, so that tests know each byte that the command prints. */
import type { Contract } from '../../contract/contract.js';
import { createHistory } from '../../runtime/history/recorder.js';
import { TOY_CONTRACT, Toy } from '../support/history-toy.js';

const contract = {
  ...TOY_CONTRACT,
  module: '5a'.repeat(32),
  memories: [{ is64: false, export: 'memory' }],
  tables: [{ index: 0, exports: ['handlers'] }],
  globals: [
    { index: 0, type: 'i32', exports: ['hits'] },
    { index: 4, type: 'f64', exports: [] },
  ],
  segments: { data: [2], elements: [] },
  functions: [5, 6, 17],
} as Contract;

const f64Bits = (value: number): bigint => new BigInt64Array(Float64Array.of(value).buffer)[0]!;

export class NamedToy extends Toy {
  constructor(pages: number) {
    super([pages], pages, contract);
    this.growTable(1);
    this.checkpoint();
  }

  u32(address: number, value: number): void {
    this.write(0, address, new Uint8Array(Uint32Array.of(value).buffer));
  }

  /** The global `hits`; the other one is a quarter of it. */
  set hits(value: number) {
    this.globals = [BigInt(value), f64Bits(value / 4)];
  }
}

/** Records what `use` does with a guest of `pages` pages of 64 KiB. */
export async function recordToy(
  directory: string,
  use: (toy: NamedToy) => void | Promise<void>,
  { pages = 1, module }: { pages?: number; module?: Uint8Array } = {},
): Promise<void> {
  const history = await createHistory(directory);
  try {
    const toy = new NamedToy(pages);
    history.record(toy.guest, { worker: false, ...(module && { module }) });
    await use(toy);
  } finally {
    await history.close();
  }
}
