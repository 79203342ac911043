/** Text for the guest: UTF-8, and lists of strings as args_get and environ_get want them. */
import { BelayError } from '../../contract/errors.js';

const encoder = new TextEncoder();

/** Strings as the guest wants them: all bytes, each string ending in NUL, and where each begins. */
export interface Strings {
  bytes: Uint8Array;
  offsets: number[];
  /** What they were packed from. */
  values: readonly string[];
}

/** Text as UTF-8; bytes as a copy, since the caller may go on to use them. */
export function toBytes(content: Uint8Array | string): Uint8Array {
  return typeof content === 'string' ? encoder.encode(content) : content.slice();
}

/** @throws ERR_BELAY_OPTION for a NUL character, which would end the string in the guest. */
export function pack(values: readonly string[], what: string): Strings {
  const offsets: number[] = [];
  const parts: string[] = [];
  for (const value of values) {
    if (typeof value !== 'string' || value.includes('\0')) {
      throw new BelayError('ERR_BELAY_OPTION', `${what} must be strings without NUL characters`);
    }
    parts.push(value, '\0');
  }
  const bytes = encoder.encode(parts.join(''));
  for (let at = 0; at < bytes.length; at = bytes.indexOf(0, at) + 1) offsets.push(at);
  return { bytes, offsets, values: [...values] };
}

/** @throws ERR_BELAY_OPTION also for a name that is empty or contains `=`. */
export function packEnv(env: Readonly<Record<string, string>>): Strings {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || name.includes('=')) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `"${name}" is no name of an environment variable: it must not be empty nor contain "="`,
      );
    }
    pairs.push(`${name}=${value}`);
  }
  return pack(pairs, 'environment variables');
}
