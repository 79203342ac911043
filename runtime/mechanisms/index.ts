/** Makes the mechanism that a module was instrumented for, or one of those outside of it. */
import { type Contract, isOutside, type MechanismName } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { PolicyMaker } from '../speculation/types.js';
import type { NativeMechanism } from './addon.js';
import { fullCopy } from './full-copy.js';
import { instrumented } from './instrumented.js';
import type { Mechanism, MechanismParts } from './mechanism.js';

/** What runtime/node.ts adds where there is Node: an edge bundle does not carry it. */
export interface NativeMechanisms {
  unavailable(mechanism: NativeMechanism): string | undefined;
  make(
    mechanism: NativeMechanism,
    contract: Contract,
    parts: MechanismParts,
    policy: PolicyMaker | undefined,
  ): Mechanism;
}

let native: NativeMechanisms | undefined;

/** page-cow with a policy: wasm-belay/speculation adds it. Without a policy it needs nothing but the module. */
export type PageCow = (contract: Contract, parts: MechanismParts, policy: PolicyMaker) => Mechanism;

let speculative: PageCow | undefined;

/** Adds what lets policies drive page-cow. */
export function addPageCow(make: PageCow): void {
  speculative = make;
}

/** Adds the native mechanisms. */
export function addNative(mechanisms: NativeMechanisms): void {
  native = mechanisms;
}

/** Why a native mechanism cannot be used here; undefined where it can. */
export function unavailable(mechanism: NativeMechanism): string | undefined {
  return native ? native.unavailable(mechanism) : 'it needs Node';
}

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
      `mechanism '${name}' is not for this module, which was instrumented for ${contract.mechanism}: instrument it with mechanism '${name}'`,
    );
  }
  if (policy && !SPECULATIVE.includes(name)) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `policy is for ${SPECULATIVE.join(', ')}, and the mechanism is ${name}`,
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
      if (!policy) return instrumented(contract, parts);
      if (speculative) return speculative(contract, parts, policy);
      throw new BelayError('ERR_BELAY_OPTION', 'a policy needs wasm-belay/speculation to be imported');
    case 'full-copy':
      return fullCopy(contract, parts);
    case 'mprotect':
    case 'uffd':
    case 'uffd-async': {
      const why = unavailable(name);
      if (why === undefined) return native!.make(name, contract, parts, policy);
      throw new BelayError('ERR_BELAY_MECHANISM', `the mechanism ${name} cannot be used here: ${why}`);
    }
    default:
      return instrumented(contract, parts);
  }
}
