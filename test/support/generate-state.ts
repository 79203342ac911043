/**
 * Modules whose functions change state of every kind, in any order and with any operands: bulk memory, SIMD
 * lanes, atomics, tables of functions and of externrefs, segments that are dropped, globals of all types,
 * growth. What the analysis of stores makes of it does not matter here (see generate-stress.ts for that).
 */
import { Writer } from '../../rewriter/wasm/writer.js';
import {
  Code,
  EXTERNREF,
  F32,
  F64,
  FUNCREF,
  type Generated,
  I32,
  I64,
  ModuleBuilder,
  type Tape,
  V128,
} from './generate.js';

const PAGE = 65536;
/** Parameters of every function: three numbers and a thing of the host's. */
const PARAMS = [I32, I32, I32, EXTERNREF];
const ENTRIES = 12;
const TABLES = { shown: 0, hidden: 1, extern: 2, fixed: 3 };

class State {
  readonly builder = new ModuleBuilder();
  private functions: number[] = [];
  private globals: [number, number][] = [];
  private data = 0;
  private elements = 0;
  private memories = 1;

  constructor(
    private readonly tape: Tape,
    private readonly several: boolean,
  ) {}

  module(): Generated {
    const { builder, tape } = this;
    builder.memory(1, 1 + tape.below(4));
    if (this.several && tape.chance(160)) {
      builder.memory(1, 3);
      this.memories = 2;
    }
    builder.table(FUNCREF, 4, 100);
    builder.table(FUNCREF, 70 + tape.below(100));
    builder.table(EXTERNREF, 3, 20);
    builder.table(FUNCREF, 6);
    const global = (type: number, init: Code) => this.globals.push([builder.global(type, true, init), type]);
    global(I32, new Code().i32(tape.below(1000)));
    global(I64, new Code().i64(5));
    global(F32, new Code().op(0x43, 0, 0, 0x80, 0x3f));
    global(F64, new Code().op(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f));
    global(V128, new Code().op(0xfd, 12, ...Array.from({ length: 16 }, (_, i) => i)));
    global(FUNCREF, new Code().op(0xd0, FUNCREF));
    global(EXTERNREF, new Code().op(0xd0, EXTERNREF));
    this.data = 3;
    for (let i = 0; i < this.data; i++) {
      // Passive but for the last.
      const bytes = Uint8Array.from({ length: 10 + 20 * i }, () => tape.byte());
      const w =
        i < 2 ? new Writer().byte(1) : new Writer().byte(0).bytes(new Code().i32(96).done()).byte(0x0b);
      builder.data.push(w.u(bytes.length).bytes(bytes));
    }
    for (let i = 0; i < 4; i++) {
      const index = builder.fn([], [I32]);
      builder.define(index, [], new Code().i32(i + 40));
      this.functions.push(index);
    }
    this.elements = 2;
    for (let i = 0; i < this.elements; i++) {
      const list = Array.from({ length: 3 + i }, () => tape.pick(this.functions));
      const w = new Writer().byte(1, 0).u(list.length);
      for (const f of list) w.u(f);
      builder.elements.push(w);
    }
    // Declares the functions that ref.func names, and fills the first table.
    const all = (w: Writer) => {
      w.u(this.functions.length);
      for (const f of this.functions) w.u(f);
      return w;
    };
    builder.elements.push(all(new Writer().byte(0).bytes(new Code().i32(0).done()).byte(0x0b)));
    const names = Array.from({ length: ENTRIES }, (_, i) => `op${i}`);
    for (const name of names) {
      const index = builder.fn(PARAMS, [I32], name);
      const code = new Code(256);
      const n = 1 + tape.below(5);
      for (let i = 0; i < n; i++) this.operation(code);
      builder.define(index, [], code.i32(7));
    }
    const call = (table: number) => {
      const index = builder.fn([I32], [I32], `call${table}`);
      builder.define(
        index,
        [],
        new Code()
          .get(0)
          .op(0x11)
          .u(builder.type([], [I32]))
          .u(table),
      );
      return `call${table}`;
    };
    const calls = [call(TABLES.shown), call(TABLES.hidden)];
    const things = [null, 'a', undefined, 3];
    const numbers = [0, 1, 3, 60, 64, 65, 100, 4000, 4095, PAGE - 16, PAGE - 1, PAGE, -1, 2, 5, 70];
    const args = Array.from({ length: 14 }, (_, i) => [
      numbers[(i * 5) % 16],
      numbers[(i * 3 + 1) % 16],
      numbers[(i * 7 + 2) % 9],
      things[i % 4],
    ]);
    return {
      wasm: builder.build(),
      exports: [
        ...names.map((name) => ({ name, args })),
        ...calls.map((name) => ({ name, args: [0, 1, 3, 4, 69, 90, -1].map((i) => [i]) })),
      ],
      imports: () => ({}),
    };
  }

  /** An i32: often a parameter, often small. */
  private number(code: Code, most = 300): Code {
    const { tape } = this;
    switch (tape.below(5)) {
      case 0:
      case 1:
        return code.get(tape.below(3));
      case 2:
        return code.get(tape.below(3)).i32(63).op(0x71);
      default:
        return code.i32(tape.below(most));
    }
  }

  private function(code: Code): Code {
    return this.tape.chance(60) ? code.op(0xd0, FUNCREF) : code.op(0xd2).u(this.tape.pick(this.functions));
  }

  private operation(code: Code): void {
    const { tape } = this;
    const memory = tape.below(this.memories);
    const functionTable = tape.pick([TABLES.shown, TABLES.hidden, TABLES.shown, TABLES.fixed]);
    const element = (table: number) => {
      if (table === TABLES.extern) code.get(3);
      else this.function(code);
    };
    const anyTable = tape.pick([functionTable, TABLES.extern]);
    const shape = tape.below(2) ? I64 : I32;
    switch (tape.below(20)) {
      case 0:
        this.number(code, PAGE);
        this.number(code, 256);
        this.number(code, 2000).op(0xfc, 11).u(memory);
        return;
      case 1:
        this.number(code, PAGE);
        this.number(code, PAGE);
        this.number(code, 600).op(0xfc, 10).u(memory).u(tape.below(this.memories));
        return;
      case 2:
        this.number(code, PAGE);
        this.number(code, 8);
        this.number(code, 12).op(0xfc, 8).u(tape.below(this.data)).u(memory);
        return;
      case 3:
        code.op(0xfc, 9).u(tape.below(this.data));
        return;
      case 4:
        code.i32(tape.below(3)).op(0x40).u(memory).op(0x1a);
        return;
      case 5:
        this.number(code, 6);
        element(anyTable);
        code.op(0x26).u(anyTable);
        return;
      case 6:
        this.number(code, 6);
        element(anyTable);
        this.number(code, 4).op(0xfc, 17).u(anyTable);
        return;
      case 7:
        this.number(code, 6);
        this.number(code, 6);
        this.number(code, 4)
          .op(0xfc, 14)
          .u(functionTable)
          .u(tape.pick([TABLES.shown, TABLES.hidden]));
        return;
      case 8:
        this.number(code, 6);
        this.number(code, 3);
        this.number(code, 4)
          .op(0xfc, 12)
          .u(tape.below(this.elements + 1))
          .u(functionTable);
        return;
      case 9:
        code.op(0xfc, 13).u(tape.below(this.elements));
        return;
      case 10:
        element(anyTable);
        code.i32(tape.below(5)).op(0xfc, 15).u(anyTable).op(0x1a);
        return;
      case 11:
      case 12: {
        const [global, type] = tape.pick(this.globals);
        if (type === FUNCREF) this.function(code);
        else if (type === EXTERNREF) code.get(3);
        else {
          this.number(code);
          if (type === I64) code.op(0xad);
          else if (type === F32) code.op(0xb2);
          else if (type === F64) code.op(0xb7);
          else if (type === V128) code.op(0xfd, 0x11);
        }
        code.op(0x24).u(global);
        return;
      }
      case 13: {
        const lane = tape.below(4);
        this.number(code, PAGE).get(tape.below(3)).op(0xfd, 0x11);
        code.memory([0xfd, 88 + lane], tape.below(40), memory, 0, tape.below(16 >> lane));
        return;
      }
      case 14:
        this.number(code, PAGE).get(1).op(0xfd, 0x0f).memory([0xfd, 11], tape.below(40), memory);
        return;
      case 15: {
        // Aligned, or it traps.
        const at = tape.below(7);
        const align = [2, 3, 0, 1, 0, 1, 2][at]!;
        const value = [I32, I64, I32, I32, I64, I64, I64][at];
        this.number(code, PAGE).i32(-8).op(0x71);
        const rmw = tape.below(7);
        const operand = () => (value === I64 ? code.get(1).op(0xad) : code.get(1));
        operand();
        if (rmw === 6) operand();
        code.memory([0xfe, rmw === 6 ? 0x48 + at : 0x1e + 7 * rmw + at], 8 * tape.below(20), memory, align);
        code.op(0x1a);
        return;
      }
      case 16: {
        const at = tape.below(7);
        this.number(code, PAGE).i32(-8).op(0x71).get(2);
        if ([1, 4, 5, 6].includes(at)) code.op(0xac);
        code.memory([0xfe, 0x17 + at], 8 * tape.below(20), memory, [2, 3, 0, 1, 0, 1, 2][at]);
        return;
      }
      case 17:
        if (tape.chance(40)) {
          code.get(0).op(0x04, 0x40, 0x00, 0x0b);
          return;
        }
        this.number(code, 6).op(0x25).u(functionTable).op(0x1a);
        return;
      default:
        this.number(code, PAGE);
        if (shape === I64) code.get(2).op(0xac).memory([0x37], tape.below(100), memory);
        else code.get(2).memory([0x36], tape.below(100), memory);
    }
  }
}

export const generateState = (tape: Tape, several: boolean): Generated => new State(tape, several).module();
