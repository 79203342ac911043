/**
 * The service for embedding: a guest as a fetch-style handler. Nothing here needs Node; `wasm-belay/service/node`
 * has the HTTP server, worker threads, metrics and logs.
 */
export { type BatchResult, parseRequests, runBatch } from './batch.js';
export { createHandler, type Handler, type HandlerOptions } from './handler.js';
export { type Loaded, type LoadOptions, load, type NamedPolicy } from './load.js';
export { kindOf } from './program.js';
export { createRunner, type ProgramOptions, type Runner } from './runner.js';
export {
  type AdmissionOptions,
  type ClientInfo,
  FAILURE_REASONS,
  type Failure,
  type FailureReason,
  type GuestFunction,
  type GuestRequest,
  type GuestResponse,
  type Observer,
  type Outcome,
  type ProgramKind,
  type RequestReport,
  type RollbackPolicy,
  type RunOptions,
  type ServiceWasi,
} from './types.js';
