/** What an expression reads of the state: closures for globals, sizes, and the bytes of memories. */
import { memorySpace, REGISTERS } from '../../guest/state.js';
import { type Code, fromNumber, type IntegerCode, type Run } from './code.js';
import type { Span } from './errors.js';
import {
  addressOf,
  decode,
  type Get,
  isString,
  LONG,
  RANGE_LIMIT,
  readAt,
  readFixed,
  readRange,
  readString,
  SHORT,
  type Source,
  STRING_LIMIT,
  sameBytes,
} from './reads.js';
import { type Global, type Resolver, suggestion } from './resolve.js';
import type { MemoryKey, RangeRead, Read } from './syntax.js';

/** Bytes that an expression looks at. */
export interface Area {
  space: number;
  address: number;
  length: number;
}

const MOST = BigInt(Number.MAX_SAFE_INTEGER);
const UNSIGNED = (bits: number) => ({ low: 0n, high: (1n << BigInt(bits)) - 1n });
const SIGNED = (bits: number) => ({ low: -(1n << BigInt(bits - 1)), high: (1n << BigInt(bits - 1)) - 1n });

export class Access {
  /** The entry that is asked: 1 within `old`. */
  back: 0 | 1 = 0;
  usesEntry = false;
  /** Undefined when what is read depends on what is read, or on the entry. */
  areas: Area[] | undefined = [];

  constructor(
    private readonly run: Run,
    private readonly resolver: Resolver,
    private readonly fail: (at: Span, problem: string) => never,
  ) {}

  private source(space: number): Source {
    return { space, back: this.back };
  }

  private looksAt(space: number, address: IntegerCode | number, length: number): void {
    if (this.areas === undefined) return;
    if (typeof address === 'object' && !address.constant) this.areas = undefined;
    else
      this.areas.push({
        space,
        address: Number(typeof address === 'object' ? address.run() : address),
        length,
      });
  }

  global(global: Global, at: Span): Code {
    const offset = this.resolver.offset(global);
    const source = this.source(REGISTERS);
    const { run } = this;
    const length = { i64: 8, f64: 8, v128: 16 }[global.type as string] ?? 4;
    this.looksAt(REGISTERS, offset, length);
    const common = { at, constant: false } as const;
    const short = (get: [number, Get<number>]) => readFixed(run, source, offset, get, 0);
    switch (global.type) {
      case 'i32':
        return fromNumber(at, false, SIGNED(32), short(SHORT.i32));
      case 'i64': {
        const read = readFixed(run, source, offset, LONG.i64, 0n);
        return { type: 'integer', form: 'bigint', ...common, range: SIGNED(64), run: read };
      }
      case 'f32':
        return { type: 'float', ...common, run: short(SHORT.f32) };
      case 'f64':
        return { type: 'float', ...common, run: short(SHORT.f64) };
      case 'v128': {
        const read = readRange(
          run,
          source,
          () => offset,
          () => 16,
        );
        return { type: 'bytes', ...common, run: read };
      }
      default:
        return fromNumber(at, false, UNSIGNED(32), short(SHORT.u32));
    }
  }

  entry(at: Span): Code {
    if (this.back === 1) this.fail(at, `'entry' is no state, and has no old value; write 'entry - 1'`);
    this.usesEntry = true;
    this.areas = undefined;
    const { run } = this;
    return fromNumber(at, false, { low: 0n, high: MOST }, () => run.past.entry);
  }

  private memory(memory: MemoryKey, at: Span): number {
    const found = this.resolver.memory(memory);
    if (typeof found === 'number') return found;
    return this.fail(memory?.at ?? at, found.problem + suggestion(String(memory?.key ?? ''), found.known));
  }

  /** The size decides whether there is anything to read: it is read, too. */
  private looksAtSize(memory: number): void {
    this.looksAt(REGISTERS, this.resolver.shape.sizes + 8 * (1 + memory), 8);
  }

  size(key: MemoryKey, at: Span): Code {
    const memory = this.memory(key, at);
    this.looksAtSize(memory);
    const { run } = this;
    const { space, back } = this.source(memorySpace(memory));
    return fromNumber(at, false, { low: 0n, high: MOST }, () => run.past.size(space, back));
  }

  /** The closure of an address; one that is known to be none is an error. */
  private address(code: IntegerCode): () => number {
    if (code.constant && (code.range.low < 0n || code.range.low > MOST)) {
      this.fail(code.at, 'no memory has this address: they go from 0 to 2^53 - 1');
    }
    return code.form === 'number' ? code.run : addressOf(code.run);
  }

  /** `u32[address]`, `str[address]` */
  read(at: Span, type: Read, key: MemoryKey, address: IntegerCode): Code {
    const memory = this.memory(key, at);
    const where = this.address(address);
    const source = this.source(memorySpace(memory));
    const { run } = this;
    this.looksAtSize(memory);
    if (type === 'str') {
      this.looksAt(source.space, address, STRING_LIMIT);
      const read = readString(run, source, where);
      const is = (bytes: Uint8Array) => isString(run, source, where, bytes);
      return { type: 'string', at, constant: false, run: () => decode(read()), is };
    }
    const common = { at, constant: false } as const;
    const reader = <T extends number | bigint>(get: [number, Get<T>], none: T): (() => T) => {
      this.looksAt(source.space, address, get[0]);
      return address.constant
        ? readFixed(run, source, where(), get, none)
        : readAt(run, source, where, get, none);
    };
    if (type === 'u64' || type === 'i64') {
      const range = type === 'u64' ? UNSIGNED(64) : SIGNED(64);
      return { type: 'integer', form: 'bigint', ...common, range, run: reader(LONG[type], 0n) };
    }
    const read = reader(SHORT[type], 0);
    if (type === 'f32' || type === 'f64') return { type: 'float', ...common, run: read };
    const bits = Number(type.slice(1));
    return fromNumber(at, false, type.startsWith('u') ? UNSIGNED(bits) : SIGNED(bits), read);
  }

  /** `str(address, length)`, `bytes(address, length)` */
  range(at: Span, type: RangeRead, key: MemoryKey, address: IntegerCode, length: IntegerCode): Code {
    const memory = this.memory(key, at);
    if (length.constant && (length.range.low < 0n || length.range.high > RANGE_LIMIT)) {
      this.fail(length.at, `a length goes from 0 to ${RANGE_LIMIT}`);
    }
    const source = this.source(memorySpace(memory));
    this.looksAtSize(memory);
    if (length.constant) this.looksAt(source.space, address, Number(length.run()));
    else this.areas = undefined;
    const count = length.form === 'number' ? length.run : addressOf(length.run);
    const raw = readRange(this.run, source, this.address(address), count);
    if (type === 'bytes') return { type, at, constant: false, run: raw };
    const is = (bytes: Uint8Array) => () => sameBytes(raw(), bytes);
    return { type: 'string', at, constant: false, run: () => decode(raw()), is };
  }
}
