/** GSpec: its bookkeeping step by step, with chances of 0 and 1 where chance would hide it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type GSpecOptions, gspec } from '../../../runtime/speculation/gspec.js';
import { Random } from '../../../runtime/speculation/random.js';
import { replay } from '../../../runtime/speculation/replay.js';
import type { PolicyMaker } from '../../../runtime/speculation/types.js';
import { COSTS, Driver, hotTrace, phaseTrace, randomTrace } from './support.js';

const driver = (options: Partial<GSpecOptions>) => new Driver(gspec(options)(COSTS));

test('with bits of 1 and no mutation, what faulted is copied for ever', () => {
  const policy = driver({ newPage: 1, mutation: 0 });
  policy.at();
  for (let n = 0; n < 20; n++) assert.equal(policy.at(n === 0 ? [4, 2] : []), [4, 2]);
  assert.equal(policy.asked, []);
});

test('with bits of 0 and no mutation, nothing ever is', () => {
  const policy = driver({ newPage: 0, mutation: 0 });
  for (let n = 0; n < 20; n++) assert.equal(policy.at([4, 2]), []);
});

test('a mutation of 1 flips every bit when its individual comes into force, and stays', () => {
  const policy = driver({ newPage: 0, mutation: 1, population: 2 });
  assert.equal(policy.at(), []); // individual 0 knows no page
  assert.equal(policy.at([6]), [6]); // individual 1: 0 → 1
  // Costs: 0 has none, for page 6 was not known when it faulted; 1 has one copy. Children of 0 have no bit
  // for page 6 unless the other parent gives it.
  const next = policy.at();
  assert.ok(next.length <= 1);
});

test('the individual that misses is charged, and what is dear dies out', () => {
  const copied = (missCost: number) => {
    const pages = [1, 2, 3, 4, 5, 6, 7, 8];
    const policy = driver({ missCost, seed: 3 });
    policy.at(pages);
    let copies: number[] = [];
    let sum = 0;
    for (let n = 0; n < 500; n++) {
      copies = policy.at(pages.filter((page) => !copies.includes(page)));
      sum += copies.length;
    }
    return sum / 500;
  };
  assert.ok(copied(8) > 7, `${copied(8)} of 8`);
  // A page that is forgotten faults, and is known again: it does not vanish.
  assert.ok(copied(0) < 5, `${copied(0)} of 8`);
});

test('pages that no individual selects are forgotten when a generation ends', () => {
  const policy = driver({ population: 2, mutation: 0, newPage: 0 });
  policy.at([5]);
  policy.at();
  policy.at(); // bred: page 5 is selected by nobody
  const again = driver({ population: 2, mutation: 0, newPage: 1 });
  again.at([5]);
  again.at();
  assert.equal(again.at(), [5]);
  assert.equal(policy.at([5]), []);
});

test('a miss is charged fault / copy, unless the options say otherwise', () => {
  const traces = [phaseTrace(1, 600), hotTrace(3), randomTrace(5)];
  const run = (fault: number, options: Partial<GSpecOptions>) =>
    traces.map((trace) => replay(trace, gspec(options), { ...COSTS, fault }).hash);
  assert.not.equal(run(2, {}), run(80, {}));
  assert.equal(run(2, {}), run(80, { missCost: 2 }));
  assert.equal(run(80, {}), run(2, { missCost: 80 }));
});

/** GSpec written for clarity: each individual a set of pages, each draw where the essay says. */
const plainly =
  (o: GSpecOptions): PolicyMaker =>
  () => {
    const random = new Random(o.seed);
    const { population: size } = o;
    let known: number[] = [];
    let genes = Array.from({ length: size }, () => new Set<number>());
    let costs = new Array<number>(size).fill(0);
    let current = -1;
    const parent = (best: number) => {
      if (o.parents === 'tournament') {
        const [a, b] = [random.below(size), random.below(size)];
        return costs[b]! < costs[a]! ? b : a;
      }
      const weights = costs.map((cost) => Math.max(1, Math.floor(((costs[best]! + 1) * 65536) / (cost + 1))));
      let point = random.below(weights.reduce((a, b) => a + b));
      return weights.findIndex((weight) => {
        point -= weight;
        return point < 0;
      });
    };
    const child = (best: number) => {
      const one = o.bestIsParent ? best : parent(best);
      const other = parent(best);
      const point = o.crossover === 'single-point' ? random.below(known.length + 1) : -1;
      const from = (i: number) => (point >= 0 ? i < point : random.next() >= 0x80000000);
      return new Set(known.filter((page, i) => genes[from(i) ? one : other]!.has(page)));
    };
    return {
      name: 'plainly',
      choose(epoch, out) {
        known = known.filter((page) => page < epoch.pages);
        for (const page of epoch.faults.subarray(0, epoch.faultCount)) {
          if (page >= epoch.pages) continue;
          if (known.includes(page)) {
            if (current >= 0 && !genes[current]!.has(page)) costs[current]! += Math.floor(256 * o.missCost!);
          } else {
            known.push(page);
            for (const bits of genes) {
              bits.delete(page);
              if (random.next() < Math.floor(o.newPage * 2 ** 32)) bits.add(page);
            }
          }
        }
        current++;
        if (current === size) {
          const best = costs.indexOf(Math.min(...costs));
          genes = genes.map(() => child(best));
          known = known.filter((page) => genes.some((bits) => bits.has(page)));
          costs = costs.map(() => 0);
          current = 0;
        }
        const mine = genes[current]!;
        for (const page of known) {
          if (random.next() >= Math.floor(o.mutation * 2 ** 32)) continue;
          if (!mine.delete(page)) mine.add(page);
        }
        const chosen = known.filter((page) => mine.has(page));
        costs[current]! += 256 * chosen.length;
        out.set(chosen);
        return chosen.length;
      },
    };
  };

test('every combination of options does what a plain implementation does', () => {
  let seed = 1;
  for (const population of [1, 5, 20]) {
    for (const parents of ['tournament', 'roulette'] as const) {
      for (const crossover of ['single-point', 'uniform'] as const) {
        for (const bestIsParent of [true, false]) {
          const options = {
            population,
            parents,
            crossover,
            bestIsParent,
            mutation: 0.02,
            newPage: 0.2,
            missCost: 5.5,
          };
          for (const trace of [phaseTrace(seed), hotTrace(seed), randomTrace(seed)]) {
            const all = { ...options, seed: seed++ };
            assert.is(replay(trace, gspec(all), COSTS).hash, replay(trace, plainly(all), COSTS).hash);
          }
        }
      }
    }
  }
});

test.run();
