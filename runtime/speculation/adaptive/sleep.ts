/**
 * Who is visited at a checkpoint. Pages that will hardly be written sleep, and cost nothing until something wakes them:
 *
 *     the wheel      64 buckets, one a checkpoint: a page sleeps for a quarter of the time since its last write, at
 *                    most 63 epochs, and not past the epoch in which its last gap would end
 *     its kind       a page that some kind of request writes waits for the next request of that kind, too
 *     its leader     the page that is usually started before it
 *     its neighbours a page beside it was started
 *     a fault
 *
 * A page that was not written for 2^11 epochs leaves the wheel, and waits for the others.
 *
 * A slot that wakes early stays in its bucket, where it is found awake and struck out. Until then it may not go
 * to sleep again, so that no slot is in two buckets: LISTED says so.
 */
import { grown } from '../page-list.js';
import { ACTIVE, COASTING, FLAGS, GAP, KINDS, LISTED, NEXT, NEXT_OF_KIND, type Slots, WAITS } from './slots.js';

const BUCKETS = 64;
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
    if (data[s + FLAGS]! & (ACTIVE | COASTING)) return;
    data[s + FLAGS]! |= ACTIVE;
    if (this.count === this.active.length) this.active = grown(this.active, this.count + 1);
    this.active[this.count++] = s;
  }

  /** Wakes whose time has come. @param ended epoch that ends */
  turn(ended: number): void {
    const { data } = this.slots;
    const bucket = ended % BUCKETS;
    let s = this.wheel[bucket]!;
    this.wheel[bucket] = 0;
    while (s > 0) {
      const after = data[s + NEXT]!;
      data[s + FLAGS]! &= ~LISTED;
      this.wake(s);
      s = after;
    }
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
   * Puts a slot to sleep; the caller takes it out of `active`. It must not be LISTED.
   *
   * @param epoch that begins @param since epochs from its last write to that one
   */
  sleep(s: number, epoch: number, since: number): void {
    const { data } = this.slots;
    data[s + FLAGS]! &= ~ACTIVE;
    if (since >= DORMANT) return;
    let epochs = Math.min(BUCKETS - 1, since >> 2);
    if (data[s + GAP]! > since) epochs = Math.min(epochs, data[s + GAP]! - since - 1);
    const bucket = (epoch + epochs) % BUCKETS;
    data[s + NEXT] = this.wheel[bucket]!;
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
