/**
 * The runtime: loads instrumented modules, and takes and rolls back their checkpoints. It has no dependencies,
 * and works in every engine with WebAssembly SIMD and bulk memory.
 */
export {
  CONTRACT_VERSION,
  type Contract,
  type Layout,
  MECHANISMS,
  type MechanismName,
} from '../contract/contract.js';
export { BelayError, type BelayErrorCode } from '../contract/errors.js';
export { UntrackedWriteError, type WrittenRange } from './guest/audit.js';
export { instantiate, instantiateSync } from './guest/guest.js';
export { readContract } from './guest/section.js';
export type { GuestState, StateAccess, StateShape } from './guest/state.js';
export { unavailable } from './mechanisms/index.js';
export * from './types.js';
