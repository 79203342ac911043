/**
 * Modules that try to fool the analysis of stores (rewriter/find.ts, rewriter/analyse.ts): stores of all
 * widths off few bases, bases assigned in branches and loops, early exits, br_table, exceptions of both kinds,
 * calls that grow memory or throw, and nested stores. Every loop and call uses up fuel, so all of them end.
 */
import { Code, F32, F64, type Generated, I32, I64, ModuleBuilder, type Tape, V128 } from './generate.js';

export interface StressFeatures {
  /** try/catch as engines first had it, or try_table; a module uses one kind. */
  exceptions: 'none' | 'legacy' | 'new';
}

const PAGE = 65536;
/** Global numbers. */
const FUEL = 0;
const STACK = 1;
const PARAMS = 3;
/** The parameter that only decides. */
const CHOICE = 2;
const LOCALS = 5;
const MOST_DEPTH = 6;
const HELPERS = 3;
const ENTRIES = 10;

type Store = { op: number[]; width: number; value: number; lane?: number; atomic?: boolean };

const STORES: Store[] = [
  { op: [0x36], width: 4, value: I32 },
  { op: [0x37], width: 8, value: I64 },
  { op: [0x3a], width: 1, value: I32 },
  { op: [0x3b], width: 2, value: I32 },
  { op: [0xfd, 11], width: 16, value: V128 },
  { op: [0x38], width: 4, value: F32 },
  { op: [0x39], width: 8, value: F64 },
  { op: [0x3c], width: 1, value: I64 },
  { op: [0x3d], width: 2, value: I64 },
  { op: [0x3e], width: 4, value: I64 },
  { op: [0xfd, 88], width: 1, value: V128, lane: 15 },
  { op: [0xfd, 89], width: 2, value: V128, lane: 7 },
  { op: [0xfd, 90], width: 4, value: V128, lane: 3 },
  { op: [0xfd, 91], width: 8, value: V128, lane: 1 },
];

const OFFSETS = [
  0, 4, 8, 12, 16, 1, 2, 3, 15, 17, 24, 31, 32, 40, 48, 60, 63, 64, 65, 100, 127, 128, 255, 4096,
];
const DELTAS = [0, 4, 8, 16, -4, -8, 1, -1, -16, 12, 24, 32, 48, 64, -32, -64, 3, 60, 128];
const WILD = [PAGE - 8, PAGE - 1, 2 * PAGE - 4, -4, -1, -64, 0x7ffffff0, -0x80000000, 3 * PAGE];

/** Statements of dense modules, by their number in Stress.statement: control flow and stores off two bases. */
const DENSE = [0, 0, 0, 0, 0, 0, 0, 7, 8, 10, 10, 10, 11, 11, 11, 13, 13, 15, 15, 15, 15, 14, 17, 18, 19, 21];

/** An enclosing label, as branches see it. */
interface Label {
  loop: boolean;
  /** Result types that a branch must bring. */
  brings: number;
}

class Stress {
  readonly builder = new ModuleBuilder();
  private readonly helpers: number[] = [];
  private host = 0;
  private tag = 0;
  /** Functions have frames on the C stack, as compilers emit them. */
  private framed = false;
  /** Most stores use two bases and three offsets, so that checks have much to do with each other. */
  private bases: number[] = [];
  private offsets: number[] = [];
  private dense = false;

  constructor(
    private readonly tape: Tape,
    private readonly features: StressFeatures,
  ) {}

  module(): Generated {
    const { builder, tape } = this;
    this.host = builder.importFunction('host', [I32], [I32]);
    builder.memory(1 + tape.below(2), 4);
    builder.global(I32, true, new Code().i32(0));
    builder.global(I32, true, new Code().i32(tape.pick([4096, 64, 200, PAGE - 16, 2 * PAGE - 32, 24])));
    this.framed = tape.chance(128);
    if (tape.chance(190)) {
      this.bases = [tape.below(CHOICE), PARAMS + tape.below(LOCALS)];
      this.offsets = Array.from({ length: 3 }, () => tape.pick(OFFSETS));
      this.dense = tape.chance(170);
    }
    if (this.features.exceptions !== 'none') this.tag = builder.tag([I32]);
    const entries = Array.from({ length: ENTRIES }, (_, i) =>
      builder.fn([I32, I32, I32], i % 4 === 1 ? [I32] : [], `run${i}`),
    );
    for (let i = 0; i < HELPERS; i++) this.helpers.push(builder.fn([I32, I32, I32], i === 2 ? [I32] : []));
    entries.forEach((index, i) => {
      builder.define(index, this.locals(), this.body(i % 4 === 1, true));
    });
    this.helpers.forEach((index, i) => {
      builder.define(index, this.locals(), this.body(i === 2, false));
    });
    const reset = builder.fn([I32], [], 'refuel');
    builder.define(reset, [], new Code().get(0).op(0x24).u(FUEL));
    const grow = builder.fn([I32], [I32], 'grow');
    builder.define(grow, [], new Code().get(0).op(0x40, 0));
    const load = builder.fn([I32], [I64], 'load');
    // Not of memory that a rollback took away, which may read as zero (see rewriter/layout.ts).
    builder.define(
      load,
      [],
      new Code()
        .op(0x3f, 0)
        .i32(16)
        .op(0x74)
        .get(0)
        .op(0x6b)
        .i32(8)
        .op(0x48, 0x04, I64)
        .i64(-1)
        .op(0x05)
        .get(0)
        .memory([0x29], 0)
        .op(0x0b),
    );
    const bases = [
      64,
      1000,
      PAGE - 40,
      PAGE - 200,
      127,
      0,
      PAGE - 3,
      2 * PAGE - 60,
      2 * PAGE,
      4095,
      PAGE,
      -8,
    ];
    const triples = Array.from({ length: 12 }, (_, i) => [
      bases[i]!,
      bases[(i * 7 + 3) % 12]! + 5,
      [0, -1, 0x55, 0xaa, 0x0f, 0xf0, 1, 2, 0x33, 0xcc, 0xfe, 0x81][i],
    ]);
    return {
      wasm: builder.build(),
      exports: [
        ...entries.map((_, i) => ({ name: `run${i}`, args: triples })),
        { name: 'grow', args: [[1], [0], [9]] },
        { name: 'load', args: [[0], [PAGE - 8], [PAGE], [2 * PAGE - 8]] },
      ],
      before: ['refuel', 60],
      imports: (log) => ({
        env: {
          host: (x: number) => {
            log(`host(${x})`);
            return (Math.imul(x, 31) + 7) & 0xffff;
          },
        },
      }),
    };
  }

  /** i32 locals, one i64, one v128 for what it is worth. */
  private locals(): number[] {
    return [...Array.from({ length: LOCALS }, () => I32), I64, V128];
  }

  private body(result: boolean, entry: boolean): Code {
    const code = new Code(512);
    const frame = PARAMS + LOCALS - 1;
    const size = this.tape.pick([16, 48, 32, 144, 1024]);
    // First of all, for that is where the rewriter looks for the stack pointer.
    if (this.framed) code.op(0x23).u(STACK).i32(size).op(0x6b).tee(frame).op(0x24).u(STACK);
    if (!entry) this.burn(code, result);
    // Locals begin as addresses of their own now and then.
    for (let i = 0; i < 3; i++) {
      if (this.tape.chance(128)) this.address(code, 1).set(PARAMS + i);
    }
    const budget = { statements: entry ? 30 : 12 };
    const labels = [{ loop: false, brings: result ? 1 : 0 }];
    if (this.framed) for (let i = this.tape.below(4); i > 0; i--) this.store(code, labels, 2, frame);
    this.block(code, labels, budget, 0);
    if (this.framed) code.get(frame).i32(size).op(0x6a, 0x24).u(STACK);
    if (result) this.value(code, I32, [], 1);
    return code;
  }

  /** Uses one unit of fuel; without any, traps or returns. */
  private burn(code: Code, result: boolean): void {
    code.op(0x23).u(FUEL).i32(1).op(0x6b, 0x24).u(FUEL);
    code.op(0x23).u(FUEL).i32(0).op(0x48, 0x04, 0x40);
    if (result) code.i32(0);
    code.op(0x0f, 0x0b);
  }

  private block(code: Code, labels: Label[], budget: { statements: number }, depth: number): void {
    const most = (depth ? 2 : 10) + this.tape.below(6);
    for (let i = 0; i < most && this.tape.left && budget.statements > 0; i++) {
      budget.statements--;
      this.statement(code, labels, budget, depth);
    }
  }

  /** A block that may end with an early exit. */
  private arm(code: Code, labels: Label[], budget: { statements: number }, depth: number): void {
    this.block(code, labels, budget, depth);
    if (!this.tape.chance(70)) return;
    const target = this.tape.below(labels.length);
    if (labels[target]!.brings) code.i32(4);
    code.op(0x0c).u(target);
  }

  private statement(code: Code, labels: Label[], budget: { statements: number }, depth: number): void {
    const { tape } = this;
    const deep = depth < MOST_DEPTH;
    const inner = (label: Label) => [label, ...labels];
    switch (this.dense ? tape.pick(DENSE) : tape.below(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
        this.store(code, labels, depth);
        return;
      case 7: {
        // Several in a row off one base, as structures are filled.
        const base = this.anyLocal();
        for (let i = 0; i < 2 + tape.below(4); i++) {
          const store = tape.pick(STORES);
          code.get(base);
          if (tape.chance(60)) code.i32(tape.pick(DELTAS)).op(0x6a);
          this.value(code, store.value, labels, depth + 3);
          this.access(code, store);
        }
        return;
      }
      case 8:
      case 9:
        this.address(code, depth).set(this.anyLocal());
        return;
      case 10: {
        // base += constant, as a pointer that walks
        const local = this.anyLocal();
        code.get(local).i32(tape.pick(DELTAS)).op(0x6a).set(local);
        return;
      }
      case 11:
      case 12: {
        if (!deep) return;
        this.condition(code, depth);
        code.op(0x04, 0x40);
        this.arm(code, inner({ loop: false, brings: 0 }), budget, depth + 1);
        if (tape.chance(140)) {
          code.op(0x05);
          this.arm(code, inner({ loop: false, brings: 0 }), budget, depth + 1);
        }
        code.op(0x0b);
        return;
      }
      case 13: {
        if (!deep) return;
        code.op(0x02, 0x40);
        this.block(code, inner({ loop: false, brings: 0 }), budget, depth + 1);
        code.op(0x0b);
        return;
      }
      case 14: {
        if (!deep) return;
        code.op(0x03, 0x40);
        code.op(0x23).u(FUEL).i32(1).op(0x6b, 0x24).u(FUEL);
        const exit = labels.length - 1;
        code.op(0x23).u(FUEL).i32(0).op(0x48, 0x04, 0x40);
        if (labels[exit]!.brings) code.i32(1);
        code.op(0x0f, 0x0b);
        this.block(code, inner({ loop: true, brings: 0 }), budget, depth + 1);
        if (tape.chance(180)) {
          this.condition(code, depth);
          code.op(0x0d, 0);
        }
        code.op(0x0b);
        return;
      }
      case 15:
      case 16: {
        // br or br_if
        const target = tape.below(labels.length);
        const { brings } = labels[target]!;
        if (depth < 2 || tape.chance(225)) {
          if (brings) code.i32(5);
          this.condition(code, depth);
          code.op(0x0d).u(target);
          if (brings) code.op(0x1a);
        } else {
          if (brings) code.i32(6);
          code.op(0x0c).u(target);
          // What follows in this block is dead; give it something to be dead.
        }
        return;
      }
      case 17: {
        const targets = Array.from({ length: 1 + tape.below(3) }, () => tape.below(labels.length));
        if (targets.some((t) => labels[t]!.brings)) return;
        // In a block of its own, so that the code behind is not all dead.
        if (tape.chance(128)) {
          this.condition(code, depth);
          code.op(0x04, 0x40);
          code
            .get(this.anyLocal())
            .i32(3)
            .op(0x71, 0x0e)
            .u(targets.length - 1);
          for (const t of targets) code.u(t + 1);
          code.op(0x0b);
        } else {
          code
            .get(this.anyLocal())
            .i32(3)
            .op(0x71, 0x0e)
            .u(targets.length - 1);
          for (const t of targets) code.u(t);
        }
        return;
      }
      case 18:
        this.call(code, labels, depth);
        return;
      case 19:
        if (deep) this.exception(code, labels, budget, depth);
        return;
      case 20:
        this.bulk(code, depth);
        return;
      case 21: {
        // The C stack: global.get, subtract, frame stores, global.set.
        const frame = this.anyLocal();
        const size = tape.pick([32, 16, 48, 8, 100, 2000, 0, -16]);
        code.op(0x23).u(STACK).i32(size).op(0x6b).tee(frame).op(0x24).u(STACK);
        for (let i = 0; i < 1 + tape.below(3); i++) this.store(code, labels, depth, frame);
        if (tape.chance(40)) {
          this.block(code, labels, budget, depth + 1);
          code.get(frame);
        } else if (tape.below(6) === 1) {
          // Any value at all, as alloca, longjmp and switches of stacks set it.
          this.address(code, depth);
        } else {
          code.get(frame);
        }
        if (!tape.chance(20)) code.i32(size).op(0x6a);
        code.op(0x24).u(STACK);
        return;
      }
      case 22: {
        // A value that leaves a block by a branch, then is an address.
        if (!deep) return;
        code.op(0x02, 0x7f);
        this.address(code, depth + 1);
        this.condition(code, depth);
        code.op(0x0d, 0);
        if (tape.chance(128)) code.op(0x1a).get(this.anyLocal());
        code.op(0x0b);
        if (tape.chance(128)) {
          code.set(this.anyLocal());
        } else {
          const store = tape.pick(STORES);
          this.value(code, store.value, labels, depth + 2);
          this.access(code, store);
        }
        return;
      }
      default: {
        if (!tape.chance(100)) {
          this.store(code, labels, depth);
          return;
        }
        // A trap, a return or a throw behind a condition.
        this.condition(code, depth);
        code.op(0x04, 0x40);
        const kind = tape.below(4);
        if (kind === 0) code.op(0x00);
        else if (kind === 1 && this.features.exceptions !== 'none')
          code.get(this.anyLocal()).op(0x08).u(this.tag);
        else {
          if (labels[labels.length - 1]!.brings) code.i32(2);
          code.op(0x0f);
        }
        code.op(0x0b);
      }
    }
  }

  private anyLocal(): number {
    if (this.bases.length && this.tape.chance(200)) return this.tape.pick(this.bases);
    const local = this.tape.below(PARAMS + LOCALS);
    return local === CHOICE ? 0 : local;
  }

  private condition(code: Code, depth: number): void {
    const { tape } = this;
    switch (tape.below(4)) {
      case 0:
        code
          .get(this.anyLocal())
          .i32(1 << tape.below(8))
          .op(0x71);
        break;
      case 1:
        code
          .get(this.anyLocal())
          .get(this.anyLocal())
          .op(tape.pick([0x48, 0x49, 0x4b, 0x46]));
        break;
      case 2:
        // What was stored decides.
        this.address(code, depth + 2)
          .i32(0xfff8)
          .op(0x71)
          .memory([0x2d], 0)
          .i32(1)
          .op(0x71);
        break;
      default:
        code
          .op(0x23)
          .u(FUEL)
          .i32(1 + tape.below(3))
          .op(0x71);
    }
  }

  /** An i32 address on the stack; often in bounds. */
  private address(code: Code, depth: number): Code {
    const { tape } = this;
    const choice = tape.below(24);
    if (depth > MOST_DEPTH + 2) return code.get(this.anyLocal());
    if (this.dense && tape.chance(180)) return code.get(tape.pick(this.bases));
    switch (choice) {
      case 6:
      case 7:
        return code.get(this.anyLocal()).i32(tape.pick(DELTAS)).op(0x6a);
      case 8:
        return code.get(this.anyLocal()).i32(tape.pick(DELTAS)).op(0x6b);
      case 9:
        return code.i32(tape.below(60000));
      case 10:
        return this.address(code, depth + 1).tee(this.anyLocal());
      case 11:
        this.address(code, depth + 1);
        return this.address(code, depth + 2)
          .i32(0x7fff)
          .op(0x71, 0x6a);
      case 12:
        return this.address(code, depth + 1)
          .i32(0xfff0)
          .op(0x71);
      case 13:
        return code.get(this.anyLocal()).i32(0xff).op(0x71).i32(tape.below(5)).op(0x74);
      case 14:
        if (tape.chance(30)) return code.i32(tape.pick(WILD));
        this.address(code, depth + 1);
        return code.i32(0x3ff8).op(0x71).memory([0x28], tape.pick(OFFSETS));
      case 15:
        code.get(this.anyLocal()).get(this.anyLocal());
        this.condition(code, depth + 2);
        return code.op(0x1b);
      default:
        return code.get(this.anyLocal());
    }
  }

  /** A value of a type; may itself store, branch or call, because operands are computed first. */
  private value(code: Code, type: number, labels: Label[], depth: number): void {
    const { tape } = this;
    if (type === V128) {
      code.get(this.anyLocal()).op(0xfd, 0x11);
      return;
    }
    const choice = this.dense && tape.chance(200) ? 0 : tape.below(12);
    if (choice === 9 && depth < MOST_DEPTH) {
      // A block that stores and may be left early.
      code.op(0x02, I32);
      this.store(code, [{ loop: false, brings: 1 }, ...labels], depth + 2);
      code.i32(9);
      this.condition(code, depth);
      code.op(0x0d, 0);
      this.store(code, [{ loop: false, brings: 1 }, ...labels], depth + 2);
      code.op(0x0b);
    } else if (choice === 10 && depth < MOST_DEPTH) {
      code.get(this.anyLocal());
      code.call(this.host);
    } else if (choice === 11 && depth < MOST_DEPTH) {
      code.get(this.anyLocal()).i32(4).op(0x6a).tee(this.anyLocal());
    } else if (choice === 8) {
      this.address(code, depth + 1)
        .i32(0xffff)
        .op(0x71)
        .memory([0x2d], 0);
    } else {
      code.get(this.anyLocal()).i32(tape.below(256)).op(0x73);
    }
    if (type === I64) code.op(0xad);
    else if (type === F32) code.op(0xb2);
    else if (type === F64) code.op(0xb7);
  }

  private store(code: Code, labels: Label[], depth: number, base?: number): void {
    const store = this.tape.pick(STORES);
    if (base === undefined) this.address(code, depth);
    else code.get(base);
    this.value(code, store.value, labels, depth);
    this.access(code, store);
  }

  private access(code: Code, store: Store): void {
    const { tape, offsets } = this;
    const offset = tape.chance(4)
      ? tape.pick([65530, 0xffffffff, 0x80000000, 131072])
      : tape.pick(offsets.length && tape.chance(200) ? offsets : OFFSETS);
    code.memory(store.op, offset, 0, 0, store.lane);
  }

  private call(code: Code, _labels: Label[], depth: number): void {
    const { tape } = this;
    const which = tape.below(HELPERS + 2);
    if (which >= HELPERS) {
      this.address(code, depth);
      code.call(this.host).set(this.anyLocal());
      return;
    }
    for (let i = 0; i < 2; i++) this.address(code, depth + 2);
    code.get(CHOICE).i32(tape.byte()).op(0x73);
    code.call(this.helpers[which]!);
    if (which === 2) code.set(this.anyLocal());
  }

  private exception(code: Code, labels: Label[], budget: { statements: number }, depth: number): void {
    const { tape, features } = this;
    const inner = (...more: Label[]) => [...more, ...labels];
    const plain: Label = { loop: false, brings: 0 };
    if (features.exceptions === 'legacy') {
      code.op(0x06, 0x40);
      this.block(code, inner(plain), budget, depth + 1);
      if (tape.chance(128)) {
        this.call(code, labels, depth);
      }
      const kind = tape.below(4);
      if (kind === 3) {
        code.op(0x18).u(tape.below(labels.length));
        return;
      }
      if (kind !== 1) {
        code.op(0x07).u(this.tag).set(this.anyLocal());
        this.block(code, inner(plain), budget, depth + 1);
      }
      if (kind !== 0) {
        code.op(0x19);
        this.block(code, inner(plain), budget, depth + 1);
        if (tape.chance(40)) code.op(0x09, 0);
      }
      code.op(0x0b);
      return;
    }
    if (features.exceptions === 'new') {
      // (block $out (block $caught (result i32) (try_table (catch tag $caught) (catch_all $out) ... (br $out))) (local.set))
      const all = tape.chance(128);
      code.op(0x02, 0x40).op(0x02, I32);
      code
        .op(0x1f, 0x40)
        .u(all ? 2 : 1)
        .op(0)
        .u(this.tag)
        .u(0);
      if (all) code.op(2).u(1);
      this.block(code, inner(plain, { loop: false, brings: 1 }, plain), budget, depth + 1);
      if (tape.chance(128)) this.call(code, labels, depth);
      code.op(0x0b);
      // Between the try's end and the handler's label
      this.store(code, inner({ loop: false, brings: 1 }, plain), depth + 1);
      if (tape.chance(128)) code.op(0x0c, 1);
      else code.get(this.anyLocal());
      code.op(0x0b).set(this.anyLocal());
      this.block(code, inner(plain), budget, depth + 1);
      code.op(0x0b);
    }
  }

  private bulk(code: Code, depth: number): void {
    const { tape } = this;
    switch (tape.below(4)) {
      case 0:
        this.address(code, depth).i32(tape.byte()).i32(tape.below(200)).op(0xfc, 11, 0);
        return;
      case 1:
        this.address(code, depth);
        this.address(code, depth).i32(tape.below(200)).op(0xfc, 10, 0, 0);
        return;
      case 2:
        code.i32(tape.below(2)).op(0x40, 0).set(this.anyLocal());
        return;
      default:
        code
          .op(0x3f, 0)
          .i32(16)
          .op(0x74)
          .i32(tape.pick([8, 1, 16, 40, 4, 60]))
          .op(0x6b)
          .set(this.anyLocal());
    }
  }
}

export function generateStress(tape: Tape, features: StressFeatures): Generated {
  return new Stress(tape, features).module();
}
