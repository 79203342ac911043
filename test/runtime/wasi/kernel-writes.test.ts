/**
 * What the kernel writes into guest memory for WASI (files that are read, random bytes, the time) arrives whole, and is
 * undone, under every mechanism: protected pages are opened before.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument, toBinary } from '../../../rewriter/index.js';
import { instantiate } from '../../../runtime/node.js';
import { createNodeWasi } from '../../../runtime/wasi/index.js';
import { testUnless } from '../../support/engines-skip.js';
import { mechanismVariants } from '../../support/mechanisms.js';

const isNode = !process.versions.bun && !('Deno' in globalThis);
const WASI = '"wasi_snapshot_preview1"';
const TEXT = `(module
  (import ${WASI} "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import ${WASI} "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import ${WASI} "random_get" (func $random (param i32 i32) (result i32)))
  (import ${WASI} "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 4) (data (i32.const 16) "data.bin")
  (func (export "open") (result i32)
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 8) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
    (i32.load (i32.const 32)))
  (func (export "read") (param $fd i32) (param $to i32) (param $n i32) (result i32)
    (i32.store (i32.const 40) (local.get $to)) (i32.store (i32.const 44) (local.get $n))
    (if (call $read (local.get $fd) (i32.const 40) (i32.const 1) (i32.const 48)) (then (return (i32.const -1))))
    (i32.load (i32.const 48)))
  (func (export "random") (param i32 i32) (result i32) (call $random (local.get 0) (local.get 1)))
  (func (export "clock") (param i32) (result i32) (call $clock (i32.const 0) (i64.const 1) (local.get 0))))`;

interface Reader extends WebAssembly.Exports {
  open(): number;
  read(fd: number, to: number, n: number): number;
  random(to: number, n: number): number;
  clock(to: number): number;
}

for (const { name, mechanism, instrument: options, why } of mechanismVariants()) {
  testUnless(
    test,
    isNode ? why : 'only Node has real files for WASI',
    `${name}: files, random bytes, the time`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'belay-kernel-'));
      try {
        writeFileSync(join(folder, 'data.bin'), new Uint8Array(20_000).fill(0x5a));
        const { wasm } = instrument(await toBinary(new TextEncoder().encode(TEXT)), options);
        const wasi = await createNodeWasi({ preopens: { '/': folder } });
        const guest = await instantiate<Reader>(wasm as BufferSource, (g) => wasi.imports(g), { mechanism });
        const { exports } = guest;
        const memory = () => new Uint8Array(guest.memory.buffer);
        const fd = exports.open();
        guest.checkpoint();
        const before = memory().slice(0, 4 * 65536);
        assert.is(exports.read(fd, 5000, 16_000), 16_000);
        assert.ok(
          memory()
            .subarray(5000, 21_000)
            .every((byte) => byte === 0x5a),
          'all of it arrived',
        );
        assert.is(exports.random(40_000, 9000), 0);
        assert.ok(
          memory()
            .subarray(40_000, 49_000)
            .some((byte) => byte !== 0),
          'random bytes arrived',
        );
        assert.is(exports.clock(60_000), 0);
        assert.ok(
          memory()
            .subarray(60_000, 60_008)
            .some((byte) => byte !== 0),
          'the time arrived',
        );
        guest.rollback();
        assert.ok(Buffer.from(before).equals(memory().subarray(0, 4 * 65536)), 'all of it is undone');
        guest[Symbol.dispose]();
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
}

test.run();
