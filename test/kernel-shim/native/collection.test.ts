/** Memories and handles that nobody holds any more: collected, without touching what lies there by then. */
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import {
  addon,
  Guest,
  NATIVE_MECHANISMS,
  type NativeMechanism,
  PAGE_BYTES,
  runAs,
  unavailable,
} from './support.js';

const MEMORIES = 200;
const WASM_PAGES = 256; // 16 MiB
const GIB = 2 ** 30;

function size(name: 'VmSize' | 'VmRSS'): number {
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}

const gc = () => (globalThis as unknown as { gc(): void }).gc();

/** Two collections, and room for the finalizers in between. */
async function collect(): Promise<void> {
  for (let n = 0; n < 2; n++) {
    gc();
    await setImmediate();
    await setImmediate();
  }
}

/** A child with --expose-gc. */
async function child(mechanism: NativeMechanism): Promise<void> {
  const module = await Guest.module(WASM_PAGES, WASM_PAGES);
  const use = (n: number) => {
    const guest = Guest.of(module);
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    guest.exports.dirty(n, 7, 300);
    watched.rollback();
    for (const page of [n, n + 7]) {
      assert.is(guest.exports.peek(page * PAGE_BYTES), (page + 1) & 255, `memory ${n}, page ${page}`);
    }
    guest.exports.dirty(n, 5, 20);
    // An access beyond memory that an older record may cover.
    assert.throws(
      () => guest.exports.poke(WASM_PAGES * 65536 + 100, 1),
      (error: Error) => error instanceof WebAssembly.RuntimeError,
    );
    if (n % 3 === 0) watched.detach();
    return n % 5 === 0 ? new WeakRef(watched) : undefined;
  };
  // A memory of another size where one was: it must trap at its own end.
  const small = await Guest.module(16, 16);
  const refs: WeakRef<object>[] = [];
  for (let n = 0; n < MEMORIES; n++) {
    const ref = use(n);
    if (ref) refs.push(ref);
    // V8 frees a memory in one collection, and its handle's finalizer may run later: use both moments.
    if (n % 4 === 0) gc();
    if (n % 8 === 0) await collect();
    if (n % 4 === 1) {
      const guest = Guest.of(small);
      for (const address of [16 * 65536, 100 * 65536, 255 * 65536]) {
        assert.throws(
          () => guest.exports.poke(address, 1),
          (error: Error) => error instanceof WebAssembly.RuntimeError,
        );
      }
    }
  }
  await collect();
  assert.is(refs.filter((ref) => ref.deref() !== undefined).length, 0, 'handles are still alive');
  assert.ok(size('VmRSS') < GIB, `${size('VmRSS')} bytes in use`);
  // Each V8 memory reserves 8 to 10 GiB, so this says that nearly all of them are gone.
  assert.ok(size('VmSize') < 200 * GIB, `${size('VmSize')} bytes of address space`);

  // Held by the memory alone, a handle goes on watching.
  const guest = Guest.of(module);
  const ref = (() => {
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    return new WeakRef(watched);
  })();
  await collect();
  guest.exports.poke(0, 200);
  assert.is(ref.deref()?.rollback(), 1, 'the handle died before its memory');
  assert.is(guest.exports.peek(0), 1);

  // Held by the handle alone, a memory's bytes stay.
  const watched = (() => {
    const other = Guest.of(module);
    const handle = addon.attach(other.memory.buffer, mechanism);
    handle.checkpoint();
    other.exports.poke(5, 5);
    return handle;
  })();
  await collect();
  assert.is(watched.rollback(), 1);
  console.log('collected');
}

for (const mechanism of NATIVE_MECHANISMS) {
  testUnless(test, unavailable(mechanism), `${mechanism}: 200 memories of 16 MiB`, () => {
    const { status, signal, output } = runAs(mechanism, import.meta.url, { flags: ['--expose-gc'] });
    assert.is(signal, null, output);
    assert.is(status, 0, output);
    assert.match(output, /collected/);
  });
}

const role = process.env.BELAY_ROLE;
if (role) await child(role as NativeMechanism);
else test.run();
