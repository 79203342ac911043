/**
 * What of a part that was saved is different now: words of 4 bytes, compared with their pre-images. The host asks with
 * bounds, and asks again behind what it was told:
 *
 *     guest        | . . . . x x . x | . . . . . . . . | . x . . |      from ---> [4, 8)        -> 4 words from 4 on
 *     pre-images   | . . . . o o . o | . . . . . . . . | . o . . |      from 8 -> [17, 18)      -> 1 word from 17 on
 *
 * 16 bytes are compared at once until some differ. Words that are alike between two that are not belong to the run when
 * there is one of them: a run costs whoever stores it a word, too.
 *
 * Not handled: regions of 1 and 2 bytes, where a word has bytes that were not saved.
 */
import type { Geometry } from '../layout.js';

/** Whether a word of memory is in one region. */
export const hasDiffering = ({ region }: Pick<Geometry, 'region'>): boolean => region >= 4;

export interface Differing {
  k: number;
  A: 'i32' | 'i64';
  /** The guest's memory, and that of the pre-images. */
  memory: string;
  shadow: string;
  /** The pre-image of an address lies at this offset from `shadowOf` it. */
  preImage: number;
  shadowOf: (address: string) => string;
}

export function differingText({ k, A, memory, shadow, preImage, shadowOf }: Differing): string {
  const a = '(local.get $a)';
  const pre = (type: string, align: string) =>
    `(${type} ${shadow} offset=${preImage} ${align} ${shadowOf(a)})`;
  const ahead = (bytes: number) => `(local.set $a (${A}.add ${a} (${A}.const ${bytes})))`;
  const wide = (value: string) => (A === 'i64' ? value : `(i64.extend_i32_u ${value})`);
  const widen = (value: string) => (A === 'i64' ? `(i64.extend_i32_u ${value})` : value);
  const narrow = (value: string) => (A === 'i64' ? `(i32.wrap_i64 ${value})` : value);
  return `
(func $differing${k} (export "differing${k}") (param $from f64) (param $to f64) (result f64)
  (local $a ${A}) (local $end ${A}) (local $first ${A}) (local $last ${A}) (local $words i32)
  (local.set $a (${A}.trunc_f64_u (local.get $from)))
  (local.set $end (${A}.trunc_f64_u (local.get $to)))
  ;; Of the first 16 bytes those from $from on.
  (local.set $words (i32.shl (i32.const 15) (i32.and (i32.shr_u ${narrow(a)} (i32.const 2)) (i32.const 3))))
  (local.set $a (${A}.and ${a} (${A}.const -16)))
  (block $found
    (loop $same
      (if (${A}.ge_u ${a} (local.get $end)) (then (return (f64.const 0))))
      (br_if $found (local.tee $words (i32.and (local.get $words)
        (i32x4.bitmask (i32x4.ne (v128.load ${memory} align=4 ${a}) ${pre('v128.load', 'align=4')})))))
      (local.set $words (i32.const 15))
      ${ahead(16)}
      (br $same)))
  (local.set $first (${A}.add ${a} ${widen('(i32.shl (i32.ctz (local.get $words)) (i32.const 2))')}))
  (if (${A}.ge_u (local.get $first) (local.get $end)) (then (return (f64.const 0))))
  (local.set $a (local.tee $last (local.get $first)))
  (block $ended
    (loop $run
      ${ahead(4)}
      (br_if $ended (${A}.ge_u ${a} (local.get $end)))
      (br_if $ended (${A}.gt_u (${A}.sub ${a} (local.get $last)) (${A}.const 8)))
      (if (i32.ne (i32.load ${memory} ${a}) ${pre('i32.load', '')}) (then (local.set $last ${a})))
      (br $run)))
  (f64.convert_i64_u (i64.or
    (i64.shl ${wide('(local.get $first)')} (i64.const 9))
    (i64.add (i64.shr_u ${wide(`(${A}.sub (local.get $last) (local.get $first))`)} (i64.const 2)) (i64.const 1)))))`;
}
