/** A guest's memory as WASI functions served here use it. */
import { EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { Guest } from '../types.js';
import { ERRNO } from './errno.js';
import { SIZES } from './sizes.js';
import type { Strings } from './strings.js';

// As in POSIX, a call names so many buffers at most (IOV_MAX): the host must not build longer lists.
const MAX_IOVECS = 1024;

const sizes = new WeakMap<Guest, () => number>();

/**
 * Bytes of the guest's first memory as the guest sees it: less than `guest.memory.buffer.byteLength` in the
 * inline layout, where the support area follows, and after a grow that was undone.
 * @throws ERR_BELAY_WASI while the module is being instantiated.
 */
export function memoryBytes(guest: Guest): number {
  let size = sizes.get(guest);
  if (!size) {
    if (!guest.instance) {
      throw new BelayError(
        'ERR_BELAY_WASI',
        'the module calls WASI in its start function, when its memory cannot be reached yet: ' +
          'build it so that it begins in _start or _initialize',
      );
    }
    const pages = guest.instance.exports[EXPORTS.size(0)] as (() => number) | undefined;
    size = pages ? () => pages() * PAGE : () => guest.memory.buffer.byteLength;
    sizes.set(guest, size);
  }
  return size();
}

/** Guest memory as host functions use it: bounds are the guest's, and every write is announced. */
export class Access {
  readonly #guest: Guest;
  readonly unstable: boolean;

  constructor(guest: Guest, unstable: boolean) {
    this.#guest = guest;
    this.unstable = unstable;
  }

  has(pointer: number, length: number): boolean {
    return pointer + length <= memoryBytes(this.#guest);
  }

  /** A range that is known to lie in memory, to be read at once. */
  view(pointer: number, length: number): Uint8Array {
    return new Uint8Array(this.#guest.memory.buffer, pointer, length);
  }

  /** Writes to a range that is known to lie in memory. */
  write(pointer: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#guest.write(pointer, bytes);
  }

  /** Lets `fill` write a range that is known to lie in memory. */
  fill(pointer: number, length: number, fill: (bytes: Uint8Array) => void): void {
    if (length === 0) return;
    this.#guest.touch(pointer, length);
    fill(this.view(pointer, length));
  }

  /** Writes where the guest says, or answers EFAULT. */
  writeChecked(pointer: number | bigint, bytes: Uint8Array): number {
    const start = Number(pointer) >>> 0;
    if (!this.has(start, bytes.length)) return ERRNO.fault;
    this.write(start, bytes);
    return ERRNO.success;
  }

  writeU32(pointer: number | bigint, value: number): number {
    const start = Number(pointer) >>> 0;
    if (!this.has(start, 4)) return ERRNO.fault;
    this.#guest.touch(start, 4);
    new DataView(this.#guest.memory.buffer).setUint32(start, value, true);
    return ERRNO.success;
  }

  writeU64(pointer: number | bigint, value: bigint): number {
    const start = Number(pointer) >>> 0;
    if (!this.has(start, 8)) return ERRNO.fault;
    this.#guest.touch(start, 8);
    new DataView(this.#guest.memory.buffer).setBigUint64(start, value, true);
    return ERRNO.success;
  }

  writeStrings(pointers: number, buffer: number, strings: Strings): number {
    if (!this.has(pointers, strings.offsets.length * 4) || !this.has(buffer, strings.bytes.length)) {
      return ERRNO.fault;
    }
    const array = new DataView(new ArrayBuffer(strings.offsets.length * 4));
    for (const [i, offset] of strings.offsets.entries()) array.setUint32(i * 4, buffer + offset, true);
    this.write(pointers, new Uint8Array(array.buffer));
    this.write(buffer, strings.bytes);
    return ERRNO.success;
  }

  /** The (pointer, length) pairs of an iovec array, or the errno when it is too long or not in memory. */
  buffers(iovs: number, count: number): [pointer: number, length: number][] | number {
    if (count > MAX_IOVECS) return ERRNO.inval;
    if (!this.has(iovs, count * SIZES.iovec)) return ERRNO.fault;
    const view = new DataView(this.#guest.memory.buffer, iovs, count * SIZES.iovec);
    const pairs: [number, number][] = [];
    for (let i = 0; i < count; i++) {
      const pointer = view.getUint32(i * 8, true);
      const length = view.getUint32(i * 8 + 4, true);
      if (!this.has(pointer, length)) return ERRNO.fault;
      pairs.push([pointer, length]);
    }
    return pairs;
  }
}
