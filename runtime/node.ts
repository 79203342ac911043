/** The runtime with the native mechanisms: what `wasm-belay` is in Node. */
import { addNative } from './mechanisms/index.js';
import { native, unavailable } from './mechanisms/native.js';

addNative({ unavailable, make: native });

export * from './index.js';
