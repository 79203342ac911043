import { BelayError } from '../contract/errors.js';

/** Whether `bytes` begin like a WebAssembly binary. */
export function isBinary(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

/**
 * Returns `bytes` as they are when they are a binary, and otherwise assembles them as WebAssembly text (by
 * wabt, with every feature it knows). Works in Node, Deno, Bun and browsers.
 * @param name what error messages call the file
 * @throws ERR_BELAY_INVALID_MODULE with line and column, where the text does not assemble
 */
export async function toBinary(bytes: Uint8Array, name = 'module.wat'): Promise<Uint8Array> {
  if (isBinary(bytes)) return bytes;
  const fail = (why: string): never => {
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      `${name} is not WebAssembly, neither binary nor text: ${why}`,
    );
  };
  if (bytes.length === 0) fail('it is empty');
  let source: string;
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fail('it does not begin with \\0asm and is not UTF-8');
  }
  if (!/^[\s\ufeff]*(\(|;;)/.test(source)) fail('it begins neither with \\0asm nor with a parenthesis');
  const { default: load } = await import('wabt');
  const wabt = await load();
  try {
    const parsed = wabt.parseWat(name, source, WABT_FEATURES);
    try {
      return parsed.toBinary({ write_debug_names: true }).buffer;
    } finally {
      parsed.destroy();
    }
  } catch (error) {
    // wabt reports "name:line:column: error: what", then the line with a mark under it.
    const first = (error as Error).message.split('\n').find((line) => line.includes('error:'));
    return fail(first?.trim() ?? (error as Error).message);
  }
}

const WABT_FEATURES = {
  exceptions: true,
  mutable_globals: true,
  sat_float_to_int: true,
  sign_extension: true,
  simd: true,
  threads: true,
  multi_value: true,
  tail_call: true,
  bulk_memory: true,
  reference_types: true,
  function_references: true,
  memory64: true,
  extended_const: true,
  relaxed_simd: true,
  multi_memory: true,
};
