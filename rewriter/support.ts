/**
 * The functions that instrumentation adds to a module, as WebAssembly text: the slow path of a store, the
 * checkpoint, the rollback, and stand-ins for every instruction that changes state in another way. They are
 * parsed by Binaryen into a module of their own, whose imports stand for what the guest has, and linked into
 * the guest (link.ts). Read layout.ts first: it draws the memory that this code works on.
 *
 *     i32.store offset=8                  ;; before: [address value]
 *
 *     (if (i32.lt_s (i32.load8_s $tags offset=tagBase (i32.shr_u (i32.add address 8) S)) (i32.const 1))
 *       (then (call $slow0 (i32.add address 8) (i32.const 4))))
 *     i32.store offset=8                  ;; after
 *
 *     memory.fill                         call $fill0
 *     memory.grow                         call $grow0
 *     memory.size                         global.get $pages0
 *     table.set 1                         call $tset1
 *     data.drop 3                         (global.set $dropped3 (i32.const 1))
 *
 * **Tables** have no tags. A table is cut into at most 64 chunks; one i64 says which chunks have been copied to
 * a shadow table in this epoch. A table that the module cannot change, and the host cannot reach, is left
 * alone.
 *
 * **Globals** need no check: checkpoint copies each mutable one (a handful in nearly all modules).
 *
 * **Dropped segments** are not dropped for real: a flag makes them look empty, and goes back with the globals.
 *
 * Not handled: state outside of the module (host objects behind externrefs).
 */
import type { Layout } from '../contract/contract.js';
import { type Geometry, supportBytes } from './layout.js';
import type { Omittable } from './types.js';

export interface SupportMemory {
  geometry: Geometry;
  /** Inline: the guest's view of its size at the start. */
  initialPages: number;
}

export interface SupportTable {
  /** Its elements may be null (otherwise copies are made one by one). */
  nullable: boolean;
  /** Its index in the guest. */
  index: number;
}

export interface SupportSpec {
  layout: Layout;
  memories: SupportMemory[];
  tables: SupportTable[];
  /** Pairs used by the guest's instructions: [destination, source]. */
  memoryCopies: [number, number][];
  /** [segment, memory], and whether the segment is ever dropped. */
  memoryInits: [number, number][];
  /** Guest table indices: [destination, source]. */
  tableCopies: [number, number][];
  /** [segment, table] */
  tableInits: [number, number][];
  droppedData: number[];
  droppedElements: number[];
  hasStart: boolean;
  /** The stack's low-water mark is kept (stack.ts). */
  stack: boolean;
  steps: boolean;
  oracle: boolean;
  omit: ReadonlySet<Omittable>;
}

/** The text of the support module. Every function and global is exported under its own name. */
export function supportText(spec: SupportSpec): string {
  const parts: string[] = [];
  spec.memories.forEach((m, k) => parts.push(memoryText(spec, m, k)));
  spec.memoryCopies.forEach(([d, s]) => parts.push(copyText(spec, d, s)));
  spec.memoryInits.forEach(([segment, memory]) => parts.push(initText(spec, segment, memory)));
  spec.tables.forEach((t) => parts.push(tableText(t)));
  spec.tableCopies.forEach(([d, s]) => parts.push(tableCopyText(spec, d, s)));
  spec.tableInits.forEach(([segment, table]) => parts.push(tableInitText(spec, segment, table)));
  parts.push(stateText(spec));
  if (spec.steps) parts.push(STEPS);
  const functions = parts.join('\n').replace(/\(func \$(\w+)\b(?! \(export)/g, '(func $$$1 (export "$1")');
  return `(module\n${importsText(spec)}\n${functions})`;
}

const type = (g: Geometry) => (g.is64 ? 'i64' : 'i32');

function importsText(spec: SupportSpec): string {
  const lines: string[] = [];
  const memory = (name: string, g: Geometry) =>
    lines.push(`(import "memory" "${name}" (memory $${name} ${g.is64 ? 'i64 ' : ''}0))`);
  spec.memories.forEach(({ geometry }, k) => {
    memory(`m${k}`, geometry);
    if (spec.layout === 'separate') {
      memory(`t${k}`, geometry);
      memory(`s${k}`, geometry);
    }
  });
  const tables = new Set([
    ...spec.tables.map((t) => t.index),
    ...spec.tableCopies.flat(),
    ...spec.tableInits.map(([, t]) => t),
  ]);
  for (const index of tables) lines.push(`(import "table" "x${index}" (table $x${index} 0 funcref))`);
  for (const { index } of spec.tables)
    lines.push(`(import "table" "y${index}" (table $y${index} 0 funcref))`);
  lines.push('(import "function" "saveGlobals" (func $saveGlobals))');
  lines.push('(import "function" "restoreGlobals" (func $restoreGlobals))');
  if (spec.stack) lines.push('(import "global" "sp" (global $sp (mut i32)))');
  if (spec.hasStart) lines.push('(import "function" "start" (func $guestStart))');
  for (const s of new Set(spec.memoryInits.map(([segment]) => segment))) lines.push(`(data $d${s} "")`);
  for (const s of new Set(spec.tableInits.map(([segment]) => segment))) lines.push(`(elem $e${s} func)`);
  for (const s of spec.droppedData) lines.push(flag(`droppedData${s}`));
  for (const s of spec.droppedElements) lines.push(flag(`droppedElement${s}`));
  lines.push(`(global $saved (export "saved") (mut i64) (i64.const 0))`);
  return lines.join('\n');
}

const flag = (name: string) => `(global $${name} (export "${name}") (mut i32) (i32.const 0))`;

/** Everything for one memory. `A` stands for its address type, and $m, $t, $s for its three memories. */
function memoryText(spec: SupportSpec, memory: SupportMemory, k: number): string {
  const g = memory.geometry;
  const A = type(g);
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
  const headOf = (b: string) => `(${A}.add (${A}.shl ${b} (${A}.const ${B})) (${A}.shl ${b} (${A}.const 4)))`;
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
  const moveSmall = (
    to: string,
    toOffset: number,
    toMem: string,
    from: string,
    fromOffset: number,
    fromMem: string,
  ) =>
    `(${small![0]} ${toMem} offset=${toOffset} align=1 ${to} (${small![1]} ${fromMem} offset=${fromOffset} align=1 ${from}))`;
  const bulk = region > 256;
  const exact = inline ? '(i32.const 1)' : `(${A}.ne (global.get $pages${k}) (global.get $real${k}))`;
  const trap = `(drop (i32.load8_u ${m} offset=4294967295 (${A}.const -1))) (unreachable)`;

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
    (i32.and ${exact} (${A}.eq (${A}.add (local.get $a) (${A}.const ${region})) ${bytes}))))
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
  const restoreTagged = `
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
  const growTo = (mem: string, need: string) => `
  (local.set $x ${need})
  (if (${A}.gt_u (local.get $x) (memory.size ${mem})) (then
    (if (${A}.eq (memory.grow ${mem} (${A}.sub (local.get $x) (memory.size ${mem}))) (${A}.const -1)) (then (return (i32.const 0))))))`;

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
  ${
    spec.stack && k === 0
      ? `;; What was said to be saved of a stack beyond the end of memory has to be, now that it exists.
  (if (i32.gt_u (global.get $top) (local.get $old)) (then
    (call $clampRun (local.get $old) (global.get $top))))`
      : ''
  })`;

  const separateOnly = `
(global $real${k} (mut ${A}) (${A}.const 0))
;; Makes room for tags and shadow of $n pages; 0 when there is none.
(func $ensure${k} ${address('$n')} (result i32) (local $x ${A})
  (if (${A}.gt_u (local.get $n) (${A}.const ${g.maxPages})) (then (return (i32.const 0))))
  ${growTo(t, supportPages('tags'))}
  ${growTo(s, supportPages('shadow'))}
  (i32.const 1))
;; The host may have grown the memory behind our back.
(func $sync${k} (local $n ${A})
  (local.set $n (memory.size ${m}))
  (if (${A}.ne (local.get $n) (global.get $real${k})) (then
    (if (i32.eqz (call $ensure${k} (local.get $n))) (then (unreachable)))
    (call $extend${k} (${A}.add (global.get $pages${k}) (${A}.sub (local.get $n) (global.get $real${k}))))
    (global.set $real${k} (local.get $n)))))
(func $setup${k}
  (global.set $real${k} (memory.size ${m}))
  (global.set $pages${k} (memory.size ${m}))
  (if (i32.eqz (call $ensure${k} (global.get $real${k}))) (then (unreachable))))
(func $grow${k} (export "grow${k}") ${address('$delta')} (result ${A}) (local $old ${A}) (local $n ${A})
  (call $sync${k})
  (local.set $old (global.get $pages${k}))
  (local.set $n (${A}.add (local.get $old) (local.get $delta)))
  (if (${A}.lt_u (local.get $n) (local.get $old)) (then (return (${A}.const -1))))
  (if (${A}.gt_u (local.get $n) (global.get $real${k})) (then
    (if (i32.eqz (call $ensure${k} (local.get $n))) (then (return (${A}.const -1))))
    (if (${A}.eq (memory.grow ${m} (${A}.sub (local.get $n) (global.get $real${k}))) (${A}.const -1)) (then (return (${A}.const -1))))
    (global.set $real${k} (local.get $n))))
  (call $extend${k} (local.get $n))
  (local.get $old))`;
  const inlineOnly = `
(func $sync${k})
(func $setup${k} (global.set $pages${k} (${A}.const ${memory.initialPages})))
(func $grow${k} (export "grow${k}") ${address('$delta')} (result ${A}) (local $old ${A}) (local $n ${A})
  (local.set $old (global.get $pages${k}))
  (local.set $n (${A}.add (local.get $old) (local.get $delta)))
  (if (i32.or (${A}.lt_u (local.get $n) (local.get $old)) (${A}.gt_u (local.get $n) (${A}.const ${g.maxPages}))) (then (return (${A}.const -1))))
  (call $extend${k} (local.get $n))
  (local.get $old))
(func $load${k} (export "load${k}") ${address('$a')} (param $n i64)
  (if (i64.gt_u (i64.add (i64.extend_i32_u (local.get $a)) (local.get $n)) (i64.shl (i64.extend_i32_u (global.get $pages${k})) (i64.const 16))) (then ${trap})))`;

  const outside = (n: string) =>
    `(i32.or (${A}.lt_u (${A}.add (local.get $a) ${n}) (local.get $a)) (${A}.gt_u (${A}.add (local.get $a) ${n}) ${bytes}))`;
  const widen = g.is64 ? '(i64.extend_i32_u (local.get $n))' : '(local.get $n)';
  return `
;; ---- memory ${k} ----
(global $pages${k} (export "pages${k}") (mut ${A}) (${A}.const 0))
(global $kept${k} (mut ${A}) (${A}.const 0))
(global $dirty${k} (mut ${A}) (${A}.const 1))
${extend}
${inline ? inlineOnly : separateOnly}
(func $size${k} (export "size${k}") (result ${A}) (global.get $pages${k}))

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
(func $within${k} ${address('$a')} ${address('$n')}
  (if ${outside('(local.get $n)')} (then (call $sync${k}) (if ${outside('(local.get $n)')} (then ${trap})))))
(func $fill${k} (export "fill${k}") ${address('$a')} (param $v i32) ${address('$n')}
  (call $touch${k} (local.get $a) (local.get $n))
  (memory.fill ${m} (local.get $a) (local.get $v) (local.get $n)))

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
  (global.set $pages${k} (global.get $kept${k})))
${spec.stack && k === 0 ? stackText(S) : ''}
${spec.oracle ? oracleText(g, A, k, tag, bytes) : ''}`;
}

/** Bytes of stack that are saved ahead at most. */
const MOST_AHEAD = 16384;

/** The stack's low-water mark (stack.ts). */
function stackText(S: number): string {
  return `
(global $low (export "low") (mut i32) (i32.const 0))
(global $top (mut i32) (i32.const 0))
(global $span (export "span") (mut i32) (i32.const 0))
;; Saves what lies in memory of [$a, $b).
(func $clampRun (param $a i32) (param $b i32) (local $bytes i32)
  (local.set $bytes (i32.shl (global.get $pages0) (i32.const 16)))
  (if (i32.gt_u (local.get $b) (local.get $bytes)) (then (local.set $b (local.get $bytes))))
  (if (i32.ge_u (local.get $a) (local.get $b)) (then (return)))
  (call $run0 (i32.shr_u (local.get $a) (i32.const ${S}))
    (i32.shr_u (i32.sub (local.get $b) (i32.const 1)) (i32.const ${S}))))
(func $deepen
  ;; Lowered below zero: what was said to be saved wraps around, so all of memory is saved.
  (if (i32.gt_u (global.get $sp) (global.get $top)) (then
    (global.set $low (i32.const 0))
    (global.set $top (i32.const -1))
    (global.set $span (i32.const -1))
    (call $clampRun (i32.const 0) (i32.const -1))
    (return)))
  (call $clampRun (global.get $sp) (global.get $low))
  (global.set $low (global.get $sp))
  (global.set $span (i32.sub (global.get $top) (global.get $low))))
(func $restack
  (if (i32.gt_u (global.get $sp) (global.get $top))
    (then (call $unstack))
    (else (call $deepen))))
;; Begins an epoch: as much of the stack as the last epoch used, less an eighth, is saved ahead.
(func $settle (local $depth i32)
  (global.set $top (global.get $sp))
  (if (i32.lt_u (global.get $low) (global.get $sp)) (then
    (local.set $depth (i32.sub (global.get $sp) (global.get $low)))
    (local.set $depth (i32.sub (local.get $depth) (i32.shr_u (local.get $depth) (i32.const 3))))
    (if (i32.gt_u (local.get $depth) (i32.const ${MOST_AHEAD})) (then (local.set $depth (i32.const ${MOST_AHEAD}))))))
  (global.set $span (local.get $depth))
  (global.set $low (i32.sub (global.get $sp) (local.get $depth)))
  (call $clampRun (global.get $low) (global.get $top)))
(func $unstack
  (global.set $span (i32.const 0))
  (global.set $low (global.get $sp))
  (global.set $top (global.get $sp)))`;
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

function copyText(spec: SupportSpec, d: number, s: number): string {
  const D = type(spec.memories[d]!.geometry);
  const F = type(spec.memories[s]!.geometry);
  const N = D === 'i64' && F === 'i64' ? 'i64' : 'i32';
  const as = (want: string) => (want === N ? '(local.get $n)' : '(i64.extend_i32_u (local.get $n))');
  return `
(func (export "copy${d}_${s}") (param $a ${D}) (param $from ${F}) (param $n ${N})
  (call $within${s} (local.get $from) ${as(F)})
  (call $touch${d} (local.get $a) ${as(D)})
  (memory.copy $m${d} $m${s} (local.get $a) (local.get $from) (local.get $n)))`;
}

function initText(spec: SupportSpec, segment: number, memory: number): string {
  const A = type(spec.memories[memory]!.geometry);
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

/** Everything for one table. `x` is the table, `y` its shadow. */
function tableText({ index: t, nullable }: SupportTable): string {
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

function tableCopyText(spec: SupportSpec, d: number, s: number): string {
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

function tableInitText(spec: SupportSpec, segment: number, t: number): string {
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

function stateText(spec: SupportSpec): string {
  const each = (memory: string, table: string) =>
    [
      ...spec.memories.map((_, k) => `(call $${memory}${k})`),
      ...spec.tables.map((t) => `(call $${table}${t.index})`),
    ].join(' ');
  const unstack = spec.stack ? '(call $unstack)' : '';
  const settle = spec.stack ? '(call $settle)' : '';
  return `
(func (export "setup") ${each('setup', 'tsetup')} ${unstack} ${spec.hasStart ? '(call $guestStart)' : ''})
(func (export "checkpoint") ${each('checkpoint', 'tcheckpoint')} (call $saveGlobals) ${settle})
(func (export "rollback") ${each('rollback', 'trollback')} (call $restoreGlobals) ${settle})
${
  spec.oracle
    ? `(global $oracleFunction (export "oracleFunction") (mut i32) (i32.const -1))
(global $oracleStore (export "oracleStore") (mut i32) (i32.const -1))`
    : ''
}`;
}

/** Steps: counted down by the guest; below zero, the host's function in the tick table may add some, or not. */
const STEPS = `
(type $void (func))
(table $tick (export "tick") 1 1 funcref)
(global $steps (export "steps") (mut i64) (i64.const 9223372036854775807))
(func (export "tickNow")
  (if (ref.is_null (table.get $tick (i32.const 0))) (then (unreachable)))
  (call_indirect $tick (type $void) (i32.const 0))
  (if (i64.lt_s (global.get $steps) (i64.const 0)) (then (unreachable))))`;
