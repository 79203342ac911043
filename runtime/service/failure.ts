/** Sorts what a request failed of into the few reasons that the log and the metrics name. */
import type { Guest } from '../types.js';
import { GuestExit } from './program.js';
import type { Failure } from './types.js';
import { MalformedResponse } from './wire.js';

/** The exit code where an error is the guest's own exit: this file's neighbour's, or a WasiExit. */
function exitCode(error: unknown): number | undefined {
  if (error instanceof GuestExit) return error.exitCode;
  const { code, exitCode } = (error ?? {}) as { code?: unknown; exitCode?: unknown };
  return code === 'ERR_BELAY_WASI' && typeof exitCode === 'number' ? exitCode : undefined;
}

/**
 * Whether the guest stands at the end of its memory. No engine tells the host that a memory.grow failed, so
 * this asks: a guest that grew in this request, and cannot grow by that much again, ran out. To be called
 * before the rollback, which takes the attempt back.
 */
function outOfMemory(guest: Guest, bytesBefore: number): boolean {
  const grown = guest.stats().memoryBytes - bytesBefore;
  if (grown <= 0) return false;
  try {
    guest.memory.grow(Math.max(1, Math.ceil(grown / 65536)));
    return false;
  } catch {
    return true;
  }
}

export interface Circumstances {
  /** The limits that were set; 0 for none. */
  deadline: number;
  maxSteps: number;
  /** Milliseconds that the request ran. */
  ran: number;
  /** Bytes of guest memory before the request. */
  memoryBytes: number;
}

/** Why the request failed. Call it before the rollback. */
export function classify(error: unknown, guest: Guest, circumstances: Circumstances): Failure {
  const message = error instanceof Error ? error.message : String(error);
  const failure: Failure = { reason: 'trap', message };
  if (error instanceof Error && error.stack !== undefined) failure.stack = error.stack;
  if (guest.overrun) {
    const { deadline, maxSteps, ran } = circumstances;
    failure.reason = maxSteps === 0 || (deadline > 0 && ran >= deadline) ? 'deadline' : 'steps';
    failure.message =
      failure.reason === 'deadline'
        ? `the guest ran for more than ${deadline} ms`
        : `the guest took more than ${maxSteps} steps`;
    return failure;
  }
  if (guest.logFull) {
    failure.reason = 'memory';
    failure.message = 'the undo log reached its limit';
    return failure;
  }
  if (error instanceof MalformedResponse) {
    failure.reason = 'malformed';
    delete failure.stack;
    return failure;
  }
  const code = exitCode(error);
  if (code !== undefined) {
    failure.reason = 'exit';
    failure.exitCode = code;
    if (!(error instanceof GuestExit)) failure.message = `the guest exited with code ${code}`;
    delete failure.stack;
  }
  if (outOfMemory(guest, circumstances.memoryBytes)) failure.reason = 'memory';
  return failure;
}
