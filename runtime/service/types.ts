/**
 * The service's public face: what a request is to a guest, the policies, and what is reported of each
 * request. Everything named here is plain data, so that it can cross to a worker thread.
 */
import type { Guest } from '../types.js';
import type { Wasi } from '../wasi/types.js';

/**
 * When a guest goes back to its checkpoint.
 * - `on-failure`: before each request there is a checkpoint; a request that fails is undone, one that
 *   succeeds is kept. The default for reactors.
 * - `always`: there is one checkpoint, after start-up, and the guest returns to it after every request. The
 *   default for commands.
 */
export type RollbackPolicy = 'on-failure' | 'always';

/**
 * - `command` exports `_start`: CGI/1.1, one run of `_start` for each request.
 * - `reactor` exports `handle` (and `_initialize`): HTTP/1.1 on stdin and stdout, one call for each request.
 * - `function`: the embedder answers with a function of its own that calls the guest.
 */
export type ProgramKind = 'command' | 'reactor' | 'function';

/** Why a request was undone. Each is a label of the metric `belay_rollbacks_total`. */
export const FAILURE_REASONS = ['trap', 'exit', 'deadline', 'steps', 'memory', 'malformed'] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

/** A request as a guest gets it: whole, in memory, its body within the limit. */
export interface GuestRequest {
  /** `GET`, `POST`, …; upper case. */
  method: string;
  /** Path and query as the client sent them (dot segments resolved): `/notes?id=1`. */
  target: string;
  /** Lower-case names, in order; values that came several times are joined by `, `. */
  headers: [name: string, value: string][];
  body: Uint8Array;
  /** `http` or `https`. */
  scheme: string;
  /** Host name and port that the client addressed. */
  host: string;
  port: number;
  /** The client's address, where the server knows it. */
  remoteAddress?: string;
}

/** What a guest answered. */
export interface GuestResponse {
  /** 200 to 599. */
  status: number;
  headers: [name: string, value: string][];
  body: Uint8Array;
}

/** A request that was undone. For the log: none of it is told to the client. */
export interface Failure {
  reason: FailureReason;
  message: string;
  stack?: string;
  /** With `exit`. */
  exitCode?: number;
}

/** What one request did to a guest. */
export interface Outcome {
  /** Present unless the request failed. */
  response?: GuestResponse;
  failure?: Failure;
  /** What the guest wrote to its standard error, at most 64 KiB of it. */
  stderr: string;
  /** True when the guest went back to its checkpoint, after a failure or by policy. */
  rolledBack: boolean;
  /** Seconds. `checkpoint` and `rollback` are absent where there was none. */
  seconds: { checkpoint?: number; run: number; rollback?: number };
  /** Bytes of regions that were saved before their first write. */
  bytesSaved: number;
  /** Bytes of guest memory, and of tags and shadow, after the request. */
  memoryBytes: number;
  supportBytes: number;
  /** Why this request, or one before it, could not be recorded. */
  recording?: string;
  /** An error of the service itself, or a host write that nobody announced. The guest may be unusable. */
  error?: { code?: string; message: string; stack?: string; usable: boolean };
}

/** How requests are run. */
export interface RunOptions {
  /** Default: `always` for commands, else `on-failure`. */
  rollback?: RollbackPolicy;
  /**
   * Milliseconds of running after which a request is undone and answered with 504; 0 for none. Default
   * 10,000 where the module counts steps, else none.
   */
  deadline?: number;
  /** Function entries and back-edges after which a request is undone and answered with 504; 0 for none. */
  maxSteps?: number;
  /** Bytes that an answer may have, head included. A longer one counts as malformed. Default 16 MiB. */
  maxResponse?: number;
}

/** How requests are admitted. */
export interface AdmissionOptions {
  /** Requests that may wait while others run; one more is answered with 503. Default 128. */
  queue?: number;
  /** Bytes of a request's body; a longer one is answered with 413. Default 1 MiB. */
  maxBody?: number;
  /** Bytes of a request's head; a longer one is answered with 431. Default 16 KiB. */
  maxHeader?: number;
  /** Is told of each request when it is over. Must not throw. */
  observer?: Observer;
}

/** What {@link Observer} is told. */
export interface RequestReport {
  /** The same as in the response's `x-request-id`. */
  id: string;
  method: string;
  /** Path and query. */
  target: string;
  /** 499 when the client hung up before its turn came. */
  status: number;
  /** Bytes of the response's body. */
  bytes: number;
  /** Seconds from arrival to answer, waiting included. */
  seconds: number;
  /** Absent where the guest never saw the request. */
  outcome?: Outcome;
  /** Why the service itself could not carry the request out. */
  error?: Error;
}

export interface Observer {
  requestDone?(report: RequestReport): void;
}

/** What the server knows of a client beyond the Request. */
export interface ClientInfo {
  remoteAddress?: string;
}

/** What the service needs of a {@link Wasi}. */
export type ServiceWasi = Pick<
  Wasi,
  'reversible' | 'irreversible' | 'setEnv' | 'setStdin' | 'takeStdout' | 'takeStderr' | 'start'
>;

/** Answers a request by calling the guest; what it throws undoes the request. */
export type GuestFunction = (request: GuestRequest, guest: Guest) => GuestResponse;
