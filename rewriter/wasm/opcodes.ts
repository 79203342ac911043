/**
 * What the rewriter has to know of each instruction: which immediates follow its opcode, how many operands
 * it pops and pushes (types are not needed), and, where it changes or reads guarded state, what it does.
 *
 * Opcodes with a prefix are numbered `prefix << 16 | subopcode`. Source: WebAssembly core specification 3.0,
 * section 5.4 (instructions), plus the threads, relaxed SIMD and wide arithmetic proposals. An opcode that is
 * not in the table is unknown: a module that uses it is refused, because it might change state.
 */

/** The shape of what follows the opcode. */
export enum Imm {
  None,
  /** One LEB index: local, global, function, type, tag, label, lane count. */
  Index,
  Index2,
  /** Alignment (with the memory's index behind bit 6) and offset. */
  Mem,
  /** As Mem, and a lane byte. */
  MemLane,
  Byte,
  Bytes4,
  Bytes8,
  Bytes16,
  Leb,
  BlockType,
  BrTable,
  TypeVector,
  HeapType,
  TryTable,
  /** flags, label, two heap types */
  BrOnCast,
}

/** Instructions that need more than counting operands. */
export enum Role {
  Plain,
  Control,
  Call,
  Local,
  /** Writes [address, address + width) of a memory. */
  Store,
  Load,
  /** Another change of state, or a look at guarded state: replaced as a whole. */
  State,
  /** Cannot be rolled back. */
  Refused,
}

export enum ValueType {
  I32 = 0x7f,
  I64 = 0x7e,
  F32 = 0x7d,
  F64 = 0x7c,
  V128 = 0x7b,
}

export interface Op {
  readonly name: string;
  readonly imm: Imm;
  readonly pop: number;
  readonly push: number;
  readonly role: Role;
  /** Store and Load: bytes accessed. */
  readonly width: number;
  /** Store: type of the operands above the address. */
  readonly value: ValueType;
  /** Store: how many operands lie above the address (2 for a compare-exchange). */
  readonly operands: number;
}

const table = new Map<number, Op>();
const oneByte: (Op | undefined)[] = [];

function define(
  code: number,
  name: string,
  imm: Imm,
  pop: number,
  push: number,
  role: Role = Role.Plain,
  more: Partial<Op> = {},
): void {
  const op: Op = { name, imm, pop, push, role, width: 0, value: ValueType.I32, operands: 1, ...more };
  table.set(code, op);
  if (code < 256) oneByte[code] = op;
}

function plain(prefix: number, from: number, to: number, pop: number, push = 1, imm = Imm.None): void {
  for (let sub = from; sub <= to; sub++) {
    const code = (prefix << 16) | sub;
    define(code, `0x${prefix ? `${prefix.toString(16)} ` : ''}${sub.toString(16)}`, imm, pop, push);
  }
}

/** Subopcodes of one arity, as numbers and [from, to] pairs. */
function arity(prefix: number, pop: number, list: (number | [number, number])[], imm = Imm.None): void {
  for (const item of list) {
    const [from, to] = typeof item === 'number' ? [item, item] : item;
    plain(prefix, from, to, pop, 1, imm);
  }
}

export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  try: 0x06,
  catch: 0x07,
  throw: 0x08,
  rethrow: 0x09,
  throw_ref: 0x0a,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  return_call: 0x12,
  return_call_indirect: 0x13,
  call_ref: 0x14,
  return_call_ref: 0x15,
  delegate: 0x18,
  catch_all: 0x19,
  select: 0x1b,
  try_table: 0x1f,
  local_get: 0x20,
  local_set: 0x21,
  local_tee: 0x22,
  global_get: 0x23,
  global_set: 0x24,
  table_get: 0x25,
  table_set: 0x26,
  memory_size: 0x3f,
  memory_grow: 0x40,
  i32_const: 0x41,
  i64_const: 0x42,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  ref_func: 0xd2,
  br_on_null: 0xd5,
  br_on_non_null: 0xd6,
  struct_new: 0xfb0000,
  array_new_fixed: 0xfb0008,
  array_new_data: 0xfb0009,
  array_new_elem: 0xfb000a,
  br_on_cast: 0xfb0018,
  br_on_cast_fail: 0xfb0019,
  memory_init: 0xfc0008,
  data_drop: 0xfc0009,
  memory_copy: 0xfc000a,
  memory_fill: 0xfc000b,
  table_init: 0xfc000c,
  elem_drop: 0xfc000d,
  table_copy: 0xfc000e,
  table_grow: 0xfc000f,
  table_size: 0xfc0010,
  table_fill: 0xfc0011,
} as const;

// --- control ---
const control: [number, string, Imm][] = [
  [OP.unreachable, 'unreachable', Imm.None],
  [OP.block, 'block', Imm.BlockType],
  [OP.loop, 'loop', Imm.BlockType],
  [OP.if, 'if', Imm.BlockType],
  [OP.else, 'else', Imm.None],
  [OP.try, 'try', Imm.BlockType],
  [OP.catch, 'catch', Imm.Index],
  [OP.throw, 'throw', Imm.Index],
  [OP.rethrow, 'rethrow', Imm.Index],
  [OP.throw_ref, 'throw_ref', Imm.None],
  [OP.end, 'end', Imm.None],
  [OP.br, 'br', Imm.Index],
  [OP.br_if, 'br_if', Imm.Index],
  [OP.br_table, 'br_table', Imm.BrTable],
  [OP.return, 'return', Imm.None],
  [OP.delegate, 'delegate', Imm.Index],
  [OP.catch_all, 'catch_all', Imm.None],
  [OP.try_table, 'try_table', Imm.TryTable],
  [OP.br_on_null, 'br_on_null', Imm.Index],
  [OP.br_on_non_null, 'br_on_non_null', Imm.Index],
  [OP.br_on_cast, 'br_on_cast', Imm.BrOnCast],
  [OP.br_on_cast_fail, 'br_on_cast_fail', Imm.BrOnCast],
];
for (const [code, name, imm] of control) define(code, name, imm, 0, 0, Role.Control);
define(OP.call, 'call', Imm.Index, 0, 0, Role.Call);
define(OP.call_indirect, 'call_indirect', Imm.Index2, 1, 0, Role.Call);
define(OP.return_call, 'return_call', Imm.Index, 0, 0, Role.Call);
define(OP.return_call_indirect, 'return_call_indirect', Imm.Index2, 1, 0, Role.Call);
define(OP.call_ref, 'call_ref', Imm.Index, 1, 0, Role.Call);
define(OP.return_call_ref, 'return_call_ref', Imm.Index, 1, 0, Role.Call);

// --- stack and variables ---
define(0x01, 'nop', Imm.None, 0, 0);
define(0x1a, 'drop', Imm.None, 1, 0);
define(OP.select, 'select', Imm.None, 3, 1);
define(0x1c, 'select', Imm.TypeVector, 3, 1);
define(OP.local_get, 'local.get', Imm.Index, 0, 1, Role.Local);
define(OP.local_set, 'local.set', Imm.Index, 1, 0, Role.Local);
define(OP.local_tee, 'local.tee', Imm.Index, 1, 1, Role.Local);
define(OP.global_get, 'global.get', Imm.Index, 0, 1);
// Every mutable global is copied at the checkpoint, so a global.set needs no rewriting.
define(OP.global_set, 'global.set', Imm.Index, 1, 0);
define(OP.i32_const, 'i32.const', Imm.Leb, 0, 1);
define(OP.i64_const, 'i64.const', Imm.Leb, 0, 1);
define(0x43, 'f32.const', Imm.Bytes4, 0, 1);
define(0x44, 'f64.const', Imm.Bytes8, 0, 1);

// --- memory ---
const loads: [string, number][] = [
  ['i32.load', 4],
  ['i64.load', 8],
  ['f32.load', 4],
  ['f64.load', 8],
  ['i32.load8_s', 1],
  ['i32.load8_u', 1],
  ['i32.load16_s', 2],
  ['i32.load16_u', 2],
  ['i64.load8_s', 1],
  ['i64.load8_u', 1],
  ['i64.load16_s', 2],
  ['i64.load16_u', 2],
  ['i64.load32_s', 4],
  ['i64.load32_u', 4],
];
loads.forEach(([name, width], i) => define(0x28 + i, name, Imm.Mem, 1, 1, Role.Load, { width }));
const stores: [string, number, ValueType][] = [
  ['i32.store', 4, ValueType.I32],
  ['i64.store', 8, ValueType.I64],
  ['f32.store', 4, ValueType.F32],
  ['f64.store', 8, ValueType.F64],
  ['i32.store8', 1, ValueType.I32],
  ['i32.store16', 2, ValueType.I32],
  ['i64.store8', 1, ValueType.I64],
  ['i64.store16', 2, ValueType.I64],
  ['i64.store32', 4, ValueType.I64],
];
stores.forEach(([name, width, value], i) =>
  define(0x36 + i, name, Imm.Mem, 2, 0, Role.Store, { width, value }),
);
define(OP.memory_size, 'memory.size', Imm.Index, 0, 1, Role.State);
define(OP.memory_grow, 'memory.grow', Imm.Index, 1, 1, Role.State);

// --- numbers ---
arity(0, 1, [0x45, 0x50, [0x67, 0x69], [0x79, 0x7b], [0x8b, 0x91], [0x99, 0x9f], [0xa7, 0xc4]]);
arity(0, 2, [
  [0x46, 0x4f],
  [0x51, 0x66],
  [0x6a, 0x78],
  [0x7c, 0x8a],
  [0x92, 0x98],
  [0xa0, 0xa6],
]);

// --- references and tables ---
define(OP.table_get, 'table.get', Imm.Index, 1, 1, Role.State);
define(OP.table_set, 'table.set', Imm.Index, 2, 0, Role.State);
define(0xd0, 'ref.null', Imm.HeapType, 0, 1);
define(0xd1, 'ref.is_null', Imm.None, 1, 1);
define(OP.ref_func, 'ref.func', Imm.Index, 0, 1);
define(0xd3, 'ref.eq', Imm.None, 2, 1);
define(0xd4, 'ref.as_non_null', Imm.None, 1, 1);

// --- garbage-collected objects: reading is fine, mutating is not ---
const gc: [number, string, Imm, number, number, Role?][] = [
  [0, 'struct.new', Imm.Index, 0, 1],
  [1, 'struct.new_default', Imm.Index, 0, 1],
  [2, 'struct.get', Imm.Index2, 1, 1],
  [3, 'struct.get_s', Imm.Index2, 1, 1],
  [4, 'struct.get_u', Imm.Index2, 1, 1],
  [5, 'struct.set', Imm.Index2, 2, 0, Role.Refused],
  [6, 'array.new', Imm.Index, 2, 1],
  [7, 'array.new_default', Imm.Index, 1, 1],
  [8, 'array.new_fixed', Imm.Index2, 0, 1],
  [9, 'array.new_data', Imm.Index2, 2, 1],
  [10, 'array.new_elem', Imm.Index2, 2, 1],
  [11, 'array.get', Imm.Index, 2, 1],
  [12, 'array.get_s', Imm.Index, 2, 1],
  [13, 'array.get_u', Imm.Index, 2, 1],
  [14, 'array.set', Imm.Index, 3, 0, Role.Refused],
  [15, 'array.len', Imm.None, 1, 1],
  [16, 'array.fill', Imm.Index, 4, 0, Role.Refused],
  [17, 'array.copy', Imm.Index2, 5, 0, Role.Refused],
  [18, 'array.init_data', Imm.Index2, 4, 0, Role.Refused],
  [19, 'array.init_elem', Imm.Index2, 4, 0, Role.Refused],
  [20, 'ref.test', Imm.HeapType, 1, 1],
  [21, 'ref.test null', Imm.HeapType, 1, 1],
  [22, 'ref.cast', Imm.HeapType, 1, 1],
  [23, 'ref.cast null', Imm.HeapType, 1, 1],
  [26, 'any.convert_extern', Imm.None, 1, 1],
  [27, 'extern.convert_any', Imm.None, 1, 1],
  [28, 'ref.i31', Imm.None, 1, 1],
  [29, 'i31.get_s', Imm.None, 1, 1],
  [30, 'i31.get_u', Imm.None, 1, 1],
];
for (const [sub, name, imm, pop, push, role] of gc) define(0xfb0000 | sub, name, imm, pop, push, role);

// --- 0xfc: saturating conversions, bulk memory, tables, wide arithmetic ---
arity(0xfc, 1, [[0, 7]]);
define(OP.memory_init, 'memory.init', Imm.Index2, 3, 0, Role.State);
define(OP.data_drop, 'data.drop', Imm.Index, 0, 0, Role.State);
define(OP.memory_copy, 'memory.copy', Imm.Index2, 3, 0, Role.State);
define(OP.memory_fill, 'memory.fill', Imm.Index, 3, 0, Role.State);
define(OP.table_init, 'table.init', Imm.Index2, 3, 0, Role.State);
define(OP.elem_drop, 'elem.drop', Imm.Index, 0, 0, Role.State);
define(OP.table_copy, 'table.copy', Imm.Index2, 3, 0, Role.State);
define(OP.table_grow, 'table.grow', Imm.Index, 2, 1, Role.State);
define(OP.table_size, 'table.size', Imm.Index, 0, 1, Role.State);
define(OP.table_fill, 'table.fill', Imm.Index, 3, 0, Role.State);
define(0xfc0013, 'i64.add128', Imm.None, 4, 2);
define(0xfc0014, 'i64.sub128', Imm.None, 4, 2);
define(0xfc0015, 'i64.mul_wide_s', Imm.None, 2, 2);
define(0xfc0016, 'i64.mul_wide_u', Imm.None, 2, 2);

// --- 0xfd: SIMD ---
const vectorLoads = [16, 8, 8, 8, 8, 8, 8, 1, 2, 4, 8];
vectorLoads.forEach((width, i) => define(0xfd0000 | i, 'v128.load', Imm.Mem, 1, 1, Role.Load, { width }));
define(0xfd005c, 'v128.load32_zero', Imm.Mem, 1, 1, Role.Load, { width: 4 });
define(0xfd005d, 'v128.load64_zero', Imm.Mem, 1, 1, Role.Load, { width: 8 });
define(0xfd000b, 'v128.store', Imm.Mem, 2, 0, Role.Store, { width: 16, value: ValueType.V128 });
for (let i = 0; i < 4; i++) {
  const width = 1 << i;
  define(0xfd0054 + i, `v128.load${8 * width}_lane`, Imm.MemLane, 2, 1, Role.Load, {
    width,
    value: ValueType.V128,
  });
  define(0xfd0058 + i, `v128.store${8 * width}_lane`, Imm.MemLane, 2, 0, Role.Store, {
    width,
    value: ValueType.V128,
  });
}
define(0xfd000c, 'v128.const', Imm.Bytes16, 0, 1);
define(0xfd000d, 'i8x16.shuffle', Imm.Bytes16, 2, 1);
arity(0xfd, 1, [21, 22, 24, 25, 27, 29, 31, 33], Imm.Byte);
arity(0xfd, 2, [23, 26, 28, 30, 32, 34], Imm.Byte);
arity(0xfd, 1, [
  [15, 20],
  0x4d,
  0x53,
  [0x5e, 0x64],
  [0x67, 0x6a],
  0x74,
  0x75,
  0x7a,
  [0x7c, 0x81],
  0x83,
  0x84,
  [0x87, 0x8a],
  0x94,
  0xa0,
  0xa1,
  0xa3,
  0xa4,
  [0xa7, 0xaa],
  0xc0,
  0xc1,
  0xc3,
  0xc4,
  [0xc7, 0xca],
  0xe0,
  0xe1,
  0xe3,
  0xec,
  0xed,
  0xef,
  [0xf8, 0xff],
  [0x101, 0x104],
]);
arity(0xfd, 2, [
  14,
  [0x23, 0x4c],
  [0x4e, 0x51],
  0x65,
  0x66,
  [0x6b, 0x73],
  [0x76, 0x79],
  0x7b,
  0x82,
  0x85,
  0x86,
  [0x8b, 0x93],
  [0x95, 0x99],
  [0x9b, 0x9f],
  [0xab, 0xae],
  0xb1,
  [0xb5, 0xba],
  [0xbc, 0xbf],
  [0xcb, 0xce],
  0xd1,
  [0xd5, 0xdf],
  [0xe4, 0xeb],
  [0xf0, 0xf7],
  0x100,
  [0x10d, 0x112],
]);
arity(0xfd, 3, [0x52, [0x105, 0x10c], 0x113]);

// --- 0xfe: atomics ---
define(0xfe0000, 'memory.atomic.notify', Imm.Mem, 2, 1);
define(0xfe0001, 'memory.atomic.wait32', Imm.Mem, 3, 1);
define(0xfe0002, 'memory.atomic.wait64', Imm.Mem, 3, 1);
define(0xfe0003, 'atomic.fence', Imm.Byte, 0, 0);
const shapes: [string, number, ValueType][] = [
  ['i32.atomic#', 4, ValueType.I32],
  ['i64.atomic#', 8, ValueType.I64],
  ['i32.atomic#8', 1, ValueType.I32],
  ['i32.atomic#16', 2, ValueType.I32],
  ['i64.atomic#8', 1, ValueType.I64],
  ['i64.atomic#16', 2, ValueType.I64],
  ['i64.atomic#32', 4, ValueType.I64],
];
shapes.forEach(([name, width, value], i) => {
  const atomic = (kind: string) => name.replace('#', kind);
  define(0xfe0010 + i, atomic('.load'), Imm.Mem, 1, 1, Role.Load, { width });
  define(0xfe0017 + i, atomic('.store'), Imm.Mem, 2, 0, Role.Store, { width, value });
  ['add', 'sub', 'and', 'or', 'xor', 'xchg'].forEach((rmw, k) => {
    define(0xfe001e + 7 * k + i, `${atomic('.rmw')}.${rmw}`, Imm.Mem, 2, 1, Role.Store, { width, value });
  });
  const cmpxchg = `${atomic('.rmw')}.cmpxchg`;
  define(0xfe0048 + i, cmpxchg, Imm.Mem, 3, 1, Role.Store, { width, value, operands: 2 });
});

/**
 * Stack switching. What follows these opcodes is not decoded, because a module with one of them is refused: a
 * suspended computation would outlive the epoch it began in.
 */
export const STACK_SWITCHING: ReadonlyMap<number, string> = new Map([
  [0xe0, 'cont.new'],
  [0xe1, 'cont.bind'],
  [0xe2, 'suspend'],
  [0xe3, 'resume'],
  [0xe4, 'resume_throw'],
  [0xe5, 'resume_throw_ref'],
  [0xe6, 'switch'],
]);

/** The instruction with this (combined) opcode, or undefined for one that is not known. */
export function lookup(code: number): Op | undefined {
  return code < 256 ? oneByte[code] : table.get(code);
}
