/** `wasm-belay/mechanisms` in Node: with the native ones. */
import './node.js';

export * from './mechanisms/public.js';
