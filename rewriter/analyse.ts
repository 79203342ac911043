/**
 * Stage 3 of 4: which writes need a check, and which range each check should cover.
 *
 * What makes removing sound: the epoch changes only while no function of the guest runs, so a region that was
 * saved once in an activation stays saved until it ends. A check that dominates a later write of the same
 * bytes makes that write's own check redundant, however much code, and however many calls, lie between.
 * Saving too much is always allowed, saving too little never.
 *
 *     before                                   after
 *     check p+0   i32.store p+0                check p+0 .. p+32 (two tags, one branch)
 *     check p+8   i64.store p+8                i32.store p+0
 *     check p+24  i64.store p+24               i64.store p+8
 *                                              i64.store p+24
 *     check p+8   i64.store p+8                i64.store p+8
 *
 * **Dominance**: facts "[root + lo, root + hi) is saved" are kept in program order and dropped at each cut that
 * the first pass announced.
 *
 * **Merging**: the writes that follow in the same straight line, off the same root and within one region's
 * length, are covered by the first one's check. It must not trap earlier than the program would: it reads
 * tags only at or above the address operand, which the first write proves to lie in memory, and the slack
 * behind the tags covers the rest.
 *
 * **Exact checks** (the inline layout; cards): a check is also what makes a store beyond the guest's view of its
 * memory trap, so facts cover no byte that lies above the checked write itself.
 *
 * **Stack**: lowering the stack pointer saves the frame as a whole (stack.ts), so writes into it are covered.
 *
 * Not done yet: facts across calls, hoisting out of loops, counted loops.
 */
import type { Found, Write } from './find.js';
import type { Geometry } from './layout.js';
import type { GuardPlan } from './mechanisms/mechanism.js';

/** A check in front of a write: bytes [from, to) behind its address operand; from ≥ 0. */
export interface Check {
  from: number;
  to: number;
}

export interface Plan {
  /** For each write: its check, or undefined where none is needed. */
  checks: (Check | undefined)[];
  inserted: number;
  removed: number;
  merged: number;
  stack: number;
}

/** Writes looked at ahead of a check, and facts looked at behind. */
const LOOK_AHEAD = 64;
const LOOK_BACK = 48;

interface Fact {
  key: number;
  from: number;
  to: number;
  mark: number;
  /** Whether the fact stands for a merged check. */
  merged: boolean;
  /** Whether it comes from lowering the stack pointer. */
  stack: boolean;
}

/**
 * Plans the checks of one function.
 * @param geometry of each memory, by index
 */
export function planChecks(
  found: Found,
  geometry: readonly Geometry[],
  { every, exact, stack }: GuardPlan,
): Plan {
  const { writes, events } = found;
  const checks: (Check | undefined)[] = new Array(writes.length).fill(undefined);
  const plan: Plan = { checks, inserted: 0, removed: 0, merged: 0, stack: 0 };
  if (every) {
    for (let i = 0; i < writes.length; i++) checks[i] = own(writes[i]!);
    plan.inserted = writes.length;
    return plan;
  }
  const facts: Fact[] = [];
  const byRoot = new Map<number, Fact[]>();
  const add = (fact: Fact) => {
    facts.push(fact);
    const list = byRoot.get(fact.key);
    if (list) list.push(fact);
    else byRoot.set(fact.key, [fact]);
  };
  let marks = 0;
  for (let e = 0; e < events.length; e++) {
    const event = events[e]!;
    if (event.kind === 'barrier') continue;
    if (event.kind === 'stack') {
      const key = event.root * geometry.length;
      if (!stack) marks++;
      else add({ key, from: event.from, to: 0, mark: marks++, merged: false, stack: true });
      continue;
    }
    if (event.kind === 'cut') {
      while (facts.length && facts[facts.length - 1]!.mark >= event.from) {
        byRoot.get(facts.pop()!.key)!.pop();
      }
      continue;
    }
    const write = writes[event.index]!;
    const g = geometry[write.memory]!;
    const key = write.root * geometry.length + write.memory;
    const from = address(write, g.is64);
    const to = from + write.op.width;
    const cover = covering(byRoot.get(key), from, to);
    if (cover) {
      marks++;
      if (cover.stack) plan.stack++;
      else if (cover.merged) plan.merged++;
      else plan.removed++;
      continue;
    }
    // Look ahead for writes that this one's check can serve as well.
    let low = from;
    let high = to;
    let others = 0;
    // Constant addresses may be merged downwards as well: none of them can be out of bounds below.
    const floor = write.root === 0 ? 0 : write.distance;
    const reach = g.tails && !exact ? from + 17 : to;
    if (g.tails) {
      for (let n = e + 1; n < events.length && n - e < LOOK_AHEAD; n++) {
        const next = events[n]!;
        if (next.kind !== 'write') break;
        const other = writes[next.index]!;
        if (other.root !== write.root || other.memory !== write.memory) continue;
        const otherFrom = address(other, g.is64);
        const otherTo = otherFrom + other.op.width;
        const newLow = Math.min(low, otherFrom);
        const newHigh = Math.max(high, otherTo);
        if (newHigh - newLow > g.region || newLow < floor) continue;
        if (exact && newHigh > to) continue;
        if (otherFrom >= from && otherTo <= reach) continue;
        if (covering(byRoot.get(key), otherFrom, otherTo)) continue;
        low = newLow;
        high = newHigh;
        others++;
      }
    }
    checks[event.index] = { from: low - from + write.offset, to: high - from + write.offset };
    plan.inserted++;
    let factTo = to;
    if (g.tails && !exact) factTo = others ? high + 16 : reach;
    else if (others) factTo = high;
    add({ key, from: low, to: factTo, mark: marks++, merged: others > 0, stack: false });
  }
  return plan;
}

const own = (write: Write): Check => ({ from: write.offset, to: write.offset + write.op.width });

/** The write's first byte, relative to its root. Distances of 32-bit addresses wrap as the addresses do. */
function address(write: Write, is64: boolean): number {
  const sum = write.distance + write.offset;
  return !is64 && sum >= 2 ** 31 && sum < 2 ** 33 ? sum - 2 ** 32 : sum;
}

/** The fact that completes the coverage of [from, to), or undefined. */
function covering(facts: Fact[] | undefined, from: number, to: number): Fact | undefined {
  if (!facts) return undefined;
  const first = Math.max(0, facts.length - LOOK_BACK);
  let at = from;
  for (;;) {
    let best: Fact | undefined;
    for (let i = facts.length - 1; i >= first; i--) {
      const fact = facts[i]!;
      if (fact.from <= at && fact.to > at && (!best || fact.to > best.to)) best = fact;
    }
    if (!best) return undefined;
    if (best.to >= to) return best;
    at = best.to;
  }
}
