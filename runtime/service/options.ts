/** Checks options by name: an unknown, malformed or contradictory one is an error that says which. */
import { BelayError } from '../../contract/errors.js';
import type { Guest } from '../types.js';
import type { AdmissionOptions, ProgramKind, RollbackPolicy, RunOptions, ServiceWasi } from './types.js';

export interface Checked {
  rollback: RollbackPolicy;
  deadline: number;
  maxSteps: number;
  maxResponse: number;
}

export const DEFAULTS = {
  deadline: 10_000,
  maxResponse: 16 * 1024 * 1024,
  queue: 128,
  maxBody: 1024 * 1024,
  maxHeader: 16 * 1024,
} as const;

function option(message: string): BelayError {
  return new BelayError('ERR_BELAY_OPTION', message);
}

/** A whole number of at least `least`, or the default where it is undefined. */
export function wholeNumber(name: string, value: unknown, fallback: number, least = 0): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw option(`${name} must be a whole number of at least ${least}; it is ${String(value)}`);
  }
  return value;
}

/** @throws ERR_BELAY_OPTION where `given` has a key that is not in `known`. */
export function onlyKnown(what: string, given: object, known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) throw option(`${what} has no option ${key}; it has ${known.join(', ')}`);
  }
}

/** The policy for a program of a kind. */
export function checkRollback(kind: ProgramKind, rollback: RollbackPolicy | undefined): RollbackPolicy {
  if (rollback === undefined) return kind === 'command' ? 'always' : 'on-failure';
  if (rollback !== 'always' && rollback !== 'on-failure') {
    throw option(`rollback must be on-failure or always; it is ${String(rollback)}`);
  }
  if (kind === 'command' && rollback === 'on-failure') {
    throw option('rollback on-failure keeps state, but _start of a command runs only once: use always');
  }
  return rollback;
}

/** Options of a run, with the defaults for this guest. */
export function checkRun(
  guest: Guest,
  kind: ProgramKind,
  options: RunOptions & { wasi?: Pick<ServiceWasi, 'reversible' | 'irreversible'> },
): Checked {
  const counts = guest.contract.steps;
  const deadline = wholeNumber('deadline', options.deadline, counts ? DEFAULTS.deadline : 0);
  const maxSteps = wholeNumber('maxSteps', options.maxSteps, 0);
  if (!counts && (deadline > 0 || maxSteps > 0)) {
    const name = deadline > 0 ? 'deadline' : 'maxSteps';
    throw option(`${name} needs a module that counts its steps: instrument it with steps: true`);
  }
  const rollback = checkRollback(kind, options.rollback);
  if (rollback === 'always' && options.wasi && !options.wasi.reversible) {
    throw option(
      `rollback always promises that nothing is left of a request, but this WASI cannot undo ` +
        `${options.wasi.irreversible.join(', ')}: use the in-memory one (wasmer), or on-failure`,
    );
  }
  return {
    rollback,
    deadline,
    maxSteps,
    maxResponse: wholeNumber('maxResponse', options.maxResponse, DEFAULTS.maxResponse, 1),
  };
}

export function checkAdmission(options: AdmissionOptions): Required<Omit<AdmissionOptions, 'observer'>> {
  return {
    queue: wholeNumber('queue', options.queue, DEFAULTS.queue),
    maxBody: wholeNumber('maxBody', options.maxBody, DEFAULTS.maxBody),
    maxHeader: wholeNumber('maxHeader', options.maxHeader, DEFAULTS.maxHeader, 1),
  };
}
