/**
 * The table of instructions against the engine's validator. A wrong count of operands would let the analysis
 * take one value for another; a wrong width would leave bytes unsaved.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Imm, lookup, type Op, Role, ValueType } from '../../rewriter/wasm/opcodes.js';
import { Writer } from '../../rewriter/wasm/writer.js';

/** Operands of every type, and the bytes that push one. */
const OPERANDS: Record<string, number[]> = {
  i32: [0x41, 0],
  i64: [0x42, 0],
  f32: [0x43, 0, 0, 0, 0],
  f64: [0x44, 0, 0, 0, 0, 0, 0, 0, 0],
  v128: [0xfd, 0x0c, ...new Array<number>(16).fill(0)],
  funcref: [0xd0, 0x70],
};
const TYPES = Object.keys(OPERANDS);
const CODES: Record<string, ValueType> = {
  i32: ValueType.I32,
  i64: ValueType.I64,
  f32: ValueType.F32,
  f64: ValueType.F64,
  v128: ValueType.V128,
};

/** Every opcode that the encoding has room for, in use or not. */
const ALL = [
  ...Array.from({ length: 0xe0 }, (_, i) => i),
  ...Array.from({ length: 0x20 }, (_, i) => 0xfc0000 + i),
  ...Array.from({ length: 0x120 }, (_, i) => 0xfd0000 + i),
  ...Array.from({ length: 0x50 }, (_, i) => 0xfe0000 + i),
];

function section(w: Writer, id: number, content: number[] | Uint8Array): void {
  w.byte(id).u(content.length).bytes(Uint8Array.from(content));
}

/** A module of one function () -> () with this body; a memory of a page, a table, a passive data segment. */
function moduleOf(body: readonly number[], params: readonly number[] = []): Uint8Array<ArrayBuffer> {
  const w = new Writer(256).bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  section(w, 1, [1, 0x60, params.length, ...params, 0]);
  section(w, 3, [1, 0]);
  section(w, 4, [1, 0x70, 0, 1]);
  section(w, 5, [1, 0, 1]);
  section(w, 6, [1, 0x7f, 1, 0x41, 0, 0x0b]);
  section(w, 7, [2, 1, 0x6d, 2, 0, 1, 0x66, 0, 0]);
  section(w, 9, [1, 1, 0, 0]);
  section(w, 12, [1]);
  const code = new Writer().u(body.length + 2).byte(0, ...body, 0x0b);
  section(w, 10, [1, ...code.done()]);
  section(w, 11, [1, 1, 0]);
  return w.done().slice() as Uint8Array<ArrayBuffer>;
}

function encode(code: number, immediates: readonly number[]): number[] {
  const w = new Writer();
  if (code > 0xff) w.byte(code >>> 16).u(code & 0xffff);
  else w.byte(code);
  return [...w.byte(...immediates).done()];
}

/** Immediates that are valid wherever the shape is; undefined for control. */
function immediates(op: Op): number[] | undefined {
  const align = op.name.includes('atomic') ? Math.log2(op.width || (op.name.includes('64') ? 8 : 4)) : 0;
  switch (op.imm) {
    case Imm.None:
      return [];
    case Imm.Index:
    case Imm.Leb:
    case Imm.Byte:
      return [0];
    case Imm.Index2:
      return [0, 0];
    case Imm.Mem:
      return [align, 0];
    case Imm.MemLane:
      return [align, 0, 0];
    case Imm.Bytes4:
      return [0, 0, 0, 0];
    case Imm.Bytes8:
      return new Array<number>(8).fill(0);
    case Imm.Bytes16:
      return new Array<number>(16).fill(0);
    default:
      return undefined;
  }
}

function* combinations(count: number): Generator<string[]> {
  if (count === 0) yield [];
  else for (const rest of combinations(count - 1)) for (const type of TYPES) yield [...rest, type];
}

/** The operand types with which an instruction validates when it pops `pop` and pushes `push` values. */
function operandsOf(instruction: readonly number[], pop: number, push: number): string[] | undefined {
  for (const types of combinations(pop)) {
    const body = [
      ...types.flatMap((t) => OPERANDS[t]!),
      ...instruction,
      ...new Array<number>(push).fill(0x1a),
    ];
    if (WebAssembly.validate(moduleOf(body))) return types;
  }
  return undefined;
}

const PLAIN = ALL.map((code) => ({ code, op: lookup(code) })).filter(
  (x): x is { code: number; op: Op } =>
    x.op !== undefined &&
    [Role.Plain, Role.Load, Role.Store, Role.State].includes(x.op.role) &&
    immediates(x.op) !== undefined &&
    // Locals are not declared here; references to functions have to be.
    x.code !== 0xd2,
);

/** What this engine validates, with the operands that it takes. */
const known = new Map<number, string[]>();
for (const { code, op } of PLAIN) {
  const types = op.pop <= 3 ? operandsOf(encode(code, immediates(op)!), op.pop, op.push) : undefined;
  if (types) known.set(code, types);
}

test('what is popped and pushed is what the validator says, where it knows the instruction', () => {
  const wrong: string[] = [];
  for (const { code, op } of PLAIN) {
    if (known.has(code)) continue;
    for (let pop = 0; pop <= 3; pop++) {
      for (let push = 0; push <= 2; push++) {
        const types = operandsOf(encode(code, immediates(op)!), pop, push);
        if (types) wrong.push(`${op.name} pops ${types.join()} and pushes ${push}`);
      }
    }
  }
  assert.equal(wrong, []);
  const share = known.size / PLAIN.length;
  assert.ok(share > 0.8, `this engine knows ${Math.round(100 * share)} % of ${PLAIN.length}`);
});

test('stores: the type of what is stored', () => {
  let stores = 0;
  for (const { code, op } of PLAIN) {
    const types = known.get(code);
    if (op.role !== Role.Store || !types) continue;
    stores++;
    assert.is(types[0], 'i32', op.name);
    assert.is(types.length, 1 + op.operands, op.name);
    for (const type of types.slice(1)) assert.is(CODES[type], op.value, op.name);
  }
  assert.ok(stores > 60, `${stores} stores`);
});

test('stores and loads: the width is how close to the end they can be', () => {
  const END = 65536;
  for (const { code, op } of PLAIN) {
    const types = known.get(code);
    if ((op.role !== Role.Store && op.role !== Role.Load) || !types) continue;
    // The address is the function's parameter; all else is zero.
    const body = [
      0x20,
      0,
      ...types.slice(1).flatMap((t) => OPERANDS[t]!),
      ...encode(code, immediates(op)!),
      ...new Array<number>(op.push).fill(0x1a),
    ];
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleOf(body, [0x7f])));
    const f = exports.f as (address: number) => void;
    const bytes = new Uint8Array((exports.m as WebAssembly.Memory).buffer);
    assert.ok([1, 2, 4, 8, 16].includes(op.width), op.name);
    assert.not.throws(() => f(END - op.width), undefined, op.name);
    assert.throws(() => f(END - op.width + 1), WebAssembly.RuntimeError, `${op.name} beyond the end`);
    if (op.role === Role.Load || op.name.includes('rmw')) continue;
    // It writes exactly its width.
    bytes.fill(0x55, 64, 128);
    f(80);
    const changed = [...bytes.subarray(64, 128).keys()].filter((i) => bytes[64 + i] !== 0x55);
    assert.equal(
      changed,
      Array.from({ length: op.width }, (_, i) => 16 + i),
      op.name,
    );
  }
});

test('whatever the engine takes and the table does not know would be refused, and is not of this kind', () => {
  // Of the instructions without immediates, or with one of memory, none writes and is unknown.
  const unknown: string[] = [];
  for (const code of ALL) {
    if (lookup(code)) continue;
    for (const imm of [[], [0], [0, 0], [2, 0], [3, 0], [0, 0, 0]]) {
      for (let pop = 0; pop <= 3; pop++) {
        for (let push = 0; push <= 1; push++) {
          const types = operandsOf(encode(code, imm), pop, push);
          if (types) unknown.push(`0x${code.toString(16)} ${types.join()} pushes ${push}`);
        }
      }
    }
  }
  assert.equal(unknown, []);
});

test.run();
