/** Compares what a mechanism says was written with a copy of memory. Works in every engine. */
import type { Differing, Mechanism } from '../../runtime/mechanisms/mechanism.js';
import type { Guest } from '../../runtime/types.js';
import { firstDifference } from './oracle.js';

export interface Part {
  memory: number;
  address: number;
  length: number;
}

/** The mechanism behind a guest, which its interface does not show. */
export const mechanismOf = (guest: Guest): Mechanism => (guest as unknown as { saver: Mechanism }).saver;

/** Copies of all memories, as the guest sees them. */
export function copies(guest: Guest): Uint8Array[] {
  return views(guest).map((view) => view.slice());
}

function views(guest: Guest): Uint8Array[] {
  const all = guest.instance.exports;
  return guest.contract.memories.map((m, k) => {
    const size = Number((all[`belay:size:${k}`] as () => number | bigint)()) * 65536;
    return new Uint8Array((all[m.export] as WebAssembly.Memory).buffer, 0, size);
  });
}

/** What was written, in order. @throws where parts overlap, are empty, or lie outside of memory */
export function written(guest: Guest): Part[] {
  const parts: Part[] = [];
  mechanismOf(guest).written((memory, address, length) => parts.push({ memory, address, length }));
  parts.sort((a, b) => a.memory - b.memory || a.address - b.address);
  const sizes = views(guest).map((view) => view.length);
  parts.forEach(({ memory, address, length }, i) => {
    const what = `part ${address} + ${length} of memory ${memory}`;
    const sound = [address, length].every(Number.isSafeInteger) && address >= 0 && length > 0;
    if (!sound) throw new Error(`${what} makes no sense`);
    if (!(address + length <= sizes[memory]!)) throw new Error(`${what} is not in ${sizes[memory]} bytes`);
    const next = parts[i + 1];
    if (next?.memory === memory && address + length > next.address)
      throw new Error(`${what} overlaps ${next.address}`);
  });
  return parts;
}

/** Runs of words that were compared with what a mechanism said. */
let checked = 0;
export const runsChecked = (): number => checked;

export const bytesOf = (parts: readonly Part[]): number => parts.reduce((sum, { length }) => sum + length, 0);

/** Words that one run may have between two that differ, though they do not. */
const GAP = 1;
const PAGE = 4096;

/** What differs in [from, to) of a page, word by word: runs as they are to be found, as text. */
function runsOf(then: Uint8Array, now: Uint8Array, from: number, to: number): string[] {
  const differs = (word: number) =>
    firstDifference(then.subarray(4 * word, 4 * word + 4), now.subarray(4 * word, 4 * word + 4)) >= 0;
  const runs: [first: number, last: number][] = [];
  for (let word = from / 4; word < to / 4; word++) {
    if (!differs(word)) continue;
    const run = runs.at(-1);
    if (run && word - run[1] <= GAP + 1) run[1] = word;
    else runs.push([word, word]);
  }
  return runs.map(([first, last]) => runText((4 * first) % PAGE, now.subarray(4 * first, 4 * last + 4)));
}

const runText = (offset: number, bytes: Uint8Array) => `${offset}: ${bytes.join(' ')}`;

/** What a mechanism finds there. */
function foundRuns(differing: Differing, from: number, to: number): string[] {
  const found = differing.runs.slice(0, differing.find(from, to));
  const runs: string[] = [];
  for (let at = 0; at < found.length; ) {
    const head = found[at++]!;
    const bytes = new Uint8Array(found.buffer, 4 * at, Math.min(head & 0xffff, 4 * (found.length - at)));
    runs.push(runText(head >>> 16, bytes));
    at += (head & 0xffff) / 4;
  }
  return runs;
}

/** @throws where what a mechanism says is different in a part is not what is; returns how many runs there were */
function checkDiffering(
  { address, length, memory }: Part,
  differing: Differing,
  then: Uint8Array,
  now: Uint8Array,
  when: string,
): number {
  let runs = 0;
  for (let from = address; from < address + length; ) {
    const to = Math.min(address + length, (Math.floor(from / PAGE) + 1) * PAGE);
    const found = foundRuns(differing, from, to);
    const expected = runsOf(then, now, from, to);
    if (`${found}` !== `${expected}`)
      throw new Error(
        `${when}: ${from} to ${to} of memory ${memory}: [${found}], not [${expected}], is different`,
      );
    runs += found.length;
    from = to;
  }
  return runs;
}

/**
 * @returns the parts
 * @throws where a byte differs from `before` (zeros beyond its end) and is in no part, or not in what is said to differ
 */
export function checkWritten(guest: Guest, before: readonly Uint8Array[], when: string): Part[] {
  const parts = written(guest);
  views(guest).forEach((now, k) => {
    let then = before[k]!;
    if (then.length !== now.length) {
      then = new Uint8Array(now.length);
      then.set(before[k]!.subarray(0, now.length));
    }
    let from = 0;
    // Between the parts.
    for (const { memory, address, length } of [...parts, { memory: k, address: now.length, length: 0 }]) {
      if (memory !== k) continue;
      const at = firstDifference(then.subarray(from, address), now.subarray(from, address));
      if (at >= 0)
        throw new Error(`${when}: byte ${from + at} of memory ${k} was written, and no part has it`);
      from = address + length;
    }
    mechanismOf(guest).written((memory, address, length, differing) => {
      if (memory === k && differing)
        checked += checkDiffering({ memory, address, length }, differing, then, now, when);
    });
  });
  return parts;
}

/** @throws where memory is not as in `before` */
export function checkRestored(guest: Guest, before: readonly Uint8Array[], when: string): void {
  views(guest).forEach((now, k) => {
    if (now.length !== before[k]!.length) throw new Error(`${when}: memory ${k} has ${now.length} bytes`);
    const at = firstDifference(now, before[k]!);
    if (at >= 0) throw new Error(`${when}: byte ${at} of memory ${k} was not restored`);
  });
}
