/** The entry `wasm-belay/mechanisms`: which there are, which can be had here, and which to take. */
export { isOutside, MECHANISMS, type MechanismName, OUTSIDE_MECHANISMS } from '../../contract/contract.js';
export { NATIVE_MECHANISMS, type NativeMechanism } from './addon.js';
export { type Recommendation, recommendMechanism, type Situation, TYPICAL_EPOCH } from './auto.js';
export { unavailable } from './index.js';
