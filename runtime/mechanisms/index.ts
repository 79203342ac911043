/** Makes the mechanism that a module was instrumented for, or one of those outside of it. */
import { type Contract, isOutside, type MechanismName, OUTSIDE_MECHANISMS } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { PolicyMaker } from '../speculation/types.js';
import { fullCopy } from './full-copy.js';
import { instrumented } from './instrumented.js';
import type { Mechanism, MechanismParts } from './mechanism.js';
import { native, unavailable } from './native.js';
import { pageCow } from './page-cow.js';

/** Those that policies drive. */
const SPECULATIVE: readonly MechanismName[] = ['page-cow', 'mprotect', 'uffd'];

/**
 * The mechanism to use: what was asked for, where the module fits; `auto` and nothing mean the module's own, but
 * that `auto` takes the best of those outside that this machine has.
 * @throws ERR_BELAY_OPTION
 */
export function chooseMechanism(
  contract: Contract,
  asked: MechanismName | 'auto' | undefined,
  policy: PolicyMaker | undefined,
): MechanismName {
  let name = asked ?? contract.mechanism;
  if (name === 'auto') {
    name = isOutside(contract.mechanism) ? bestOutside() : contract.mechanism;
  }
  if (name !== contract.mechanism && !(isOutside(name) && isOutside(contract.mechanism))) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      isOutside(contract.mechanism)
        ? `mechanism '${name}' is not for this module, whose stores were left alone: use ${OUTSIDE_MECHANISMS.join(', ')} or auto, or instrument it with mechanism '${name}'`
        : `mechanism '${name}' is not for this module, which was instrumented for ${contract.mechanism}: instrument it with mechanism '${name}'`,
    );
  }
  if (policy && !SPECULATIVE.includes(name)) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `policy is for mechanisms that save pages (${SPECULATIVE.join(', ')}), and the mechanism is ${name}`,
    );
  }
  return name;
}

/** The best mechanism outside of the module that there is here. */
export function bestOutside(): 'uffd' | 'mprotect' | 'full-copy' {
  for (const name of ['uffd', 'mprotect'] as const) if (unavailable(name) === undefined) return name;
  return 'full-copy';
}

/** @throws ERR_BELAY_MECHANISM */
export function makeMechanism(
  name: MechanismName,
  contract: Contract,
  parts: MechanismParts,
  policy: PolicyMaker | undefined,
): Mechanism {
  switch (name) {
    case 'page-cow':
      return pageCow(contract, parts, policy);
    case 'full-copy':
      return fullCopy(contract, parts);
    case 'mprotect':
    case 'uffd':
    case 'uffd-async':
      return native(name, contract, parts, policy);
    default:
      return instrumented(contract, parts);
  }
}
