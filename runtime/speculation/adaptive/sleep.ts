/**
 * Who is visited at a checkpoint. Pages that will hardly be written sleep, and cost nothing until something wakes them:
 *
 *     the wheel      256 buckets, one a checkpoint: a page sleeps until its last gap would end again, or as long
 *                    as it has not been written, if that is longer; at most 255 epochs
 *     its kind       a page that some kind of request writes waits for the next request of that kind, too
 *     its leader     the page that is usually started before it
 *     its neighbours a page beside it was started
 *     a fault
 *
 * A page that was not written for 2^11 epochs leaves the wheel, and waits for the others.
 */
import { grown } from '../page-list.js';
import {
  ACTIVE,
  BUCKET,
  COASTING,
  FLAGS,
  GAPS,
  KINDS,
  LISTED,
  NEXT,
  NEXT_OF_KIND,
  PREVIOUS,
  type Slots,
  WAITS,
} from './slots.js';

const BUCKETS = 256;
const DORMANT = 2 ** 11;

export class Sleep {
  /** The slots to visit: the first `count`. */
  active = new Int32Array(64);
  count = 0;
  private readonly wheel = new Int32Array(BUCKETS);
  private readonly ofKind = new Int32Array(KINDS);

  constructor(private readonly slots: Slots) {}

  wake(s: number): void {
    const { data } = this.slots;
    const flags = data[s + FLAGS]!;
    if (flags & (ACTIVE | COASTING)) return;
    if (flags & LISTED) this.strike(s);
    data[s + FLAGS] = (flags & ~LISTED) | ACTIVE;
    if (this.count === this.active.length) this.active = grown(this.active, this.count + 1);
    this.active[this.count++] = s;
  }

  /** Wakes whose time has come. @param ended epoch that ends */
  turn(ended: number): void {
    const { data } = this.slots;
    let s = this.wheel[ended % BUCKETS]!;
    while (s > 0) {
      const after = data[s + NEXT]!;
      this.wake(s);
      s = after;
    }
  }

  /** Takes a slot out of its bucket. */
  private strike(s: number): void {
    const { data } = this.slots;
    const previous = data[s + PREVIOUS]!;
    const next = data[s + NEXT]!;
    if (previous > 0) data[previous + NEXT] = next;
    else this.wheel[data[s + BUCKET]!] = next;
    if (next > 0) data[next + PREVIOUS] = previous;
  }

  /** Wakes what waits for a kind. */
  request(kind: number): void {
    const { data } = this.slots;
    let s = this.ofKind[kind]!;
    this.ofKind[kind] = 0;
    while (s > 0) {
      const after = data[s + NEXT_OF_KIND + kind]!;
      data[s + WAITS]! &= ~(1 << kind);
      this.wake(s);
      s = after;
    }
  }

  /**
   * Puts a slot to sleep; the caller takes it out of `active`.
   *
   * @param epoch that begins @param since epochs from its last write to that one
   */
  sleep(s: number, epoch: number, since: number): void {
    const { data } = this.slots;
    data[s + FLAGS]! &= ~ACTIVE;
    if (since >= DORMANT) return;
    const gap = data[s + GAPS]! >> 16;
    const epochs = Math.min(BUCKETS - 1, gap > since ? gap - since - 1 : since);
    const bucket = (epoch + epochs) % BUCKETS;
    const first = this.wheel[bucket]!;
    data[s + BUCKET] = bucket;
    data[s + PREVIOUS] = 0;
    data[s + NEXT] = first;
    if (first > 0) data[first + PREVIOUS] = s;
    this.wheel[bucket] = s;
    data[s + FLAGS]! |= LISTED;
  }

  /** Lets a slot wait for a kind. */
  await(s: number, kind: number): void {
    const { data } = this.slots;
    if ((data[s + WAITS]! >> kind) & 1) return;
    data[s + WAITS]! |= 1 << kind;
    data[s + NEXT_OF_KIND + kind] = this.ofKind[kind]!;
    this.ofKind[kind] = s;
  }
}
