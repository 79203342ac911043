/** Small traces for tests of policies: from seeds, or written out by hand. */
import { Random } from '../../../runtime/speculation/random.js';
import type { Trace, TraceEpoch } from '../../../runtime/speculation/replay.js';
import type { Costs, Policy } from '../../../runtime/speculation/types.js';

/** Costs in whole numbers. */
export const COSTS: Costs = { copy: 1, fault: 8, compare: 1 };

/** A trace of the pages given for each epoch. */
export function traceOf(written: readonly (readonly number[])[], pages = 16): Trace {
  const epochs = written.map((set) => ({ pages, kind: 0, written: Uint32Array.from(set).sort() }));
  return { name: 'by hand', description: '', kinds: [''], epochs };
}

const ascending = (pages: Iterable<number>) => Uint32Array.from(new Set(pages)).sort();

function trace(
  name: string,
  description: string,
  kinds: readonly string[],
  epochs: number,
  step: (n: number) => TraceEpoch,
): Trace {
  return { name, description, kinds, epochs: Array.from({ length: epochs }, (_, n) => step(n)) };
}

/** Every epoch writes pages drawn from all of memory, which grows and shrinks; kinds are drawn, too. */
export function randomTrace(seed: number, epochs = 200): Trace {
  const random = new Random(seed);
  let pages = 16 + random.below(64);
  return trace('random', `random pages, seed ${seed}`, ['', 'a', 'b', 'c'], epochs, () => {
    if (random.below(20) === 0) pages += random.below(64);
    if (random.below(30) === 0) pages = Math.max(1, pages - random.below(32));
    const hot = Array.from({ length: 12 }, (_, page) => page).filter(() => random.below(4) > 0);
    const cold = Array.from({ length: random.below(6) }, () => random.below(pages));
    const written = ascending([...hot, ...cold].filter((page) => page < pages));
    return { pages, kind: random.below(4), written };
  });
}

/** Three working sets by turns, 40 epochs each. */
export function phaseTrace(seed: number, epochs = 300): Trace {
  const random = new Random(seed);
  const sets = [0, 1, 2].map(() => Array.from({ length: 12 }, () => random.below(128)));
  return trace('phases', `three working sets by turns, seed ${seed}`, [''], epochs, (n) => {
    const set = sets[Math.floor(n / 40) % 3]!.filter(() => random.below(16) > 0);
    return { pages: 128, kind: 0, written: ascending(set) };
  });
}

/** Pages with periods of 1 to 8 epochs. */
export function periodicTrace(seed: number, epochs = 300): Trace {
  const random = new Random(seed);
  const periods = Array.from({ length: 40 }, () => 1 + random.below(8));
  return trace('periodic', `periods of 1 to 8 epochs, seed ${seed}`, [''], epochs, (n) => {
    const written = ascending(periods.keys()).filter((page) => (n + page) % periods[page]! === 0);
    return { pages: 40, kind: 0, written };
  });
}

/** A hot set, some noise, and two kinds of request that write different pages. */
export function hotTrace(seed: number, epochs = 300): Trace {
  const random = new Random(seed);
  return trace('hot', `a hot set, noise, and two kinds, seed ${seed}`, ['', 'read', 'write'], epochs, () => {
    const kind = 1 + random.below(2);
    const hot = Array.from({ length: 10 }, (_, i) => 3 * i).filter(() => random.below(32) > 0);
    const own = Array.from({ length: 5 }, (_, i) => 100 + 10 * kind + i);
    return { pages: 512, kind, written: ascending([...hot, ...own, random.below(512), random.below(512)]) };
  });
}

/** What a policy chooses when it is told of epochs one by one, without a trace behind it. */
export class Driver {
  /** Pages that `changed` was asked for at the last checkpoint. */
  asked: number[] = [];

  constructor(
    private readonly policy: Policy,
    private readonly pages = 64,
  ) {}

  /**
   * One checkpoint. Returns the pages chosen, in order.
   *
   * @param faults of the epoch that ends @param changed pages of which `changed` says so
   */
  at(faults: readonly number[] = [], changed: readonly number[] = [], kind = 0): number[] {
    const out = new Uint32Array(this.pages);
    this.asked = [];
    const epoch = {
      pages: this.pages,
      kind,
      faults: Uint32Array.from(faults),
      faultCount: faults.length,
      changed: (page: number) => {
        this.asked.push(page);
        return changed.includes(page);
      },
    };
    return [...out.subarray(0, this.policy.choose(epoch, out))];
  }
}
