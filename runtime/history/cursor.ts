/**
 * One page through time. Going forward applies differences; going back, or far, starts from the base of the chunk
 * that has the entry: the cost is that of one chunk at most, however many entries lie between.
 */
import type { Source } from './source.js';
import { PAGE_BYTES, VersionWalk } from './versions.js';

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

  constructor(
    private readonly source: Source,
    readonly space: number,
    readonly page: number,
  ) {}

  /** Makes the page what it was at an entry. */
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

  /** The entry at which the page's next version begins; Infinity where there is none. */
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
          new VersionWalk(packed.versions, source.content).seek(bytes, entry);
        }
      } else {
        VersionWalk.base(chunk.versions, bytes, source.content);
      }
    }
    this.walk = new VersionWalk(chunk.versions, source.content);
    this.chunkFirst = chunk.first;
    this.following = undefined;
    this.walk.seek(bytes, entry);
  }
}
