/**
 * Speculation: policies that choose the pages to copy ahead at a checkpoint, and the replay of traces that compares
 * them. Works everywhere; imports no package. Trace files are read and written by `wasm-belay/speculation/trace`.
 */
import { BelayError } from '../../contract/errors.js';
import { addPageCow } from '../mechanisms/index.js';
import { pageCow } from '../mechanisms/page-cow.js';
import { type ActiveCksOptions, activeCks } from './active-cks.js';
import { type ActiveRndOptions, activeRnd } from './active-rnd.js';
import { type AdaptiveOptions, adaptive } from './adaptive.js';
import { type GSpecOptions, gspec } from './gspec.js';
import { type NoneOptions, none } from './none.js';
import { type OracleOptions, oracle } from './oracle.js';
import type { PolicyMaker } from './types.js';

export { recorder } from './record.js';
export type { Outcome, Trace, TraceEpoch, Watch } from './replay.js';
export { oracleOf, replay, replayAll } from './replay.js';
export type { Costs, Epoch, Policy, PolicyMaker } from './types.js';
export {
  type ActiveCksOptions,
  type ActiveRndOptions,
  type AdaptiveOptions,
  activeCks,
  activeRnd,
  adaptive,
  type GSpecOptions,
  gspec,
  type NoneOptions,
  none,
  type OracleOptions,
  oracle,
};

addPageCow(pageCow);

/** Every policy, by name. */
export const POLICIES = {
  none,
  'active-rnd': activeRnd,
  'active-cks': activeCks,
  gspec,
  adaptive,
  oracle,
} as const;

export type PolicyName = keyof typeof POLICIES;

/** Options of each policy; all but the oracle's may be left out. */
export interface PolicyOptions {
  none: NoneOptions;
  'active-rnd': Partial<ActiveRndOptions>;
  'active-cks': Partial<ActiveCksOptions>;
  gspec: Partial<GSpecOptions>;
  adaptive: Partial<AdaptiveOptions>;
  oracle: OracleOptions;
}

/** The names of the policies. */
export const POLICY_NAMES = Object.keys(POLICIES) as readonly PolicyName[];

/**
 * The maker of the policy that has a name, for names and options that come from a command line or a file.
 *
 * @throws ERR_BELAY_OPTION where there is no such policy, or an option is unknown or malformed
 */
export function policyNamed<N extends PolicyName>(name: N, options?: PolicyOptions[N]): PolicyMaker {
  if (!Object.hasOwn(POLICIES, name)) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `there is no policy ${String(name)}; there are ${POLICY_NAMES.join(', ')}`,
    );
  }
  return (POLICIES[name] as (options?: PolicyOptions[N]) => PolicyMaker)(options);
}
