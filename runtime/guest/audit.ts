import { BelayError } from '../../contract/errors.js';

/** An address range of guest memory: [from, to) in bytes. */
export interface WrittenRange {
  memory: number;
  from: number;
  to: number;
}

/** ERR_BELAY_UNTRACKED_WRITE: lists what the host wrote without saying so. All of it has been undone. */
export class UntrackedWriteError extends BelayError {
  constructor(readonly ranges: WrittenRange[]) {
    const list = ranges
      .slice(0, 8)
      .map((r) => `${r.memory ? `memory ${r.memory}, ` : ''}0x${r.from.toString(16)}..0x${r.to.toString(16)}`)
      .join('; ');
    super(
      'ERR_BELAY_UNTRACKED_WRITE',
      `the host wrote into guest memory without announcing it: ${list}${ranges.length > 8 ? `; and ${ranges.length - 8} more` : ''}. Use guest.write, guest.fill, or guest.touch before the write`,
    );
  }
}

/** A full copy of every memory, to compare with after each rollback. */
export class Audit {
  private copies: Uint8Array[] = [];

  /** @param views each memory's bytes, as far as the guest sees them */
  constructor(private readonly views: () => Uint8Array[]) {}

  checkpoint(): void {
    this.copies = this.views().map((view) => view.slice());
  }

  /** Compares, mends, and @throws UntrackedWriteError where something differed. */
  rollback(): void {
    const ranges: WrittenRange[] = [];
    this.views().forEach((view, memory) => {
      const copy = this.copies[memory]!;
      const length = Math.min(view.length, copy.length);
      for (let i = 0; i < length; i++) {
        if (view[i] === copy[i]) continue;
        const from = i;
        while (i < length && view[i] !== copy[i]) i++;
        ranges.push({ memory, from, to: i });
      }
      view.set(copy.subarray(0, length));
    });
    if (ranges.length) throw new UntrackedWriteError(ranges);
  }
}
