/**
 * The size of a memory, as the guest sees it. A memory cannot shrink, so a rollback that undoes a memory.grow
 * leaves it as large as it was; the guest is shown a size of its own:
 *
 *     0 ............ pages ............ real          pages: what memory.size says; real: what the engine has
 *                     ^ the next memory.grow takes from here, zeroed, before it asks the engine
 *
 * In the inline layout the engine's memory never grows, and `pages` moves within the reserve.
 *
 * A mechanism adds three functions of its own: $ensure (room for support of n pages; 0 where there is none),
 * $extend (the guest's view becomes n pages, which are more than before) and $resized (after each change).
 */

import { trapOutside } from './bulk.js';

export interface SizedMemory {
  /** Number of the memory. */
  k: number;
  /** Type of its addresses. */
  A: 'i32' | 'i64';
  inline: boolean;
  /** Inline: pages at the start, and most pages. */
  initialPages: number;
  maxPages: number;
  /** Code that is run before pages that a rollback had taken are given out again, up to page $n. */
  retake?: string;
}

/** Globals and functions for the size of memory `k`. */
export function sizeText({ k, A, inline, initialPages, maxPages, retake = '' }: SizedMemory): string {
  const m = `$m${k}`;
  const size = `
(func $size${k} (export "size${k}") (result ${A}) (global.get $pages${k}))
;; The guest's view becomes smaller: for a state that is loaded, just after a checkpoint.
(func $shrink${k} (export "shrink${k}") (param $n ${A})
  (call $sync${k})
  (if (${A}.lt_u (local.get $n) (global.get $pages${k})) (then
    (global.set $pages${k} (local.get $n))
    (call $resized${k}))))`;
  if (inline) {
    return `
(func $sync${k})
(func $setup${k} (global.set $pages${k} (${A}.const ${initialPages})) (call $resized${k}))
(func $grow${k} (export "grow${k}") (param $delta ${A}) (result ${A}) (local $old ${A}) (local $n ${A})
  (local.set $old (global.get $pages${k}))
  (local.set $n (${A}.add (local.get $old) (local.get $delta)))
  (if (i32.or (${A}.lt_u (local.get $n) (local.get $old)) (${A}.gt_u (local.get $n) (${A}.const ${maxPages}))) (then (return (${A}.const -1))))
  (call $extend${k} (local.get $n))
  (local.get $old))
;; checkLoads: a load of [$a, $a + $n).
(func $load${k} (export "load${k}") (param $a ${A}) (param $n i64)
  (if (i64.gt_u (i64.add (i64.extend_i32_u (local.get $a)) (local.get $n)) (i64.shl (i64.extend_i32_u (global.get $pages${k})) (i64.const 16))) (then ${trapOutside(A, k)})))
${size}`;
  }
  return `
(global $real${k} (mut ${A}) (${A}.const 0))
;; The host may have grown the memory behind our back.
(func $sync${k} (local $n ${A})
  (local.set $n (memory.size ${m}))
  (if (${A}.ne (local.get $n) (global.get $real${k})) (then
    (if (i32.eqz (call $ensure${k} (local.get $n))) (then (unreachable)))
    (call $extend${k} (${A}.add (global.get $pages${k}) (${A}.sub (local.get $n) (global.get $real${k}))))
    (global.set $real${k} (local.get $n))
    (call $resized${k}))))
(func $setup${k}
  (global.set $real${k} (memory.size ${m}))
  (global.set $pages${k} (memory.size ${m}))
  (if (i32.eqz (call $ensure${k} (global.get $real${k}))) (then (unreachable)))
  (call $resized${k}))
(func $grow${k} (export "grow${k}") (param $delta ${A}) (result ${A}) (local $old ${A}) (local $n ${A})
  (call $sync${k})
  (local.set $old (global.get $pages${k}))
  (local.set $n (${A}.add (local.get $old) (local.get $delta)))
  (if (${A}.lt_u (local.get $n) (local.get $old)) (then (return (${A}.const -1))))
  ${retake}
  (if (${A}.gt_u (local.get $n) (global.get $real${k})) (then
    (if (i32.eqz (call $ensure${k} (local.get $n))) (then (return (${A}.const -1))))
    (if (${A}.eq (memory.grow ${m} (${A}.sub (local.get $n) (global.get $real${k}))) (${A}.const -1)) (then (return (${A}.const -1))))
    (global.set $real${k} (local.get $n))))
  (call $extend${k} (local.get $n))
  (local.get $old))
${size}`;
}

/** Text that grows a support memory to `need` pages, and returns 0 from the function where it cannot. Uses $x. */
export const growTo = (A: 'i32' | 'i64', memory: string, need: string): string => `
  (local.set $x ${need})
  (if (${A}.gt_u (local.get $x) (memory.size ${memory})) (then
    (if (${A}.eq (memory.grow ${memory} (${A}.sub (local.get $x) (memory.size ${memory}))) (${A}.const -1)) (then (return (i32.const 0))))))`;
