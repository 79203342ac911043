/**
 * The functions that instrumentation adds to a module, as WebAssembly text: what the mechanism needs for each memory
 * (../mechanisms/), checkpoint, rollback, and stand-ins for every instruction that changes state in another way. They are
 * parsed by Binaryen into a module of their own, whose imports stand for what the guest has, and linked into
 * the guest (../link.ts). Read ../layout.ts first: it draws the memory that this code works on. For lmc:
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
import { TURNS } from '../insert.js';
import type { Geometry } from '../layout.js';
import { copyText, initText } from './bulk.js';
import type { SupportSpec } from './spec.js';
import { tableCopyText, tableInitText, tableText } from './tables.js';

export type { SupportSpec } from './spec.js';

/** The text of the support module. Every function and global is exported under its own name. */
export function supportText(spec: SupportSpec): string {
  const parts: string[] = [];
  spec.memories.forEach((m, k) => parts.push(spec.mechanism.text(spec, m, k)));
  spec.memoryCopies.forEach(([d, s]) => parts.push(copyText(spec, d, s)));
  spec.memoryInits.forEach(([segment, memory]) => parts.push(initText(spec, segment, memory)));
  spec.tables.forEach((t) => parts.push(tableText(t)));
  spec.tableCopies.forEach(([d, s]) => parts.push(tableCopyText(spec, d, s)));
  spec.tableInits.forEach(([segment, table]) => parts.push(tableInitText(spec, segment, table)));
  parts.push(stateText(spec));
  if (spec.steps) parts.push(STEPS);
  if (spec.layout === 'outside') parts.push(GROWN);
  const functions = parts.join('\n').replace(/\(func \$(\w+)\b(?! \(export)/g, '(func $$$1 (export "$1")');
  return `(module\n(type $void (func))\n${importsText(spec)}\n${functions})`;
}

function importsText(spec: SupportSpec): string {
  const lines: string[] = [];
  const memory = (name: string, g: Geometry) =>
    lines.push(`(import "memory" "${name}" (memory $${name} ${g.is64 ? 'i64 ' : ''}0))`);
  spec.memories.forEach(({ geometry }, k) => {
    memory(`m${k}`, geometry);
    if (spec.layout === 'separate') {
      for (const name of ['t', 's'].slice(0, spec.mechanism.supportMemories)) memory(`${name}${k}`, geometry);
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
  if (spec.mechanism.names[0] === 'undolog') lines.push(flag('full'));
  return lines.join('\n');
}

const flag = (name: string) => `(global $${name} (export "${name}") (mut i32) (i32.const 0))`;

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
(table $tick (export "tick") 1 1 funcref)
(global $steps (export "steps") (mut i64) (i64.const 9223372036854775807))
(func $tickNow
  (if (ref.is_null (table.get $tick (i32.const 0))) (then (unreachable)))
  (call_indirect $tick (type $void) (i32.const 0))
  (if (i64.lt_s (global.get $steps) (i64.const 0)) (then (unreachable))))
(func $turn
  (global.set $steps (i64.sub (global.get $steps) (i64.const ${TURNS})))
  (if (i64.lt_s (global.get $steps) (i64.const 0)) (then (call $tickNow))))`;

/** Mechanisms outside: the host's function is told that memory has grown, before the guest goes on. */
const GROWN = `
(table $grown (export "grown") 1 1 funcref)`;
