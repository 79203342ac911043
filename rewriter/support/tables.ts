/** The text of everything that one table needs. */
import type { SupportSpec, SupportTable } from './spec.js';

/** Everything for one table. `x` is the table, `y` its shadow. */
export function tableText({ index: t, nullable }: SupportTable): string {
  const trap = `(drop (table.get $x${t} (i32.const -1)))`;
  const inside = (a: string, n: string) =>
    `(if (i32.or (i32.lt_u (i32.add ${a} ${n}) ${a}) (i32.gt_u (i32.add ${a} ${n}) (global.get $count${t}))) (then ${trap}))`;
  const copyBack = nullable
    ? `(table.copy $x${t} $y${t} (local.get $a) (local.get $a) (i32.sub (local.get $b) (local.get $a)))`
    : `(loop $each
        (table.set $x${t} (local.get $a) (ref.as_non_null (table.get $y${t} (local.get $a))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (br_if $each (i32.lt_u (local.get $a) (local.get $b))))`;
  const chunkEnd = `(local.set $b (i32.shl (i32.add (local.get $c) (i32.const 1)) (global.get $shift${t})))
      (if (i32.gt_u (local.get $b) (global.get $held${t})) (then (local.set $b (global.get $held${t}))))
      (local.set $a (i32.shl (local.get $c) (global.get $shift${t})))`;
  return `
;; ---- table ${t} ----
(global $count${t} (export "count${t}") (mut i32) (i32.const 0))
(global $tableReal${t} (mut i32) (i32.const 0))
(global $held${t} (mut i32) (i32.const 0))
(global $chunks${t} (mut i64) (i64.const -1))
(global $shift${t} (mut i32) (i32.const 0))
(func $tsync${t}
  (if (i32.ne (table.size $x${t}) (global.get $tableReal${t})) (then
    (global.set $count${t} (i32.add (global.get $count${t}) (i32.sub (table.size $x${t}) (global.get $tableReal${t}))))
    (global.set $tableReal${t} (table.size $x${t})))))
;; Saves the chunks that hold [$i, $i + $n) of the table as it was at the checkpoint.
(func $tsave${t} (param $i i32) (param $n i32) (local $c i32) (local $a i32) (local $b i32)
  (if (i32.or (i32.eqz (local.get $n)) (i32.ge_u (local.get $i) (global.get $held${t}))) (then (return)))
  (local.set $n (i32.sub (i32.add (local.get $i) (local.get $n)) (i32.const 1)))
  (if (i32.ge_u (local.get $n) (global.get $held${t})) (then (local.set $n (i32.sub (global.get $held${t}) (i32.const 1)))))
  (local.set $c (i32.shr_u (local.get $i) (global.get $shift${t})))
  (local.set $n (i32.shr_u (local.get $n) (global.get $shift${t})))
  (loop $l
    (if (i64.eqz (i64.and (global.get $chunks${t}) (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $c))))) (then
      (global.set $chunks${t} (i64.or (global.get $chunks${t}) (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $c)))))
      ${chunkEnd}
      (table.copy $y${t} $x${t} (local.get $a) (local.get $a) (i32.sub (local.get $b) (local.get $a)))))
    (local.set $c (i32.add (local.get $c) (i32.const 1)))
    (br_if $l (i32.le_u (local.get $c) (local.get $n)))))
(func $tsetup${t}
  (global.set $count${t} (table.size $x${t}))
  (global.set $tableReal${t} (table.size $x${t})))
(func (export "tsize${t}") (result i32) (call $tsync${t}) (global.get $count${t}))
(func (export "tget${t}") (param $i i32) (result funcref)
  (if (i32.ge_u (local.get $i) (global.get $count${t})) (then (call $tsync${t}) ${inside('(local.get $i)', '(i32.const 1)')}))
  (table.get $x${t} (local.get $i)))
(func (export "tset${t}") (param $i i32) (param $v funcref)
  (call $tsync${t})
  ${inside('(local.get $i)', '(i32.const 1)')}
  (call $tsave${t} (local.get $i) (i32.const 1))
  (table.set $x${t} (local.get $i) (local.get $v)))
(func (export "tfill${t}") (param $i i32) (param $v funcref) (param $n i32)
  (call $tsync${t})
  ${inside('(local.get $i)', '(local.get $n)')}
  (call $tsave${t} (local.get $i) (local.get $n))
  (table.fill $x${t} (local.get $i) (local.get $v) (local.get $n)))
(func (export "tgrow${t}") (param $v funcref) (param $n i32) (result i32) (local $old i32) (local $new i32)
  (call $tsync${t})
  (local.set $old (global.get $count${t}))
  (local.set $new (i32.add (local.get $old) (local.get $n)))
  (if (i32.lt_u (local.get $new) (local.get $old)) (then (return (i32.const -1))))
  (if (i32.gt_u (local.get $new) (global.get $tableReal${t})) (then
    (if (i32.eq (table.grow $x${t} (local.get $v) (i32.sub (local.get $new) (global.get $tableReal${t}))) (i32.const -1)) (then (return (i32.const -1))))
    (local.set $n (i32.sub (global.get $tableReal${t}) (local.get $old)))
    (global.set $tableReal${t} (local.get $new))))
  (table.fill $x${t} (local.get $old) (local.get $v) (local.get $n))
  (global.set $count${t} (local.get $new))
  (local.get $old))
;; For a state that is loaded, just after a checkpoint.
(func (export "tshrink${t}") (param $n i32)
  (call $tsync${t})
  (if (i32.lt_u (local.get $n) (global.get $count${t})) (then
    ${nullable ? `(table.fill $x${t} (local.get $n) (ref.null func) (i32.sub (global.get $count${t}) (local.get $n)))` : ''}
    (global.set $count${t} (local.get $n)))))
(func (export "twritten${t}") (result i32)
  (call $tsync${t})
  (i32.or (i64.ne (global.get $chunks${t}) (i64.const 0)) (i32.ne (global.get $count${t}) (global.get $held${t}))))
(func $tcheckpoint${t}
  (call $tsync${t})
  (global.set $chunks${t} (i64.const 0))
  (if (i32.ne (global.get $held${t}) (global.get $count${t})) (then
    (global.set $held${t} (global.get $count${t}))
    (global.set $shift${t} (i32.const 0))
    (loop $l (if (i32.gt_u (i32.shr_u (global.get $held${t}) (global.get $shift${t})) (i32.const 63)) (then
      (global.set $shift${t} (i32.add (global.get $shift${t}) (i32.const 1))) (br $l))))
    (if (i32.gt_u (global.get $held${t}) (table.size $y${t})) (then
      (if (i32.eq (table.grow $y${t} (ref.null func) (i32.sub (global.get $held${t}) (table.size $y${t}))) (i32.const -1)) (then (unreachable))))))))
(func $trollback${t} (local $c i32) (local $a i32) (local $b i32)
  (call $tsync${t})
  (loop $l
    (if (i32.eqz (i64.eqz (global.get $chunks${t}))) (then
      (local.set $c (i32.wrap_i64 (i64.ctz (global.get $chunks${t}))))
      (global.set $chunks${t} (i64.and (global.get $chunks${t}) (i64.sub (global.get $chunks${t}) (i64.const 1))))
      ${chunkEnd}
      ${copyBack}
      (br $l))))
  ${
    nullable
      ? `(if (i32.ne (global.get $count${t}) (global.get $held${t})) (then
    (table.fill $x${t} (global.get $held${t}) (ref.null func) (i32.sub (global.get $tableReal${t}) (global.get $held${t})))))`
      : ''
  }
  (global.set $count${t} (global.get $held${t})))`;
}

export function tableCopyText(spec: SupportSpec, d: number, s: number): string {
  const trap = `(drop (table.get $x${d} (i32.const -1)))`;
  const inside = (t: number, a: string) =>
    spec.tables.some((x) => x.index === t)
      ? `(call $tsync${t}) (if (i32.or (i32.lt_u (i32.add ${a} (local.get $n)) ${a}) (i32.gt_u (i32.add ${a} (local.get $n)) (global.get $count${t}))) (then ${trap}))`
      : '';
  return `
(func (export "tcopy${d}_${s}") (param $i i32) (param $from i32) (param $n i32)
  ${inside(s, '(local.get $from)')}
  ${inside(d, '(local.get $i)')}
  (call $tsave${d} (local.get $i) (local.get $n))
  (table.copy $x${d} $x${s} (local.get $i) (local.get $from) (local.get $n)))`;
}

export function tableInitText(spec: SupportSpec, segment: number, t: number): string {
  const trap = `(drop (table.get $x${t} (i32.const -1)))`;
  const dropped = spec.droppedElements.includes(segment)
    ? `(if (global.get $droppedElement${segment}) (then
    (if (i32.or (local.get $from) (local.get $n)) (then ${trap}))
    (return)))`
    : '';
  return `
(func (export "tinit${segment}_${t}") (param $i i32) (param $from i32) (param $n i32)
  (call $tsync${t})
  (if (i32.or (i32.lt_u (i32.add (local.get $i) (local.get $n)) (local.get $i)) (i32.gt_u (i32.add (local.get $i) (local.get $n)) (global.get $count${t}))) (then ${trap}))
  ${dropped}
  (call $tsave${t} (local.get $i) (local.get $n))
  (table.init $x${t} $e${segment} (local.get $i) (local.get $from) (local.get $n)))`;
}
