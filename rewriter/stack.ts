/**
 * The stack's low-water mark. Compiled C, C++, Rust and the like keep a stack in linear memory, whose pointer
 * is a mutable global; a function lowers it by its frame's size and raises it again at its end. Half of all
 * stores go into such frames. Instead of checking each of them, the range that becomes part of the stack is
 * saved when the pointer is lowered:
 *
 *     global.set $sp            global.set $sp
 *                               (if (i32.gt_u (i32.sub (global.get $sp) (global.get $low)) (global.get $span))
 *                                 (then (call $deepen)))                       ;; span = top - low
 *
 *           0 ......... low ################ top ........ end of memory
 *                        ^ lowest sp of the epoch ^ sp at the checkpoint
 *
 * Invariant: in each epoch [low, top) is saved, and low ≤ sp ≤ top whenever a function of the guest reads sp.
 * checkpoint and rollback set top = sp and save ahead, in one go, nearly as much below it as the last epoch
 * used. $deepen saves [sp, low) and lowers `low`. A function that sets
 * sp to a value it read less a constant C proves that [sp, sp + C) is saved: it lay below top, and is above
 * low now. Setting sp back to a value that was read needs nothing. Any other value is compared with both ends;
 * above top, or where it cannot be told, a new range begins at it ($restack). A pointer that is lowered below
 * zero, by a stack overflow, wraps around to above top: then all of memory is saved, once. So that this can be told
 * from a pointer that is there already, top is at most 1 MiB (the largest frame) less than 4 GiB, where there is
 * no memory.
 *
 * Which global it is, is a guess (the one that most functions lower by a constant), and may be wrong: then more is saved than need be, never less.
 *
 * Not handled: the inline layout, where a frame beyond the guest's memory must trap at its own store; a
 * pointer that is exported or imported, because the host could set it; frames above 1 MiB; stores below the
 * pointer (leaf functions that do not lower it), which are checked like any other.
 */
import { MAX_FRAME } from './find.js';
import { Decoder } from './wasm/decode.js';
import type { Module } from './wasm/module.js';
import { OP } from './wasm/opcodes.js';
import { Reader } from './wasm/reader.js';

/** Function bodies that are looked at to guess. */
const SAMPLE = 4000;

/** Index of the global that is the stack pointer, or undefined where there is none to be used. */
export function findStackPointer(module: Module): number | undefined {
  if (!module.memories.length || module.memories[0]!.is64) return undefined;
  const usable = (index: number) => {
    const g = module.globals[index];
    return (
      g?.mutable === true &&
      g.type[0] === 0x7f &&
      !g.import &&
      !module.exports.some((e) => e.kind === 3 && e.index === index)
    );
  };
  const lowered = new Map<number, number>();
  for (const body of module.bodies.slice(0, SAMPLE)) {
    const global = loweredGlobal(module, body.from, body.to);
    if (global !== undefined && usable(global)) lowered.set(global, (lowered.get(global) ?? 0) + 1);
  }
  let best: number | undefined;
  for (const [global, count] of lowered) if (best === undefined || count > lowered.get(best)!) best = global;
  return best;
}

/** The global that a body begins by lowering: global.get G, i32.const C, i32.sub. */
function loweredGlobal(module: Module, from: number, to: number): number | undefined {
  const header = new Reader(module.bytes, from, to);
  for (let n = header.u32(); n > 0; n--) {
    header.u32();
    header.valueType();
  }
  const d = new Decoder(module.bytes, header.pos, to);
  let global: number | undefined;
  let constant = false;
  try {
    // Prologues come first.
    for (let i = 0; i < 24 && d.next(); i++) {
      if (d.code === OP.global_get) [global, constant] = [d.a, false];
      else if (d.code === OP.i32_const && global !== undefined) constant = true;
      else if (d.code === OP.i32_sub && global !== undefined && constant) return global;
      else [global, constant] = [undefined, false];
    }
  } catch {
    // An unknown instruction is the survey's to report.
  }
  return undefined;
}

/** Bytes of stack that are saved ahead at most. */
const MOST_AHEAD = 16384;

/** The support code, as WebAssembly text; `S` is log2 of the region size. */
export function stackText(S: number): string {
  return `
(global $low (export "low") (mut i32) (i32.const 0))
(global $top (mut i32) (i32.const 0))
(global $span (export "span") (mut i32) (i32.const 0))
;; Saves what lies in memory of [$a, $b).
(func $clampRun (param $a i32) (param $b i32) (local $bytes i32)
  (local.set $bytes (i32.shl (global.get $pages0) (i32.const 16)))
  (if (i32.gt_u (local.get $b) (local.get $bytes)) (then (local.set $b (local.get $bytes))))
  (if (i32.ge_u (local.get $a) (local.get $b)) (then (return)))
  (call $run0 (i32.shr_u (local.get $a) (i32.const ${S}))
    (i32.shr_u (i32.sub (local.get $b) (i32.const 1)) (i32.const ${S}))))
(func $deepen
  ;; Lowered below zero: what was said to be saved wraps around, so all of memory is saved.
  (if (i32.gt_u (global.get $sp) (global.get $top)) (then
    (global.set $low (i32.const 0))
    (global.set $top (i32.const -1))
    (global.set $span (i32.const -1))
    (call $clampRun (i32.const 0) (i32.const -1))
    (return)))
  (call $clampRun (global.get $sp) (global.get $low))
  (global.set $low (global.get $sp))
  (global.set $span (i32.sub (global.get $top) (global.get $low))))
(func $restack
  (if (i32.gt_u (global.get $sp) (global.get $top))
    (then (call $unstack))
    (else (call $deepen))))
;; Begins an epoch: as much of the stack as the last epoch used, less an eighth, is saved ahead.
(func $settle (local $depth i32)
  (call $top)
  (if (i32.lt_u (global.get $low) (global.get $top)) (then
    (local.set $depth (i32.sub (global.get $top) (global.get $low)))
    (local.set $depth (i32.sub (local.get $depth) (i32.shr_u (local.get $depth) (i32.const 3))))
    (if (i32.gt_u (local.get $depth) (i32.const ${MOST_AHEAD})) (then (local.set $depth (i32.const ${MOST_AHEAD}))))))
  (global.set $span (local.get $depth))
  (global.set $low (i32.sub (global.get $top) (local.get $depth)))
  (call $clampRun (global.get $low) (global.get $top)))
;; top = sp, but for what an overflow left just below zero.
(func $top
  (global.set $top (select (global.get $sp) (i32.const ${-MAX_FRAME - 1})
    (i32.lt_u (global.get $sp) (i32.const ${-MAX_FRAME - 1})))))
(func $unstack
  (call $top)
  (global.set $span (i32.const 0))
  (global.set $low (global.get $top)))`;
}
