/** page-cow driven by a policy: pages are saved by WebAssembly inside of the module, some of them ahead. */
import { type Contract, EXPORTS } from '../../contract/contract.js';
import type { Costs, PolicyMaker } from '../speculation/types.js';
import { PAGE_BYTES } from './addon.js';
import { everything, instrumented } from './instrumented.js';
import type { Mechanism, MechanismParts } from './mechanism.js';
import { type PageSource, Speculation } from './speculation.js';
import { type FindDiffering, RUN } from './written.js';

/** Pages of which the costs are measured. */
const SAMPLE = 32;

export function pageCow(contract: Contract, parts: MechanismParts, policy: PolicyMaker): Mechanism {
  const { exports, bytes } = parts;
  const base = instrumented(contract, parts);
  let ahead = 0;
  const copyAhead = (k: number, page: number): void => {
    const from = page * PAGE_BYTES;
    if (contract.memories[k]!.is64) base.touch(k, BigInt(from), BigInt(PAGE_BYTES));
    else base.touch(k, from, PAGE_BYTES);
  };
  const sources = contract.memories.map((_, k): PageSource => {
    const next = exports[EXPORTS.written(k)] as unknown as (cursor: number) => number;
    const differing = exports[EXPORTS.differing(k)] as unknown as FindDiffering;
    return {
      pages: () => bytes(k) / PAGE_BYTES,
      faulted(out, chosen) {
        // The list begins with what was saved last, and ends with what was copied ahead.
        let count = 0;
        for (let cursor = next(0); cursor !== 1; cursor = next(cursor)) {
          if (count < out.length) out[count] = Math.floor(cursor / RUN);
          count++;
        }
        const faults = count - chosen;
        out.subarray(0, faults).reverse();
        return faults;
      },
      changed: (page) => differing(page * PAGE_BYTES, (page + 1) * PAGE_BYTES, 1) !== 0,
    };
  });
  const measure = (): Costs => measureCosts(base, (page) => copyAhead(0, page), sources[0]!);
  const speculation = new Speculation(policy, sources, measure);
  // Measuring takes checkpoints of its own.
  let begun = false;
  return {
    ...base,
    checkpoint(kind) {
      speculation.choose(kind);
      base.checkpoint(kind);
      speculation.each((k, pages, count) => {
        for (let i = 0; i < count; i++) copyAhead(k, pages[i]!);
        ahead += count;
      });
      begun = true;
    },
    rollback() {
      speculation.restart();
      base.rollback();
    },
    written: (visit) => (begun ? base.written(visit) : everything(parts, visit)),
    stats() {
      const stats = base.stats();
      return { ...stats, faults: stats.regionsSaved - ahead, copiedAhead: ahead };
    },
  };
}

/**
 * Nanoseconds: of a first touch (which saves) less a second one (which does not) for a copy in a "fault", of a
 * first one for a copy ahead, which has to be asked for.
 */
function measureCosts(base: Mechanism, copy: (page: number) => void, source: PageSource): Costs {
  const pages = Math.min(SAMPLE, source.pages());
  const time = (fn: (page: number) => void): number => {
    const begin = performance.now();
    for (let page = 0; page < pages; page++) fn(page);
    return ((performance.now() - begin) * 1e6) / Math.max(1, pages);
  };
  let costs: Costs = { copy: 1, fault: 1, compare: 1 };
  if (pages === 0) return costs;
  // The first rounds compile the code.
  for (let round = 0; round < 4; round++) {
    base.checkpoint(0);
    const first = time(copy);
    const second = time(copy);
    const compare = time(source.changed);
    costs = { copy: Math.max(first, 1), fault: Math.max(first - second, 1), compare: Math.max(compare, 1) };
  }
  return costs;
}
