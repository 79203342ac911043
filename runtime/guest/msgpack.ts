/**
 * As much of MessagePack (github.com/msgpack/msgpack/blob/master/spec.md) as the section, saved states and companions
 * use: null, booleans, numbers, strings, byte arrays, arrays, and maps whose keys are strings. Integers beyond 32 bits are
 * written as floats, which have them exactly up to 2^53. A whole library would not fit into an edge bundle.
 */

/** The bytes that say `value`. @throws TypeError for what is not in the list above */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  let room = new Uint8Array(256);
  let at = 0;
  const reserve = (more: number): void => {
    if (at + more <= room.length) return;
    const larger = new Uint8Array(Math.max(at + more, room.length * 2));
    larger.set(room.subarray(0, at));
    room = larger;
  };
  const byte = (tag: number): void => {
    reserve(1);
    room[at++] = tag;
  };
  /** `size` bytes of `n`, most significant first. */
  const uint = (tag: number, size: number, n: number): void => {
    byte(tag);
    for (let shift = size - 1; shift >= 0; shift--) byte((n >>> (8 * shift)) & 255);
  };
  /** A length, by the tags of 8, 16 and 32 bits; those below `few` are in the tag itself. */
  const length = (n: number, fixed: number, few: number, tag8: number, tag16: number): void => {
    if (n > 0xffff_ffff) throw new TypeError(`a length of ${n}`);
    if (n < few) byte(fixed | n);
    else if (n < 256 && tag8) uint(tag8, 1, n);
    else if (n < 65536) uint(tag16, 2, n);
    else uint(tag16 + 1, 4, n);
  };
  const bytes = (data: Uint8Array): void => {
    reserve(data.length);
    room.set(data, at);
    at += data.length;
  };
  /** Most strings are short and ASCII, for which the engine's encoder takes longer than the rest. */
  const text = (item: string): void => {
    const n = item.length;
    if (n < 32) {
      reserve(n + 1);
      let i = 0;
      for (; i < n && item.charCodeAt(i) < 128; i++) room[at + 1 + i] = item.charCodeAt(i);
      if (i === n) {
        room[at] = 0xa0 | n;
        at += n + 1;
        return;
      }
    }
    const data = new TextEncoder().encode(item);
    length(data.length, 0xa0, 32, 0xd9, 0xda);
    bytes(data);
  };
  const write = (item: unknown): void => {
    if (item === null) byte(0xc0);
    else if (typeof item === 'boolean') byte(item ? 0xc3 : 0xc2);
    else if (typeof item === 'number') {
      const whole = !Object.is(item, -0);
      if (whole && item >>> 0 === item) length(item, 0, 128, 0xcc, 0xcd);
      else if (whole && (item | 0) === item && item >= -32) byte(item & 255);
      else if (whole && (item | 0) === item) uint(0xd2, 4, item);
      else {
        byte(0xcb);
        const view = new DataView(new ArrayBuffer(8));
        view.setFloat64(0, item);
        bytes(new Uint8Array(view.buffer));
      }
    } else if (typeof item === 'string') text(item);
    else if (item instanceof Uint8Array) {
      length(item.length, 0, 0, 0xc4, 0xc5);
      bytes(item);
    } else if (Array.isArray(item)) {
      length(item.length, 0x90, 16, 0, 0xdc);
      item.forEach(write);
    } else if (typeof item === 'object' && !ArrayBuffer.isView(item)) {
      const entries = Object.entries(item);
      length(entries.length, 0x80, 16, 0, 0xde);
      for (const entry of entries) entry.forEach(write);
    } else throw new TypeError(`a value of type ${typeof item}`);
  };
  write(value);
  return room.slice(0, at);
}

/**
 * What `data` says; byte arrays are views of it.
 * @throws RangeError at what is not in the list above, and where `data` ends too early or goes on
 */
export function decode(data: Uint8Array): unknown {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  let at = 0;
  const uint = (size: number): number => {
    let value = 0;
    for (; size > 0; size--) value = value * 256 + view.getUint8(at++);
    return value;
  };
  const bytes = (length: number): Uint8Array => {
    at += length;
    if (at > data.length) throw new RangeError('cut off');
    return data.subarray(at - length, at);
  };
  const string = (length: number): string => utf8.decode(bytes(length));
  const array = (length: number): unknown[] => {
    const result: unknown[] = [];
    for (; length > 0; length--) result.push(value());
    return result;
  };
  const map = (length: number): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    for (; length > 0; length--) {
      const key = String(value());
      Object.defineProperty(result, key, {
        value: value(),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return result;
  };
  function value(): unknown {
    const tag = uint(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag & 15);
    if (tag < 0xa0) return array(tag & 15);
    if (tag < 0xc0) return string(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    /** Of families of tags whose lengths have 1, 2 and 4 bytes. */
    const size = (first: number): number => uint(1 << (tag - first));
    if (tag === 0xc0) return null;
    if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
    if (tag >= 0xc4 && tag <= 0xc6) return bytes(size(0xc4));
    if (tag >= 0xcc && tag <= 0xce) return size(0xcc);
    if (tag >= 0xd9 && tag <= 0xdb) return string(size(0xd9));
    // Arrays and maps have no length of one byte.
    if (tag === 0xdc || tag === 0xdd) return array(size(0xdb));
    if (tag === 0xde || tag === 0xdf) return map(size(0xdd));
    if (tag === 0xd2) return uint(4) | 0;
    if (tag === 0xcb) {
      at += 8;
      return view.getFloat64(at - 8);
    }
    throw new RangeError(`unexpected byte 0x${tag.toString(16)}`);
  }
  const result = value();
  if (at !== data.length) throw new RangeError(`${data.length - at} bytes too many`);
  return result;
}
