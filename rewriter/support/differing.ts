/**
 * What of a part that was saved is different now: words of 4 bytes, compared with their pre-images. All that differs in
 * a piece of a page is written into a buffer in front of the shadow (layout.ts), as a recorder stores it:
 *
 *     guest        | . . . . x x . x | . . . . . . . . | . y . . |
 *     pre-images   | . . . . o o . o | . . . . . . . . | . o . . |
 *     buffer       | 4: 4 words | x x . x | 17: 1 word | y |             -> 7 words
 *
 * A run's head is its offset in the page << 16 | its bytes. 16 bytes are compared at once until some differ, and copied at
 * once while all do. Words that are alike between two that are not belong to the run when there is one of them: a run
 * costs whoever stores it a word, too. So no run ends before two words that are alike, and a piece needs no more room
 * than it has, and a word.
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
  /** Where the buffer lies, in the memory of the pre-images. */
  buffer: number;
}

export function differingText({ k, A, memory, shadow, preImage, shadowOf, buffer }: Differing): string {
  const a = '(local.get $a)';
  const pre = (type: string) => `(${type} ${shadow} offset=${preImage} align=4 ${shadowOf(a)})`;
  const ahead = (local: string, bytes: number) =>
    `(local.set ${local} (${A}.add (local.get ${local}) (${A}.const ${bytes})))`;
  const narrow = (value: string) => (A === 'i64' ? `(i32.wrap_i64 ${value})` : value);
  const widen = (value: string) => (A === 'i64' ? `(i64.extend_i32_u ${value})` : value);
  /** Of 4 words at $a: a bit for each that differs. */
  const unlike = `(i32x4.bitmask (i32x4.ne (v128.load ${memory} align=4 ${a}) ${pre('v128.load')}))`;
  return `
(func $differing${k} (export "differing${k}") (param $from f64) (param $to f64) (param $enough i32) (result i32)
  (local $a ${A}) (local $end ${A}) (local $out ${A}) (local $head ${A}) (local $last ${A}) (local $words i32)
  (local.set $a (${A}.trunc_f64_u (local.get $from)))
  (local.set $end (${A}.trunc_f64_u (local.get $to)))
  (local.set $out (${A}.const ${buffer}))
  (block $all
    (loop $runs
      ;; Of the first 16 bytes those from $a on.
      (local.set $words (i32.shl (i32.const 15) (i32.and (i32.shr_u ${narrow(a)} (i32.const 2)) (i32.const 3))))
      (local.set $a (${A}.and ${a} (${A}.const -16)))
      (block $found
        (loop $same
          (br_if $all (${A}.ge_u ${a} (local.get $end)))
          (br_if $found (local.tee $words (i32.and (local.get $words) ${unlike})))
          (local.set $words (i32.const 15))
          ${ahead('$a', 16)}
          (br $same)))
      (local.set $a (${A}.add ${a} ${widen('(i32.shl (i32.ctz (local.get $words)) (i32.const 2))')}))
      (br_if $all (${A}.ge_u ${a} (local.get $end)))
      (local.set $head (local.get $out))
      (i32.store ${shadow} (local.get $out) (i32.shl ${narrow(a)} (i32.const 16)))
      ${ahead('$out', 4)}
      (block $ended
        (loop $run
          (if (i32.eqz ${narrow(`(${A}.and ${a} (${A}.const 15))`)}) (then
            (if (${A}.le_u (${A}.add ${a} (${A}.const 16)) (local.get $end)) (then
              (if (i32.eq ${unlike} (i32.const 15)) (then
                (v128.store ${shadow} align=4 (local.get $out) (v128.load ${memory} align=4 ${a}))
                ${ahead('$a', 16)}
                ${ahead('$out', 16)}
                (local.set $last (local.get $out))
                (br $run)))))))
          (br_if $ended (${A}.ge_u ${a} (local.get $end)))
          (i32.store ${shadow} (local.get $out) (i32.load ${memory} ${a}))
          ${ahead('$out', 4)}
          (if (i32.ne (i32.load ${memory} ${a}) ${pre('i32.load')})
            (then (local.set $last (local.get $out)))
            (else (br_if $ended (${A}.gt_u (${A}.sub (local.get $out) (local.get $last)) (${A}.const 4)))))
          ${ahead('$a', 4)}
          (br $run)))
      (local.set $out (local.get $last))
      (i32.store ${shadow} (local.get $head) (i32.or
        (i32.and (i32.load ${shadow} (local.get $head)) (i32.const 0x0fff0000))
        (i32.sub ${narrow('(local.get $out)')} (i32.add ${narrow('(local.get $head)')} (i32.const 4)))))
      (br_if $runs (i32.lt_u (i32.sub ${narrow('(local.get $out)')} (i32.const ${buffer})) (local.get $enough)))))
  (i32.shr_u (i32.sub ${narrow('(local.get $out)')} (i32.const ${buffer})) (i32.const 2)))`;
}
