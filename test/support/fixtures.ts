/**
 * Modules for tests that run where the rewriter does not: each written as text here, translated and
 * instrumented on Node, and kept as dist/test/fixtures/NAME.{plain,separate,inline}.wasm.
 *
 *     node dist/test/support/fixtures.js
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { InstrumentOptions } from '../../rewriter/types.js';

interface Fixture {
  text: string;
  options?: InstrumentOptions;
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

const FIXTURES: Record<string, Fixture> = {
  state: { text: STATE, options: { region: 64, reserve: 16 * 65536 } },
  bytes: { text: STATE, options: { region: 1, reserve: 16 * 65536 } },
  loop: { text: LOOP, options: { steps: true } },
};

/** Writes every fixture; needs the rewriter. */
export async function writeFixtures(): Promise<void> {
  const { instrument, toBinary } = await import('../../rewriter/index.js');
  const folder = fileURLToPath(new URL('../fixtures/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  for (const [name, { text, options }] of Object.entries(FIXTURES)) {
    const plain = await toBinary(new TextEncoder().encode(text), `${name}.wat`);
    writeFileSync(join(folder, `${name}.plain.wasm`), plain);
    for (const layout of ['separate', 'inline'] as const) {
      const { reserve, ...rest } = options ?? {};
      const given = { ...rest, layout, ...(layout === 'inline' && reserve !== undefined && { reserve }) };
      writeFileSync(join(folder, `${name}.${layout}.wasm`), instrument(plain, given).wasm);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFixtures();
