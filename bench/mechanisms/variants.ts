/** The ways to checkpoint that are compared: mechanisms, with a policy where one takes it. */
import { isOutside, type Layout, type MechanismName } from '../../contract/contract.js';
import type { InstrumentOptions } from '../../rewriter/index.js';
import { unavailable } from '../../runtime/mechanisms/native.js';
import type { PolicyName } from '../../runtime/speculation/index.js';

export interface Variant {
  /** `uffd`, `uffd + oracle`, `lmc, inline`. */
  name: string;
  mechanism: MechanismName;
  policy?: PolicyName;
  layout?: Layout;
}

const of = (mechanism: MechanismName, policy?: PolicyName): Variant =>
  policy ? { name: `${mechanism} + ${policy}`, mechanism, policy } : { name: mechanism, mechanism };

export const INSIDE: readonly Variant[] = [of('lmc'), of('cards'), of('undolog'), of('page-cow')];
export const INSIDE_INLINE: readonly Variant[] = INSIDE.map((variant) => ({
  ...variant,
  name: `${variant.name}, inline`,
  layout: 'inline',
}));
const NATIVE = ['mprotect', 'uffd', 'uffd-async'] as const;
/** Whether this machine has a mechanism. */
const here = ({ mechanism }: Variant): boolean =>
  !NATIVE.includes(mechanism as never) || unavailable(mechanism as (typeof NATIVE)[number]) === undefined;

export const OUTSIDE: readonly Variant[] = [of('full-copy'), of('mprotect'), of('uffd'), of('uffd-async')];
/** Each mechanism by itself, without those that this machine does not have. */
export const plainVariants = (): Variant[] => [...INSIDE, ...OUTSIDE].filter(here);
/** The native ones under policies. */
export const speculating = (...policies: PolicyName[]): Variant[] =>
  policies.flatMap((policy) => [of('mprotect', policy), of('uffd', policy)]).filter(here);
export const uffdWith = (...policies: PolicyName[]): Variant[] =>
  policies.map((policy) => of('uffd', policy)).filter(here);

/** Bytes that an undo log may take in measurements: a long epoch has to fit. */
const LOG = 2 ** 32 - 65536;

/** How a module is instrumented for a variant. All mechanisms outside share one module. */
export function instrumentOptions({ mechanism, layout }: Variant, reserve: number): InstrumentOptions {
  if (isOutside(mechanism)) return { mechanism: 'full-copy' };
  return {
    mechanism,
    layout: layout ?? 'separate',
    ...(layout === 'inline' && { reserve }),
    ...(mechanism === 'undolog' && layout !== 'inline' && { logLimit: LOG }),
  };
}
