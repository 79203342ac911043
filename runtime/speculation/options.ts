/** Checks the options of policies by name: an unknown or malformed one is an error that says which. */
import { BelayError } from '../../contract/errors.js';

/** Checks one value; `undefined` gives the default. */
export type Rule<T> = (name: string, value: unknown) => T;

function wrong(name: string, must: string, value: unknown): BelayError {
  return new BelayError('ERR_BELAY_OPTION', `${name} must be ${must}; it is ${String(value)}`);
}

/** A whole number in [least, most]. */
export function whole(fallback: number, least: number, most: number): Rule<number> {
  return (name, value) => {
    if (value === undefined) return fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) {
      return value;
    }
    throw wrong(name, `a whole number from ${least} to ${most}`, value);
  };
}

/** A number in [least, most]. */
export function between<F extends number | undefined>(
  fallback: F,
  least: number,
  most: number,
): Rule<number | F> {
  return (name, value) => {
    if (value === undefined) return fallback;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw wrong(name, `a number from ${least} to ${most}`, value);
  };
}

/** One of some words. */
export function oneOf<T extends string>(fallback: T, ...others: readonly T[]): Rule<T> {
  const words: readonly string[] = [fallback, ...others];
  return (name, value) => {
    if (value === undefined) return fallback;
    if (typeof value === 'string' && words.includes(value)) return value as T;
    throw wrong(name, words.join(' or '), value);
  };
}

/** True or false. */
export function flag(fallback: boolean): Rule<boolean> {
  return (name, value) => {
    if (value === undefined) return fallback;
    if (typeof value === 'boolean') return value;
    throw wrong(name, 'true or false', value);
  };
}

/** The seed of a policy's random numbers. */
export const SEED = whole(1, 0, 2 ** 32 - 1);

/**
 * The options with every default filled in.
 *
 * @param policy name for messages
 * @throws ERR_BELAY_OPTION where one is unknown or malformed
 */
export function checkOptions<T extends object>(
  policy: string,
  given: { readonly [K in keyof T]?: T[K] | undefined } | undefined,
  rules: { readonly [K in keyof T]-?: Rule<T[K]> },
): T {
  if (given !== undefined && (typeof given !== 'object' || given === null)) {
    throw wrong(`options of ${policy}`, 'an object', given);
  }
  const known = Object.keys(rules);
  for (const key of Object.keys(given ?? {})) {
    if (known.includes(key)) continue;
    const has = known.length > 0 ? `it has ${known.join(', ')}` : 'it has none';
    throw new BelayError('ERR_BELAY_OPTION', `policy ${policy} has no option ${key}; ${has}`);
  }
  const checked = {} as Record<string, unknown>;
  for (const key of known) {
    const rule = rules[key as keyof T] as Rule<unknown>;
    checked[key] = rule(`${policy}: ${key}`, given?.[key as keyof T]);
  }
  return checked as T;
}

/** @throws ERR_BELAY_OPTION where a cost is not a number above 0 */
export function checkCosts(costs: { copy: number; fault: number; compare: number; protect?: number }): void {
  for (const name of ['copy', 'fault', 'compare'] as const) {
    const value = costs[name];
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
      throw wrong(`costs: ${name}`, 'a number above 0', value);
    }
  }
  const { protect = 0 } = costs;
  if (!(protect >= 0 && Number.isFinite(protect)))
    throw wrong('costs: protect', 'a number of at least 0', protect);
}
