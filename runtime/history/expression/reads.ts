/** Reading the past's bytes: within a page, across pages, and not beyond the end. */
import type { Run } from './code.js';
import type { NumberRead } from './syntax.js';

/** Bytes of a page of {@link Past}. */
export const PAGE = 4096;
/** Bytes that a string has at most, when a zero byte ends it. */
export const STRING_LIMIT = 4096;
/** Bytes that `str(address, length)` and `bytes(address, length)` give at most. */
export const RANGE_LIMIT = 1 << 20;

/** A space, at the entry or at the one before. */
export interface Source {
  space: number;
  back: 0 | 1;
}

const scratch = new DataView(new ArrayBuffer(8));
const ofPage = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** Puts `length` bytes (8 at most) that lie in two pages into `scratch`. */
function gather(run: Run, { space, back }: Source, page: number, offset: number, length: number): DataView {
  const first = run.past.page(space, page, back, offset, PAGE);
  const here = PAGE - offset;
  for (let i = 0; i < here; i++) scratch.setUint8(i, first.getUint8(offset + i));
  const second = run.past.page(space, page + 1, back, 0, length - here);
  for (let i = here; i < length; i++) scratch.setUint8(i, second.getUint8(i - here));
  return scratch;
}

export type Get<T> = (view: DataView, offset: number) => T;

/** How each type is read, and its bytes. */
export const SHORT: Record<Exclude<NumberRead, 'u64' | 'i64'>, [bytes: number, get: Get<number>]> = {
  u8: [1, (view, offset) => view.getUint8(offset)],
  i8: [1, (view, offset) => view.getInt8(offset)],
  u16: [2, (view, offset) => view.getUint16(offset, true)],
  i16: [2, (view, offset) => view.getInt16(offset, true)],
  u32: [4, (view, offset) => view.getUint32(offset, true)],
  i32: [4, (view, offset) => view.getInt32(offset, true)],
  f32: [4, (view, offset) => view.getFloat32(offset, true)],
  f64: [8, (view, offset) => view.getFloat64(offset, true)],
};
export const LONG: Record<'u64' | 'i64', [bytes: number, get: Get<bigint>]> = {
  u64: [8, (view, offset) => view.getBigUint64(offset, true)],
  i64: [8, (view, offset) => view.getBigInt64(offset, true)],
};

/** A number at an address that is computed. One that is negative or too large is beyond the end like any other. */
export function readAt<T extends number | bigint>(
  run: Run,
  source: Source,
  address: () => number,
  [length, get]: [bytes: number, get: Get<T>],
  none: T,
): () => T {
  const { space, back } = source;
  return () => {
    const at = address();
    const { past } = run;
    if (at < 0 || at + length > past.size(space, back)) {
      run.lost = true;
      return none;
    }
    const offset = at % PAGE;
    const page = (at - offset) / PAGE;
    if (offset + length <= PAGE) return get(past.page(space, page, back, offset, offset + length), offset);
    return get(gather(run, source, page, offset, length), 0);
  };
}

/** The same at one address. */
export function readFixed<T extends number | bigint>(
  run: Run,
  source: Source,
  at: number,
  [length, get]: [bytes: number, get: Get<T>],
  none: T,
): () => T {
  const offset = at % PAGE;
  if (at < 0 || offset + length > PAGE) return readAt(run, source, () => at, [length, get], none);
  const { space, back } = source;
  const page = (at - offset) / PAGE;
  const end = at + length;
  return () => {
    const { past } = run;
    if (end > past.size(space, back)) {
      run.lost = true;
      return none;
    }
    return get(past.page(space, page, back, offset, offset + length), offset);
  };
}

const NOTHING = new Uint8Array(0);

/** A copy of bytes that are there. */
function copy(run: Run, { space, back }: Source, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const offset = (at + done) % PAGE;
    const here = Math.min(PAGE - offset, length - done);
    const view = run.past.page(space, (at + done - offset) / PAGE, back, offset, offset + here);
    bytes.set(ofPage(view).subarray(offset, offset + here), done);
    done += here;
  }
  return bytes;
}

export function readRange(
  run: Run,
  source: Source,
  address: () => number,
  length: () => number,
): () => Uint8Array {
  return () => {
    const at = address();
    const count = length();
    const fits = at >= 0 && count >= 0 && count <= RANGE_LIMIT;
    if (!run.lost && fits && at + count <= run.past.size(source.space, source.back)) {
      return copy(run, source, at, count);
    }
    run.lost = true;
    return NOTHING;
  };
}

/** The bytes up to a zero, or {@link STRING_LIMIT} of them. Not there if memory ends before either. */
export function readString(run: Run, source: Source, address: () => number): () => Uint8Array {
  const { space, back } = source;
  return () => {
    const at = address();
    const size = run.past.size(space, back);
    if (run.lost || at < 0 || at >= size) {
      run.lost = true;
      return NOTHING;
    }
    const end = Math.min(at + STRING_LIMIT, size);
    for (let from = at; from < end; ) {
      const offset = from % PAGE;
      const here = Math.min(PAGE - offset, end - from);
      const view = ofPage(run.past.page(space, (from - offset) / PAGE, back, offset, offset + here));
      const zero = view.indexOf(0, offset);
      if (zero >= 0 && zero < offset + here) {
        // In one page, as most strings are: no second look.
        if (from === at) return view.slice(offset, zero);
        return copy(run, source, at, from - at + zero - offset);
      }
      from += here;
    }
    if (end - at === STRING_LIMIT) return copy(run, source, at, STRING_LIMIT);
    run.lost = true;
    return NOTHING;
  };
}

/**
 * Whether the string of {@link readString} is these bytes. Where memory goes on for long enough, it has a value in any
 * case, and the first byte that differs decides.
 */
export function isString(
  run: Run,
  source: Source,
  address: () => number,
  expected: Uint8Array,
): () => boolean {
  const { space, back } = source;
  const { length } = expected;
  let at = 0;
  const whole = readString(run, source, () => at);
  const simple = length < STRING_LIMIT && !expected.includes(0);
  return () => {
    at = address();
    const { past } = run;
    const offset = at % PAGE;
    if (
      !simple ||
      run.lost ||
      at < 0 ||
      offset + length >= PAGE ||
      at + STRING_LIMIT > past.size(space, back)
    ) {
      return sameBytes(whole(), expected);
    }
    const view = past.page(space, (at - offset) / PAGE, back, offset, offset + length + 1);
    for (let i = 0; i < length; i++) if (view.getUint8(offset + i) !== expected[i]) return false;
    return view.getUint8(offset + length) === 0;
  };
}

/** An address, of an integer that does not fit a number exactly: -1 if there is no memory of that size. */
export const addressOf = (run: () => bigint) => (): number => {
  const value = run();
  return value >= 0n && value <= Number.MAX_SAFE_INTEGER ? Number(value) : -1;
};

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** UTF-8; what is none becomes U+FFFD. */
export function decode(bytes: Uint8Array): string {
  // Most strings are short and plain, and a decoder's call costs more than they do.
  if (bytes.length > 32) return decoder.decode(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte > 127) return decoder.decode(bytes);
    text += String.fromCharCode(byte);
  }
  return text;
}
export const encode = (text: string): Uint8Array => encoder.encode(text);

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function indexOfBytes(bytes: Uint8Array, part: Uint8Array): number {
  if (part.length === 0) return 0;
  for (let at = bytes.indexOf(part[0]!); at >= 0; at = bytes.indexOf(part[0]!, at + 1)) {
    if (at + part.length > bytes.length) return -1;
    if (sameBytes(bytes.subarray(at, at + part.length), part)) return at;
  }
  return -1;
}
