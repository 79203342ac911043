import { BelayError, type BelayErrorCode } from '../../contract/errors.js';

/** An error of the history, with what caused it. */
export function historyError(code: BelayErrorCode, message: string, cause?: unknown): BelayError {
  return new BelayError(code, message, cause === undefined ? undefined : { cause });
}
