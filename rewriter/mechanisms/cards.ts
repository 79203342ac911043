/**
 * Card marking: every store marks the card of 256 bytes (the option `region`) that it writes to, without a branch,
 * and a second image of memory is kept. It comes from garbage collectors, where it remembers writes for the next
 * collection; here for the next checkpoint.
 *
 *     i32.store offset=8            card[(p + 11) >> S] = 1
 *                                   super[(p + 11) >> 18] = 1
 *                                   i32.store offset=8
 *
 *     checkpoint   marked cards: memory -> image        |  between the two, image is memory as it was at the
 *     rollback     marked cards: image -> memory        |  checkpoint, and differs in marked cards alone
 *
 * **Two levels.** Cards are found through super cards of 256 KiB: one byte each, so that 1 GiB of memory has 4096
 * of them, read 16 at a time. Only the cards of marked ones are looked at.
 *
 *     $t   | super cards: 16 KiB | ........ free ........ | card 0 | card 1 | ... | last card |   end of $t
 *                                                         ^ base                                = end of the cards
 *     $s   | image: byte a of memory at a |
 *
 * **Bounds.** The cards end where their memory ends, and `base` moves when the guest's size changes. A store
 * marks the card of its *last* byte, so a store that ends outside of the guest's view marks beyond the end of
 * $t: it traps there, as the store itself would have, even where memory itself is larger than the guest sees
 * (after a rolled-back grow, or in the inline layout). A marked card includes the 16 bytes before it, where the
 * store may have begun.
 *
 * **inline**: | guest, reserve | image | super cards | free | cards | end of memory.
 *
 * Compared with lmc: no branch and no slow path, but a copy of all of memory (made at the first checkpoint), and
 * each checkpoint copies what the last epoch wrote, where lmc forgets it.
 *
 * Not handled: a memory that the host grew by WebAssembly.Memory.prototype.grow.call() is noticed at the next
 * checkpoint or memory.grow; until then stores into the new pages trap.
 */
import { EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { memoryArgument, pushShifted } from '../address.js';
import type { Geometry } from '../layout.js';
import { stackText } from '../stack.js';
import { addressType, fillText, withinText } from '../support/bulk.js';
import { partsText } from '../support/parts.js';
import { growTo, sizeText } from '../support/size.js';
import type { SupportMemory, SupportSpec } from '../support/spec.js';
import type { Guard, StoreMechanism } from './mechanism.js';

/** log2 of the bytes of a super card, and bytes of their table: as many as 4 GiB have. */
const SUPER = 18;
const SUPERS = 2 ** (32 - SUPER);

function geometry(is64: boolean, region: number, reservePages: number | undefined): Geometry {
  const regionShift = Math.log2(region);
  const base = {
    is64,
    region,
    regionShift,
    blockShift: SUPER,
    blockTags: 2 ** (SUPER - regionShift),
    tails: true,
  };
  if (reservePages === undefined) {
    return { ...base, tagBase: 0, shadowBase: 0, maxPages: is64 ? 65536 : 65535, totalPages: 0 };
  }
  const reserve = reservePages * PAGE;
  const tagBase = 2 * reserve;
  const totalPages = 2 * reservePages + Math.ceil((SUPERS + reserve / region) / PAGE);
  // An address shifted down, plus the base of the cards, must not wrap around.
  const most = 65536 - Math.ceil(2 ** 32 / region / PAGE);
  if (totalPages > most) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `a reserve of ${reserve} bytes does not leave room for the image and the cards in 4 GiB: the most is ${Math.floor((most - 2) / (2 + 1 / region)) * PAGE}`,
    );
  }
  return { ...base, tagBase, shadowBase: reserve, maxPages: reservePages, totalPages };
}

/** Marks the card, and the super card, of byte `plus` of the address. */
const guard: Guard = (w, target, address, check, write) => {
  const { geometry: g, support } = target;
  const mark = (plus: number) => {
    pushShifted(w, g, address, plus, g.regionShift);
    w.byte(0x23).u(target.global('base'));
    w.byte(g.is64 ? 0x7c : 0x6a, 0x41, 1, 0x3a);
    memoryArgument(w, support, 0);
    pushShifted(w, g, address, plus, SUPER);
    w.byte(0x41, 1, 0x3a);
    memoryArgument(w, support, g.tagBase);
  };
  mark(check.to - 1);
  if (check.to - check.from > write.op.width) mark(check.from);
  return [];
};

function text(spec: SupportSpec, memory: SupportMemory, k: number): string {
  const g = memory.geometry;
  const A = addressType(g);
  const inline = spec.layout === 'inline';
  const m = `$m${k}`;
  const t = inline ? m : `$t${k}`;
  const s = inline ? m : `$s${k}`;
  const { region, regionShift: S, tagBase: T, shadowBase: I, blockTags } = g;
  const bytes = `(${A}.shl (global.get $pages${k}) (${A}.const 16))`;
  const cardsOf = (pages: string) => `(${A}.shl ${pages} (${A}.const ${16 - S}))`;
  const end = `(${A}.shl (memory.size ${t}) (${A}.const 16))`;
  const tails = !spec.omit.has('tail');

  /** Copies card $c, and the 16 bytes before it. */
  const copyCard = (name: string, toGuest: boolean) => {
    const [to, toOffset, from, fromOffset] = toGuest ? [m, 0, s, I] : [s, I, m, 0];
    const move = (o: number) =>
      `(v128.store ${to} offset=${toOffset + o} align=1 (local.get $a) (v128.load ${from} offset=${fromOffset + o} align=1 (local.get $a)))`;
    const step = Math.min(region, 256);
    const chunk = Array.from({ length: step / 16 }, (_, i) => move(16 * i)).join('\n      ');
    return `
(func $${name}${k} (param $c ${A}) (local $a ${A}) (local $left i32)
  (local.set $a (${A}.shl (local.get $c) (${A}.const ${S})))
  (global.set $saved (i64.add (global.get $saved) (i64.const 1)))
  ${
    tails
      ? `(if (i32.eqz (${A}.eqz (local.get $a))) (then
    (local.set $a (${A}.sub (local.get $a) (${A}.const 16)))
    ${move(0)}
    (local.set $a (${A}.add (local.get $a) (${A}.const 16)))))`
      : ''
  }
  ${
    region > step
      ? `(local.set $left (i32.const ${region / step}))
    (loop $l
      ${chunk}
      (local.set $a (${A}.add (local.get $a) (${A}.const ${step})))
      (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))`
      : chunk
  })`;
  };
  /** Calls $name of each marked card, and clears all marks. */
  const sweep = (name: string) => `
(func $sweep_${name}${k} (local $u ${A}) (local $last ${A}) (local $x ${A}) (local $i ${A}) (local $stop ${A})
  ;; One super card for each 256 KiB that has begun; the table is read 16 at a time, and zero behind its end.
  (local.set $last (${A}.shr_u (${A}.add ${bytes} (${A}.const ${2 ** SUPER - 1})) (${A}.const ${SUPER})))
  (loop $groups
    (if (${A}.ge_u (local.get $u) (local.get $last)) (then (return)))
    (if (v128.any_true (v128.load ${t} offset=${T} align=1 (local.get $u))) (then
      (local.set $x (local.get $u))
      (loop $supers
        (if (i32.load8_u ${t} offset=${T} (local.get $x)) (then
          (i32.store8 ${t} offset=${T} (local.get $x) (i32.const 0))
          (local.set $i (${A}.shl (local.get $x) (${A}.const ${SUPER - S})))
          (local.set $stop (${A}.add (local.get $i) (${A}.const ${blockTags})))
          (if (${A}.gt_u (local.get $stop) ${cardsOf(`(global.get $pages${k})`)}) (then
            (local.set $stop ${cardsOf(`(global.get $pages${k})`)})))
          (loop $cards
            (if (v128.any_true (v128.load ${t} align=1 (${A}.add (global.get $base${k}) (local.get $i)))) (then
              (call $sweepGroup_${name}${k} (local.get $i))))
            (br_if $cards (${A}.lt_u (local.tee $i (${A}.add (local.get $i) (${A}.const 16))) (local.get $stop))))))
        (local.set $x (${A}.add (local.get $x) (${A}.const 1)))
        (br_if $supers (${A}.lt_u (local.get $x) (${A}.add (local.get $u) (${A}.const 16)))))))
    (local.set $u (${A}.add (local.get $u) (${A}.const 16)))
    (br $groups)))
(func $sweepGroup_${name}${k} (param $i ${A}) (local $v i64) (local $at ${A}) (local $end ${A})
  (local.set $end (${A}.add (local.get $i) (${A}.const 16)))
  (loop $halves
    (local.set $at (${A}.add (global.get $base${k}) (local.get $i)))
    (local.set $v (i64.load ${t} align=1 (local.get $at)))
    (i64.store ${t} align=1 (local.get $at) (i64.const 0))
    (block $none
      (loop $l
        (br_if $none (i64.eqz (local.get $v)))
        (call $${name}${k} (${A}.add (local.get $i) ${A === 'i64' ? '' : '(i32.wrap_i64 '}(i64.shr_u (i64.ctz (local.get $v)) (i64.const 3))${A === 'i64' ? '' : ')'}))
        (local.set $v (i64.and (local.get $v) (i64.sub (local.get $v) (i64.const 1))))
        (br $l)))
    (br_if $halves (${A}.ne (local.tee $i (${A}.add (local.get $i) (${A}.const 8))) (local.get $end)))))`;

  const ensure = inline
    ? ''
    : `
;; Makes room for cards and image of $n pages; 0 when there is none.
(func $ensure${k} (param $n ${A}) (result i32) (local $x ${A})
  (if (${A}.gt_u (local.get $n) (${A}.const ${g.maxPages})) (then (return (i32.const 0))))
  ${growTo(A, s, '(local.get $n)')}
  ;; The cards stay at the end when their memory grows.
  ${growTo(A, t, `(${A}.shr_u (${A}.add ${cardsOf('(local.get $n)')} (${A}.const ${T + SUPERS + PAGE - 1})) (${A}.const 16))`)}
  (call $move${k} (global.get $pages${k}))
  (i32.const 1))`;
  return `
;; ---- memory ${k} ----
(global $pages${k} (export "pages${k}") (mut ${A}) (${A}.const 0))
(global $kept${k} (mut ${A}) (${A}.const 0))
(global $base${k} (export "base${k}") (mut ${A}) (${A}.const 0))
;; Whether the image holds all of memory.
(global $imaged${k} (mut i32) (i32.const 0))
;; Moves the cards to where those of $n pages begin, whatever is marked.
(func $move${k} (param $n ${A}) (local $to ${A}) (local $had ${A})
  (local.set $to (${A}.sub ${end} ${cardsOf('(local.get $n)')}))
  (if (${A}.eq (local.get $to) (global.get $base${k})) (then (return)))
  (local.set $had ${cardsOf(`(global.get $pages${k})`)})
  (if (${A}.ne (global.get $base${k}) (${A}.const 0)) (then
    (memory.copy ${t} ${t} (local.get $to) (global.get $base${k}) (local.get $had))))
  ;; What lies behind the moved cards is old.
  (memory.fill ${t} (${A}.add (local.get $to) (local.get $had)) (i32.const 0)
    (${A}.sub ${end} (${A}.add (local.get $to) (local.get $had))))
  (global.set $base${k} (local.get $to)))
(func $resized${k} (global.set $base${k} (${A}.sub ${end} ${cardsOf(`(global.get $pages${k})`)})))
(func $extend${k} (param $n ${A}) (local $old ${A})
  (local.set $old ${bytes})
  (call $move${k} (local.get $n))
  (global.set $pages${k} (local.get $n))
  ${
    spec.stack && k === 0
      ? `(if (i32.gt_u (global.get $top) (local.get $old)) (then
    (call $clampRun (local.get $old) (global.get $top))))`
      : ''
  })
${ensure}
${sizeText({ k, A, inline, initialPages: memory.initialPages, maxPages: g.maxPages })}
${copyCard('commit', false)}
${copyCard('revert', true)}
${sweep('commit')}
${sweep('revert')}
;; Marks the cards from $q to $last.
(func $run${k} (param $q ${A}) (param $last ${A}) (local $x ${A})
  (memory.fill ${t} (${A}.add (global.get $base${k}) (local.get $q)) (i32.const 1)
    (${A}.add (${A}.sub (local.get $last) (local.get $q)) (${A}.const 1)))
  (local.set $x (${A}.shr_u (local.get $q) (${A}.const ${SUPER - S})))
  (memory.fill ${t} (${A}.add (local.get $x) (${A}.const ${T})) (i32.const 1)
    (${A}.add (${A}.sub (${A}.shr_u (local.get $last) (${A}.const ${SUPER - S})) (local.get $x)) (${A}.const 1))))
${withinText(A, k)}
(func $touch${k} (export "touch${k}") (param $a ${A}) (param $n ${A})
  (call $within${k} (local.get $a) (local.get $n))
  (if (${A}.eqz (local.get $n)) (then (return)))
  (call $run${k} (${A}.shr_u (local.get $a) (${A}.const ${S}))
    (${A}.shr_u (${A}.sub (${A}.add (local.get $a) (local.get $n)) (${A}.const 1)) (${A}.const ${S}))))
${fillText(A, k)}
;; The first checkpoint makes the image. What is zero in memory is zero in it already, and is not touched.
(func $image${k} (local $a ${A}) (local $n ${A})
  (loop $pages
    (if (${A}.ge_u (local.get $a) ${bytes}) (then (return)))
    (local.set $n (${A}.add (local.get $a) (${A}.const 4096)))
    (block $copied
      (loop $l
        (if (v128.any_true (v128.load ${m} align=1 (local.get $a))) (then
          (local.set $a (${A}.and (local.get $a) (${A}.const -4096)))
          (memory.copy ${s} ${m} (${A}.add (local.get $a) (${A}.const ${I})) (local.get $a) (${A}.const 4096))
          (local.set $a (local.get $n))
          (br $copied)))
        (br_if $l (${A}.ne (local.tee $a (${A}.add (local.get $a) (${A}.const 16))) (local.get $n)))))
    (br $pages)))
(func $checkpoint${k}
  (call $sync${k})
  (if (i32.eqz (global.get $imaged${k})) (then
    (global.set $imaged${k} (i32.const 1))
    (call $image${k})))
  (call $sweep_commit${k})
  (global.set $kept${k} (global.get $pages${k})))
(func $rollback${k}
  (call $sync${k})
  (call $sweep_revert${k})
  (global.set $pages${k} (global.get $kept${k}))
  (call $resized${k}))
;; The first marked super card from $u on, plus 2; 1 where there is none.
(func $super${k} (param $u ${A}) (result ${A}) (local $last ${A})
  (local.set $last (${A}.shr_u (${A}.add ${bytes} (${A}.const ${2 ** SUPER - 1})) (${A}.const ${SUPER})))
  (loop $l
    (if (${A}.ge_u (local.get $u) (local.get $last)) (then (return (${A}.const 1))))
    (if (i64.eqz (i64.load ${t} offset=${T} align=1 (local.get $u))) (then
      (local.set $u (${A}.add (local.get $u) (${A}.const 8)))
      (br $l)))
    (if (i32.eqz (i32.load8_u ${t} offset=${T} (local.get $u))) (then
      (local.set $u (${A}.add (local.get $u) (${A}.const 1)))
      (br $l))))
  (${A}.add (local.get $u) (${A}.const 2)))
${partsText({
  k,
  A,
  tags: t,
  base: `(global.get $base${k})`,
  tagShift: SUPER - S,
  regions: cardsOf(`(global.get $pages${k})`),
  first: `(call $super${k} (${A}.const 0))`,
  next: `(call $super${k} (${A}.sub (local.get $b) (${A}.const 1)))`,
  edge: 'before',
})}
${spec.stack && k === 0 ? stackText(S) : ''}
${
  spec.oracle
    ? `
;; Debug: traps unless the card of each byte of a store is marked, or the one behind it where that includes the byte.
(func $verify${k} (export "verify${k}") (param $a ${A}) (param $n i32) (param $function i32) (param $store i32) (local $c ${A})
  (loop $l
    (if (${A}.ge_u (local.get $a) ${bytes}) (then (return)))
    (local.set $c (${A}.add (global.get $base${k}) (${A}.shr_u (local.get $a) (${A}.const ${S}))))
    (if (i32.eqz (i32.and (i32.load8_u ${t} offset=${T} (${A}.shr_u (local.get $a) (${A}.const ${SUPER})))
          (i32.load8_u ${t} (local.get $c)))) (then
      (if (i32.or (${A}.lt_u (${A}.and (local.get $a) (${A}.const ${region - 1})) (${A}.const ${region - 16}))
            (i32.eqz (i32.and (i32.load8_u ${t} offset=${T} (${A}.shr_u (${A}.add (local.get $a) (${A}.const 16)) (${A}.const ${SUPER})))
              (i32.load8_u ${t} offset=1 (local.get $c))))) (then
        (global.set $oracleFunction (local.get $function)) (global.set $oracleStore (local.get $store)) (unreachable)))))
    (local.set $a (${A}.add (local.get $a) (${A}.const 1)))
    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
    (br_if $l (local.get $n))))`
    : ''
}`;
}

export const cards: StoreMechanism = {
  names: ['cards'],
  supportMemories: 2,
  region: (settings) => settings.region,
  geometry: (layout, { is64, reservePages }, { region }) =>
    geometry(is64, region, layout === 'inline' ? reservePages : undefined),
  pages: (g, pages) => {
    const most = Math.min(pages, g.maxPages);
    return [Math.ceil((SUPERS + (most * PAGE) / g.region) / PAGE), most];
  },
  plan: (layout, { optimize }) => ({
    every: !optimize,
    exact: true,
    stack: layout === 'separate' && optimize,
  }),
  guard,
  text,
  exports: () => ({ touch: EXPORTS.touch, written: EXPORTS.written }),
};
