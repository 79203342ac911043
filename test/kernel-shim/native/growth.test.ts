/** memory.grow while a memory is watched: V8 makes all of it writable, and may move it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { WatchedMemory } from '../../../runtime/mechanisms/addon.js';
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

const WASM_PAGE = 65536;

/** Two ways to grow. */
const WAYS: [name: string, grow: (guest: Guest, pages: number) => void][] = [
  ['by Wasm', (guest, pages) => assert.is.not(guest.exports.grow(pages), -1)],
  ['by JavaScript', (guest, pages) => void guest.memory.grow(pages)],
];

function growthIsExact(guest: Guest, watched: WatchedMemory, grow: (pages: number) => void): void {
  watched.checkpoint(...(watched.stats().copiedAhead === 0 ? [] : [Uint32Array.of(1, 5)]));
  const before = guest.copy();
  guest.exports.dirty(0, 3, 20); // in mid-epoch
  grow(4);
  watched.resized(guest.memory.buffer);
  guest.exports.dirty(1, 3, 20); // old pages that were protected
  const first = before.length / PAGE_BYTES;
  guest.exports.dirty(first, 1, 10); // new pages
  guest.exports.dirty(first + 63, 1, 1);
  const count = watched.faulted(new Uint32Array(0));
  assert.is(count, 20 + 20 + 11);
  assert.ok(watched.changed(first));
  watched.rollback();
  assert.is(guest.differs(before), -1);
  // And the epoch after it.
  guest.exports.dirty(first, 2, 10);
  watched.checkpoint();
  const next = guest.copy();
  guest.exports.dirty(0, 1, next.length / PAGE_BYTES);
  watched.rollback();
  assert.is(guest.differs(next), -1);
}

for (const mechanism of NATIVE_MECHANISMS) {
  const why = unavailable(mechanism);

  for (const [name, grow] of WAYS) {
    testUnless(test, why, `${mechanism}: growth ${name}`, async () => {
      const guest = await Guest.make();
      const watched = addon.attach(guest.memory.buffer, mechanism);
      for (let n = 0; n < 4; n++) growthIsExact(guest, watched, (pages) => grow(guest, pages));
      watched.detach();
      guest.exports.fill(0, 1, guest.bytes.length);
    });
  }

  testUnless(test, why, `${mechanism}: several growths are told at once, and growth by nothing`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    growthIsExact(guest, watched, (pages) => {
      guest.exports.grow(pages - 1);
      guest.memory.grow(0);
      guest.memory.grow(1);
    });
    const before = guest.copy();
    watched.checkpoint();
    guest.memory.grow(0);
    watched.resized(guest.memory.buffer);
    guest.exports.poke(9, 9);
    watched.rollback();
    assert.is(guest.differs(before), -1);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: growth before the first checkpoint`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    guest.memory.grow(3);
    watched.resized(guest.memory.buffer);
    guest.exports.poke(guest.bytes.length - 1, 3);
    assert.is(watched.stats().pagesSaved, 0);
    watched.checkpoint();
    const before = guest.copy();
    guest.exports.poke(guest.bytes.length - 1, 4);
    watched.rollback();
    assert.is(guest.differs(before), -1);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: new pages written before resized() go back to zeros`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    const before = guest.copy();
    guest.exports.growThenPoke(2, before.length + 5000, 9);
    watched.resized(guest.memory.buffer);
    const page = Math.floor((before.length + 5000) / PAGE_BYTES);
    assert.ok(watched.changed(page));
    const out = new Uint32Array(4);
    assert.is(watched.faulted(out), 1);
    assert.is(out[0], page);
    watched.rollback();
    assert.is(guest.differs(before), -1);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: an old page written between growth and resized()`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    const before = guest.copy();
    guest.exports.growThenPoke(2, 5000, 9);
    watched.resized(guest.memory.buffer);
    watched.rollback();
    // The limit that the README names: V8 made the page writable, so mprotect did not see the store.
    assert.is(guest.differs(before), mechanism === 'mprotect' ? 5000 : -1);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: a growth that was not told is an error`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    guest.memory.grow(1);
    const calls: (() => void)[] = [
      () => watched.checkpoint(),
      () => watched.rollback(),
      () => watched.touch(0, 1),
      () => watched.changed(0),
      () => watched.faulted(new Uint32Array(1)),
    ];
    for (const call of calls) assert.throws(call, /call resized\(memory\.buffer\) first/);
    watched.resized(guest.memory.buffer);
    for (const call of calls) call();
    guest.memory.grow(1);
    watched.detach();
    guest.exports.fill(0, 1, guest.bytes.length);
  });

  testUnless(
    test,
    why,
    `${mechanism}: the new buffer is attached, and the old handle is no more`,
    async () => {
      for (const next of NATIVE_MECHANISMS.filter((name) => unavailable(name) === undefined)) {
        const guest = await Guest.make();
        const old = addon.attach(guest.memory.buffer, mechanism);
        old.checkpoint();
        guest.exports.dirty(0, 2, 20);
        guest.memory.grow(1);
        const watched = addon.attach(guest.memory.buffer, next);
        assert.throws(() => old.rollback(), /watched through another handle now/);
        assert.throws(() => old.resized(guest.memory.buffer), /watched through another handle now/);
        watched.checkpoint();
        const before = guest.copy();
        guest.exports.dirty(0, 1, 40);
        old.detach(); // must not open what the new one protects
        guest.exports.dirty(40, 1, 40);
        watched.rollback();
        assert.is(guest.differs(before), -1, next);
        watched.detach();
      }
    },
  );

  testUnless(test, why, `${mechanism}: growth among many scattered pages`, async () => {
    const guest = await Guest.make(64, 128);
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    const before = guest.copy();
    guest.exports.dirty(0, 2, 512);
    guest.exports.grow(64);
    watched.resized(guest.memory.buffer);
    guest.exports.dirty(1, 2, 1000);
    watched.rollback();
    assert.is(guest.differs(before), -1);
    watched.detach();
  });

  testUnless(test, why ?? whyNoMemory64(), `${mechanism}: a memory with 64-bit addresses`, () => {
    const memory = memory64(16, 512);
    const watched = addon.attach(memory.buffer, mechanism);
    new Uint8Array(memory.buffer).fill(3);
    watched.checkpoint();
    const before = Buffer.from(memory.buffer.slice(0));
    for (let n = 0; n < 4; n++) {
      const bytes = new Uint8Array(memory.buffer);
      for (let page = n; page < 256; page += 5) bytes[page * PAGE_BYTES] = 9;
      grow64(memory, 100);
      watched.resized(memory.buffer);
      const grown = new Uint8Array(memory.buffer);
      for (let page = n + 1; page < 600; page += 7) grown[page * PAGE_BYTES + 1] = 8;
      watched.rollback();
      const now = Buffer.from(memory.buffer);
      assert.ok(now.subarray(0, before.length).equals(before), `growth ${n}`);
      assert.ok(now.subarray(before.length).equals(Buffer.alloc(now.length - before.length)), `growth ${n}`);
    }
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: a memory that moves when it grows`, () => {
    // Without guard regions and short of address space V8 reserves little, so it has to move.
    const { status, output } = runAs(mechanism, import.meta.url, {
      under: ['sh', '-c', 'ulimit -v 3000000 && exec "$@"', 'sh'],
      flags: ['--disable-wasm-trap-handler', '--max-old-space-size=100'],
    });
    assert.is(status, 0, output);
    assert.match(output, /exact/);
  });
}

/** A child whose memory moves. */
function move(mechanism: NativeMechanism): void {
  // The first ones take the address space; what is left is too little for more than a small reserve.
  const [memory] = Array.from(
    { length: 4 },
    () => new WebAssembly.Memory({ initial: 16, maximum: 65536 }),
  ).reverse() as [WebAssembly.Memory];
  const watched = addon.attach(memory.buffer, mechanism);
  const oldPages = (16 * WASM_PAGE) / PAGE_BYTES;
  new Uint8Array(memory.buffer).fill(3);
  watched.checkpoint();
  let bytes = new Uint8Array(memory.buffer);
  for (let page = 0; page < oldPages; page += 5) bytes[page * PAGE_BYTES] = 9;
  memory.grow(4096);
  watched.resized(memory.buffer);
  // Nothing is known of its pages then, so it shows.
  if (mechanism === 'uffd-async') assert.is(watched.faulted(new Uint32Array(0)), oldPages, 'it did not move');
  bytes = new Uint8Array(memory.buffer);
  for (let round = 0; round < 3; round++) {
    for (let page = round; page < 2 * oldPages; page += 7) bytes[page * PAGE_BYTES + 1] = 8;
    watched.rollback();
    assert.ok(bytes.subarray(0, 16 * WASM_PAGE).every((byte) => byte === 3));
    assert.ok(bytes.subarray(16 * WASM_PAGE, 64 * WASM_PAGE).every((byte) => byte === 0));
    watched.checkpoint();
  }
  watched.detach();
  console.log('exact');
}

function memory64(initial: number, maximum: number): WebAssembly.Memory {
  const descriptor = { initial: BigInt(initial), maximum: BigInt(maximum), address: 'i64' };
  return new WebAssembly.Memory(descriptor as unknown as WebAssembly.MemoryDescriptor);
}

function grow64(memory: WebAssembly.Memory, pages: number): void {
  (memory.grow as unknown as (pages: bigint) => bigint).call(memory, BigInt(pages));
}

function whyNoMemory64(): string | undefined {
  try {
    const memory = memory64(1, 2);
    grow64(memory, 1);
    return memory.buffer.byteLength === 2 * WASM_PAGE ? undefined : 'this engine has no memory64';
  } catch {
    return 'this engine has no memory64';
  }
}

const role = process.env.BELAY_ROLE;
if (role) move(role as NativeMechanism);
else test.run();
