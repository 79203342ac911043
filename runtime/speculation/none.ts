/**
 * Copy on write, and nothing more: no page is copied ahead, so each page that an epoch writes faults once. What
 * every other policy is measured against.
 *
 *     epoch writes 3, 7        checkpoint: protect all        next epoch writes 3: one fault
 */
import { checkCosts, checkOptions } from './options.js';
import type { PolicyMaker } from './types.js';

/** It has none. */
export type NoneOptions = Record<never, never>;

/** Makes policies that choose nothing. @throws ERR_BELAY_OPTION for any option */
export function none(options?: NoneOptions): PolicyMaker {
  checkOptions<NoneOptions>('none', options, {});
  return (costs) => {
    checkCosts(costs);
    return { name: 'none', choose: () => 0 };
  };
}
