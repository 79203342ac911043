/** Numbers for functions of a guest, as the command line has them. */
import { usageError } from './errors.js';

/** `5` is an i32 or a float, `5n` an i64. @throws ERR_BELAY_OPTION */
export function parseValue(text: string): number | bigint {
  if (/^-?\d+n$/.test(text)) return BigInt(text.slice(0, -1));
  const value = Number(text);
  if (Number.isNaN(value)) throw usageError(`${text} is no number (64-bit ones end in n: 5n)`);
  return value;
}
