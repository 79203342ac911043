/** Lightweight memory checkpointing, and page-cow: slow paths, checkpoint and rollback of one memory. */
import { bufferAt, type Geometry, supportBytes } from '../layout.js';
import { stackText } from '../stack.js';
import { addressType, fillText, outside as outsideText, trapOutside, withinText } from './bulk.js';
import { differingText, hasDiffering } from './differing.js';
import { partsText } from './parts.js';
import { growTo, sizeText } from './size.js';
import type { SupportMemory, SupportSpec } from './spec.js';

/** Everything for one memory. `A` stands for its address type, and $m, $t, $s for its three memories. */
export function lmcText(spec: SupportSpec, memory: SupportMemory, k: number): string {
  const g = memory.geometry;
  const A = addressType(g);
  const inline = spec.layout === 'inline';
  const m = `$m${k}`;
  const t = inline ? m : `$t${k}`;
  const s = inline ? m : `$s${k}`;
  const { region, regionShift: S, blockShift: B, blockTags, tagBase: T } = g;
  const tails = g.tails && !spec.omit.has('tail');
  const H = g.shadowBase;
  /** Offset of pre-images: behind the head of their block. */
  const P = H + 16;
  const bytes = `(${A}.shl (global.get $pages${k}) (${A}.const 16))`;
  const tag = (q: string, delta = 0) => `(i32.load8_s ${t} offset=${T + delta} ${q})`;
  const shadowOf = (a: string) =>
    `(${A}.add ${a} (${A}.shl (${A}.shr_u ${a} (${A}.const ${B})) (${A}.const 4)))`;
  const headOf = (b: string) => headAddress(g, b);
  const copy16 = (
    to: string,
    toOffset: number,
    toMem: string,
    from: string,
    fromOffset: number,
    fromMem: string,
  ) =>
    `(v128.store ${toMem} offset=${toOffset} align=1 ${to} (v128.load ${fromMem} offset=${fromOffset} align=1 ${from}))`;
  const small = {
    1: ['i32.store8', 'i32.load8_u'],
    2: ['i32.store16', 'i32.load16_u'],
    4: ['i32.store', 'i32.load'],
    8: ['i64.store', 'i64.load'],
  }[region];
  const moveSmall: typeof copy16 = (to, toOffset, toMem, from, fromOffset, fromMem) =>
    `(${small![0]} ${toMem} offset=${toOffset} align=1 ${to} (${small![1]} ${fromMem} offset=${fromOffset} align=1 ${from}))`;
  const bulk = region > 256;
  const exact = inline ? '(i32.const 1)' : `(${A}.ne (global.get $pages${k}) (global.get $real${k}))`;
  const trap = trapOutside(A, k);

  // Guest -> shadow, all but the first 16 bytes; shadow -> guest, all of the region.
  const saveBody: string[] = [];
  const restoreBody: string[] = [];
  if (!g.tails) {
    saveBody.push(moveSmall('(local.get $s)', P, s, '(local.get $a)', 0, m));
    restoreBody.push(moveSmall('(local.get $a)', 0, m, '(local.get $s)', P, s));
  } else if (bulk) {
    // By hand: engines copy between two memories by a call that costs more than a microsecond for 4 KiB.
    const chunk = (
      to: string,
      toOffset: number,
      toMem: string,
      from: string,
      fromOffset: number,
      fromMem: string,
    ) => `
  (local.set $left (i32.const ${region / 256}))
  (loop $copy
    ${Array.from({ length: 16 }, (_, i) => copy16(to, toOffset + 16 * i, toMem, from, fromOffset + 16 * i, fromMem)).join('\n    ')}
    (local.set $a (${A}.add (local.get $a) (${A}.const 256)))
    (local.set $s (${A}.add (local.get $s) (${A}.const 256)))
    (br_if $copy (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (local.set $a (${A}.sub (local.get $a) (${A}.const ${region})))
  (local.set $s (${A}.sub (local.get $s) (${A}.const ${region})))`;
    // The first 16 bytes may hold a newer value in the guest: the shadow's are kept aside.
    saveBody.push(
      `(local.set $first (v128.load ${s} offset=${P} align=1 (local.get $s)))`,
      chunk('(local.get $s)', P, s, '(local.get $a)', 0, m),
      `(v128.store ${s} offset=${P} align=1 (local.get $s) (local.get $first))`,
    );
    restoreBody.push(chunk('(local.get $a)', 0, m, '(local.get $s)', P, s));
  } else {
    for (let o = 0; o < region; o += 16) {
      if (o) saveBody.push(copy16('(local.get $s)', P + o, s, '(local.get $a)', o, m));
      restoreBody.push(copy16('(local.get $a)', o, m, '(local.get $s)', P + o, s));
    }
  }
  /** All ones where the region numbered $q + delta is not saved: its half of the edge is ours to save. */
  const unsaved = (delta: number, also = '') =>
    `(i8x16.eq (i8x16.splat ${also ? `(i32.or ${tag('(local.get $q)', delta)} ${also})` : tag('(local.get $q)', delta)}) (v128.const i64x2 0 0))`;
  const saveEdge = (at: string, from: string, mask: string) =>
    `(v128.store ${s} offset=${P} align=1 ${at} (v128.bitselect (v128.load ${m} align=1 ${from}) (v128.load ${s} offset=${P} align=1 ${at}) ${mask}))`;
  // Which edges are saved already is as good as random, so they are blended instead of branched over.
  const saveEdges = !g.tails
    ? ''
    : `${saveEdge('(local.get $s)', '(local.get $a)', unsaved(-1))}
  ${
    tails
      ? `(local.set $end (${A}.ge_u (${A}.add (local.get $a) (${A}.const ${region})) ${bytes}))
  (local.set $a (select (local.get $a) (${A}.add (local.get $a) (${A}.const ${region})) (local.get $end)))
  (local.set $s ${shadowOf('(local.get $a)')})
  ${saveEdge('(local.get $s)', '(local.get $a)', unsaved(1, '(local.get $end)'))}`
      : ''
  }`;
  /** Saves region $q, which is not saved yet and lies in memory. Uses $a and saveLocals. */
  const saveRegion = `
  (local.set $a (${A}.shl (local.get $q) (${A}.const ${S})))
  (i32.store8 ${t} offset=${T} (local.get $q) (select (i32.const -1) (i32.const 1)
    (${A}.eq (local.get $q) (global.get $edge${k}))))
  (local.set $b (${A}.shr_u (local.get $a) (${A}.const ${B})))
  (local.set $s ${headOf('(local.get $b)')})
  ;; The block joins the dirty list unless it is in it (without a branch).
  (local.set $head (${A}.load ${s} offset=${H} (local.get $s)))
  (local.set $listed (${A}.ne (local.get $head) (${A}.const 0)))
  (${A}.store ${s} offset=${H} (local.get $s) (select (local.get $head) (global.get $dirty${k}) (local.get $listed)))
  (global.set $dirty${k} (select (global.get $dirty${k}) (${A}.add (local.get $b) (${A}.const 2)) (local.get $listed)))
  (local.set $s (${A}.add (local.get $a) (${A}.shl (local.get $b) (${A}.const 4))))
  (global.set $saved (i64.add (global.get $saved) (i64.const 1)))
  ${saveBody.join('\n  ')}
  ${saveEdges}`;
  const saveLocals = `(local $s ${A}) (local $b ${A}) (local $head ${A}) (local $listed i32) (local $end i32) (local $left i32) (local $first v128)`;
  const restoreTail = !tails
    ? ''
    : `(local.set $a (${A}.add (local.get $a) (${A}.const ${region})))
    (if (${A}.lt_u (local.get $a) ${bytes}) (then ${copy16('(local.get $a)', 0, m, shadowOf('(local.get $a)'), P, s)}))`;
  const clearTags =
    blockTags === 64
      ? [0, 16, 32, 48]
          .map((o) => `(v128.store ${t} offset=${T + o} align=1 (local.get $i) (v128.const i64x2 0 0))`)
          .join('\n')
      : blockTags === 1
        ? `(i32.store8 ${t} offset=${T} (local.get $i) (i32.const 0))`
        : `(memory.fill ${t} (${A}.add (local.get $i) (${A}.const ${T})) (i32.const 0) (${A}.const ${blockTags}))`;
  const tagShift = B - S;
  /** Walks the dirty list: $b the block, $i its first tag. The list is empty afterwards. */
  const walk = (body: string) => `
  (loop $blocks
    (if (${A}.ne (global.get $dirty${k}) (${A}.const 1)) (then
      (local.set $b (${A}.sub (global.get $dirty${k}) (${A}.const 2)))
      (local.set $h ${headOf('(local.get $b)')})
      (global.set $dirty${k} (${A}.load ${s} offset=${H} (local.get $h)))
      (${A}.store ${s} offset=${H} (local.get $h) (${A}.const 0))
      (local.set $i (${A}.shl (local.get $b) (${A}.const ${tagShift})))
      ${body}
      (br $blocks))))`;
  /** Calls $restore for each tagged region of a block, and clears its tags. */
  const restoreTagged =
    blockTags === 1
      ? `(call $restore${k} (local.get $i)) ${clearTags}`
      : `
      (local.set $last (${A}.add (local.get $i) (${A}.const ${blockTags})))
      (loop $groups
        (local.set $v (i64.load ${t} offset=${T} align=1 (local.get $i)))
        (if (i64.ne (local.get $v) (i64.const 0)) (then
          (loop $tags
            (local.set $c (i64.ctz (local.get $v)))
            (call $restore${k} (${A}.add (local.get $i) ${g.is64 ? '' : '(i32.wrap_i64 '}(i64.shr_u (local.get $c) (i64.const 3))${g.is64 ? '' : ')'}))
            (local.set $v (i64.and (local.get $v) (i64.xor (i64.shl (i64.const 255) (local.get $c)) (i64.const -1))))
            (br_if $tags (i64.ne (local.get $v) (i64.const 0))))
          (i64.store ${t} offset=${T} align=1 (local.get $i) (i64.const 0))))
        (local.set $i (${A}.add (local.get $i) (${A}.const 8)))
        (br_if $groups (${A}.ne (local.get $i) (local.get $last))))`;
  const walkLocals = `(local $b ${A}) (local $h ${A}) (local $i ${A}) (local $last ${A}) (local $v i64) (local $c i64)`;
  const address = (p: string) => `(param ${p} ${A})`;

  const supportPages = (kind: 'tags' | 'shadow') => {
    // Affine upper bounds of supportBytes(), in the memory's own arithmetic.
    const n = '(local.get $n)';
    const blocks = `(${A}.shr_u (${A}.add (${A}.shl ${n} (${A}.const 16)) (${A}.const ${2 ** B - 1})) (${A}.const ${B}))`;
    const { tags, shadow } = supportBytes(g, 0);
    const size =
      kind === 'tags'
        ? `(${A}.add (${A}.shl ${blocks} (${A}.const ${tagShift})) (${A}.const ${tags + T}))`
        : `(${A}.add (${A}.add (${A}.shl ${n} (${A}.const 16)) (${A}.shl ${blocks} (${A}.const 4))) (${A}.const ${shadow + H}))`;
    return `(${A}.shr_u (${A}.add ${size} (${A}.const 65535)) (${A}.const 16))`;
  };
  // Pages that a rollback took from the guest: a store without a check of its own, in reach of one at the very
  // end of memory, may have written into them.
  const clearStray =
    inline || !g.tails
      ? ''
      : `(if (i32.and (${A}.ne (global.get $pages${k}) (global.get $real${k})) (${A}.ne (global.get $pages${k}) (local.get $n))) (then
    (v128.store ${m} align=1 ${bytes} (v128.const i64x2 0 0))))`;
  // The region before the old end may be saved already: give it a plain tag, and a pre-image of its new tail.
  const extend = `
(func $extend${k} ${address('$n')} (local $q ${A}) (local $a ${A}) (local $old ${A})
  (local.set $old ${bytes})
  ${clearStray}
  (if (i32.and (i32.eqz (${A}.eqz (global.get $pages${k}))) (${A}.ne (global.get $pages${k}) (local.get $n))) (then
    (local.set $a ${bytes})
    (local.set $q (${A}.sub (${A}.shr_u (local.get $a) (${A}.const ${S})) (${A}.const 1)))
    (if ${tag('(local.get $q)')} (then
      (i32.store8 ${t} offset=${T} (local.get $q) (i32.const 1))
      ${g.tails ? copy16(shadowOf('(local.get $a)'), P, s, '(local.get $a)', 0, m) : ''}))))
  (global.set $pages${k} (local.get $n))
  (call $resized${k})
  ${
    spec.stack && k === 0
      ? `;; What was said to be saved of a stack beyond the end of memory has to be, now that it exists.
  (if (i32.gt_u (global.get $top) (local.get $old)) (then
    (call $clampRun (local.get $old) (global.get $top))))`
      : ''
  })`;

  const room = inline
    ? ''
    : `
;; Makes room for tags and shadow of $n pages; 0 when there is none.
(func $ensure${k} ${address('$n')} (result i32) (local $x ${A})
  (if (${A}.gt_u (local.get $n) (${A}.const ${g.maxPages})) (then (return (i32.const 0))))
  ${growTo(A, t, supportPages('tags'))}
  ${growTo(A, s, supportPages('shadow'))}
  (i32.const 1))`;
  const outside = (n: string) => outsideText(A, k, n);
  const widen = g.is64 ? '(i64.extend_i32_u (local.get $n))' : '(local.get $n)';
  return `
;; ---- memory ${k} ----
(global $pages${k} (export "pages${k}") (mut ${A}) (${A}.const 0))
(global $kept${k} (mut ${A}) (${A}.const 0))
(global $dirty${k} (mut ${A}) (${A}.const 1))
;; The last region, where stores across the end of memory have to be noticed; otherwise none.
(global $edge${k} (mut ${A}) (${A}.const -1))
(func $resized${k}
  (global.set $edge${k} (select (${A}.sub (${A}.shr_u ${bytes} (${A}.const ${S})) (${A}.const 1)) (${A}.const -1) ${exact})))
${extend}
${room}
${sizeText({ k, A, inline, initialPages: memory.initialPages, maxPages: g.maxPages })}

(func $save${k} ${address('$q')} (local $a ${A}) ${saveLocals} ${saveRegion})

;; Saves the regions from $q to $last.
${
  tails && !bulk
    ? `(func $run${k} ${address('$q')} ${address('$last')} (local $a ${A}) (local $s ${A})
  (loop $next
    (if (${A}.gt_u (local.get $q) (local.get $last)) (then (return)))
    (if (i32.eqz ${tag('(local.get $q)')}) (then
      (call $save${k} (local.get $q))
      ;; The regions behind it need no care for their first 16 bytes: they were its tail, just saved.
      (loop $more
        (local.set $q (${A}.add (local.get $q) (${A}.const 1)))
        (local.set $a (${A}.shl (local.get $q) (${A}.const ${S})))
        (if (i32.and (i32.and (${A}.le_u (local.get $q) (local.get $last)) (i32.eqz ${tag('(local.get $q)')}))
              (i32.and (${A}.lt_u (${A}.add (local.get $a) (${A}.const ${region})) ${bytes})
                (i32.eqz (${A}.eqz (${A}.and (local.get $a) (${A}.const ${2 ** B - 1}))))))
          (then
            (local.set $s ${shadowOf('(local.get $a)')})
            (i32.store8 ${t} offset=${T} (local.get $q) (i32.const 1))
            (global.set $saved (i64.add (global.get $saved) (i64.const 1)))
            ${Array.from({ length: region / 16 }, (_, i) => copy16('(local.get $s)', P + 16 * i, s, '(local.get $a)', 16 * i, m)).join('\n            ')}
            (if (i32.eqz ${tag('(local.get $q)', 1)}) (then
              (local.set $a (${A}.add (local.get $a) (${A}.const ${region})))
              ${copy16(shadowOf('(local.get $a)'), P, s, '(local.get $a)', 0, m)}))
            (br $more)))))
      (else (local.set $q (${A}.add (local.get $q) (${A}.const 1)))))
    (br $next)))`
    : `(func $run${k} ${address('$q')} ${address('$last')}
  (loop $l
    (if (${A}.le_u (local.get $q) (local.get $last)) (then
      (if (i32.eqz ${tag('(local.get $q)')}) (then (call $save${k} (local.get $q))))
      (local.set $q (${A}.add (local.get $q) (${A}.const 1)))
      (br $l)))))`
}

${
  g.tails
    ? `;; The slow path of a store of $n bytes at $a: its first byte's region, with its tail, covers it.
(func $slow${k} ${address('$a')} (param $n i32) (local $q ${A}) ${saveLocals}
  (if ${outside(widen)} (then (call $outside${k} (local.get $a) (local.get $n)) (if (${A}.ge_u (local.get $a) ${bytes}) (then (return)))))
  (local.set $q (${A}.shr_u (local.get $a) (${A}.const ${S})))
  (if ${tag('(local.get $q)')} (then (return)))
  ${saveRegion})
;; The slow path of a merged check of [$a, $a + $n).
(func $span${k} ${address('$a')} (param $n i32) (local $last ${A})`
    : `;; The slow path of a store of $n bytes at $a, which tests $w tags.
(func $slow${k} ${address('$a')} (param $n i32) (param $w i32) (local $last ${A})`
}
  (if ${outside(widen)} (then (call $outside${k} (local.get $a) (local.get $n)) (if (${A}.ge_u (local.get $a) ${bytes}) (then (return)))))
  ${
    g.tails
      ? `(local.set $last (${A}.shr_u (${A}.sub (${A}.add (local.get $a) ${widen}) (${A}.const 1)) (${A}.const ${S})))`
      : `(local.set $last (${A}.add (${A}.shr_u (local.get $a) (${A}.const ${S})) (${A}.sub ${g.is64 ? '(i64.extend_i32_u (local.get $w))' : '(local.get $w)'} (${A}.const 1))))`
  }
  (if (${A}.ge_u (local.get $last) (${A}.shr_u ${bytes} (${A}.const ${S}))) (then
    (local.set $last (${A}.sub (${A}.shr_u ${bytes} (${A}.const ${S})) (${A}.const 1)))))
  (call $run${k} (${A}.shr_u (local.get $a) (${A}.const ${S})) (local.get $last)))
;; A store that ends outside of the guest's memory traps here, unless the engine will see to it itself.
(func $outside${k} ${address('$a')} (param $n i32)
  (call $sync${k})
  (if (i32.and ${exact} ${outside(widen)}) (then ${trap})))

;; Saves all of [$a, $a + $n); traps where it does not lie in memory.
(func $touch${k} (export "touch${k}") ${address('$a')} ${address('$n')}
  (if ${outside('(local.get $n)')} (then (call $sync${k}) (if ${outside('(local.get $n)')} (then ${trap}))))
  (if (${A}.eqz (local.get $n)) (then (return)))
  (call $run${k} (${A}.shr_u (local.get $a) (${A}.const ${S}))
    (${A}.shr_u (${A}.sub (${A}.add (local.get $a) (local.get $n)) (${A}.const 1)) (${A}.const ${S}))))
${withinText(A, k)}
${fillText(A, k)}

(func $checkpoint${k} ${walkLocals}
  (call $sync${k})${walk(clearTags)}
  (global.set $kept${k} (global.get $pages${k})))

;; Puts back region $q and its tail.
(func $restore${k} ${address('$q')} (local $a ${A}) (local $s ${A}) (local $left i32)
  (local.set $a (${A}.shl (local.get $q) (${A}.const ${S})))
  (local.set $s ${shadowOf('(local.get $a)')})
  ${restoreBody.join('\n  ')}
  ${restoreTail})
(func $rollback${k} ${walkLocals}
  (call $sync${k})${walk(restoreTagged)}
  (global.set $pages${k} (global.get $kept${k}))
  (call $resized${k}))
${partsText({
  k,
  A,
  tags: t,
  base: T,
  tagShift,
  regions: `(${A}.shr_u ${bytes} (${A}.const ${S}))`,
  first: `(global.get $dirty${k})`,
  next: `(${A}.load ${s} offset=${H} ${headOf(`(${A}.sub (local.get $b) (${A}.const 2))`)})`,
  edge: g.tails ? 'behind' : undefined,
})}
${hasDiffering(g) ? differingText({ k, A, memory: m, shadow: s, preImage: P, shadowOf, buffer: bufferAt(g) }) : ''}
${spec.stack && k === 0 ? stackText(S) : ''}
${spec.oracle ? oracleText(g, A, k, tag, bytes) : ''}`;
}

/** Where the head of block `b` lies, less the base of the shadow. */
function headAddress(g: Geometry, b: string): string {
  const A = addressType(g);
  return `(${A}.add (${A}.shl ${b} (${A}.const ${g.blockShift})) (${A}.shl ${b} (${A}.const 4)))`;
}

/** Debug: traps, and says where, unless each byte of a store is saved. */
function oracleText(
  g: Geometry,
  A: string,
  k: number,
  tag: (q: string, d?: number) => string,
  bytes: string,
): string {
  const S = g.regionShift;
  const q = `(${A}.shr_u (local.get $a) (${A}.const ${S}))`;
  const low = `(${A}.and (local.get $a) (${A}.const ${g.region - 1}))`;
  const saved = g.tails
    ? `(i32.or (i32.ne ${tag(q)} (i32.const 0)) (i32.and (${A}.lt_u ${low} (${A}.const 16)) (i32.ne ${tag(q, -1)} (i32.const 0))))`
    : `(i32.ne ${tag(q)} (i32.const 0))`;
  return `
(func $verify${k} (export "verify${k}") (param $a ${A}) (param $n i32) (param $function i32) (param $store i32)
  (loop $l
    (if (${A}.ge_u (local.get $a) ${bytes}) (then (return)))
    (if (i32.eqz ${saved}) (then
      (global.set $oracleFunction (local.get $function)) (global.set $oracleStore (local.get $store)) (unreachable)))
    (local.set $a (${A}.add (local.get $a) (${A}.const 1)))
    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
    (br_if $l (local.get $n))))`;
}
