/**
 * Adapters: glue code that was written for a module, used with the instrumented one. No dependency beyond the
 * runtime; works wherever that does.
 */
export { type EmscriptenAdapter, type EmscriptenModule, emscripten } from './emscripten.js';
export { keepInMemory, type SqlModule } from './sqljs.js';
export type { Adapter, AdapterOptions, AdapterStats, Announcer, Touch } from './types.js';
export { wasmBindgen } from './wasm-bindgen.js';
