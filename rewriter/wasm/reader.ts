import { BelayError } from '../../contract/errors.js';

const utf8 = new TextDecoder('utf-8', { fatal: false });

/**
 * A cursor over a WebAssembly binary (core specification, chapter 5). Reading past the end or a malformed
 * LEB128 number raises ERR_BELAY_INVALID_MODULE with the offset in the file.
 */
export class Reader {
  pos: number;
  readonly end: number;

  constructor(
    readonly bytes: Uint8Array,
    pos = 0,
    end: number = bytes.length,
  ) {
    this.pos = pos;
    this.end = end;
  }

  fail(what: string): never {
    throw new BelayError(
      'ERR_BELAY_INVALID_MODULE',
      `not a valid WebAssembly module: ${what} at byte ${this.pos}`,
    );
  }

  get done(): boolean {
    return this.pos >= this.end;
  }

  byte(): number {
    if (this.pos >= this.end) this.fail('unexpected end');
    return this.bytes[this.pos++]!;
  }

  /** Bits and last byte of the number that {@link leb} read. */
  private bits = 0;
  private last = 0;

  /** Reads a LEB128 number of at most `most` bits (a multiple of 7), without its sign. */
  private leb(most: number): number {
    let value = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      if (shift > most) this.fail('malformed integer');
    } while (byte & 0x80);
    this.bits = shift;
    this.last = byte;
    return value;
  }

  u32(): number {
    // Nearly all numbers in a module have one byte.
    const byte = this.bytes[this.pos]!;
    if (byte < 0x80 && this.pos < this.end) {
      this.pos++;
      return byte;
    }
    return this.leb(35);
  }

  /** An unsigned 64-bit number as a double: exact below 2^53. */
  u64(): number {
    return this.leb(70);
  }

  s32(): number {
    const value = this.leb(35);
    return (this.last & 0x40 ? value - 2 ** this.bits : value) | 0;
  }

  /** A signed 33-bit or 64-bit number as a double; exact between -2^53 and 2^53. */
  s64(): number {
    const value = this.leb(70);
    return this.last & 0x40 ? value - 2 ** this.bits : value;
  }

  skipLeb(): void {
    let n = 0;
    while (this.byte() & 0x80) if (++n > 10) this.fail('malformed integer');
  }

  take(length: number): Uint8Array {
    if (this.pos + length > this.end) this.fail('unexpected end');
    const slice = this.bytes.subarray(this.pos, this.pos + length);
    this.pos += length;
    return slice;
  }

  name(): string {
    return utf8.decode(this.take(this.u32()));
  }

  /** Skips a value type and returns its bytes: one byte, or 0x63/0x64 and a heap type. */
  valueType(): Uint8Array {
    const start = this.pos;
    const first = this.byte();
    if (first === 0x63 || first === 0x64) this.skipLeb();
    return this.bytes.subarray(start, this.pos);
  }
}
