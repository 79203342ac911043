/**
 * Stage 4 of 4: insert the guards into one function body: whatever the mechanism puts before a write. For lmc that
 * is a check.
 *
 * The body is copied byte by byte; only guards are spliced in. They run after all operands of a store have
 * been computed and directly before it, so the order of evaluation is as it was. Most addresses are in a local
 * already, and the check is spliced in with the operands on the stack, untouched:
 *
 *     local.get 3                      local.get 3
 *     local.get 4                      local.get 4
 *                                      local.get 3   ;; i32.const 8   i32.add
 *                                      i32.const 6
 *                                      i32.shr_u
 *                                      i32.load8_s $tags offset=16
 *                                      i32.const 1
 *                                      i32.lt_s
 *                                      if            ;; hinted: unlikely
 *                                        local.get 3   i32.const 8   i32.add
 *                                        i32.const 4
 *                                        call $slow
 *                                      end
 *     i32.store offset=8               i32.store offset=8
 *
 * Otherwise value and address are parked in two new locals and put back.
 */
import { type Address, pushAddress } from './address.js';
import type { Check, Plan } from './analyse.js';
import type { Found, StateOp, Write } from './find.js';
import type { Guard, GuardTarget } from './mechanisms/mechanism.js';
import { ValueType } from './wasm/opcodes.js';
import { Reader } from './wasm/reader.js';
import { Writer } from './wasm/writer.js';

export interface MemoryTarget extends GuardTarget {
  /** Oracle: the function that verifies a store. */
  verify?: number;
  /** checkLoads: the function that traps for a load outside of the guest's view. */
  load?: number;
}

/** The counter of steps, and the functions that a call and many turns of a loop use up. */
interface Steps {
  global: number;
  tick: number;
  turn: number;
}

export interface InsertContext {
  bytes: Uint8Array;
  memories: MemoryTarget[];
  /** What stands before a write; absent where stores are left alone. */
  guard: Guard | undefined;
  /** The code that takes the place of a state instruction, or undefined to leave it. */
  replace(state: StateOp): Uint8Array | undefined;
  /** Whether checks for this write are left out (deliberate breakage). */
  omitted(write: Write): boolean;
  steps?: Steps;
  /** The stack's low-water mark: globals and slow paths (stack.ts). */
  stack?: { pointer: number; low: number; span: number; deepen: number; restack: number };
}

export interface Inserted {
  body: Uint8Array;
  /** Offsets of `if` instructions that are unlikely to be taken, from the body's first byte. */
  hints: number[];
  /** Maps an offset of the old body to the new one (for branch hints that the module had). */
  moved(offset: number): number;
}

interface Edit {
  at: number;
  /** Where copying goes on. */
  after: number;
  bytes: Uint8Array;
  /** Offsets of hinted instructions in `bytes`. */
  hints: number[];
}

const VOID = 0x40;

/** Locals that checks need, one of each type. */
class Scratch {
  private readonly index = new Map<string, number>();
  readonly types: ValueType[] = [];

  constructor(private readonly base: number) {}

  local(purpose: 'address' | 'value' | 'second' | 'turns', type: ValueType): number {
    const key = `${purpose}${type}`;
    let index = this.index.get(key);
    if (index === undefined) {
      index = this.base + this.types.length;
      this.types.push(type);
      this.index.set(key, index);
    }
    return index;
  }
}

/** Rewrites one function body. `number` is the function's index, for the oracle. */
export function insertChecks(
  body: { from: number; to: number },
  found: Found,
  plan: Plan,
  context: InsertContext,
  number: number,
): Inserted {
  const { bytes } = context;
  const scratch = new Scratch(found.locals);
  const edits: Edit[] = [];
  if (context.steps) {
    // What neither calls nor loops ends by itself.
    if (found.calls || found.loops.length) edits.push(countCall(found.codeFrom, context.steps));
    for (const at of found.loops) edits.push(countTurn(at, context.steps, scratch));
  }
  // Ahead of the stores: what is said to be saved behind a setting is looked at by the oracle.
  if (context.stack) {
    for (const { after, lowered } of found.stackSets) edits.push(markStack(after, lowered, context.stack));
  }
  found.writes.forEach((write, i) => {
    const edit = checkEdit(
      write,
      context.omitted(write) ? undefined : plan.checks[i],
      context,
      scratch,
      number,
      i,
    );
    if (edit) edits.push(edit);
  });
  for (const load of found.loads) edits.push(loadEdit(load, context, scratch));
  for (const state of found.states) {
    const code = context.replace(state);
    if (code) edits.push({ at: state.at, after: state.after, bytes: code, hints: [] });
  }
  if (!edits.length) {
    return { body: bytes.subarray(body.from, body.to), hints: [], moved: (offset) => offset };
  }
  edits.sort((a, b) => a.at - b.at);

  const header = new Reader(bytes, body.from, body.to);
  const groups = header.u32();
  const out = new Writer(body.to - body.from + edits.length * 32);
  out.u(groups + scratch.types.length).slice(bytes, header.pos, found.codeFrom);
  for (const type of scratch.types) out.u(1).byte(type);
  const moves: [number, number][] = [[0, out.length - (found.codeFrom - body.from)]];
  const hints: number[] = [];
  let at = found.codeFrom;
  for (const edit of edits) {
    out.slice(bytes, at, edit.at);
    for (const hint of edit.hints) hints.push(out.length + hint);
    out.bytes(edit.bytes);
    at = edit.after;
    moves.push([edit.at - body.from, out.length - (at - body.from)]);
  }
  out.slice(bytes, at, body.to);
  return {
    body: out.done(),
    hints,
    moved: (offset) => {
      let delta = 0;
      for (const [from, d] of moves) if (from <= offset) delta = d;
      return offset + delta;
    },
  };
}

/** Turns of loops that are counted in a local before they are taken off the steps. */
export const TURNS = 256;

/** A function entry: `if (--steps < 0) tick()`. */
function countCall(at: number, steps: Steps): Edit {
  const w = new Writer();
  w.byte(0x23).u(steps.global).byte(0x42, 1, 0x7d, 0x24).u(steps.global);
  w.byte(0x23).u(steps.global).byte(0x42, 0, 0x53);
  const hint = w.length;
  w.byte(0x04, VOID, 0x10).u(steps.tick).byte(0x0b);
  return { at, after: at, bytes: w.done(), hints: [hint] };
}

/**
 * A loop's head: `if (++turns % TURNS == 0) turn()`, which takes TURNS off the steps. A short loop would wait
 * for a counter in memory at each turn, and a local is in a register; up to TURNS - 1 turns of each call of a
 * function are not counted, but the call is.
 */
function countTurn(at: number, steps: Steps, scratch: Scratch): Edit {
  const turns = scratch.local('turns', ValueType.I32);
  const w = new Writer();
  w.byte(0x20).u(turns).byte(0x41, 1, 0x6a, 0x22).u(turns);
  w.byte(0x41)
    .s(TURNS - 1)
    .byte(0x71, 0x45);
  const hint = w.length;
  w.byte(0x04, VOID, 0x10).u(steps.turn).byte(0x0b);
  return { at, after: at, bytes: w.done(), hints: [hint] };
}

/** `if (sp - low > top - low) deepen()`: below the range, or above it; `restack` where above is to be expected. */
function markStack(at: number, lowered: boolean, stack: NonNullable<InsertContext['stack']>): Edit {
  const w = new Writer();
  w.byte(0x23).u(stack.pointer).byte(0x23).u(stack.low).byte(0x6b, 0x23).u(stack.span).byte(0x4b);
  const hint = w.length;
  w.byte(0x04, VOID, 0x10)
    .u(lowered ? stack.deepen : stack.restack)
    .byte(0x0b);
  return { at, after: at, bytes: w.done(), hints: [hint] };
}

function checkEdit(
  write: Write,
  check: Check | undefined,
  context: InsertContext,
  scratch: Scratch,
  number: number,
  store: number,
): Edit | undefined {
  const target = context.memories[write.memory]!;
  const g = target.geometry;
  if (!(check && context.guard) && target.verify === undefined) return undefined;
  const limit = g.is64 ? 2 ** 48 : 2 ** 32;
  const constant = write.root === 0 ? (g.is64 ? write.distance : write.distance >>> 0) : undefined;
  // An address that no memory can have traps all the same.
  if (constant !== undefined && (constant < 0 || constant + write.offset >= limit)) return undefined;
  if (write.offset >= limit) return undefined;
  const w = new Writer();
  const addressType = g.is64 ? ValueType.I64 : ValueType.I32;
  const park = constant === undefined && write.local < 0;
  const address: Address = {
    is64: g.is64,
    constant,
    local: park ? scratch.local('address', addressType) : write.local,
  };
  const { value, operands } = write.op;
  if (park) {
    if (operands === 2) w.byte(0x21).u(scratch.local('second', value));
    w.byte(0x21).u(scratch.local('value', value));
    w.byte(0x22).u(address.local);
  }
  const hints = check && context.guard ? context.guard(w, target, address, check, write) : [];
  if (target.verify !== undefined) {
    pushAddress(w, address, write.offset);
    w.byte(0x41).s(write.op.width).byte(0x41).s(number).byte(0x41).s(store);
    w.byte(0x10).u(target.verify);
  }
  if (park) {
    w.byte(0x20).u(scratch.local('value', value));
    if (operands === 2) w.byte(0x20).u(scratch.local('second', value));
  }
  return { at: write.at, after: write.at, bytes: w.done(), hints };
}

/** Traps for a load that ends outside of the guest's view of its memory. */
function loadEdit(load: Write, context: InsertContext, scratch: Scratch): Edit {
  const target = context.memories[load.memory]!;
  const w = new Writer();
  const lane = load.op.pop === 2;
  if (lane) w.byte(0x21).u(scratch.local('value', ValueType.V128));
  const address = scratch.local('address', ValueType.I32);
  w.byte(0x22).u(address);
  w.byte(0x20)
    .u(address)
    .byte(0x42)
    .s(load.offset + load.op.width)
    .byte(0x10)
    .u(target.load!);
  if (lane) w.byte(0x20).u(scratch.local('value', ValueType.V128));
  return { at: load.at, after: load.at, bytes: w.done(), hints: [] };
}
