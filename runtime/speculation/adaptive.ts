import { counter, STRETCH, squash, trained } from './logistic.js';
import { checkCosts, checkOptions, SEED, whole } from './options.js';
import { grown } from './page-list.js';
import type { Costs, Epoch, Policy, PolicyMaker } from './types.js';

export interface AdaptiveOptions {
  /** Trainings that a page's own frequency remembers. */
  memory: number;
  /** Most epochs between looks at a chosen page, as a power of two. */
  maxGap: number;
  rate: number;
  quiet: number;
  seed: number;
}

const INPUTS = 7;
const LOCAL = 33; // slow, 16 by history, 16 by kind
const H = 0;
const I = 256;
const N = I + 1024;
const G = N + 512;
const TABLE = G + 256;

const CHOSEN = 1;
const DUE = 2;
const ACTIVE = 4;
const LISTED = 8; // in a bucket
const BORN = 16; // was written at least once

const log2 = (n: number) => 31 - Math.clz32(n);

class Adaptive implements Policy {
  readonly name = 'adaptive';
  private slotOf = new Int32Array(0);
  private size = 0;
  // by slot
  private page = new Uint32Array(64);
  private flags = new Uint8Array(64);
  private hist = new Uint16Array(64);
  private last = new Int32Array(64);
  private visited = new Int32Array(64);
  private gap1 = new Uint16Array(64);
  private gap2 = new Uint16Array(64);
  private check = new Uint8Array(64);
  private left = new Uint8Array(64);
  private faultAt = new Int32Array(64);
  private fresh = new Uint8Array(64);
  private prob = new Uint16Array(64);
  private local = new Uint32Array(64 * LOCAL);
  private ctx = new Int32Array(64 * INPUTS);
  private input = new Int16Array(64 * INPUTS);
  private next = new Int32Array(64);
  private slots = 0;
  private free = -1;
  private active = new Int32Array(64);
  private activeCount = 0;
  private woken = new Int32Array(64);
  private wokenCount = 0;
  private readonly buckets = new Int32Array(64).fill(-1);
  private readonly table = new Uint32Array(TABLE);
  private readonly weights = new Int32Array(8 * INPUTS);
  private t = 0;
  private faultsMean = 0;
  private readonly threshold: Int32Array;
  private readonly protectBelow: number;
  private readonly sleepBelow: number;

  constructor(
    private readonly o: AdaptiveOptions,
    costs: Costs,
  ) {
    const p = (cost: number) => Math.min(4096, Math.floor((4096 * cost) / costs.fault));
    this.threshold = Int32Array.from({ length: 8 }, (_, g) => p(costs.copy + costs.compare / 2 ** g));
    this.protectBelow = p(costs.copy + costs.compare);
    this.sleepBelow = p(costs.copy / 4);
    this.table.fill(counter(32768, 0));
    for (let h = 0; h < 256; h++) {
      let x = 0;
      for (let b = 0; b < 8; b++) if (h & (1 << b)) x += 128 >> b;
      this.table[H + h] = counter(3277 + x * 200, 3);
    }
    this.weights.fill(Math.floor(65536 * 0.3));
  }

  private fit(pages: number): void {
    if (pages < this.size) {
      for (let q = pages; q < this.size; q++) {
        // handled lazily at visits
      }
    }
    if (this.slotOf.length < pages) {
      const old = this.slotOf.length;
      this.slotOf = grown(this.slotOf, pages);
      this.slotOf.fill(-1, old);
    }
    this.size = pages;
  }

  private slotFor(page: number): number {
    let s = this.slotOf[page]!;
    if (s >= 0) return s;
    if (this.free >= 0) {
      s = this.free;
      this.free = this.next[s]!;
    } else {
      s = this.slots++;
      if (s >= this.page.length) {
        const n = s + 1;
        this.page = grown(this.page, n);
        this.flags = grown(this.flags, n);
        this.hist = grown(this.hist, n);
        this.last = grown(this.last, n);
        this.visited = grown(this.visited, n);
        this.gap1 = grown(this.gap1, n);
        this.gap2 = grown(this.gap2, n);
        this.check = grown(this.check, n);
        this.left = grown(this.left, n);
        this.faultAt = grown(this.faultAt, n);
        this.fresh = grown(this.fresh, n);
        this.prob = grown(this.prob, n);
        this.local = grown(this.local, n * LOCAL);
        this.ctx = grown(this.ctx, n * INPUTS);
        this.input = grown(this.input, n * INPUTS);
        this.next = grown(this.next, n);
      }
    }
    this.slotOf[page] = s;
    this.page[s] = page;
    this.flags[s] = 0;
    this.hist[s] = 0;
    this.last[s] = -1;
    this.visited[s] = -1; // no prediction to train
    this.gap1[s] = this.gap2[s] = 0;
    this.check[s] = 0;
    this.left[s] = 1;
    this.faultAt[s] = -1;
    this.fresh[s] = 0;
    this.local.fill(counter(32768, 0), s * LOCAL, (s + 1) * LOCAL);
    return s;
  }

  private wake(s: number): void {
    if (this.flags[s]! & ACTIVE) return;
    this.flags[s]! |= ACTIVE;
    if (this.activeCount === this.active.length) this.active = grown(this.active, this.activeCount + 1);
    this.active[this.activeCount++] = s;
  }

  choose(epoch: Epoch, out: Uint32Array): number {
    this.fit(epoch.pages);
    const t = this.t;
    // wake sleepers that are due
    const b = t & 63;
    for (let s = this.buckets[b]!, n = 0; s >= 0; s = n) {
      n = this.next[s]!;
      this.flags[s]! &= ~LISTED;
      this.wake(s);
    }
    this.buckets[b] = -1;
    let surprises = 0;
    for (let i = 0; i < epoch.faultCount; i++) {
      const page = epoch.faults[i]!;
      if (page >= epoch.pages) continue;
      const s = this.slotFor(page);
      this.faultAt[s] = t;
      this.wake(s);
      surprises++;
    }
    this.faultsMean += ((surprises << 8) - this.faultsMean) >> 4;
    this.wokenCount = 0;
    this.learn(epoch);
    // neighbours of pages that were written freshly
    for (let i = 0; i < this.wokenCount; i++) {
      const page = this.page[this.woken[i]!]!;
      if (page + 1 < epoch.pages) this.wake(this.slotFor(page + 1));
      if (page > 0) this.wake(this.slotFor(page - 1));
    }
    this.t = t + 1;
    return this.predict(epoch.kind & 15, Math.min(7, surprises === 0 ? 0 : 1 + log2(surprises)), out);
  }

  private learn(epoch: Epoch): void {
    const t = this.t;
    for (let i = 0; i < this.activeCount; i++) {
      const s = this.active[i]!;
      const f = this.flags[s]!;
      let seen = true;
      let y = 0;
      if (f & CHOSEN) {
        if (f & DUE) {
          y = epoch.changed(this.page[s]!) ? 1 : 0;
        } else {
          seen = false;
          y = this.prob[s]! >= 2048 ? 1 : 0;
        }
      } else if (this.faultAt[s] === t) y = 1;
      const visited = this.visited[s]!;
      if (visited >= 0) {
        const slept = t - visited;
        if (seen) {
          if (slept === 1) this.train(s, y);
          else this.local[s * LOCAL] = trained(this.local[s * LOCAL]!, y, this.o.memory);
          if (f & (CHOSEN | DUE)) {
            let g = this.check[s]!;
            if (y) g = Math.min(this.o.maxGap, g + 1);
            else if (this.prob[s]! >= 2048) g = Math.max(0, g - 2);
            this.check[s] = g;
            this.left[s] = 1 << g;
          }
        }
        this.hist[s] = slept > 15 ? y : (this.hist[s]! << slept) | y;
      } else this.hist[s] = y;
      this.fresh[s] = 0;
      if (y) {
        const since = t - this.last[s]!;
        if (f & BORN) {
          this.gap2[s] = this.gap1[s]!;
          this.gap1[s] = Math.min(since, 65535);
        } else {
          this.local[s * LOCAL] = counter(32768, 0);
        }
        if (!(f & BORN) || since >= 4) {
          this.fresh[s] = 1;
          if (this.wokenCount === this.woken.length) this.woken = grown(this.woken, this.wokenCount + 1);
          this.woken[this.wokenCount++] = s;
        }
        this.last[s] = t;
        this.flags[s]! |= BORN;
      }
      this.flags[s]! &= ~(CHOSEN | DUE);
    }
  }

  private train(s: number, y: number): void {
    const { ctx, input, local, table, weights } = this;
    const at = s * INPUTS;
    const set = this.setOf(s);
    const err = ((y << 12) - this.prob[s]!) * this.o.rate;
    for (let i = 0; i < INPUTS; i++) {
      weights[set + i]! += (input[at + i]! * err + 0x2000) >> 14;
    }
    local[ctx[at]!] = trained(local[ctx[at]!]!, y, this.o.memory);
    local[ctx[at + 1]!] = trained(local[ctx[at + 1]!]!, y, 30);
    local[ctx[at + 2]!] = trained(local[ctx[at + 2]!]!, y, 30);
    for (let i = 3; i < INPUTS; i++) table[ctx[at + i]!] = trained(table[ctx[at + i]!]!, y, 400);
  }

  private setOf(s: number): number {
    const h = this.hist[s]!;
    return INPUTS * ((h & 3) + (this.flags[s]! & BORN && (this.local[s * LOCAL]! & 0xffff) > 8 ? 4 : 0));
  }

  private near(page: number): number {
    if (page >= this.size || page < 0) return 0;
    const s = this.slotOf[page]!;
    if (s < 0 || this.last[s] !== this.t - 1) return 0;
    return this.fresh[s] ? 2 : 1;
  }

  private predict(kind: number, burst: number, out: Uint32Array): number {
    const { ctx, input, local, table, weights, t } = this;
    let count = 0;
    let to = 0;
    for (let i = 0; i < this.activeCount; i++) {
      const s = this.active[i]!;
      const page = this.page[s]!;
      const f = this.flags[s]!;
      const at = s * INPUTS;
      if (page >= this.size) {
        this.release(s);
        continue;
      }
      const since = f & BORN ? t - this.last[s]! : 255;
      if (!(f & BORN)) {
        if (this.visited[s]! < 0) this.last[s] = t;
        else if (t - this.last[s]! > 4) {
          this.release(s);
          continue;
        }
      }
      const n = Math.min(7, log2(since) + (since > 2 ? 1 : 0));
      const g1 = this.gap1[s]!;
      const g2 = this.gap2[s]!;
      const L = s * LOCAL;
      ctx[at] = L;
      ctx[at + 1] = L + 1 + (this.hist[s]! & 15);
      ctx[at + 2] = L + 17 + kind;
      ctx[at + 3] = H + (this.hist[s]! & 255);
      ctx[at + 4] =
        I +
        n * 128 +
        Math.min(7, g1 < 3 ? g1 : 1 + log2(g1)) * 16 +
        (since === g1 ? 8 : 0) +
        (since === g2 ? 4 : 0) +
        (g1 === g2 ? 2 : 0) +
        (since > g1 ? 1 : 0);
      ctx[at + 5] =
        N +
        (this.near(page - 1) * 3 + this.near(page + 1)) * 32 +
        n * 4 +
        (f & BORN ? 1 : 0) +
        (this.fresh[s]! << 1);
      const slow = local[L]!;
      ctx[at + 6] = G + burst * 32 + ((STRETCH[slow >>> 20]! + 2047) >> 8) * 2 + (this.hist[s]! & 1);
      let dot = 0;
      const set = this.setOf(s);
      for (let k = 0; k < INPUTS; k++) {
        const v = k < 3 ? local[ctx[at + k]!]! : table[ctx[at + k]!]!;
        const c = v & 0xffff;
        const x = STRETCH[v >>> 20]!;
        const st = c > 15 ? x : (x * c) >> 4;
        input[at + k] = st;
        dot += (st * weights[set + k]!) >> 8;
      }
      const p = squash(dot >> 8);
      this.prob[s] = p;
      this.visited[s] = t - 1 + 0;
      const g = this.check[s]!;
      if (p > this.threshold[g]!) {
        let chosen = CHOSEN;
        if (--this.left[s]! === 0) chosen = p < this.protectBelow ? DUE : CHOSEN | DUE;
        this.flags[s]! |= chosen;
        if (chosen & CHOSEN) out[count++] = page;
      } else if (p < this.sleepBelow && since > this.o.quiet && !(f & LISTED) && f & BORN) {
        // sleep
        if (since < 2000) {
          let d = Math.min(63, Math.max(1, since >> 2));
          if (g1 > since) d = Math.max(1, Math.min(d, g1 - since));
          const bucket = (t + d) & 63;
          this.next[s] = this.buckets[bucket]!;
          this.buckets[bucket] = s;
          this.flags[s]! |= LISTED;
        }
        this.flags[s]! &= ~ACTIVE;
        continue;
      }
      this.active[to++] = s;
    }
    this.activeCount = to;
    return count;
  }

  /** The page of a slot is forgotten. */
  private release(s: number): void {
    this.slotOf[this.page[s]!] = -1;
    this.flags[s]! &= ~ACTIVE;
    if (this.flags[s]! & LISTED) return;
    this.next[s] = this.free;
    this.free = s;
  }
}

export function adaptive(options?: Partial<AdaptiveOptions>): PolicyMaker {
  const o = checkOptions<AdaptiveOptions>('adaptive', options, {
    memory: whole(250, 1, 1000),
    maxGap: whole(5, 0, 7),
    rate: whole(6, 0, 64),
    quiet: whole(8, 1, 1000),
    seed: SEED,
  });
  return (costs) => {
    checkCosts(costs);
    return new Adaptive(o, costs);
  };
}
