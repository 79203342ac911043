/**
 * The oracle: knows what will be written, and copies exactly that. No fault and no copy in vain, so no policy can cost
 * less. It needs a recorded trace, and serves to say how far from this bound the others are.
 *
 *     future [ {3, 7}, {3}, {2, 3} ]      checkpoint n copies the nth set; after the last, nothing
 *
 * Not handled: a run that differs from the recorded one.
 *
 * @see Vogt et al., Speculative Memory Checkpointing, Middleware 2015 ("perfect")
 */
import { BelayError } from '../../contract/errors.js';
import { checkCosts, checkOptions } from './options.js';
import type { Epoch, Policy, PolicyMaker } from './types.js';

export interface OracleOptions {
  /** For each epoch the pages that it will write, each once. Iterated anew by each policy that is made. */
  future: Iterable<ArrayLike<number>>;
}

class Oracle implements Policy {
  readonly name = 'oracle';
  private readonly future: Iterator<ArrayLike<number>>;

  constructor(future: Iterable<ArrayLike<number>>) {
    this.future = future[Symbol.iterator]();
  }

  choose(epoch: Epoch, out: Uint32Array): number {
    const next = this.future.next();
    if (next.done) return 0;
    let count = 0;
    for (let i = 0; i < next.value.length; i++) {
      const page = next.value[i]!;
      if (page < epoch.pages) out[count++] = page;
    }
    return count;
  }
}

function iterable(name: string, value: unknown): Iterable<ArrayLike<number>> {
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) {
    return value as Iterable<ArrayLike<number>>;
  }
  throw new BelayError(
    'ERR_BELAY_OPTION',
    `${name} must be the written pages of each epoch; replay has them`,
  );
}

/** Makes oracles. @throws ERR_BELAY_OPTION without a future to know */
export function oracle(options: OracleOptions): PolicyMaker {
  const { future } = checkOptions<OracleOptions>('oracle', options, { future: iterable });
  return (costs) => {
    checkCosts(costs);
    return new Oracle(future);
  };
}
