/** The guests of the section `pages`: modules that store to addresses that lie in a list in their memory. */

/** `dirty(list, n, value)`: n stores of 8 bytes, each to an address of the list. */
const DIRTY = `(func (export "dirty") (param $list i32) (param $n i32) (param $value i32)
    (loop $next
      (i64.store $m (i32.load $m (local.get $list)) (i64.extend_i32_u (local.get $value)))
      (local.set $list (i32.add (local.get $list) (i32.const 4)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))`;

export const pagesText = (memoryBytes: number): string => `(module
  (memory $m (export "memory") ${memoryBytes / 65536})
  ${DIRTY})`;

/** Copies a list's pages between memory and a second one, where they lie one behind the other. */
const copy = (name: string, to: string, from: string, target: string, source: string) =>
  `(func (export "${name}") (param $list i32) (param $n i32) (local $at i32)
    (loop $next
      (memory.copy ${to} ${from} ${target} ${source} (i32.const 4096))
      (local.set $list (i32.add (local.get $list) (i32.const 4)))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))`;

const PAGE = '(i32.and (i32.load $m (local.get $list)) (i32.const -4096))';
const KEPT = '(local.get $at)';

/** Copying alone: `save(list, n)` and `restore(list, n)` beside `dirty`. Needs an engine with several memories. */
export const copyingText = (memoryBytes: number, dirty: number): string => `(module
  (memory $m (export "memory") ${memoryBytes / 65536})
  (memory $kept ${Math.ceil(dirty / 16)})
  ${DIRTY}
  ${copy('save', '$kept', '$m', KEPT, PAGE)}
  ${copy('restore', '$m', '$kept', PAGE, KEPT)})`;
