/**
 * Modules for tests that run where the rewriter does not: each written as text here, translated and
 * instrumented on Node, and kept as dist/test/fixtures/NAME.{plain,separate,inline}.wasm. NAME.document is the state
 * of one of them, saved on Node.
 *
 *     node dist/test/support/fixtures.js
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Layout } from '../../contract/contract.js';
import type { InstrumentOptions } from '../../rewriter/types.js';
import { CHANGE } from './fixtures-calls.js';

interface Fixture {
  text: string;
  /** Calls of exports, after which the state is saved. */
  calls?: readonly (readonly [name: string, ...args: unknown[]])[];
  options?: InstrumentOptions;
  /** Options of the inline layout alone. */
  inline?: InstrumentOptions;
  /** The layouts that the module can have. Default both. */
  layouts?: readonly Layout[];
}

/** Memory, growth, globals of each number type, a table and segments that code can drop. */
const STATE = `(module
  (import "host" "call" (func $host (param i32)))
  (memory (export "memory") 1 16)
  (global $count (export "count") (mut i32) (i32.const 7))
  (global $wide (mut i64) (i64.const 1))
  (global $real (mut f64) (f64.const 0.5))
  (global $single (mut f32) (f32.const 0.25))
  (type $answer (func (result i32)))
  (table $table (export "table") 4 8 funcref)
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (elem (table $table) (i32.const 0) func $one)
  (elem $spare func $two $two)
  (data $spareData "spare")
  (data (i32.const 16) "\\01\\02\\03\\04")
  (func (export "store8") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "store32") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "store64") (param i32 i64) (i64.store (local.get 0) (local.get 1)))
  (func (export "load32") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32) (memory.init $spareData (local.get 0) (i32.const 0) (i32.const 5)))
  (func (export "dropData") (data.drop $spareData))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "setGlobals") (param i32 i64 f64 f32)
    (global.set $count (local.get 0))
    (global.set $wide (local.get 1))
    (global.set $real (local.get 2))
    (global.set $single (local.get 3)))
  (func (export "wide") (result i64) (global.get $wide))
  (func (export "real") (result f64) (global.get $real))
  (func (export "single") (result f32) (global.get $single))
  (func (export "tableInit") (param i32)
    (table.init $table $spare (local.get 0) (i32.const 0) (i32.const 2)))
  (func (export "dropElem") (elem.drop $spare))
  (func (export "tableClear") (param i32) (table.set $table (local.get 0) (ref.null func)))
  (func (export "tableGrow") (param i32) (result i32) (table.grow $table (ref.null func) (local.get 0)))
  (func (export "tableSize") (result i32) (table.size $table))
  (func (export "callTable") (param i32) (result i32) (call_indirect $table (type $answer) (local.get 0)))
  (func (export "storeThenTrap") (param i32)
    (global.set $count (i32.const -1))
    (i32.store (local.get 0) (i32.const -1))
    (unreachable))
  (func (export "storeThenCall") (param i32)
    (i32.store (local.get 0) (i32.const -1))
    (call $host (local.get 0))))`;

/** Counts steps, so that its endless loop can be ended. */
const LOOP = `(module
  (memory (export "memory") 1)
  (func (export "loop") (param i32)
    (loop $again
      (i32.store (local.get 0) (i32.add (i32.load (local.get 0)) (i32.const 1)))
      (br $again))))`;

/** Vectors, lanes, atomics; an imported memory and global, a start function, an exception that crosses calls. */
const WIDE = `(module
  (import "host" "memory" (memory 1 4))
  (import "host" "global" (global $given (mut i32)))
  (global $vector (mut v128) (v128.const i32x4 1 2 3 4))
  (global $ref (mut externref) (ref.null extern))
  (tag $oops (param i32))
  (func $start (i32.store (i32.const 8) (i32.const 4711)))
  (start $start)
  (func (export "vector") (param i32)
    (v128.store (local.get 0) (i8x16.splat (i32.const 255)))
    (global.set $vector (i8x16.splat (i32.const 7))))
  (func (export "lane") (param i32)
    (v128.store16_lane 3 (local.get 0) (i16x8.splat (i32.const 0x1234))))
  (func (export "sum") (result i32)
    (i32.add (i32x4.extract_lane 0 (global.get $vector)) (i32x4.extract_lane 3 (global.get $vector))))
  (func (export "atomics") (param i32)
    (i32.atomic.store (local.get 0) (i32.const 5))
    (drop (i64.atomic.rmw.add (i32.add (local.get 0) (i32.const 8)) (i64.const 6)))
    (drop (i32.atomic.rmw.cmpxchg (i32.add (local.get 0) (i32.const 16)) (i32.const 0) (i32.const 7))))
  (func (export "load64") (param i32) (result i64) (i64.load (local.get 0)))
  (func (export "give") (param i32) (global.set $given (local.get 0)))
  (func (export "hold") (param externref) (global.set $ref (local.get 0)))
  (func (export "held") (result externref) (global.get $ref))
  (func $throws (param i32) (i32.store (local.get 0) (i32.const 3)) (throw $oops (local.get 0)))
  (func (export "catches") (param i32) (result i32)
    (try (result i32)
      (do (call $throws (local.get 0)) (i32.const 0))
      (catch $oops)))
  (func (export "throws") (param i32) (call $throws (local.get 0))))`;

/** Two memories, one of 64 bits: only where an engine takes them. */
const MEMORIES = `(module
  (memory $a (export "a") 1)
  (memory $b (export "b") 1 8)
  (func (export "store") (param i32)
    (i32.store $a (local.get 0) (i32.const 1))
    (i32.store $b (local.get 0) (i32.const 2))
    (memory.copy $a $b (i32.const 128) (local.get 0) (i32.const 4)))
  (func (export "grow") (result i32) (memory.grow $b (i32.const 1)))
  (func (export "size") (result i32) (memory.size $b)))`;

const MEMORY64 = `(module
  (memory (export "memory") i64 1 8)
  (func (export "store") (param i64 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "load") (param i64) (result i32) (i32.load (local.get 0)))
  (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
  (func (export "size") (result i64) (memory.size)))`;

const FIXTURES: Record<string, Fixture> = {
  state: { text: STATE, calls: CHANGE, options: { region: 64 }, inline: { reserve: 16 * 65536 } },
  bytes: { text: STATE, options: { region: 1 }, inline: { reserve: 16 * 65536 } },
  loop: { text: LOOP, options: { steps: true } },
  wide: { text: WIDE },
  checked: { text: STATE, inline: { checkLoads: true }, layouts: ['inline'] },
  memories: { text: MEMORIES, layouts: ['separate'] },
  memory64: { text: MEMORY64, layouts: ['separate'] },
};

/** Writes every fixture; needs the rewriter. */
export async function writeFixtures(): Promise<void> {
  const { instrument, toBinary } = await import('../../rewriter/index.js');
  const { instantiateSync } = await import('../../runtime/index.js');
  const folder = fileURLToPath(new URL('../fixtures/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const plain = await toBinary(new TextEncoder().encode(fixture.text), `${name}.wat`);
    writeFileSync(join(folder, `${name}.plain.wasm`), plain);
    for (const layout of fixture.layouts ?? (['separate', 'inline'] as const)) {
      const options = { ...fixture.options, ...(layout === 'inline' && fixture.inline), layout };
      const { wasm } = instrument(plain, options);
      writeFileSync(join(folder, `${name}.${layout}.wasm`), wasm);
      if (!fixture.calls || layout !== 'inline') continue;
      const guest = instantiateSync(wasm as Uint8Array<ArrayBuffer>, { host: { call() {} } });
      for (const [call, ...args] of fixture.calls) {
        (guest.exports[call] as (...values: unknown[]) => unknown)(...args);
      }
      writeFileSync(join(folder, `${name}.document`), guest.save());
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFixtures();
