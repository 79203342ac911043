/**
 * One page through time. Going forward applies differences; going back, or far, starts from the base of the chunk
 * that has the entry: the cost is that of one chunk at most, however many entries lie between.
 *
 * Who wants a few bytes says which. Versions that leave them alone are then passed over:
 *
 *     page        | . . . . . . . . [ x x ] . . . . |      wanted: 2 words
 *     versions      17, 18, 25, 26, 31, 40                 of them: 18, 40
 */
import type { Source } from './source.js';
import { NARROW, PAGE_BYTES, type Versions, VersionWalk } from './versions.js';

export class PageCursor {
  readonly bytes = new Uint8Array(PAGE_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  /** For whoever looks at it (past.ts): when it was last asked for. */
  round = -1;
  /** What the page is of; -1 before the first seek. */
  private entry = -1;
  private walk: VersionWalk | undefined;
  private chunkFirst = -1;
  private following: number | undefined;
  /** The bytes that are wanted, multiples of 4; `bytes` is right there, and may not be elsewhere. */
  private low = 0;
  private high = 0;
  /** Versions, and what they say of the bytes that are wanted: bisection comes back to them. */
  private narrow: { of: Versions; wanted: Versions } | undefined;

  constructor(
    private readonly source: Source,
    readonly space: number,
    readonly page: number,
  ) {}

  /** The bytes [from, to) are wanted, too. */
  want(from: number, to: number): this {
    if (from >= this.low && to <= this.high) return this;
    const { low, high } = this;
    // Where some were wanted before, more than is asked for: whoever comes for the neighbour finds it.
    const more = high - low;
    const first = more > 0 ? Math.min(from, low) - more : from;
    const end = Math.max(to, high) + more;
    this.low = Math.max(0, first & -4);
    this.high = Math.min(PAGE_BYTES, (end + 3) & -4);
    if (this.high - this.low > NARROW) {
      this.low = 0;
      this.high = PAGE_BYTES;
    }
    this.entry = -1;
    this.narrow = undefined;
    return this;
  }

  /** Makes the page what it was at an entry, as far as it is wanted. */
  seek(entry: number): this {
    if (entry === this.entry) return this;
    if (entry < this.entry || this.entry < 0) this.load(entry);
    else {
      if (this.walk && this.walk.next <= entry) this.walk.seek(this.bytes, entry);
      if ((this.walk?.next ?? Infinity) === Infinity && this.firstAfter() <= entry) this.load(entry);
    }
    this.entry = entry;
    return this;
  }

  /** The entry at which what is wanted may be something else; Infinity where there is none. */
  get next(): number {
    const next = this.walk?.next ?? Infinity;
    return next === Infinity ? this.firstAfter() : next;
  }

  private firstAfter(): number {
    this.following ??= this.source.firstAfter(this.space, this.page, this.chunkFirst);
    return this.following;
  }

  /** Goes to an entry by the chunk that has it. */
  private load(entry: number): void {
    const { source, space, page, bytes } = this;
    const base = source.baseAfter(space, page, entry);
    if (base) {
      if (base.content) bytes.set(base.content);
      else bytes.fill(0);
      this.walk = undefined;
      this.chunkFirst = entry;
      this.following = entry + 1;
      return;
    }
    const chunk = source.chunkAt(space, page, entry);
    if (!chunk) {
      bytes.fill(0);
      this.walk = undefined;
      this.chunkFirst = -1;
      this.following = undefined;
      return;
    }
    const on =
      this.entry >= 0 &&
      entry >= this.entry &&
      this.following === chunk.first &&
      this.walk?.next === Infinity;
    if (!on) {
      // Not what the chunk before ended with: from the base.
      if (chunk.tail) {
        const packed = source.packedAt(space, page, entry);
        bytes.fill(0);
        if (packed) {
          VersionWalk.base(packed.versions, bytes, source.content);
          this.walkOf(packed.versions).seek(bytes, entry);
        }
      } else {
        VersionWalk.base(chunk.versions, bytes, source.content);
      }
    }
    this.walk = this.walkOf(chunk.versions);
    this.chunkFirst = chunk.first;
    this.following = undefined;
    this.walk.seek(bytes, entry);
  }

  private walkOf(versions: Versions): VersionWalk {
    const { low, high } = this;
    if (high - low > NARROW) return new VersionWalk(versions, this.source.content);
    if (this.narrow?.of !== versions) this.narrow = { of: versions, wanted: versions.narrowed(low, high) };
    return new VersionWalk(this.narrow.wanted, this.source.content);
  }
}
