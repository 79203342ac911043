/**
 * Active-CKS: a page that faulted is copied ahead until it has stayed unchanged several times in a row.
 *
 *     page 7   fault   changed   same   same   changed   same ×6 → dropped, protected again
 *     misses     0        0       1      2        0        1 ... 6 > 5
 *
 * The paper takes a checksum of each page while it copies it, and compares it with the last one. Here the pre-image is
 * at hand, so the question is put to `epoch.changed(page)`, which compares the page with it: that is exact, and costs
 * what Costs.compare says, for every page of the list at every checkpoint.
 *
 * The list has no bound. A page that faulted in the epoch that ends enters with 0 misses, and is not compared.
 * The list keeps the order in which pages came.
 *
 * Not handled: what comparing costs; pages that are written every seventh epoch, which fault each time.
 *
 * @see Vogt et al., Speculative Memory Checkpointing, Middleware 2015
 */
import { checkCosts, checkOptions, whole } from './options.js';
import { grown, PageList } from './page-list.js';
import type { Epoch, Policy, PolicyMaker } from './types.js';

export interface ActiveCksOptions {
  /** Epochs in a row that a page may stay unchanged; one more and it is dropped. Default 5. */
  misses: number;
}

class ActiveCks implements Policy {
  readonly name = 'active-cks';
  private readonly list = new PageList();
  /** By page: epochs in a row that it has stayed unchanged. */
  private misses = new Uint32Array(0);

  constructor(private readonly most: number) {}

  choose(epoch: Epoch, out: Uint32Array): number {
    const { list, most } = this;
    list.fit(epoch.pages);
    if (this.misses.length < epoch.pages) this.misses = grown(this.misses, epoch.pages);
    const { misses } = this;
    list.filter((page) => {
      misses[page] = epoch.changed(page) ? 0 : misses[page]! + 1;
      return misses[page]! <= most;
    });
    for (let i = 0; i < epoch.faultCount; i++) {
      const page = epoch.faults[i]!;
      if (page >= epoch.pages || list.has(page)) continue;
      misses[page] = 0;
      list.add(page);
    }
    return list.copyTo(out);
  }
}

/** Makes Active-CKS policies. @throws ERR_BELAY_OPTION where an option is unknown or malformed */
export function activeCks(options?: Partial<ActiveCksOptions>): PolicyMaker {
  const { misses } = checkOptions<ActiveCksOptions>('active-cks', options, { misses: whole(5, 0, 2 ** 20) });
  return (costs) => {
    checkCosts(costs);
    return new ActiveCks(misses);
  };
}
