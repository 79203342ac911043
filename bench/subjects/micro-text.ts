/** The guest: `dirty(n, step)` stores to n addresses that lie `step` bytes apart. */
export const microText = (pages: number): string => `(module
  (memory (export "memory") ${pages})
  (func (export "dirty") (param $n i32) (param $step i32) (local $p i32)
    (loop $next
      (i32.store (local.get $p) (local.get $n))
      (local.set $p (i32.add (local.get $p) (local.get $step)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`;
