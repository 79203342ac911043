/**
 * Wraps one export. Host code calls exports far more often than anything here has to be done, so that each
 * number of parameters has a wrapper without an array, and the common case is two comparisons an argument.
 */
import { type Ledger, LOWEST } from './ledger.js';
import type { Role } from './shape.js';

type Fn = (...args: unknown[]) => unknown;

/** What happens around a call. */
export interface Hook {
  role: Role;
  /** How often the export's name is still to be looked up. */
  attempts: number;
  rename(): void;
  /** Called when something that may be a pointer was returned. */
  returned(args: readonly unknown[], result: number): void;
  /** Called when nothing was returned for one number. */
  consumed(pointer: number): void;
}

/** @param parameters how many the export has, whatever it is called with */
export function interpose(fn: Fn, parameters: number, hook: Hook, ledger: Ledger): Fn {
  const result = (value: unknown, ...args: unknown[]) => {
    if (ledger.isPointer(value)) hook.returned(args, value >>> 0);
    return value;
  };
  /** Whether a result needs a look: small numbers, floats and nothing do not. */
  const looks = (value: unknown) => typeof value === 'number' && (value >= LOWEST || value < 0);
  switch (parameters) {
    case 0:
      return () => {
        const value = fn();
        return looks(value) ? result(value) : value;
      };
    case 1:
      return (a) => {
        if (hook.attempts) hook.rename();
        const value = fn(a);
        if (value === undefined) {
          if (typeof a === 'number') hook.consumed(a >>> 0);
          return value;
        }
        ledger.passed(a);
        return looks(value) ? result(value, a) : value;
      };
    case 2:
      return (a, b) => {
        if (hook.attempts) hook.rename();
        const value = fn(a, b);
        ledger.passed(a);
        ledger.passed(b);
        return looks(value) ? result(value, a, b) : value;
      };
    case 3:
      return (a, b, c) => {
        if (hook.attempts) hook.rename();
        const value = fn(a, b, c);
        ledger.passed(a);
        ledger.passed(b);
        ledger.passed(c);
        return looks(value) ? result(value, a, b, c) : value;
      };
    case 4:
      return (a, b, c, d) => {
        if (hook.attempts) hook.rename();
        const value = fn(a, b, c, d);
        ledger.passed(a);
        ledger.passed(b);
        ledger.passed(c);
        ledger.passed(d);
        return looks(value) ? result(value, a, b, c, d) : value;
      };
    case 5:
      return (a, b, c, d, e) => {
        if (hook.attempts) hook.rename();
        const value = fn(a, b, c, d, e);
        ledger.passed(a);
        ledger.passed(b);
        ledger.passed(c);
        ledger.passed(d);
        ledger.passed(e);
        return looks(value) ? result(value, a, b, c, d, e) : value;
      };
    default:
      return (...args) => {
        if (hook.attempts) hook.rename();
        const value = fn(...args);
        for (const arg of args) ledger.passed(arg);
        return looks(value) ? result(value, ...args) : value;
      };
  }
}
