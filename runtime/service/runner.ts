/**
 * One guest, one request at a time: checkpoint, run, and rollback where the policy or a failure asks for it.
 *
 *   on-failure:  checkpoint ─ run ─┬─ answered: the state is kept
 *                                  └─ failed:   rollback
 *   always:      (checkpoint once) run ─ rollback
 *
 * Synchronous from end to end, because the guest is. Works in every engine.
 */
import { BelayError } from '../../contract/errors.js';
import type { EpochInfo, Guest, Limits } from '../types.js';
import { classify } from './failure.js';
import { checkRun } from './options.js';
import { commandProgram, functionProgram, kindOf, type Program, reactorProgram } from './program.js';
import type {
  GuestFunction,
  GuestRequest,
  Outcome,
  ProgramKind,
  RollbackPolicy,
  RunOptions,
  ServiceWasi,
} from './types.js';

/** How requests reach the guest: through WASI, or through a function of the embedder's. */
export interface ProgramOptions {
  /** The WASI that the guest was instantiated with (and, a reactor, initialized by). */
  wasi?: ServiceWasi;
  /** Answers a request by calling the guest. Instead of `wasi`. */
  handle?: GuestFunction;
  /** Environment of a command, to which each request's meta-variables are added. */
  env?: Record<string, string>;
  /** The guest is recorded: what its history says of a request (keep.ts). */
  recording?: Recording;
}

/** How a request is named in a history. */
export interface Recording {
  about(request: GuestRequest): Pick<EpochInfo, 'request' | 'digest'>;
  /** What went wrong since the last call. */
  takeTrouble(): string | undefined;
  /** Whether a request's entry is written when its answer has been sent: by {@link Runner.settle}. */
  late: boolean;
}

export interface Runner {
  readonly kind: ProgramKind;
  readonly rollback: RollbackPolicy;
  /** Carries one request out. Never throws: a failure is part of the outcome. */
  run(request: GuestRequest): Outcome;
  /** Records the last request, where that is done late. Never throws: the next request's outcome tells what went wrong. */
  settle(): void;
}

/** Bytes of a guest's standard error that are kept. */
const MAX_STDERR = 64 * 1024;

/**
 * Makes a guest answer requests.
 * @throws ERR_BELAY_OPTION, ERR_BELAY_SERVICE
 */
export function createRunner(guest: Guest, options: RunOptions & ProgramOptions): Runner {
  const { wasi, handle, recording } = options;
  if ((wasi === undefined) === (handle === undefined)) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      'give either wasi (the one the guest was instantiated with) or handle (a function that answers)',
    );
  }
  const kind = handle ? 'function' : kindOf(guest.module);
  const { rollback: policy, deadline, maxSteps, maxResponse } = checkRun(guest, kind, options);
  const limits: Limits | undefined =
    deadline === 0 && maxSteps === 0
      ? undefined
      : { ...(deadline > 0 && { deadline }), ...(maxSteps > 0 && { steps: maxSteps }) };

  const limit = (): void => {
    if (limits) guest.limit(limits);
  };
  const restart = (): void => {
    guest.rollback();
    limit();
  };
  const program: Program = handle
    ? functionProgram(guest, handle)
    : kind === 'reactor'
      ? reactorProgram(guest, wasi!, maxResponse)
      : commandProgram(guest, wasi!, options.env ?? {}, maxResponse, restart);

  if (recording && policy === 'always') {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      'rollback always keeps nothing of a request, so that there is no history to record: use on-failure',
    );
  }
  // Always-mode: the one state that every request starts from. All that is common lies before it.
  if (policy === 'always') guest.checkpoint();
  let broken: Outcome['error'];
  /** What went wrong when there was nobody to be told. */
  let untold: { error: unknown } | undefined;

  function run(request: GuestRequest): Outcome {
    const seconds: Outcome['seconds'] = { run: 0 };
    const outcome: Outcome = {
      stderr: '',
      rolledBack: false,
      seconds,
      bytesSaved: 0,
      memoryBytes: 0,
      supportBytes: 0,
    };
    if (broken) return { ...outcome, error: broken };
    const before = guest.stats();
    let clock = performance.now();
    const lap = (): number => {
      const now = performance.now();
      const passed = now - clock;
      clock = now;
      return passed / 1000;
    };
    try {
      if (untold) {
        const { error } = untold;
        untold = undefined;
        throw error;
      }
      if (policy === 'on-failure') {
        guest.checkpoint({ kind: kindOfRequest(request), ...recording?.about(request) });
        seconds.checkpoint = lap();
      }
      limit();
      try {
        outcome.response = program.answer(request);
        seconds.run = lap();
      } catch (error) {
        seconds.run = lap();
        outcome.failure = classify(error, guest, {
          deadline,
          maxSteps,
          ran: seconds.run * 1000,
          memoryBytes: before.memoryBytes,
        });
      }
      // What an embedder calls between two requests is not part of them.
      if (limits) guest.limit();
      outcome.stderr = text(program.takeStderr());
      outcome.bytesSaved = guest.stats().bytesSaved - before.bytesSaved;
      if (policy === 'always' || outcome.failure) {
        lap();
        outcome.rolledBack = true;
        guest.rollback(outcome.failure?.reason);
        seconds.rollback = lap();
      } else if (recording && !recording.late) {
        // Its entry is written before its answer is sent.
        guest.checkpoint();
      }
      const trouble = recording?.takeTrouble();
      if (trouble !== undefined) outcome.recording = trouble;
    } catch (error) {
      // Only checkpoint() and rollback() end here. A host write that nobody announced was undone all the same.
      const usable = (error as { code?: unknown }).code === 'ERR_BELAY_UNTRACKED_WRITE';
      outcome.error = describe(error, usable);
      if (!usable) {
        broken = outcome.error;
        delete outcome.response;
      }
    }
    const after = guest.stats();
    outcome.memoryBytes = after.memoryBytes;
    outcome.supportBytes = after.supportBytes;
    return outcome;
  }

  function settle(): void {
    if (!recording?.late || broken) return;
    try {
      guest.checkpoint();
    } catch (error) {
      untold = { error };
    }
  }

  return { kind, rollback: policy, run, settle };
}

/** What requests that will probably write alike have in common: method and first part of the path. */
function kindOfRequest({ method, target }: GuestRequest): string {
  const end = target.slice(1).search(/[/?]/);
  return `${method} ${end < 0 ? target : target.slice(0, end + 1)}`;
}

function describe(error: unknown, usable: boolean): NonNullable<Outcome['error']> {
  if (!(error instanceof Error)) return { message: String(error), usable };
  const code = (error as { code?: unknown }).code;
  return {
    message: error.message,
    usable,
    ...(typeof code === 'string' && { code }),
    ...(error.stack !== undefined && { stack: error.stack }),
  };
}

function text(bytes: Uint8Array): string {
  return bytes.length === 0 ? '' : new TextDecoder().decode(bytes.subarray(0, MAX_STDERR));
}
