/**
 * Stage 2 of 4: find the writes.
 *
 * One pass over a function's instructions finds every one that changes guarded state, and, for those that
 * write to memory, a symbolic address: `root + offset`, where a root stands for a value that is computed once
 * and never changes (a parameter, the result of a load, a local at the head of a loop). Two writes with one
 * root are at a known distance, whatever the program does in between.
 *
 *     local.get 0            ;; root 1, offset 0
 *     i32.const 8
 *     i32.add                ;; root 1, offset 8
 *     ...
 *     i32.store offset=4     ;; a write of [root 1 + 12, root 1 + 16)
 *
 * Root 0 is the number zero, so constants are addresses as well.
 *
 * Wasm's control flow is structured, so dominance needs no graph. Writes (and settings of the stack
 * pointer, see stack.ts) are numbered in program order. Where
 * control can arrive at a label from a branch, every write after the first such branch may have been skipped:
 * the pass emits a cut, "from here on, writes numbered n and above prove nothing". What is left when a later
 * write is reached dominates it. Locals are treated alike: those assigned after the first branch to a label
 * get a fresh root there.
 *
 * Not handled (each only costs a check): globals and loads as roots; values that meet at a label; addresses
 * of 64-bit memories further than 2 GiB from their root.
 */
import { Decoder } from './wasm/decode.js';
import type { Module } from './wasm/module.js';
import { Imm, OP, type Op, Role } from './wasm/opcodes.js';
import { Reader } from './wasm/reader.js';

/** A store-like instruction. */
export interface Write {
  /** Offset of the instruction in the file. */
  at: number;
  code: number;
  op: Op;
  memory: number;
  /** The instruction's static offset. */
  offset: number;
  /** Symbolic address of its address operand: value root and distance. */
  root: number;
  distance: number;
  /** A local that holds the address operand at this point, or -1. */
  local: number;
}

/** An instruction that changes other state, or looks at it, and is replaced as a whole. */
export interface StateOp {
  at: number;
  after: number;
  code: number;
  op: Op;
  a: number;
  b: number;
}

/** What the analysis replays, in program order. */
export type Event =
  | { kind: 'write'; index: number }
  /** Bytes [root + from, root) were saved by lowering the stack pointer (see stack.ts). */
  | { kind: 'stack'; root: number; from: number }
  /** Of writes and stack events, those numbered `from` and above no longer dominate what follows. */
  | { kind: 'cut'; from: number }
  /** Control may leave or arrive here: what follows need not run whenever what precedes did. */
  | { kind: 'barrier' };

export interface Found {
  writes: Write[];
  /** Where the stack pointer was set: just behind the instruction, and whether only lowered. */
  stackSets: { after: number; lowered: boolean }[];
  /** Instructions whose effect cannot be undone. */
  refused: { at: number; op: Op }[];
  states: StateOp[];
  /** Segments read by array.new_data and array.new_elem. */
  segmentReads: ['data' | 'elem', number][];
  /** Functions named by ref.func. */
  references: number[];
  loads: Write[];
  events: Event[];
  /** Positions just behind each `loop` instruction. */
  loops: number[];
  /** Whether the function calls anything. */
  calls: boolean;
  /** Writes in code that cannot be reached. */
  unreachable: number;
  /** Count of locals, parameters included. */
  locals: number;
  /** Where the locals' declarations end and the instructions begin. */
  codeFrom: number;
}

interface Frame {
  code: number;
  height: number;
  params: number;
  results: number;
  deadAtEntry: boolean;
  /** The assignment log and the count of marks when the frame was entered. */
  log: number;
  marks: number;
  /** The same at the first branch to the frame's label; the log's length at the last one. */
  branched: boolean;
  branchLog: number;
  branchMarks: number;
  lastBranchLog: number;
  /** Locals assigned on a path that was undone in `log` but may have branched here. */
  maybe: Set<number> | undefined;
  /** Open try bodies whose handlers lead here: control may branch at any moment. */
  handlers: number;
  /** `if`: what was assigned in its first arm, and whether the arm's end can be reached. */
  thenAssigned: number[] | undefined;
  thenLive: boolean;
  /** try_table: the frames its handlers lead to. */
  targets: Frame[] | undefined;
}

/** Locals assigned in each loop of a body (keyed by where the loop begins), found ahead of the main pass. */
function loopAssignments(bytes: Uint8Array, from: number, to: number): Map<number, Set<number>> {
  const result = new Map<number, Set<number>>();
  const open: (Set<number> | undefined)[] = [];
  const loops: Set<number>[] = [];
  const d = new Decoder(bytes, from, to);
  while (d.next()) {
    switch (d.code) {
      case OP.loop: {
        const set = new Set<number>();
        result.set(d.start, set);
        loops.push(set);
        open.push(set);
        break;
      }
      case OP.block:
      case OP.if:
      case OP.try:
      case OP.try_table:
        open.push(undefined);
        break;
      case OP.delegate:
      case OP.end: {
        const set = open.pop();
        if (set) {
          loops.pop();
          const outer = loops[loops.length - 1];
          if (outer) for (const local of set) outer.add(local);
        }
        break;
      }
      case OP.local_set:
      case OP.local_tee:
        loops[loops.length - 1]?.add(d.a);
        break;
    }
  }
  return result;
}

const COMMUTATIVE_OR_NUMBERED = new Set<number>([
  OP.i32_add,
  OP.i32_sub,
  OP.i64_add,
  OP.i64_sub,
  0x71,
  0x74,
  0x6c,
]);
const FAR = 2 ** 31;
/** Frames above this size are treated like any other memory. */
export const MAX_FRAME = 2 ** 20;

/**
 * Finds all that the other stages need in function body `index` (counted without imports).
 * @throws ERR_BELAY_REFUSED for an instruction that is not known.
 */
export function findWrites(
  module: Module,
  index: number,
  wantLoads: boolean,
  stackPointer: number | undefined,
): Found {
  const { bytes } = module;
  const body = module.bodies[index]!;
  const type = module.types[module.functions[module.importedFunctions + index]!.type]!;
  const header = new Reader(bytes, body.from, body.to);
  let localCount = type.params.length;
  const wideLocals: [number, number][] = [];
  for (let n = header.u32(); n > 0; n--) {
    const count = header.u32();
    const t = header.valueType();
    if (t[0] !== 0x7f && t[0] !== 0x7e) wideLocals.push([localCount, count]);
    localCount += count;
  }
  const codeFrom = header.pos;
  const found: Found = {
    writes: [],
    stackSets: [],
    refused: [],
    states: [],
    segmentReads: [],
    references: [],
    loads: [],
    events: [],
    loops: [],
    calls: false,
    unreachable: 0,
    locals: localCount,
    codeFrom,
  };
  const assignedIn = loopAssignments(bytes, codeFrom, body.to);

  // --- symbolic state ---
  let nextRoot = 1;
  const localRoot: number[] = new Array(localCount).fill(0);
  const localDistance: number[] = new Array(localCount).fill(0);
  for (let i = 0; i < type.params.length; i++) localRoot[i] = nextRoot++;
  for (const [first, count] of wideLocals) for (let i = 0; i < count; i++) localRoot[first + i] = nextRoot++;
  // The log of assignments, so that the second arm of an `if` starts from the state at its condition.
  const logLocal: number[] = [];
  const logRoot: number[] = [];
  const logDistance: number[] = [];
  // The operand stack: value and the local it was read from.
  const roots: number[] = [];
  const distances: number[] = [];
  const origins: number[] = [];
  const numbered = new Map<string, number>();
  const frames: Frame[] = [];
  let live = true;
  /** Writes and stack events so far. */
  let marks = 0;
  /** Roots that are values of the stack pointer. */
  const stackRoots = new Set<number>();

  const push = (root: number, distance: number, origin: number) => {
    roots.push(root);
    distances.push(distance);
    origins.push(origin);
  };
  const pushFresh = (n: number) => {
    for (; n > 0; n--) push(nextRoot++, 0, -1);
  };
  const floor = () => (frames.length ? frames[frames.length - 1]!.height : 0);
  const pop = (n: number) => {
    const length = Math.max(floor(), roots.length - n);
    roots.length = distances.length = origins.length = length;
  };
  const assign = (local: number, root: number, distance: number) => {
    logLocal.push(local);
    logRoot.push(localRoot[local]!);
    logDistance.push(localDistance[local]!);
    localRoot[local] = root;
    localDistance[local] = distance;
  };
  const freshen = (locals: Iterable<number>) => {
    for (const local of new Set(locals)) assign(local, nextRoot++, 0);
  };
  /** Takes back assignments down to log length `to`, and tells the frames that a branch may have left with them. */
  const undo = (to: number) => {
    for (const frame of frames) {
      if (!(frame.branched && frame.lastBranchLog > to) && !frame.handlers) continue;
      frame.maybe ??= new Set();
      for (let i = to; i < logLocal.length; i++) frame.maybe.add(logLocal[i]!);
      frame.branchLog = Math.min(frame.branchLog, to);
      frame.lastBranchLog = Math.min(frame.lastBranchLog, to);
    }
    while (logLocal.length > to) {
      const local = logLocal.pop()!;
      localRoot[local] = logRoot.pop()!;
      localDistance[local] = logDistance.pop()!;
    }
  };
  const cut = (from: number) => {
    const last = found.events[found.events.length - 1];
    if (last?.kind === 'cut') last.from = Math.min(last.from, from);
    else found.events.push({ kind: 'cut', from });
  };
  const barrier = () => {
    const last = found.events[found.events.length - 1];
    if (last && last.kind === 'write') found.events.push({ kind: 'barrier' });
  };
  const blockArity = (blockType: number): [number, number] => {
    if (blockType === -1) return [0, 0];
    if (blockType === -2) return [0, 1];
    const t = module.types[blockType]!;
    return [t.params.length, t.results.length];
  };
  const enter = (code: number, params: number, results: number): Frame => {
    const frame: Frame = {
      code,
      height: Math.max(floor(), roots.length - params),
      params,
      results,
      deadAtEntry: !live,
      log: logLocal.length,
      marks,
      branched: false,
      branchLog: 0,
      branchMarks: 0,
      lastBranchLog: 0,
      maybe: undefined,
      handlers: 0,
      thenAssigned: undefined,
      thenLive: false,
      targets: undefined,
    };
    frames.push(frame);
    return frame;
  };
  const branchTo = (frame: Frame | undefined) => {
    barrier();
    if (!live || !frame || frame.code === OP.loop) return;
    const inIf = frame.code === OP.if;
    if (!frame.branched) {
      frame.branched = true;
      frame.branchLog = inIf ? frame.log : logLocal.length;
      frame.branchMarks = inIf ? frame.marks : marks;
    }
    frame.lastBranchLog = Math.max(frame.lastBranchLog, logLocal.length);
  };
  const target = (label: number): Frame | undefined => frames[frames.length - 1 - label];
  const die = () => {
    live = false;
    barrier();
    roots.length = distances.length = origins.length = floor();
  };
  const assignedSince = (from: number): number[] => logLocal.slice(from);

  const leave = (): void => {
    const frame = frames[frames.length - 1]!;
    const reachable = live;
    barrier();
    if (frame.targets) {
      for (const t of frame.targets) {
        t.handlers--;
        t.lastBranchLog = Math.max(t.lastBranchLog, logLocal.length);
      }
    }
    let kept = 0;
    if (frame.deadAtEntry) {
      live = false;
    } else if (frame.code === OP.try) {
      // Handlers may have run from any point of the body.
      freshen([...assignedSince(frame.log), ...(frame.maybe ?? [])]);
      cut(frame.marks);
      live = true;
    } else if (frame.code === OP.if && !frame.thenAssigned && !frame.branched && !reachable) {
      // An arm that never falls through: what follows is reached from the condition alone.
      undo(frame.log);
      cut(frame.marks);
      live = true;
    } else if (frame.code === OP.if && !frame.thenAssigned) {
      freshen([...assignedSince(frame.log), ...(frame.maybe ?? [])]);
      cut(frame.marks);
      live = true;
    } else if (frame.code === OP.if && (frame.thenLive || frame.branched)) {
      freshen([...frame.thenAssigned!, ...assignedSince(frame.log), ...(frame.maybe ?? [])]);
      cut(frame.marks);
      live = reachable || frame.thenLive || frame.branched;
    } else if (frame.branched) {
      freshen([...assignedSince(frame.branchLog), ...(frame.maybe ?? [])]);
      cut(frame.branchMarks);
      live = true;
    } else {
      // Reached from its own end only: all is as it was there.
      kept = reachable ? frame.results : 0;
      live = reachable;
    }
    frames.pop();
    if (kept && roots.length - frame.height >= kept) return;
    roots.length = distances.length = origins.length = Math.min(roots.length, frame.height);
    pushFresh(frame.results);
  };

  const callArity = (d: Decoder): [number, number] => {
    const t =
      d.code === OP.call || d.code === OP.return_call
        ? module.types[module.functions[d.a]!.type]!
        : module.types[d.a]!;
    return [t.params.length + d.op.pop, t.results.length];
  };

  enter(OP.block, 0, type.results.length);
  const d = new Decoder(bytes, codeFrom, body.to);
  while (d.next()) {
    const { op, code } = d;
    switch (op.role) {
      case Role.Local: {
        const local = d.a;
        if (code === OP.local_get) push(localRoot[local]!, localDistance[local]!, local);
        else {
          const top = roots.length - 1;
          const known = top >= floor();
          const root = known ? roots[top]! : nextRoot++;
          const distance = known ? distances[top]! : 0;
          if (live) assign(local, root, distance);
          pop(1);
          if (code === OP.local_tee) push(root, distance, live ? local : -1);
        }
        continue;
      }
      case Role.Load:
      case Role.Store: {
        const depth = roots.length - (op.role === Role.Store ? op.operands + 1 : op.pop);
        const known = depth >= floor();
        if (!live) {
          if (op.role === Role.Store) found.unreachable++;
        } else if (op.role === Role.Store || wantLoads) {
          const root = known ? roots[depth]! : nextRoot++;
          const distance = known ? distances[depth]! : 0;
          const origin = known ? origins[depth]! : -1;
          const current = origin >= 0 && localRoot[origin] === root && localDistance[origin] === distance;
          const write: Write = {
            at: d.start,
            code,
            op,
            memory: d.memory,
            offset: d.offset,
            root,
            distance,
            local: current ? origin : -1,
          };
          if (op.role === Role.Store) {
            found.events.push({ kind: 'write', index: found.writes.length });
            marks++;
            found.writes.push(write);
          } else found.loads.push(write);
        }
        pop(op.pop);
        pushFresh(op.push);
        continue;
      }
      case Role.State:
        if (live) {
          // Memory that is new behind this was not there to be saved before.
          if (code === OP.memory_grow) barrier();
          found.states.push({
            at: d.start,
            after: d.after,
            code,
            op,
            a: d.a,
            b: op.imm === Imm.Index2 ? d.b : 0,
          });
        }
        pop(op.pop);
        pushFresh(op.push);
        continue;
      case Role.Call: {
        found.calls = true;
        // The callee may grow memory, and the host may see what a check that traps too early left undone.
        barrier();
        const [params, results] = callArity(d);
        pop(params);
        if (code === OP.return_call || code === OP.return_call_indirect || code === OP.return_call_ref) die();
        else pushFresh(results);
        continue;
      }
      case Role.Control:
        break;
      case Role.Refused:
        found.refused.push({ at: d.start, op });
        pop(op.pop);
        continue;
      default: {
        if (code === OP.global_get && d.a === stackPointer) {
          stackRoots.add(nextRoot);
          pushFresh(1);
        } else if (code === OP.global_set && d.a === stackPointer) setStackPointer();
        else if (code === OP.i32_const) push(0, d.a | 0, -1);
        else if (code === OP.i64_const && Math.abs(d.a) < FAR) push(0, d.a, -1);
        else if (COMMUTATIVE_OR_NUMBERED.has(code)) arithmetic(code);
        else if (code === OP.struct_new) {
          pop(module.types[d.a]!.params.length);
          pushFresh(1);
        } else if (code === OP.array_new_fixed) {
          pop(d.b);
          pushFresh(1);
        } else {
          if (code === OP.array_new_data) found.segmentReads.push(['data', d.b]);
          else if (code === OP.array_new_elem) found.segmentReads.push(['elem', d.b]);
          else if (code === OP.ref_func) found.references.push(d.a);
          pop(op.pop);
          pushFresh(op.push);
        }
        continue;
      }
    }
    // Control.
    switch (code) {
      case OP.block:
      case OP.try: {
        const [params, results] = blockArity(d.blockType);
        const frame = enter(code, params, results);
        if (code === OP.try) frame.handlers++;
        break;
      }
      case OP.try_table: {
        const [params, results] = blockArity(d.blockType);
        const targets: Frame[] = [];
        for (const label of d.labels) {
          const t = target(label);
          if (t && live) {
            branchTo(t);
            t.handlers++;
            targets.push(t);
          }
        }
        enter(code, params, results).targets = targets;
        break;
      }
      case OP.loop: {
        const [params, results] = blockArity(d.blockType);
        barrier();
        if (live) freshen(assignedIn.get(d.start)!);
        pop(params);
        pushFresh(params);
        enter(code, params, results);
        found.loops.push(d.after);
        break;
      }
      case OP.if: {
        const [params, results] = blockArity(d.blockType);
        pop(1);
        barrier();
        enter(code, params, results);
        break;
      }
      case OP.else: {
        const frame = frames[frames.length - 1]!;
        barrier();
        frame.thenAssigned = assignedSince(frame.log);
        frame.thenLive = live;
        if (!frame.deadAtEntry) {
          undo(frame.log);
          cut(frame.marks);
        }
        live = !frame.deadAtEntry;
        roots.length = distances.length = origins.length = Math.min(roots.length, frame.height);
        pushFresh(frame.params);
        break;
      }
      case OP.catch:
      case OP.catch_all: {
        const frame = frames[frames.length - 1]!;
        barrier();
        if (!frame.deadAtEntry) {
          freshen([...assignedSince(frame.log), ...(frame.maybe ?? [])]);
          cut(frame.marks);
        }
        live = !frame.deadAtEntry;
        roots.length = distances.length = origins.length = Math.min(roots.length, frame.height);
        if (code === OP.catch) pushFresh(module.types[module.tags[d.a]!]!.params.length);
        break;
      }
      case OP.delegate:
      case OP.end:
        leave();
        break;
      case OP.br:
        branchTo(target(d.a));
        die();
        break;
      case OP.br_if:
        pop(1);
        branchTo(target(d.a));
        break;
      case OP.br_table:
        for (const label of new Set(d.labels)) branchTo(target(label));
        die();
        break;
      case OP.br_on_null:
        pop(1);
        branchTo(target(d.a));
        pushFresh(1);
        break;
      case OP.br_on_non_null:
        branchTo(target(d.a));
        pop(1);
        break;
      case OP.br_on_cast:
      case OP.br_on_cast_fail:
        branchTo(target(d.a));
        pop(1);
        pushFresh(1);
        break;
      default: // unreachable, return, throw, rethrow, throw_ref
        die();
    }
  }
  return found;

  /** Notes a new value of the stack pointer, and what its lowering saved. */
  function setStackPointer(): void {
    const top = roots.length - 1;
    const known = top >= floor();
    const root = known ? roots[top]! : -1;
    const distance = known ? distances[top]! : 0;
    pop(1);
    if (!live) return;
    const lowered = stackRoots.has(root) && distance <= 0 && distance >= -MAX_FRAME;
    // Put back to a value that it had: that lies within the saved range as it is.
    if (lowered && distance === 0) return;
    found.stackSets.push({ after: d.after, lowered });
    if (!lowered) return;
    found.events.push({ kind: 'stack', root, from: distance });
    marks++;
  }

  /** Constant distances, and value numbers for sums of two unknown values. */
  function arithmetic(code: number): void {
    const right = roots.length - 1;
    const left = right - 1;
    if (left < floor()) {
      pop(2);
      pushFresh(1);
      return;
    }
    const [rootL, distL, rootR, distR] = [roots[left]!, distances[left]!, roots[right]!, distances[right]!];
    pop(2);
    const is32 = code < OP.i64_add;
    const add = code === OP.i32_add || code === OP.i64_add;
    const sub = code === OP.i32_sub || code === OP.i64_sub;
    let root = -1;
    let distance = 0;
    if (add && rootR === 0) [root, distance] = [rootL, distL + distR];
    else if (add && rootL === 0) [root, distance] = [rootR, distL + distR];
    else if (sub && rootR === 0) [root, distance] = [rootL, distL - distR];
    if (root >= 0) {
      if (is32) push(root, distance | 0, -1);
      else if (Math.abs(distance) < FAR) push(root, distance, -1);
      else pushFresh(1);
      return;
    }
    const key = `${code},${rootL},${distL},${rootR},${distR}`;
    let number = numbered.get(key);
    if (number === undefined) {
      number = nextRoot++;
      numbered.set(key, number);
    }
    push(number, 0, -1);
  }
}
