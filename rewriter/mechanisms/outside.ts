/**
 * Mechanisms outside of the module: the host keeps memory's pre-images (a full copy, or the native addon's page
 * protection), so the module's stores are left alone. What is left to instrument is the state that only code
 * inside of the module can reach:
 *
 *     i32.store            i32.store                     as it was
 *     table.set 1          call $tset1                   tables and dropped segments: as in every mechanism
 *     memory.size          global.get $pages0            a rollback undoes memory.grow
 *     memory.grow          call $grow0                   ... then tells the host, by the table `belay:grown`:
 *                                                        new pages are not watched until it has looked
 *
 * Globals are copied at checkpoints, as always. One module serves all of these mechanisms.
 *
 * Not handled: after a rollback that undid a memory.grow, loads and stores between the restored size and the
 * largest one do not trap. What they write there is zeroed before memory grows again.
 */
import { EXPORTS } from '../../contract/contract.js';
import { addressType, fillText, withinText } from '../support/bulk.js';
import { sizeText } from '../support/size.js';
import type { SupportMemory, SupportSpec } from '../support/spec.js';
import type { StoreMechanism } from './mechanism.js';

function text(_: SupportSpec, { geometry, initialPages }: SupportMemory, k: number): string {
  const A = addressType(geometry);
  // Pages that exist already, and that the guest is given again.
  const retake = `
  (if (${A}.lt_u (local.get $old) (global.get $real${k})) (then
    (memory.fill $m${k} (${A}.shl (local.get $old) (${A}.const 16)) (i32.const 0)
      (${A}.shl (${A}.sub (select (local.get $n) (global.get $real${k}) (${A}.lt_u (local.get $n) (global.get $real${k}))) (local.get $old)) (${A}.const 16)))))`;
  return `
(global $pages${k} (export "pages${k}") (mut ${A}) (${A}.const 0))
(global $kept${k} (mut ${A}) (${A}.const 0))
(func $ensure${k} (param $n ${A}) (result i32) (i32.const 1))
(func $resized${k})
(func $extend${k} (param $n ${A})
  (global.set $pages${k} (local.get $n))
  (if (i32.eqz (ref.is_null (table.get $grown (i32.const 0)))) (then
    (call_indirect $grown (type $void) (i32.const 0)))))
${sizeText({ k, A, inline: false, initialPages, maxPages: geometry.maxPages, retake })}
${withinText(A, k)}
(func $touch${k} (export "touch${k}") (param $a ${A}) (param $n ${A}) (call $within${k} (local.get $a) (local.get $n)))
${fillText(A, k)}
(func $checkpoint${k} (call $sync${k}) (global.set $kept${k} (global.get $pages${k})))
(func $rollback${k} (call $sync${k}) (global.set $pages${k} (global.get $kept${k})))`;
}

export const outside: StoreMechanism = {
  names: ['full-copy', 'mprotect', 'uffd', 'uffd-async'],
  supportMemories: 0,
  region: () => 4096,
  geometry: (_layout, { is64 }) => ({
    is64,
    region: 4096,
    regionShift: 12,
    blockShift: 12,
    blockTags: 1,
    tails: false,
    tagBase: 0,
    shadowBase: 0,
    maxPages: 65536,
    totalPages: 0,
  }),
  pages: () => [],
  plan: () => ({ every: true, exact: false, stack: false }),
  text,
  exports: () => ({ touch: EXPORTS.touch }),
};
