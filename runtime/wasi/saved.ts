/**
 * What WASI keeps, as data that can be stored and loaded elsewhere: maps, each with its kind and the version of its
 * form. What is not understood to the last field is refused, before anything is changed.
 */
import { BelayError } from '../../contract/errors.js';

export type Fields = Record<string, unknown>;

/** Of what a saved map is the state. */
export type Kind = 'process' | 'files' | 'new files' | 'real files';

const WORDS: Record<Kind, string> = {
  process: 'a WASI process',
  files: 'files in memory',
  'new files': 'files in memory that nobody has used',
  'real files': 'the descriptors of real files',
};

const VERSION = 1;

/** The map to save for these fields; those that are undefined are left out. */
export function saved(kind: Kind, fields: Fields): Fields {
  const all: Fields = { wasi: kind, version: VERSION };
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) all[name] = value;
  return all;
}

/** The kind of a saved map, where it has one. */
export function kindOf(state: unknown): unknown {
  return isMap(state) ? state.wasi : undefined;
}

/**
 * The fields of a saved map.
 * @throws ERR_BELAY_STATE for another kind or version, and for a field that is not among `known`
 */
export function fieldsOf(state: unknown, kind: Kind, known: readonly string[]): Fields {
  if (!isMap(state) || typeof state.wasi !== 'string') {
    throw stateError(`this is no state of ${WORDS[kind]}: it is damaged, or something else was saved`);
  }
  if (state.wasi !== kind) {
    const what = WORDS[state.wasi as Kind] ?? `"${state.wasi}"`;
    throw stateError(
      `this is the state of ${what}, not of ${WORDS[kind]}: load it into a WASI made the same way`,
    );
  }
  if (state.version !== VERSION) {
    throw stateError(
      `this state of ${WORDS[kind]} has version ${String(state.version)}, and version ${VERSION} is understood: load it with the version of wasm-belay that saved it`,
    );
  }
  for (const name of Object.keys(state)) {
    if (name !== 'wasi' && name !== 'version' && !known.includes(name)) {
      throw damaged(kind, `it has an unknown field ${name}`);
    }
  }
  return state;
}

export function stateError(message: string, options?: ErrorOptions): BelayError {
  return new BelayError('ERR_BELAY_STATE', message, options);
}

export function damaged(kind: Kind, what: string, options?: ErrorOptions): BelayError {
  return stateError(`this state of ${WORDS[kind]} is damaged: ${what}`, options);
}

export function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** Whether a value is a whole number from 0 up to `last`. */
export function isIndex(value: unknown, last = 0xffff_ffff): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= last;
}

/** A pair of strings, as lists of names and values have them. */
export function isPair(value: unknown): value is [string, unknown] {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string';
}

/** A copy of saved bytes, or of none. */
export function bytesOf(fields: Fields, name: string, kind: Kind): Uint8Array {
  const value = fields[name];
  if (value === undefined) return new Uint8Array(0);
  if (!(value instanceof Uint8Array)) throw damaged(kind, `${name} should be bytes`);
  // Not slice(): of a Buffer, which MessagePack libraries return in Node, that would be a view.
  return new Uint8Array(value);
}

/** A saved list, or an empty one. */
export function listOf<T>(
  fields: Fields,
  name: string,
  kind: Kind,
  test: (value: unknown) => value is T,
): readonly T[] {
  const value = name in fields ? fields[name] : [];
  if (!Array.isArray(value) || !value.every(test)) throw damaged(kind, `${name} is not such a list`);
  return value;
}
