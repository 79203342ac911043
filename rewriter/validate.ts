import { BelayError } from '../contract/errors.js';

/**
 * What an engine says of a module that uses something newer than the engine: an opcode, a type, a flag, more
 * memories than it has. Opcodes that nobody knows are refused by the survey.
 */
const TOO_NEW =
  /opcode|simd op|enable|disabled|support|flags|limit|type (code|form)|value type|signature definition|non-func/i;

/**
 * Has the engine validate a module that the survey could parse: types and indices, which the rewriter takes
 * for granted. The output of a module that does not validate would not validate either, and say it later.
 *
 * A module for newer engines than this one passes: the rewriter takes several memories on Node 20, for one.
 * @throws ERR_BELAY_INVALID_MODULE with what the engine says
 */
export function validate(bytes: Uint8Array): void {
  const source = bytes as Uint8Array<ArrayBuffer>;
  if (WebAssembly.validate(source)) return;
  try {
    new WebAssembly.Module(source);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (TOO_NEW.test(message)) return;
    const reason = message
      .replace(/^WebAssembly\.Module(\(\):| doesn't parse at)\s*/, '')
      .replace(/ \(evaluating.*/s, '');
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      `the module does not validate: ${reason}; build it anew`,
      { cause },
    );
  }
}
