const encoder = new TextEncoder();

/** A growing buffer of bytes in the WebAssembly binary encoding. */
export class Writer {
  private buffer: Uint8Array;
  length = 0;

  constructor(capacity = 64) {
    this.buffer = new Uint8Array(capacity);
  }

  private reserve(extra: number): void {
    const need = this.length + extra;
    if (need <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(need, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }

  byte(...values: number[]): this {
    this.reserve(values.length);
    for (const value of values) this.buffer[this.length++] = value;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** Copies `source[from, to)` without an intermediate view. */
  slice(source: Uint8Array, from: number, to: number): this {
    return this.bytes(source.subarray(from, to));
  }

  /** Unsigned LEB128, up to 2^53. */
  u(value: number): this {
    this.reserve(10);
    while (value >= 0x80) {
      this.buffer[this.length++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.buffer[this.length++] = value;
    return this;
  }

  /** Signed LEB128, -2^53 to 2^53. */
  s(value: number): this {
    this.reserve(10);
    for (;;) {
      const low = ((value % 0x80) + 0x80) % 0x80;
      value = Math.floor(value / 0x80);
      const last = (value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40);
      this.buffer[this.length++] = last ? low : low | 0x80;
      if (last) return this;
    }
  }

  name(text: string): this {
    const bytes = encoder.encode(text);
    return this.u(bytes.length).bytes(bytes);
  }

  /** `inner` preceded by its length. */
  sized(inner: Writer): this {
    return this.u(inner.length).bytes(inner.done());
  }

  /** The bytes written so far (a view: copy it to keep it across further writes). */
  done(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}
