/**
 * Stand-ins for the bulk instructions of one memory. They need two functions of the mechanism's: $within traps
 * where a range does not lie in memory, and $touch does so, too, and has the range saved.
 */
import type { Geometry } from '../layout.js';
import type { SupportSpec } from './spec.js';

export const addressType = (g: Geometry): 'i32' | 'i64' => (g.is64 ? 'i64' : 'i32');

/** Condition: [$a, $a + `n`) does not lie in the guest's memory `k`. */
export const outside = (A: 'i32' | 'i64', k: number, n: string): string =>
  `(i32.or (${A}.lt_u (${A}.add (local.get $a) ${n}) (local.get $a)) (${A}.gt_u (${A}.add (local.get $a) ${n}) (${A}.shl (global.get $pages${k}) (${A}.const 16))))`;

/** Traps as an access outside of memory `k` does. */
export const trapOutside = (A: 'i32' | 'i64', k: number): string =>
  `(drop (i32.load8_u $m${k} offset=4294967295 (${A}.const -1))) (unreachable)`;

/** $within: traps unless [$a, $a + $n) lies in memory. */
export const withinText = (A: 'i32' | 'i64', k: number): string => {
  const test = outside(A, k, '(local.get $n)');
  return `
(func $within${k} (param $a ${A}) (param $n ${A})
  (if ${test} (then (call $sync${k}) (if ${test} (then ${trapOutside(A, k)})))))`;
};

/** memory.fill. */
export const fillText = (A: 'i32' | 'i64', k: number): string => `
(func $fill${k} (export "fill${k}") (param $a ${A}) (param $v i32) (param $n ${A})
  (call $touch${k} (local.get $a) (local.get $n))
  (memory.fill $m${k} (local.get $a) (local.get $v) (local.get $n)))`;

/** memory.copy from memory `s` to memory `d`. */
export function copyText(spec: SupportSpec, d: number, s: number): string {
  const D = addressType(spec.memories[d]!.geometry);
  const F = addressType(spec.memories[s]!.geometry);
  const N = D === 'i64' && F === 'i64' ? 'i64' : 'i32';
  const as = (want: string) => (want === N ? '(local.get $n)' : '(i64.extend_i32_u (local.get $n))');
  // Binaryen has no memory.copy between memories of different address types. They cannot overlap.
  const copy =
    D === F
      ? `(memory.copy $m${d} $m${s} (local.get $a) (local.get $from) (local.get $n))`
      : `(loop $bytes (if (local.get $n) (then
    (i32.store8 $m${d} (local.get $a) (i32.load8_u $m${s} (local.get $from)))
    (local.set $a (${D}.add (local.get $a) (${D}.const 1)))
    (local.set $from (${F}.add (local.get $from) (${F}.const 1)))
    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
    (br $bytes))))`;
  return `
(func (export "copy${d}_${s}") (param $a ${D}) (param $from ${F}) (param $n ${N})
  (call $within${s} (local.get $from) ${as(F)})
  (call $touch${d} (local.get $a) ${as(D)})
  ${copy})`;
}

/** memory.init of a segment; one that was dropped looks empty. */
export function initText(spec: SupportSpec, segment: number, memory: number): string {
  const A = addressType(spec.memories[memory]!.geometry);
  const n = A === 'i64' ? '(i64.extend_i32_u (local.get $n))' : '(local.get $n)';
  const trap = `(drop (i32.load8_u $m${memory} offset=4294967295 (${A}.const -1)))`;
  const dropped = spec.droppedData.includes(segment)
    ? `(if (global.get $droppedData${segment}) (then
    (call $within${memory} (local.get $a) ${n})
    (if (i32.or (local.get $from) (local.get $n)) (then ${trap}))
    (return)))`
    : '';
  return `
(func (export "init${segment}_${memory}") (param $a ${A}) (param $from i32) (param $n i32)
  ${dropped}
  (call $touch${memory} (local.get $a) ${n})
  (memory.init $m${memory} $d${segment} (local.get $a) (local.get $from) (local.get $n)))`;
}
