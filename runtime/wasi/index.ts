/** WASI for guests: state that the host keeps goes back with the guest. See docs/wasi.md. */
export { WasiExit } from './exit.js';
export { createNodeWasi } from './node.js';
export {
  type HostFunction,
  type Range,
  type TrackOptions,
  trackWasi,
  WASI_FUNCTIONS,
  type WasiFunction,
} from './preview1.js';
export type { MemoryFiles, MemoryWasiOptions, NodeWasiOptions, Wasi, WasiOptions } from './types.js';
export { createWasi } from './wasmer.js';
