/**
 * Which parts of a memory or table have to be written: the runs of what is not zero, in ascending order.
 *
 * A segment costs bytes of its own, so that a short gap between two runs is cheaper written than left out; and engines
 * take 100,000 segments (JavaScript interface, "implementation-defined limits"), so that the gap that is worth a
 * segment of its own grows until the runs are few enough. They never are more than twice the limit, even on the way: a
 * memory of 4 GiB with a byte here and there needs no list of a hundred million runs.
 */
export class Runs {
  /** Beginning and end of each run, in turn. */
  private list: number[] = [];

  /**
   * @param gap runs that are nearer to each other than this become one; at least 1
   * @param limit most runs
   */
  constructor(
    private gap: number,
    private readonly limit: number,
  ) {}

  /** Adds [from, to), which lies behind all that was added. */
  add(from: number, to: number): void {
    const { list } = this;
    if (list.length && from - list[list.length - 1]! < this.gap) list[list.length - 1] = to;
    else list.push(from, to);
    if (list.length > 4 * this.limit) this.merge();
  }

  done(): [from: number, to: number][] {
    if (this.list.length > 2 * this.limit) this.merge();
    const runs: [number, number][] = [];
    for (let i = 0; i < this.list.length; i += 2) runs.push([this.list[i]!, this.list[i + 1]!]);
    return runs;
  }

  /** Widens the gap so far that the limit is kept: the narrowest gaps are closed. */
  private merge(): void {
    const { list, limit } = this;
    const count = list.length / 2;
    const gaps = new Float64Array(count - 1);
    for (let i = 0; i < gaps.length; i++) gaps[i] = list[2 * i + 2]! - list[2 * i + 1]!;
    this.gap = gaps.sort()[count - limit - 1]! + 1;
    let end = 2;
    for (let i = 2; i < list.length; i += 2) {
      if (list[i]! - list[end - 1]! < this.gap) list[end - 1] = list[i + 1]!;
      else {
        list[end++] = list[i]!;
        list[end++] = list[i + 1]!;
      }
    }
    list.length = end;
  }
}

/** Zeros between two runs of bytes that cost about as much as a segment does: flags, address, `end` and length. */
const BYTE_GAP = 10;

/** Runs of bytes that are not zero. */
export function byteRuns(bytes: Uint8Array, limit: number): [from: number, to: number][] {
  const runs = new Runs(BYTE_GAP, limit);
  const length = bytes.length - (bytes.length % 4);
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, length / 4);
  const count = words.length;
  for (let i = 0; i < count; ) {
    if (words[i] === 0) {
      i++;
      continue;
    }
    let from = 4 * i;
    do i++;
    while (i < count && words[i] !== 0);
    let to = 4 * i;
    while (bytes[from] === 0) from++;
    while (bytes[to - 1] === 0) to--;
    runs.add(from, to);
  }
  for (let i = length; i < bytes.length; i++) if (bytes[i] !== 0) runs.add(i, i + 1);
  return runs.done();
}

/** Runs of elements that are not null. Where the limit allows it, none of them has a null in it. */
export function elementRuns(elements: Uint32Array, limit: number): [from: number, to: number][] {
  const runs = new Runs(1, limit);
  for (let i = 0; i < elements.length; ) {
    if (elements[i] === 0) {
      i++;
      continue;
    }
    const from = i;
    do i++;
    while (i < elements.length && elements[i] !== 0);
    runs.add(from, i);
  }
  return runs.done();
}
