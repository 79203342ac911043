/**
 * GSpec, genetic speculation: what to copy ahead is bred. An individual is one bit for each known page; the population
 * takes turns, one individual an epoch, and each is charged what its choice cost. What costs least has children.
 *
 *     page          3  7  8  9        checkpoint  1  2  3  4  5 │ 6 ...
 *     individual 0  1  1  0  0        in force    0  1  2  3  4 │ 0 ...
 *     individual 1  1  0  0  1                  one generation  └ breed
 *     ...
 *     cost of an individual: 1 for each page that it copies, fault / copy for each known page that faulted
 *     while its bit was 0
 *
 * At a checkpoint, in this order:
 * 1. The individual in force is charged for the faults of the epoch that ends. A page that faults for the first time
 *    becomes known and is charged to nobody; each individual, in order, gets its bit with a chance of 1/8.
 * 2. The next one is in force. After the last one, the population is replaced by as many children, and the first is.
 *    Known pages that no child selects are forgotten; the others keep their order.
 * 3. Each of its bits, in order of the known pages, is flipped with a chance of 1/100. This stays in its genes.
 * 4. Bit 1: charged with a copy, and the page is copied ahead. Bit 0: the page is protected.
 *
 * A child has two parents. The first is the cheapest individual (or is drawn like the second). The second is drawn: the
 * cheaper of two uniform draws (tournament), or with a chance inverse to cost (roulette). Crossover is
 * single-point, a draw from 0 to the number of known pages; or uniform, one bit of a draw for each page.
 *
 * Costs are whole numbers of 1/256 of a copy, so that the same choices come out in any language. The authors charge 8
 * for a miss, which is what their machine measured; here it is what the costs given say, unless overridden.
 *
 * Not handled: what is known before an epoch (its kind), and pages that are written in a pattern over time. An individual
 * is charged for the epochs that fell to it, so the dear epochs of a period of P always blame the same one.
 *
 * @see Vogt et al., Speculative Memory Checkpointing, Middleware 2015
 */
import { between, checkCosts, checkOptions, flag, oneOf, SEED, whole } from './options.js';
import { grown, PageList } from './page-list.js';
import { chance, Random } from './random.js';
import type { Epoch, Policy, PolicyMaker } from './types.js';

export interface GSpecOptions {
  /** Individuals. Default 5, at most 20. */
  population: number;
  /** Chance that a bit is flipped when its individual comes into force. Default 1/100. */
  mutation: number;
  /** Chance that a bit of a page that was not known is 1. Default 1/8. */
  newPage: number;
  /** How parents are drawn. Default tournament. */
  parents: 'tournament' | 'roulette';
  /** How two parents' bits are joined. Default single-point. */
  crossover: 'single-point' | 'uniform';
  /** Whether the cheapest individual is one parent of every child. Default true. */
  bestIsParent: boolean;
  /** Copies that a missed page is charged with. Default: fault / copy of the machine. */
  missCost: number | undefined;
  /** Seed of all draws. Default 1. */
  seed: number;
}

/** Charge of a copy; see above. */
const COPY = 256;

class GSpec implements Policy {
  readonly name = 'gspec';
  private readonly random: Random;
  private readonly mutation: number;
  private readonly newPage: number;
  private readonly costs: Float64Array;
  private readonly list = new PageList();
  /** By page: bit i is the gene of individual i. */
  private genes = new Uint32Array(0);
  private current = -1;

  constructor(
    private readonly options: GSpecOptions,
    private readonly miss: number,
  ) {
    this.random = new Random(options.seed);
    this.mutation = chance(options.mutation);
    this.newPage = chance(options.newPage);
    this.costs = new Float64Array(options.population);
  }

  choose(epoch: Epoch, out: Uint32Array): number {
    this.list.fit(epoch.pages);
    if (this.genes.length < epoch.pages) this.genes = grown(this.genes, epoch.pages);
    this.charge(epoch);
    if (++this.current === this.options.population) {
      this.breed();
      this.current = 0;
    }
    return this.speculate(out);
  }

  private charge(epoch: Epoch): void {
    const { list, genes, current, costs, random, newPage } = this;
    const { population } = this.options;
    for (let i = 0; i < epoch.faultCount; i++) {
      const page = epoch.faults[i]!;
      if (page >= epoch.pages) continue;
      if (list.has(page)) {
        if (current >= 0 && ((genes[page]! >>> current) & 1) === 0) costs[current]! += this.miss;
        continue;
      }
      list.add(page);
      let bits = 0;
      for (let who = 0; who < population; who++) if (random.happens(newPage)) bits |= 1 << who;
      genes[page] = bits;
    }
  }

  private speculate(out: Uint32Array): number {
    const { list, genes, random, mutation } = this;
    const bit = 1 << this.current;
    let count = 0;
    for (let i = 0; i < list.length; i++) {
      const page = list.pages[i]!;
      if (random.happens(mutation)) genes[page]! ^= bit;
      if (genes[page]! & bit) out[count++] = page;
    }
    this.costs[this.current]! += count * COPY;
    return count;
  }

  private breed(): void {
    const { list, costs, random } = this;
    const { population, bestIsParent, crossover } = this.options;
    const best = costs.indexOf(costs.reduce((least, cost) => Math.min(least, cost)));
    const old = this.genes;
    const children = new Uint32Array(list.length);
    for (let child = 0; child < population; child++) {
      const first = bestIsParent ? best : this.draw(best);
      const second = this.draw(best);
      const point = crossover === 'single-point' ? random.below(list.length + 1) : 0;
      for (let i = 0; i < list.length; i++) {
        const fromFirst = crossover === 'single-point' ? i < point : random.next() >= 2 ** 31;
        const bit = (old[list.pages[i]!]! >>> (fromFirst ? first : second)) & 1;
        children[i]! |= bit << child;
      }
    }
    list.filter((page, i) => {
      old[page] = children[i]!;
      return children[i] !== 0;
    });
    costs.fill(0);
  }

  /** Draws a parent. */
  private draw(best: number): number {
    const { costs, random } = this;
    const { population, parents } = this.options;
    if (parents === 'tournament') {
      const one = random.below(population);
      const other = random.below(population);
      return costs[other]! < costs[one]! ? other : one;
    }
    // The cheapest weighs 2^16. Costs count from 1, so that a cost of 0 has an inverse.
    const least = (costs[best]! + 1) * 65536;
    const weight = (who: number) => Math.max(1, Math.floor(least / (costs[who]! + 1)));
    let sum = 0;
    for (let who = 0; who < population; who++) sum += weight(who);
    let left = random.below(sum);
    let who = 0;
    while (left >= weight(who)) left -= weight(who++);
    return who;
  }
}

/** Makes GSpec policies. @throws ERR_BELAY_OPTION where an option is unknown or malformed */
export function gspec(options?: Partial<GSpecOptions>): PolicyMaker {
  const checked = checkOptions<GSpecOptions>('gspec', options, {
    population: whole(5, 1, 20),
    mutation: between(1 / 100, 0, 1),
    newPage: between(1 / 8, 0, 1),
    parents: oneOf('tournament', 'roulette'),
    crossover: oneOf('single-point', 'uniform'),
    bestIsParent: flag(true),
    missCost: between(undefined, 0, 2 ** 20),
    seed: SEED,
  });
  return (costs) => {
    checkCosts(costs);
    const miss = checked.missCost === undefined ? (COPY * costs.fault) / costs.copy : COPY * checked.missCost;
    return new GSpec(checked, Math.floor(miss));
  };
}
