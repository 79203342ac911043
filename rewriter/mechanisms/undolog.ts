/**
 * The undo log: the old value of every store is appended to a log, and a rollback replays it backwards.
 *
 *     i32.store offset=8            call $log0_4 (p + 8)
 *                                   i32.store offset=8
 *
 *     | old bytes, padded to 8 | address + width << 48 |      one entry; 16 bytes, or 24 for v128
 *     | old bytes, padded to 8 | length | address |           a range: bulk operations and host writes
 *     first ......................................... top     a rollback walks from top to first, and needs no index
 *
 * It is the simplest mechanism, and the one whose memory has no bound but time: a loop that stores to one
 * variable fills it. Lightweight memory checkpointing was made to mend that. So there is a limit (option
 * `logLimit`, bytes a memory): a store that finds the log full traps, before anything is changed, and sets
 * `belay:full`, by which the runtime knows why. Stores are logged from the first checkpoint on, each of them:
 * leaving out redundant ones would be another mechanism.
 *
 * Each store's entry function checks bounds as well, so that stores beyond the guest's view trap in either layout.
 *
 * **separate**: the log is a memory of its own, which doubles up to the limit and does not shrink.
 * **inline**: | guest, reserve | log, logLimit bytes | end of memory.
 *
 * Not handled: several stores to one address in one epoch take an entry each.
 *
 * @see Vogt et al., Lightweight Memory Checkpointing, DSN 2015, which compares with it
 */
import { EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { pushAddress } from '../address.js';
import { addressType, fillText, outside, trapOutside, withinText } from '../support/bulk.js';
import { sizeText } from '../support/size.js';
import type { SupportMemory, SupportSpec } from '../support/spec.js';
import type { Guard, StoreMechanism } from './mechanism.js';

/** Entries keep their distance from address 0, so that the base of an empty log is not the end of an entry. */
const FIRST = 16;

const WIDTHS = [1, 2, 4, 8, 16] as const;

const guard: Guard = (w, target, address, check, write) => {
  pushAddress(w, address, check.from);
  w.byte(0x10).u(target.fn(`log_${write.op.width}_`));
  return [];
};

function text(spec: SupportSpec, memory: SupportMemory, k: number): string {
  const g = memory.geometry;
  const A = addressType(g);
  const inline = spec.layout === 'inline';
  const m = `$m${k}`;
  const t = inline ? m : `$t${k}`;
  const first = g.tagBase + FIRST;
  const limit = g.tagBase + (spec.logLimit ?? 0);
  const wide = (value: string) => (g.is64 ? value : `(i64.extend_i32_u ${value})`);
  const narrow = (value: string) => (g.is64 ? value : `(i32.wrap_i64 ${value})`);
  /** Bytes of $n, rounded up to 8. */
  const padded = (n: string) => `(${A}.and (${A}.add ${n} (${A}.const 7)) (${A}.const -8))`;
  const load: Record<number, string> = {
    1: `(i64.load8_u ${m} (local.get $a))`,
    2: `(i64.load16_u ${m} align=1 (local.get $a))`,
    4: `(i64.load32_u ${m} align=1 (local.get $a))`,
    8: `(i64.load ${m} align=1 (local.get $a))`,
  };
  const restore: Record<number, string> = {
    1: `(i64.store8 ${m} (local.get $a) (local.get $v))`,
    2: `(i64.store16 ${m} align=1 (local.get $a) (local.get $v))`,
    4: `(i64.store32 ${m} align=1 (local.get $a) (local.get $v))`,
    8: `(i64.store ${m} align=1 (local.get $a) (local.get $v))`,
  };
  const trailer = (n: number) =>
    `(i64.or ${wide('(local.get $a)')} (i64.const ${(BigInt(n) << 48n).toString()}))`;
  const entry = (n: (typeof WIDTHS)[number]) => {
    const data = Math.max(n, 8);
    return `
(func $log_${n}_${k} (param $a ${A}) (local $p ${A})
  (if ${outside(A, k, `(${A}.const ${n})`)} (then
    (call $sync${k})
    (if ${outside(A, k, `(${A}.const ${n})`)} (then ${trapOutside(A, k)}))))
  (if (i32.eqz (global.get $logging${k})) (then (return)))
  (local.set $p (global.get $at${k}))
  (if (${A}.gt_u (${A}.add (local.get $p) (${A}.const ${data + 8})) (global.get $room${k})) (then (call $makeRoom${k} (${A}.const ${data + 8}))))
  ${
    n === 16
      ? `(v128.store ${t} align=1 (local.get $p) (v128.load ${m} align=1 (local.get $a)))`
      : `(i64.store ${t} align=1 (local.get $p) ${load[n]})`
  }
  (i64.store ${t} offset=${data} align=1 (local.get $p) ${trailer(n)})
  (global.set $at${k} (${A}.add (local.get $p) (${A}.const ${data + 8})))
  (global.set $saved (i64.add (global.get $saved) (i64.const ${n}))))`;
  };
  const grow = inline
    ? '(global.set $full (i32.const 1)) (unreachable)'
    : `
  (local.set $want (${A}.add (global.get $at${k}) (local.get $n)))
  (if (i32.or (${A}.lt_u (local.get $want) (local.get $n)) (${A}.gt_u (local.get $want) (${A}.const ${limit}))) (then
    (global.set $full (i32.const 1)) (unreachable)))
  ;; Twice as much, or what is wanted, up to the limit.
  (local.set $pages (memory.size ${t}))
  (local.set $more (${A}.shr_u (${A}.add (local.get $want) (${A}.const 65535)) (${A}.const 16)))
  (local.set $pages (select (local.get $more) (${A}.shl (local.get $pages) (${A}.const 1))
    (${A}.gt_u (local.get $more) (${A}.shl (local.get $pages) (${A}.const 1)))))
  (if (${A}.gt_u (local.get $pages) (${A}.const ${Math.ceil(limit / PAGE)})) (then (local.set $pages (${A}.const ${Math.ceil(limit / PAGE)}))))
  (if (${A}.eq (memory.grow ${t} (${A}.sub (local.get $pages) (memory.size ${t}))) (${A}.const -1)) (then
    (global.set $full (i32.const 1)) (unreachable)))
  (global.set $room${k} (${A}.shl (memory.size ${t}) (${A}.const 16)))
  (if (${A}.gt_u (global.get $room${k}) (${A}.const ${limit})) (then (global.set $room${k} (${A}.const ${limit}))))`;
  return `
;; ---- memory ${k} ----
(global $pages${k} (export "pages${k}") (mut ${A}) (${A}.const 0))
(global $kept${k} (mut ${A}) (${A}.const 0))
;; Where the next entry goes, and where the log has to grow.
(global $at${k} (mut ${A}) (${A}.const ${first}))
(global $room${k} (mut ${A}) (${A}.const ${inline ? limit : Math.min(limit, PAGE)}))
(global $logging${k} (mut i32) (i32.const 0))
(func $ensure${k} (param $n ${A}) (result i32) (${A}.le_u (local.get $n) (${A}.const ${g.maxPages})))
(func $resized${k})
(func $extend${k} (param $n ${A}) (global.set $pages${k} (local.get $n)))
${sizeText({ k, A, inline, initialPages: memory.initialPages, maxPages: g.maxPages })}
(func $makeRoom${k} (param $n ${A}) (local $want ${A}) (local $pages ${A}) (local $more ${A})
  ${grow})
${WIDTHS.map(entry).join('')}
${withinText(A, k)}
(func $touch${k} (export "touch${k}") (param $a ${A}) (param $n ${A}) (local $p ${A}) (local $size ${A})
  (call $within${k} (local.get $a) (local.get $n))
  (if (i32.or (i32.eqz (global.get $logging${k})) (${A}.eqz (local.get $n))) (then (return)))
  (local.set $size (${A}.add ${padded('(local.get $n)')} (${A}.const 16)))
  (if (i32.or (${A}.gt_u (${A}.add (global.get $at${k}) (local.get $size)) (global.get $room${k}))
        (${A}.lt_u (local.get $size) (local.get $n)))
    (then (call $makeRoom${k} (local.get $size))))
  (local.set $p (global.get $at${k}))
  (memory.copy ${t} ${m} (local.get $p) (local.get $a) (local.get $n))
  (local.set $p (${A}.add (local.get $p) ${padded('(local.get $n)')}))
  (i64.store ${t} align=1 (local.get $p) ${wide('(local.get $n)')})
  (i64.store ${t} offset=8 align=1 (local.get $p) ${wide('(local.get $a)')})
  (global.set $at${k} (${A}.add (local.get $p) (${A}.const 16)))
  (global.set $saved (i64.add (global.get $saved) ${wide('(local.get $n)')})))
${fillText(A, k)}
(func $checkpoint${k}
  (call $sync${k})
  (global.set $full (i32.const 0))
  (global.set $logging${k} (i32.const 1))
  (global.set $at${k} (${A}.const ${first}))
  (global.set $kept${k} (global.get $pages${k})))
(func $rollback${k} (local $p ${A}) (local $a ${A}) (local $n ${A}) (local $w i32) (local $v i64)
  (call $sync${k})
  (global.set $full (i32.const 0))
  (local.set $p (global.get $at${k}))
  (loop $entries
    (if (${A}.gt_u (local.get $p) (${A}.const ${first})) (then
      (local.set $v (i64.load ${t} align=1 (${A}.sub (local.get $p) (${A}.const 8))))
      (local.set $w (i32.wrap_i64 (i64.shr_u (local.get $v) (i64.const 48))))
      (local.set $a ${narrow('(i64.and (local.get $v) (i64.const 281474976710655))')})
      (block $done
        (if (i32.eqz (local.get $w)) (then
          (local.set $n ${narrow(`(i64.load ${t} align=1 (${A}.sub (local.get $p) (${A}.const 16)))`)})
          (local.set $p (${A}.sub (${A}.sub (local.get $p) (${A}.const 16)) ${padded('(local.get $n)')}))
          (memory.copy ${m} ${t} (local.get $a) (local.get $p) (local.get $n))
          (br $done)))
        (if (i32.eq (local.get $w) (i32.const 16)) (then
          (local.set $p (${A}.sub (local.get $p) (${A}.const 24)))
          (v128.store ${m} align=1 (local.get $a) (v128.load ${t} align=1 (local.get $p)))
          (br $done)))
        (local.set $p (${A}.sub (local.get $p) (${A}.const 16)))
        (local.set $v (i64.load ${t} align=1 (local.get $p)))
        ${([8, 4, 2] as const)
          .map((n) => `(if (i32.eq (local.get $w) (i32.const ${n})) (then ${restore[n]} (br $done)))`)
          .join('\n        ')}
        ${restore[1]})
      (br $entries))))
  (global.set $at${k} (${A}.const ${first}))
  (global.set $pages${k} (global.get $kept${k})))
;; For the host: where the youngest entry ends, then the one before it; 1 at the end. It reads the entries by itself.
(func $written${k} (export "written${k}") (param $cursor f64) (result f64) (local $p ${A}) (local $w i32)
  (local.set $p (${A}.trunc_f64_u (local.get $cursor)))
  (if (${A}.eqz (local.get $p))
    (then (local.set $p (global.get $at${k})))
    (else
      (local.set $w (i32.load16_u ${t} align=1 (${A}.sub (local.get $p) (${A}.const 2))))
      (if (i32.eqz (local.get $w)) (then
        (local.set $p (${A}.sub (local.get $p) ${padded(narrow(`(i64.load ${t} align=1 (${A}.sub (local.get $p) (${A}.const 16)))`))}))))
      (local.set $p (${A}.sub (local.get $p)
        (select (${A}.const 24) (${A}.const 16) (i32.eq (local.get $w) (i32.const 16)))))))
  (select (f64.convert_${A}_u (local.get $p)) (f64.const 1) (${A}.gt_u (local.get $p) (${A}.const ${first}))))`;
}

export const undolog: StoreMechanism = {
  names: ['undolog'],
  supportMemories: 1,
  region: () => 1,
  geometry: (layout, { is64, reservePages }, { logLimit }) => {
    const common = {
      is64,
      region: 1,
      regionShift: 0,
      blockShift: 0,
      blockTags: 1,
      tails: false,
      shadowBase: 0,
    };
    if (layout === 'separate') {
      return { ...common, tagBase: 0, maxPages: is64 ? 2 ** 32 : 65536, totalPages: 0 };
    }
    const totalPages = reservePages + Math.ceil(logLimit / PAGE);
    if (totalPages > 65536) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `a reserve of ${reservePages * PAGE} bytes does not leave room for an undo log of ${logLimit} in 4 GiB: lower one of them`,
      );
    }
    return { ...common, tagBase: reservePages * PAGE, maxPages: reservePages, totalPages };
  },
  pages: () => [1],
  plan: () => ({ every: true, exact: true, stack: false }),
  guard,
  text,
  exports: () => ({ touch: EXPORTS.touch, written: EXPORTS.written }),
};
