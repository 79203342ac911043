/** What differs between two entries. */
import type { Contract } from '../../contract/contract.js';
import { HOST, memorySpace, REGISTERS } from '../guest/state.js';
import type { PagePlace } from './entries.js';
import { Moment } from './past.js';
import { describeRegister, tableElement } from './registers.js';
import type { Source } from './source.js';
import { placeOf } from './store.js';
import type { ChangedRange } from './types.js';
import { PAGE_BYTES } from './versions.js';

export interface DiffOptions {
  /** Bytes that are alike, between two that are not, that one range may have. Default 3. */
  gap?: number;
}

/** Up to so many entries apart, the pages are taken from what entries say; beyond, all pages are looked at. */
const NEAR = 4096;

/** Pages that may differ between two entries, in order. */
export function changedPages(source: Source, from: number, to: number): PagePlace[] {
  const [low, high] = from < to ? [from, to] : [to, from];
  if (high - low > NEAR) return source.pages();
  const found = new Map<number, PagePlace>();
  for (let entry = low + 1; entry <= high; entry++) {
    for (const place of source.entry(entry).pages) found.set(placeOf(...place), place);
  }
  return [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

export function* diff(
  source: Source,
  contract: Contract,
  from: number,
  to: number,
  { gap = 3 }: DiffOptions,
): IterableIterator<ChangedRange> {
  const before = new Moment(source, contract);
  const after = new Moment(source, contract);
  before.seek(from);
  after.seek(to);
  const { shape } = before;
  const tables = memorySpace(shape.memories);
  const tell = (space: number, address: number, end: number): ChangedRange => {
    const length = end - address;
    const bytes = {
      address,
      length,
      before: before.read(space, address, length),
      after: after.read(space, address, length),
    };
    if (space === REGISTERS) return { what: describeRegister(contract, shape, address), ...bytes };
    if (space === HOST) return { what: 'host state', ...bytes };
    if (space >= tables) return { what: tableElement(contract, space - tables, address >> 2), ...bytes };
    return { memory: space - memorySpace(0), ...bytes };
  };
  let open: { space: number; address: number; end: number } | undefined;
  for (const [space, page] of changedPages(source, from, to)) {
    const a = before.cursor(space, page, 0, PAGE_BYTES).bytes;
    const b = after.cursor(space, page, 0, PAGE_BYTES).bytes;
    if (Buffer.compare(a, b) === 0) continue;
    // Registers and elements of tables are told one by one.
    const unit = space === REGISTERS ? 8 : space >= tables ? 4 : 0;
    for (let i = 0; i < PAGE_BYTES; i++) {
      if (a[i] === b[i]) continue;
      const address = page * PAGE_BYTES + i;
      const joins: boolean =
        open?.space === space &&
        address - open.end <= gap &&
        (unit === 0 || Math.floor(address / unit) === Math.floor(open.address / unit));
      if (joins) open!.end = address + 1;
      else {
        if (open) yield tell(open.space, open.address, open.end);
        open = { space, address, end: address + 1 };
      }
    }
    before.trim();
    after.trim();
  }
  if (open) yield tell(open.space, open.address, open.end);
}
