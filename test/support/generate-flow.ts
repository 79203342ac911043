/**
 * Modules of little but control flow, assignments of two bases and stores off them, nothing of which traps:
 * each call runs to its end down a path that its last argument decides. Denser in what the analysis has to
 * keep apart than generate-stress.ts, and blind to all else.
 */
import { Code, type Generated, I32, ModuleBuilder, type Tape } from './generate.js';

const FUNCTIONS = 16;
const STATEMENTS = 22;
/** Parameters: two addresses, and the bits that decide. */
const [P0, P1, CHOICE] = [0, 1, 2];
/** Locals: two bases, the loop counter. */
const [A, B, FUEL] = [3, 4, 5];

export type Exceptions = 'none' | 'legacy' | 'new';

class Flow {
  private left = 0;
  private readonly code: Code = new Code(512);
  /** Enclosing labels, innermost last; true for loops. */
  private readonly labels: boolean[] = [];

  constructor(
    private readonly tape: Tape,
    private readonly exceptions: Exceptions,
    private readonly tag: number,
    private readonly thrower: number,
  ) {}

  body(): Code {
    const { code } = this;
    this.left = STATEMENTS;
    code.i32(12).set(FUEL);
    code.get(P0).set(A).get(P1).set(B);
    this.labels.push(false);
    while (this.left > 0 && this.tape.left) this.sequence(0);
    return code;
  }

  private sequence(depth: number): void {
    const n = 1 + this.tape.below(4);
    for (let i = 0; i < n && this.left > 0 && this.tape.left; i++) {
      this.left--;
      this.statement(depth);
    }
  }

  private within(loop: boolean, depth: number): void {
    this.labels.push(loop);
    this.sequence(depth + 1);
    this.labels.pop();
  }

  private base(): number {
    return this.tape.below(2) ? B : A;
  }

  private condition(): void {
    this.code
      .get(CHOICE)
      .i32(1 << this.tape.below(8))
      .op(0x71);
  }

  private store(): void {
    const { code, tape } = this;
    code
      .get(this.base())
      .i32(tape.below(100))
      .memory([0x36], tape.pick([0, 4, 0, 8]));
  }

  private assign(): void {
    const { code, tape } = this;
    const to = this.base();
    switch (tape.below(6)) {
      case 0:
        code.get(P0).i32(1024).op(0x6a);
        break;
      case 1:
        code.get(P1).i32(1024).op(0x6a);
        break;
      case 2:
        code.get(P0);
        break;
      case 3:
        code.get(P1);
        break;
      case 4:
        code.get(to === A ? B : A);
        break;
      default:
        // A walk that stays near.
        code
          .get(to)
          .i32(tape.pick([4, 8, -4, 16]))
          .op(0x6a);
    }
    code.set(to);
  }

  private branch(conditional: boolean): void {
    const { code, tape } = this;
    if (conditional) this.condition();
    code.op(conditional ? 0x0d : 0x0c).u(tape.below(this.labels.length));
  }

  private statement(depth: number): void {
    const { code, tape } = this;
    const choice = tape.below(20);
    if (choice < 6 || (depth > 5 && choice > 10)) {
      this.store();
      return;
    }
    if (choice < 9) {
      this.assign();
      return;
    }
    if (choice < 12) {
      this.branch(true);
      return;
    }
    if (choice === 12) {
      // br_table, behind a condition so that code after it lives
      this.condition();
      code.op(0x04, 0x40);
      const targets = Array.from({ length: 2 + tape.below(2) }, () => 1 + tape.below(this.labels.length));
      code
        .get(CHOICE)
        .i32(3)
        .op(0x71, 0x0e)
        .u(targets.length - 1);
      for (const t of targets) code.u(t);
      code.op(0x0b);
      return;
    }
    if (choice < 16) {
      this.condition();
      code.op(0x04, 0x40);
      this.within(false, depth);
      if (tape.chance(60)) this.inIf();
      if (tape.chance(150)) {
        code.op(0x05);
        this.within(false, depth);
        if (tape.chance(60)) this.inIf();
      }
      code.op(0x0b);
      return;
    }
    if (choice === 16) {
      code.op(0x03, 0x40);
      // Out of fuel: leave the function.
      code.get(FUEL).i32(1).op(0x6b).tee(FUEL).op(0x45, 0x04, 0x40, 0x0f, 0x0b);
      this.within(true, depth);
      code.op(0x0b);
      return;
    }
    if (choice === 17 && this.exceptions !== 'none') {
      this.exception(depth);
      return;
    }
    if (choice === 18 && this.exceptions !== 'none') {
      // May throw.
      code
        .get(CHOICE)
        .i32(1 << tape.below(8))
        .op(0x71)
        .call(this.thrower);
      return;
    }
    code.op(0x02, 0x40);
    this.within(false, depth);
    code.op(0x0b);
  }

  /** The end of an arm: out to a label, the arm's own included. */
  private inIf(): void {
    this.labels.push(false);
    this.branch(false);
    this.labels.pop();
  }

  private exception(depth: number): void {
    const { code, tape } = this;
    if (this.exceptions === 'legacy') {
      code.op(0x06, 0x40);
      this.within(false, depth);
      const kind = tape.below(4);
      if (kind === 3) {
        code.op(0x18).u(tape.below(this.labels.length));
        return;
      }
      if (kind !== 1) {
        code.op(0x07).u(this.tag);
        this.within(false, depth);
      }
      if (kind !== 0) {
        code.op(0x19);
        this.within(false, depth);
      }
      code.op(0x0b);
      return;
    }
    // The handler's label is any enclosing one, or one of its own.
    const own = tape.chance(150);
    if (own) {
      code.op(0x02, 0x40);
      this.labels.push(false);
    }
    const target = own ? 0 : tape.below(this.labels.length);
    code.op(0x1f, 0x40).u(1);
    if (tape.below(2)) code.op(0).u(this.tag).u(target);
    else code.op(2).u(target);
    this.within(false, depth);
    code.op(0x0b);
    if (own) {
      this.sequence(depth + 1);
      this.labels.pop();
      code.op(0x0b);
    }
  }
}

export function generateFlow(tape: Tape, exceptions: Exceptions): Generated {
  const builder = new ModuleBuilder();
  builder.memory(1, 1);
  let [tag, thrower] = [-1, -1];
  if (exceptions !== 'none') {
    tag = builder.tag([]);
    thrower = builder.fn([I32], []);
    builder.define(thrower, [], new Code().get(0).op(0x04, 0x40, 0x08).u(tag).op(0x0b));
  }
  const names = Array.from({ length: FUNCTIONS }, (_, i) => `f${i}`);
  for (const name of names) {
    const index = builder.fn([I32, I32, I32], [], name);
    builder.define(index, [I32, I32, I32], new Flow(tape, exceptions, tag, thrower).body());
  }
  const choices = [
    0, 255, 0x55, 0xaa, 0x0f, 0xf0, 0x33, 0xcc, 0x81, 0x7e, 0x24, 0xdb, 0x1b, 0x63, 0x4e, 0xb2,
  ];
  const args = choices.map((choice, i) => [8192 + 13 * i, 32768 + 7 * i, choice]);
  return {
    wasm: builder.build(),
    exports: names.map((name) => ({ name, args })),
    imports: () => ({}),
  };
}
