/**
 * Pages that are chosen without being visited until their next look, or a kind of request that hardly ever writes them: a list of pages, slots, and the epochs that their
 * looks are for. An epoch costs a comparison and a copy of a number for each.
 */
import { grown } from '../page-list.js';
import { HALF } from './logistic.js';
import type { Sleep } from './sleep.js';
import {
  ACTIVE,
  AGAINST,
  CHOSEN,
  COASTING,
  DUE,
  FLAGS,
  HISTORY,
  LAST,
  LEFT,
  OPEN,
  PAGE,
  PROBABILITY,
  type Slots,
  VISITED,
} from './slots.js';

export class Coasting {
  private pages = new Uint32Array(64);
  private slot = new Int32Array(64);
  private until = new Int32Array(64);
  /** Kinds that are against the page, a bit each. */
  private against = new Int32Array(64);
  private count = 0;

  constructor(
    private readonly slots: Slots,
    private readonly sleep: Sleep,
  ) {}

  /** @param until the epoch whose outcome is looked at */
  add(s: number, until: number): void {
    const { data } = this.slots;
    const { count } = this;
    data[s + FLAGS] = (data[s + FLAGS]! & ~(CHOSEN | ACTIVE)) | COASTING | OPEN;
    if (count === this.pages.length) {
      this.pages = grown(this.pages, count + 1);
      this.slot = grown(this.slot, count + 1);
      this.until = grown(this.until, count + 1);
      this.against = grown(this.against, count + 1);
    }
    this.pages[count] = data[s + PAGE]!;
    this.slot[count] = s;
    this.until[count] = until;
    this.against[count] = data[s + AGAINST]!;
    this.count = count + 1;
  }

  /** Wakes those whose look is due; the others go on. @param lost whether memory became smaller */
  end(ended: number, lost: boolean): void {
    const { pages, slot, until, count } = this;
    const { size } = this.slots;
    let keep = 0;
    for (let i = 0; i < count; i++) {
      if (until[i]! > ended && !(lost && pages[i]! >= size)) this.move(i, keep++);
      else {
        const s = slot[i]!;
        this.wake(s, ended);
        this.slots.data[s + FLAGS]! |= CHOSEN | DUE;
        this.slots.data[s + VISITED] = ended;
      }
    }
    this.count = keep;
  }

  /** Wakes those that the kind of the epoch that begins is against. */
  request(kind: number, epoch: number): void {
    const { slot, against, count } = this;
    const { data } = this.slots;
    const bit = 1 << kind;
    let keep = 0;
    for (let i = 0; i < count; i++) {
      if ((against[i]! & bit) === 0) this.move(i, keep++);
      else {
        const s = slot[i]!;
        data[s + LEFT] = Math.max(1, data[s + LEFT]! - (epoch - data[s + VISITED]! - 1));
        this.wake(s, epoch);
      }
    }
    this.count = keep;
  }

  /** Chooses all of them. */
  choose(out: Uint32Array): number {
    const { pages, count } = this;
    for (let i = 0; i < count; i++) out[i] = pages[i]!;
    return count;
  }

  private move(from: number, to: number): void {
    if (from === to) return;
    this.pages[to] = this.pages[from]!;
    this.slot[to] = this.slot[from]!;
    this.until[to] = this.until[from]!;
    this.against[to] = this.against[from]!;
  }

  /** What was not looked at counts as what was predicted. @param epoch the first one that is not assumed */
  private wake(s: number, epoch: number): void {
    const { data } = this.slots;
    data[s + FLAGS]! &= ~COASTING;
    this.sleep.wake(s);
    const epochs = Math.min(15, epoch - data[s + VISITED]!);
    const likely = data[s + PROBABILITY]! >= HALF;
    data[s + HISTORY] = (data[s + HISTORY]! << epochs) | (likely ? (1 << epochs) - 1 : 0);
    if (likely) data[s + LAST] = epoch - 1;
  }
}
