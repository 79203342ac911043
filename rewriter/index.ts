/**
 * The rewriter: bytes in, instrumented bytes out.
 *
 * Four stages, one file each: survey.ts parses a module and says what cannot be rolled back; find.ts finds the
 * writes of a function, with symbolic addresses; analyse.ts decides which of them need a check; insert.ts
 * splices the checks into the body. support/ is the code that checks call, link.ts puts it into the module,
 * layout.ts says where tags and pre-images lie, and instrument.ts puts all of it together.
 */
export type { Contract, Layout } from '../contract/contract.js';
export { BelayError, type BelayErrorCode } from '../contract/errors.js';
export { bake } from './bake.js';
export { inspect } from './inspect.js';
export { instrument, RefusedError } from './instrument.js';
export { DEFAULT_REGION } from './options.js';
export { isBinary, toBinary } from './text.js';
export * from './types.js';
