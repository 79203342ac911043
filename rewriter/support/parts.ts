/**
 * What the host asks after an epoch: which regions have tags that are set. One call a run of them:
 *
 *     tags of a block    | 0 | 0 | 1 | 1 | 1 | 0 | ... | 1 |      first of the run << 14 | how many << 1 | edge
 *                                  ^ first   ^ where the next call goes on
 *
 * What a call returned is the cursor of the next one, so nothing is kept in between: the block is that of the run's
 * first region, and blocks are linked. `edge` tells that 16 bytes beyond the run may have been written as well, and that
 * no other run has them: behind it (lmc: the tail, whose own region is not tagged), or before it (cards). A run
 * ends with its block. The numbers are f64, which the host has whatever the addresses are.
 */

export interface Parts {
  k: number;
  /** Type of addresses, and of numbers of regions. */
  A: 'i32' | 'i64';
  /** The memory of tags, and the offset of tag 0: a constant, or an expression where it moves. */
  tags: string;
  base: number | string;
  /** log2 of the tags of a block. */
  tagShift: number;
  /** Expressions: all regions of memory; the first block plus 2, and the one after block $b - 2; 1 where there is none. */
  regions: string;
  first: string;
  next: string;
  edge: 'behind' | 'before' | undefined;
}

export function partsText({ k, A, tags, base, tagShift, regions, first, next, edge }: Parts): string {
  const wide = (value: string) => (A === 'i64' ? value : `(i64.extend_i32_u ${value})`);
  const narrow = (value: string) => (A === 'i64' ? value : `(i32.wrap_i64 ${value})`);
  const tag = (type: string, index: string) =>
    typeof base === 'number'
      ? `(${type} ${tags} offset=${base} align=1 ${index})`
      : `(${type} ${tags} align=1 (${A}.add ${base} ${index}))`;
  /** The eight tags around $i; $i is the lowest byte once they are shifted. */
  const eight = tag('i64.load', `(${A}.and (local.get $i) (${A}.const -8))`);
  const shifted = (value: string) =>
    `(i64.shr_u ${value} (i64.shl ${wide(`(${A}.and (local.get $i) (${A}.const 7))`)} (i64.const 3)))`;
  const ahead = `(local.set $i (${A}.add (local.get $i) ${narrow('(i64.shr_u (i64.ctz (local.get $v)) (i64.const 3))')}))`;
  const over = `(local.set $i (${A}.add (${A}.or (local.get $i) (${A}.const 7)) (${A}.const 1)))`;
  /** Bytes of $v that are zero get their highest bit, others become zero. */
  const low = '(i64.const 0x7f7f7f7f7f7f7f7f)';
  const zeros = `(i64.xor (i64.or (i64.or (i64.add (i64.and (local.get $v) ${low}) ${low}) (local.get $v)) ${low}) (i64.const -1))`;
  const beyond =
    edge === 'behind'
      ? `(i32.and (${A}.lt_u (local.get $i) ${regions}) (i32.eqz ${tag('i32.load8_u', '(local.get $i)')}))`
      : edge === 'before'
        ? `(i32.and (${A}.ne (local.get $start) (${A}.const 0)) (i32.eqz ${tag('i32.load8_u', `(${A}.sub (local.get $start) (${A}.const 1))`)}))`
        : '(i32.const 0)';
  const firstTag = `(${A}.shl (${A}.sub (local.get $b) (${A}.const 2)) (${A}.const ${tagShift}))`;
  return `
(func $written${k} (export "written${k}") (param $cursor f64) (result f64)
  (local $c i64) (local $b ${A}) (local $i ${A}) (local $last ${A}) (local $start ${A}) (local $v i64)
  (local.set $c (i64.trunc_f64_u (local.get $cursor)))
  (if (i64.eqz (local.get $c))
    (then
      (local.set $b ${first})
      (local.set $i ${firstTag}))
    (else
      (local.set $start ${narrow('(i64.shr_u (local.get $c) (i64.const 14))')})
      (local.set $i (${A}.add (local.get $start)
        ${narrow('(i64.shr_u (i64.and (local.get $c) (i64.const 16383)) (i64.const 1))')}))
      (local.set $b (${A}.add (${A}.shr_u (local.get $start) (${A}.const ${tagShift})) (${A}.const 2)))))
  (block $found
    (loop $blocks
      (if (${A}.eq (local.get $b) (${A}.const 1)) (then (return (f64.const 1))))
      (local.set $last (${A}.add ${firstTag} (${A}.const ${2 ** tagShift})))
      (if (${A}.gt_u (local.get $last) ${regions}) (then (local.set $last ${regions})))
      (loop $unset
        (if (${A}.lt_u (local.get $i) (local.get $last)) (then
          (local.set $v ${shifted(eight)})
          (if (i64.eqz (local.get $v)) (then ${over} (br $unset)))
          ${ahead}
          (br_if $found (${A}.lt_u (local.get $i) (local.get $last))))))
      (local.set $b ${next})
      (local.set $i ${firstTag})
      (br $blocks)))
  (local.set $start (local.get $i))
  (loop $set
    (if (${A}.lt_u (local.get $i) (local.get $last)) (then
      (local.set $v ${eight})
      (local.set $v ${shifted(zeros)})
      (if (i64.eqz (local.get $v)) (then ${over} (br $set)))
      ${ahead})))
  (if (${A}.gt_u (local.get $i) (local.get $last)) (then (local.set $i (local.get $last))))
  (f64.convert_i64_u (i64.or
    (i64.or (i64.shl ${wide('(local.get $start)')} (i64.const 14))
      (i64.shl ${wide(`(${A}.sub (local.get $i) (local.get $start))`)} (i64.const 1)))
    (i64.extend_i32_u ${beyond}))))`;
}
