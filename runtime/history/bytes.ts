/** Bytes that grow, and whole numbers of variable length (LEB128). */

/** Appends; never shrinks but by clear(). */
export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(room = 64) {
    this.bytes = new Uint8Array(room);
  }

  /** One that has written these bytes; more go elsewhere. */
  static of(bytes: Uint8Array): ByteWriter {
    const writer = new ByteWriter(0);
    writer.bytes = bytes;
    writer.length = bytes.length;
    return writer;
  }

  /** Makes room for `more` bytes. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** A whole number up to 2^53. */
  varint(value: number): void {
    this.reserve(8);
    while (value >= 128) {
      this.bytes[this.length++] = (value % 128) + 128;
      value = Math.floor(value / 128);
    }
    this.bytes[this.length++] = value;
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Appends a few of other bytes: not worth a view of them. */
  copy(bytes: Uint8Array, from: number, length: number): void {
    this.reserve(length);
    for (let i = 0; i < length; i++) this.bytes[this.length++] = bytes[from + i]!;
  }

  /** A view, until more is written. */
  done(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** Reads what {@link ByteWriter} wrote. @throws RangeError past the end */
export class ByteReader {
  at = 0;

  constructor(readonly bytes: Uint8Array) {}

  byte(): number {
    if (this.at >= this.bytes.length) throw new RangeError('it is cut off');
    return this.bytes[this.at++]!;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 127) * unit;
      if (byte < 128) return value;
      unit *= 128;
      if (unit > 2 ** 49) throw new RangeError('a number is too long');
    }
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new RangeError('it is cut off');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
