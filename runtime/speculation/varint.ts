/** Unsigned LEB128: seven bits a byte, the lowest first; bit 7 says that more follow. As in WebAssembly, up to 32 bits. */

/** Bytes that grow at their end. */
export class VarintWriter {
  private bytes = new Uint8Array(1024);
  length = 0;

  /** @param value a whole number below 2^32 */
  put(value: number): void {
    if (this.length + 5 > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  append(other: VarintWriter): void {
    while (this.length + other.length > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes.set(other.bytes.subarray(0, other.length), this.length);
    this.length += other.length;
  }

  clear(): void {
    this.length = 0;
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

/** Reads what {@link VarintWriter} wrote; `fail` is called, and must throw, where bytes end early or a number is too large. */
export class VarintReader {
  private at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly fail: (why: string) => never,
  ) {}

  get ended(): boolean {
    return this.at === this.bytes.length;
  }

  get(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (this.at === this.bytes.length) this.fail('its epochs end early');
      const byte = this.bytes[this.at++]!;
      value += (byte & 0x7f) * factor;
      if (value > 0xffffffff) this.fail('a number is larger than 32 bits');
      if (byte < 0x80) {
        if (byte === 0 && factor > 1) this.fail('a number is longer than it need be');
        return value;
      }
      if (factor > 2 ** 28) this.fail('a number is larger than 32 bits');
    }
  }
}
