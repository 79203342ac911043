/**
 * Active-RND: a list of hot pages of a size that is measured, in which pages are replaced at random.
 *
 *     checkpoint     1 ... 49   50   51 ... 99   100
 *     copied ahead   list       -    list        -
 *                               └ sampling epoch: all pages are protected, so the faults count the
 *                                 working set; the median of the last samples, and an eighth, is the
 *                                 size that the list should have
 *
 *     list [ 4 8 2 ] of size 3, page 6 faults:   [ 4 8 2 6 ]  →  one of the four, drawn at random, leaves
 *
 * Every page that faults enters the list. Only entering evicts: a list whose size was lowered shrinks with the
 * next page that comes. Random eviction was reported to do better than LRU, CLOCK and FIFO.
 *
 * Not handled: pages that are written in some epochs only, and what copying costs. The size follows the median
 * of the working set whether a fault costs 8 copies or 80.
 *
 * @see Vogt et al., Speculative Memory Checkpointing, Middleware 2015
 */
import { between, checkCosts, checkOptions, oneOf, SEED, whole } from './options.js';
import { PageList } from './page-list.js';
import { Random } from './random.js';
import type { Epoch, Policy, PolicyMaker } from './types.js';

export interface ActiveRndOptions {
  /** Checkpoints from one sampling epoch to the next. 1 samples always, and so copies nothing. Default 50. */
  interval: number;
  /** Samples whose median counts: the last so many. Default 10. */
  samples: number;
  /** Size of the list, as a multiple of the median; kept in 1/1024. Default 1.125. */
  factor: number;
  /** Size of the list before the first sample, in pages. Default 10. */
  initialSize: number;
  /** Which faults of a sampling epoch are a sample: of all pages, or only of pages in the list. Default all. */
  count: 'all' | 'listed';
  /** Seed of the evictions. Default 1. */
  seed: number;
}

class ActiveRnd implements Policy {
  readonly name = 'active-rnd';
  private readonly list = new PageList();
  private readonly random: Random;
  private readonly samples: number[] = [];
  private readonly factor: number;
  private size: number;
  private checkpoints = 0;
  private sampling = false;

  constructor(private readonly options: ActiveRndOptions) {
    this.random = new Random(options.seed);
    this.factor = Math.round(options.factor * 1024);
    this.size = options.initialSize;
  }

  choose(epoch: Epoch, out: Uint32Array): number {
    const { list } = this;
    list.fit(epoch.pages);
    if (this.sampling) this.sample(epoch);
    for (let i = 0; i < epoch.faultCount; i++) {
      const page = epoch.faults[i]!;
      if (page < epoch.pages && !list.has(page)) this.enter(page);
    }
    this.sampling = ++this.checkpoints % this.options.interval === 0;
    return this.sampling ? 0 : list.copyTo(out);
  }

  private enter(page: number): void {
    this.list.add(page);
    while (this.list.length > this.size) this.list.removeAt(this.random.below(this.list.length));
  }

  /** Takes the faults of a sampling epoch as a sample, and sets the size of the list. */
  private sample(epoch: Epoch): void {
    let faults = epoch.faultCount;
    if (this.options.count === 'listed') {
      faults = 0;
      for (let i = 0; i < epoch.faultCount; i++) if (this.list.has(epoch.faults[i]!)) faults++;
    }
    this.samples.push(faults);
    if (this.samples.length > this.options.samples) this.samples.shift();
    const sorted = [...this.samples].sort((a, b) => a - b);
    // Both middle samples, the same one twice where their number is odd: the sum is twice the median.
    const twice = sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!;
    this.size = Math.max(1, Math.floor((twice * this.factor) / 2048));
  }
}

/** Makes Active-RND policies. @throws ERR_BELAY_OPTION where an option is unknown or malformed */
export function activeRnd(options?: Partial<ActiveRndOptions>): PolicyMaker {
  const checked = checkOptions<ActiveRndOptions>('active-rnd', options, {
    interval: whole(50, 1, 2 ** 20),
    samples: whole(10, 1, 1000),
    factor: between(1.125, 0.001, 1000),
    initialSize: whole(10, 1, 2 ** 20),
    count: oneOf('all', 'listed'),
    seed: SEED,
  });
  return (costs) => {
    checkCosts(costs);
    return new ActiveRnd(checked);
  };
}
