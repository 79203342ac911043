/** Finds, in a history, words of memory that are worth asking for: the bench knows no program's variables. */
import type { History } from '../../runtime/history/index.js';
import { dice } from './timing.js';

export interface Variables {
  /** Addresses of words of 4 bytes. One that changes often, and goes up and down. */
  hot: number;
  /** One that only ever grows, where there is one. */
  growing: number | undefined;
  /** One that changes seldom. */
  rare: number;
  /** One on each of several pages that change often. */
  pages: number[];
}

const NEIGHBOURS = 160;
const CANDIDATES = 240;
const SAMPLES = 24;
const PAGE = 4096;

export const u32 = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);

export function findVariables(history: History): Variables {
  const { first, last } = history;
  const random = dice(17);
  const counts = new Map<number, number>();
  for (let i = 0; i < NEIGHBOURS; i++) {
    const entry = first + random(last - first);
    for (const { memory, address, length } of history.diff(entry, entry + 1)) {
      if (memory !== 0) continue;
      for (let word = address >> 2; word << 2 < address + length && length < 256; word++)
        counts.set(word << 2, (counts.get(word << 2) ?? 0) + 1);
    }
  }
  const often = [...counts].sort((a, b) => b[1] - a[1]).map(([address]) => address);
  if (often.length === 0) throw new Error('nothing changes in this history');
  const entries = Array.from({ length: SAMPLES }, (_, i) =>
    Math.round(first + ((last - first) * i) / (SAMPLES - 1)),
  );
  const described = often.slice(0, CANDIDATES).map((address) => {
    const values = entries.map((entry) =>
      history.memorySize(entry) >= address + 4 ? u32(history.read(entry, address, 4)) : 0,
    );
    const steps = values.slice(1).map((value, i) => Math.sign(value - values[i]!));
    return {
      address,
      distinct: new Set(values).size,
      grows: steps.every((s) => s >= 0),
      falls: steps.some((s) => s < 0),
    };
  });
  const most = <T>(list: readonly T[], of: (value: T) => number): T | undefined =>
    list.reduce<T | undefined>((best, value) => (best && of(best) >= of(value) ? best : value), undefined);
  const distinct = ({ distinct }: { distinct: number }) => distinct;
  const growing = most(
    described.filter((d) => d.grows && d.distinct > 2),
    distinct,
  );
  const hot = most(
    described.slice(0, CANDIDATES / 3).filter(({ falls }) => falls),
    distinct,
  );
  const places = new Map(often.map((address) => [Math.floor(address / PAGE), address]));
  return {
    hot: (hot ?? described[0]!).address,
    growing: growing?.address,
    rare: often[often.length - 1]!,
    pages: [...places.values()].slice(0, 8),
  };
}
