import { BelayError } from '../../contract/errors.js';
import { Imm, lookup, OP, type Op } from './opcodes.js';
import { Reader } from './reader.js';

/** An instruction that the table does not know: the module must be refused. */
export class UnknownInstruction extends BelayError {
  constructor(
    readonly opcode: number,
    readonly offset: number,
  ) {
    super('ERR_BELAY_REFUSED', `unknown instruction 0x${opcode.toString(16)} at byte ${offset}`);
  }
}

/**
 * Walks the instructions of one expression (a function body after its locals, or a constant expression).
 * The fields describe the instruction that {@link next} moved to; nothing is allocated per instruction.
 */
export class Decoder {
  readonly reader: Reader;
  /** Where the instruction begins, and where the next one does. */
  start = 0;
  get after(): number {
    return this.reader.pos;
  }
  code = 0;
  op!: Op;
  /** Immediates in the order in which they are encoded. Leb: the constant's value. */
  a = 0;
  b = 0;
  /** Memory instructions. */
  memory = 0;
  offset = 0;
  /** br_table: its labels, the default one last; try_table: labels of its handlers. */
  labels: number[] = [];
  /** Block-like instructions: -1 empty, -2 one result, else a type index. */
  blockType = -1;

  constructor(bytes: Uint8Array, from: number, to: number) {
    this.reader = new Reader(bytes, from, to);
  }

  /** Moves to the next instruction; false at the end of the range. */
  next(): boolean {
    const r = this.reader;
    if (r.done) return false;
    this.start = r.pos;
    let code = r.byte();
    if (code >= 0xfb && code <= 0xfe) code = code * 65536 + r.u32();
    const op = lookup(code);
    if (!op) throw new UnknownInstruction(code, this.start);
    this.code = code;
    this.op = op;
    switch (op.imm) {
      case Imm.None:
        break;
      case Imm.Index:
        this.a = r.u32();
        break;
      case Imm.Index2:
        this.a = r.u32();
        this.b = r.u32();
        break;
      case Imm.Mem:
      case Imm.MemLane: {
        const align = r.u32();
        // Bits above 6 belong to proposals (memory orders) that this table does not know.
        if (align >= 0x80 || align & 0x20) throw new UnknownInstruction(code, this.start);
        this.memory = align & 0x40 ? r.u32() : 0;
        this.offset = r.u64();
        if (op.imm === Imm.MemLane) r.byte();
        break;
      }
      case Imm.Byte:
        r.byte();
        break;
      case Imm.Bytes4:
        r.take(4);
        break;
      case Imm.Bytes8:
        r.take(8);
        break;
      case Imm.Bytes16:
        r.take(16);
        break;
      case Imm.Leb:
        this.a = code === OP.i32_const ? r.s32() : r.s64();
        break;
      case Imm.HeapType:
        r.skipLeb();
        break;
      case Imm.TypeVector:
        for (let n = r.u32(); n > 0; n--) r.valueType();
        break;
      case Imm.BlockType:
        this.readBlockType();
        break;
      case Imm.BrTable: {
        this.labels = [];
        for (let n = r.u32(); n >= 0; n--) this.labels.push(r.u32());
        break;
      }
      case Imm.TryTable: {
        this.readBlockType();
        this.labels = [];
        for (let n = r.u32(); n > 0; n--) {
          const kind = r.byte();
          if (kind > 3) throw new UnknownInstruction(code, this.start);
          if (kind < 2) r.u32();
          this.labels.push(r.u32());
        }
        break;
      }
      case Imm.BrOnCast:
        r.byte();
        this.a = r.u32();
        r.skipLeb();
        r.skipLeb();
        break;
    }
    return true;
  }

  private readBlockType(): void {
    const r = this.reader;
    const first = r.bytes[r.pos]!;
    if (first === 0x40) {
      r.pos++;
      this.blockType = -1;
    } else if (first >= 0x60 && first < 0x80) {
      // 0x63 and 0x64 are followed by a heap type.
      r.valueType();
      this.blockType = -2;
    } else {
      this.blockType = r.s64();
    }
  }
}
