/** Bytes as people and programs read them: hexadecimal, integers, floats, strings. */

export const FORMATS = [
  'hex',
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'u64',
  'i64',
  'f32',
  'f64',
  'string',
] as const;
export type Format = (typeof FORMATS)[number];
export type NumberFormat = Exclude<Format, 'hex' | 'string'>;

interface Numbers {
  bytes: number;
  /** In a row of `show`, so that it fits 100 columns. */
  perRow: number;
  width: number;
  get(view: DataView, at: number): number | bigint;
}

const NUMBERS: Record<NumberFormat, Numbers> = {
  u8: { bytes: 1, perRow: 16, width: 3, get: (view, at) => view.getUint8(at) },
  i8: { bytes: 1, perRow: 16, width: 4, get: (view, at) => view.getInt8(at) },
  u16: { bytes: 2, perRow: 8, width: 5, get: (view, at) => view.getUint16(at, true) },
  i16: { bytes: 2, perRow: 8, width: 6, get: (view, at) => view.getInt16(at, true) },
  u32: { bytes: 4, perRow: 4, width: 10, get: (view, at) => view.getUint32(at, true) },
  i32: { bytes: 4, perRow: 4, width: 11, get: (view, at) => view.getInt32(at, true) },
  u64: { bytes: 8, perRow: 2, width: 20, get: (view, at) => view.getBigUint64(at, true) },
  i64: { bytes: 8, perRow: 2, width: 20, get: (view, at) => view.getBigInt64(at, true) },
  f32: { bytes: 4, perRow: 4, width: 15, get: (view, at) => view.getFloat32(at, true) },
  f64: { bytes: 8, perRow: 2, width: 24, get: (view, at) => view.getFloat64(at, true) },
};

/** Bytes of one element; 1 where a format has no elements. */
export const bytesOf = (format: Format): number =>
  format === 'hex' || format === 'string' ? 1 : NUMBERS[format].bytes;

/** The elements of bytes. Those of 64 bits are bigints. */
export function numbersOf(format: NumberFormat, bytes: Uint8Array): (number | bigint)[] {
  const { bytes: size, get } = NUMBERS[format];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => get(view, i * size));
}

/** The shortest text that gives the same `f32` again. */
function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Object.is(Math.fround(Number(text)), value)) return text;
  }
  return String(value);
}

export const numberText = (type: string, value: number | bigint): string =>
  Object.is(value, -0) ? '-0' : type === 'f32' ? shortest(value as number) : String(value);

/** An address as everywhere here: at least eight digits. */
export const addressText = (address: number): string => address.toString(16).padStart(8, '0');

const ascii = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');

const hexPairs = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** Bytes that a cell of a table shows. */
const SHORT = 8;

/** The first bytes, and their characters: `05 00 00 00 |....|`. */
export function shortHex(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, SHORT);
  return `${hexPairs(shown)} |${ascii(shown)}|${bytes.length > SHORT ? '…' : ''}`;
}

/** A cell for bytes. */
export function shortText(format: Format, bytes: Uint8Array): string {
  if (format === 'hex') return shortHex(bytes);
  if (format === 'string') return textOf(untilZero(bytes));
  return numbersOf(format, bytes)
    .map((value) => numberText(format, value))
    .join(' ');
}

/** What --json has beside the bytes. */
export function jsonValues(format: Format, bytes: Uint8Array): unknown {
  if (format === 'hex') return undefined;
  if (format === 'string') return decode(untilZero(bytes));
  return numbersOf(format, bytes);
}

export function untilZero(bytes: Uint8Array): Uint8Array {
  const zero = bytes.indexOf(0);
  return zero < 0 ? bytes : bytes.subarray(0, zero);
}

const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** A string as JSON and JavaScript write it; bytes that are no UTF-8 as U+FFFD. */
export const textOf = (bytes: Uint8Array): string =>
  JSON.stringify(decode(bytes)).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) =>
    c.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );

/** Strings that zeros end, each with where it is in the bytes; empty ones left out. */
export function* strings(bytes: Uint8Array): IterableIterator<{ at: number; bytes: Uint8Array }> {
  for (let at = 0; at < bytes.length; ) {
    const string = untilZero(bytes.subarray(at));
    if (string.length > 0) yield { at, bytes: string };
    at += string.length + 1;
  }
}

export const stringJson = decode;

/** Bytes of a row of a dump. */
export const rowBytes = (format: Format): number =>
  format === 'hex' || format === 'string' ? 16 : NUMBERS[format].bytes * NUMBERS[format].perRow;

/** A row of a dump: address and content. */
export function row(format: Format, address: number, bytes: Uint8Array): string {
  const head = addressText(address);
  if (format === 'hex' || format === 'string') {
    const halves = `${hexPairs(bytes.subarray(0, 8)).padEnd(23)}  ${hexPairs(bytes.subarray(8)).padEnd(23)}`;
    return `${head}  ${halves}  |${ascii(bytes)}|`;
  }
  const { width } = NUMBERS[format];
  const cells = numbersOf(format, bytes).map((value) => numberText(format, value).padStart(width));
  return `${head}  ${cells.join(' ')}`;
}
