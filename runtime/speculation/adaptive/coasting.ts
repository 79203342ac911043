/**
 * Pages that are chosen without being visited until their next look: a list of pages, slots, and the epochs that their
 * looks are for. An epoch costs a comparison and a copy of a number for each.
 */
import { grown } from '../page-list.js';
import { HALF } from './logistic.js';
import type { Sleep } from './sleep.js';
import {
  ACTIVE,
  CHOSEN,
  COASTING,
  DUE,
  FLAGS,
  HISTORY,
  LAST,
  PAGE,
  PROBABILITY,
  type Slots,
  VISITED,
} from './slots.js';

export class Coasting {
  private pages = new Uint32Array(64);
  private slot = new Int32Array(64);
  private until = new Int32Array(64);
  private count = 0;

  constructor(
    private readonly slots: Slots,
    private readonly sleep: Sleep,
  ) {}

  /** @param until the epoch whose outcome is looked at */
  add(s: number, until: number): void {
    const { data } = this.slots;
    data[s + FLAGS] = (data[s + FLAGS]! & ~(CHOSEN | ACTIVE)) | COASTING;
    if (this.count === this.pages.length) {
      this.pages = grown(this.pages, this.count + 1);
      this.slot = grown(this.slot, this.count + 1);
      this.until = grown(this.until, this.count + 1);
    }
    this.pages[this.count] = data[s + PAGE]!;
    this.slot[this.count] = s;
    this.until[this.count++] = until;
  }

  /** Wakes those whose look is due; those go on that are left. @param lost whether memory became smaller */
  end(ended: number, lost: boolean): void {
    const { pages, slot, until, count } = this;
    const { size } = this.slots;
    let keep = 0;
    for (let i = 0; i < count; i++) {
      if (until[i]! > ended && !(lost && pages[i]! >= size)) {
        if (keep < i) {
          pages[keep] = pages[i]!;
          slot[keep] = slot[i]!;
          until[keep] = until[i]!;
        }
        keep++;
      } else this.wake(slot[i]!, ended);
    }
    this.count = keep;
  }

  /** Chooses all of them. */
  choose(out: Uint32Array): number {
    const { pages, count } = this;
    for (let i = 0; i < count; i++) out[i] = pages[i]!;
    return count;
  }

  private wake(s: number, ended: number): void {
    const { data } = this.slots;
    data[s + FLAGS]! &= ~COASTING;
    this.sleep.wake(s);
    data[s + FLAGS]! |= CHOSEN | DUE;
    // What was not looked at counts as what was predicted.
    const epochs = Math.min(15, ended - data[s + VISITED]!);
    const likely = data[s + PROBABILITY]! >= HALF;
    data[s + HISTORY] = (data[s + HISTORY]! << epochs) | (likely ? (1 << epochs) - 1 : 0);
    if (likely) data[s + LAST] = ended - 1;
    data[s + VISITED] = ended;
  }
}
