/**
 * What the generators of random modules share: a tape of decisions, and an assembler for modules.
 *
 * A generator draws each decision from a tape of bytes; past its end every draw is 0, which is always the
 * simplest choice. So a case is its tape, and a failing case shrinks by making the tape shorter or its bytes
 * smaller (see shrink.ts), whatever the generator does with them.
 */
import { Writer } from '../../rewriter/wasm/writer.js';
import type { Call } from './oracle.js';

/** A seeded generator of pseudo-random numbers (mulberry32): the same in every engine. */
export function prng(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** `length` random bytes. */
export function randomBytes(seed: number, length: number): Uint8Array {
  const next = prng(seed);
  return Uint8Array.from({ length }, () => next() >>> 24);
}

/** A sequence of decisions. */
export class Tape {
  at = 0;

  constructor(readonly bytes: Uint8Array) {}

  /** Whether any decision is left: generators stop adding things when none is. */
  get left(): boolean {
    return this.at < this.bytes.length;
  }

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  /** A number from 0 to n - 1; n ≤ 65536. */
  below(n: number): number {
    if (n <= 1) return 0;
    return (n <= 256 ? this.byte() : this.byte() * 256 + this.byte()) % n;
  }

  chance(outOf256: number): boolean {
    // 0, what an empty tape gives, must mean no.
    return 255 - this.byte() < outOf256 && this.at <= this.bytes.length;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
export const EXTERNREF = 0x6f;

/** Instructions, one method for each shape that generators use. */
export class Code extends Writer {
  op(...bytes: number[]): this {
    return this.byte(...bytes);
  }
  i32(value: number): this {
    return this.byte(0x41).s(value | 0);
  }
  i64(value: number): this {
    return this.byte(0x42).s(value);
  }
  get(local: number): this {
    return this.byte(0x20).u(local);
  }
  set(local: number): this {
    return this.byte(0x21).u(local);
  }
  tee(local: number): this {
    return this.byte(0x22).u(local);
  }
  call(fn: number): this {
    return this.byte(0x10).u(fn);
  }
  /** A memory access; `opcode` may have a prefix byte. */
  memory(opcode: readonly number[], offset: number, memory = 0, align = 0, lane?: number): this {
    this.byte(...opcode).u(memory ? align | 0x40 : align);
    if (memory) this.u(memory);
    this.u(offset);
    return lane === undefined ? this : this.byte(lane);
  }
}

export interface FunctionType {
  params: number[];
  results: number[];
}

/** Assembles a module of the parts that generators use. Functions are numbered with imports first. */
export class ModuleBuilder {
  private readonly types: string[] = [];
  private readonly imports: Writer[] = [];
  private readonly functions: { type: number; locals: number[]; code: Writer }[] = [];
  private readonly exports: Writer[] = [];
  readonly tables: Writer[] = [];
  readonly memories: Writer[] = [];
  readonly globals: Writer[] = [];
  readonly tags: number[] = [];
  readonly elements: Writer[] = [];
  readonly data: Writer[] = [];
  private imported = 0;

  type(params: number[], results: number[]): number {
    const key = JSON.stringify([params, results]);
    const at = this.types.indexOf(key);
    return at >= 0 ? at : this.types.push(key) - 1;
  }

  /** Imports a function `env.name`; all of them before the first {@link fn}. */
  importFunction(name: string, params: number[], results: number[]): number {
    this.imports.push(new Writer().name('env').name(name).byte(0).u(this.type(params, results)));
    return this.imported++;
  }

  /** Adds a function; its code is set by {@link define}. */
  fn(params: number[], results: number[], name?: string): number {
    this.functions.push({ type: this.type(params, results), locals: [], code: new Writer() });
    const index = this.imported + this.functions.length - 1;
    if (name !== undefined) this.exports.push(new Writer().name(name).byte(0).u(index));
    return index;
  }

  /** Locals are those behind the parameters. The closing `end` is added. */
  define(index: number, locals: number[], code: Writer): void {
    const fn = this.functions[index - this.imported]!;
    fn.locals = locals;
    fn.code = code;
  }

  memory(min: number, max?: number, is64 = false): number {
    const flags = (max === undefined ? 0 : 1) | (is64 ? 4 : 0);
    const w = new Writer().byte(flags).u(min);
    if (max !== undefined) w.u(max);
    return this.memories.push(w) - 1;
  }

  table(type: number, min: number, max?: number): number {
    const w = new Writer().byte(type, max === undefined ? 0 : 1).u(min);
    if (max !== undefined) w.u(max);
    return this.tables.push(w) - 1;
  }

  global(type: number, mutable: boolean, init: Writer): number {
    return (
      this.globals.push(
        new Writer()
          .byte(type, mutable ? 1 : 0)
          .bytes(init.done())
          .byte(0x0b),
      ) - 1
    );
  }

  tag(params: number[]): number {
    return this.tags.push(this.type(params, [])) - 1;
  }

  build(): Uint8Array {
    const out = new Writer(4096).byte(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    const section = (id: number, items: Writer[]) => {
      if (!items.length) return;
      const w = new Writer(256).u(items.length);
      for (const item of items) w.bytes(item.done());
      out.byte(id).sized(w);
    };
    const types = this.types.map((key) => {
      const [params, results] = JSON.parse(key) as [number[], number[]];
      return new Writer()
        .byte(0x60)
        .u(params.length)
        .byte(...params)
        .u(results.length)
        .byte(...results);
    });
    section(1, types);
    section(2, this.imports);
    section(
      3,
      this.functions.map((f) => new Writer().u(f.type)),
    );
    section(4, this.tables);
    section(5, this.memories);
    section(
      13,
      this.tags.map((type) => new Writer().byte(0).u(type)),
    );
    section(6, this.globals);
    section(7, this.exports);
    section(9, this.elements);
    if (this.data.length) out.byte(12).sized(new Writer().u(this.data.length));
    section(
      10,
      this.functions.map((f) => {
        const body = new Writer(f.code.length + 16).u(f.locals.length);
        for (const type of f.locals) body.u(1).byte(type);
        body.bytes(f.code.done()).byte(0x0b);
        return new Writer(body.length + 8).sized(body);
      }),
    );
    section(11, this.data);
    return out.done().slice();
  }
}

/** A module to test, and how to call it. */
export interface Generated {
  wasm: Uint8Array;
  /** Functions to call and the arguments that the script may choose from. */
  exports: { name: string; args: (readonly unknown[])[] }[];
  /** Called on either side before each call. */
  before?: Call;
  /** What the host lends it. `log` notes what happens, to be compared. */
  imports: (log: (what: string) => void) => WebAssembly.Imports;
}
