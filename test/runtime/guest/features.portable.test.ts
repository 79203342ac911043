/** Newer parts of WebAssembly, and the host's part in the state, in every engine that has them. */
import { suite, test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { instantiate, readContract, UntrackedWriteError } from '../../../runtime/index.js';
import { loadFixture } from '../../support/engines-fixture.js';
import { HAS_MEMORIES, testUnless } from '../../support/engines-skip.js';

/** Why this engine cannot run a fixture, if it cannot: it does not even take the original. */
async function missing(name: string): Promise<string | false> {
  return !WebAssembly.validate(await loadFixture(name, 'plain')) && `this engine does not take ${name}.wat`;
}

interface Wide extends WebAssembly.Exports {
  vector(address: number): void;
  lane(address: number): void;
  sum(): number;
  atomics(address: number): void;
  load64(address: number): bigint;
  give(value: number): void;
  hold(value: unknown): void;
  held(): unknown;
  catches(address: number): number;
  throws(address: number): void;
}

for (const layout of ['separate', 'inline'] as const) {
  const wide = suite(`wide, ${layout}`);
  const why =
    (await missing('wide')) || (layout === 'separate' && !HAS_MEMORIES && 'this engine has no multi-memory');

  const start = async () => {
    const module = await WebAssembly.compile(await loadFixture('wide', layout));
    const { total } = readContract(module).memories[0]!;
    const memory = new WebAssembly.Memory({ initial: total ?? 1, maximum: total ?? 4 });
    const global = new WebAssembly.Global({ value: 'i32', mutable: true }, 1);
    const guest = await instantiate(module, { host: { memory, global } });
    return {
      guest,
      global,
      e: guest.exports as Wide,
      bytes: () => new Uint8Array(guest.memory.buffer, 0, 65536),
    };
  };
  const check = (title: string, run: () => Promise<void>) =>
    testUnless(wide, why, `${title}, ${layout}`, run);

  check('the start function runs before the first checkpoint', async () => {
    const { guest, e } = await start();
    guest.checkpoint();
    guest.rollback();
    assert.is(e.load64(8), 4711n);
  });
  check('vectors and lanes', async () => {
    const { guest, e, bytes } = await start();
    guest.checkpoint();
    const before = bytes().slice();
    e.vector(121);
    e.lane(255);
    assert.is(e.load64(121), -1n);
    assert.is(e.load64(255), 0x1234n);
    assert.is(e.sum(), 2 * 0x07070707);
    guest.rollback();
    assert.equal(bytes(), before);
    assert.is(e.sum(), 5);
  });
  check('atomics on memory that is not shared', async () => {
    const { guest, e, bytes } = await start();
    guest.checkpoint();
    const before = bytes().slice();
    e.atomics(1024);
    assert.equal([e.load64(1024), e.load64(1032), e.load64(1040)], [5n, 6n, 7n]);
    guest.rollback();
    assert.equal(bytes(), before);
  });
  check('an imported global', async () => {
    const { guest, e, global } = await start();
    guest.checkpoint();
    e.give(2);
    assert.is(global.value, 2);
    guest.rollback();
    assert.is(global.value, 1);
  });
  check('a global that holds a reference', async () => {
    const { guest, e } = await start();
    const kept = { kept: true };
    e.hold(kept);
    guest.checkpoint();
    e.hold('other');
    guest.rollback();
    assert.is(e.held(), kept);
  });
  check('exceptions, caught inside and out', async () => {
    const { guest, e } = await start();
    guest.checkpoint();
    assert.is(e.catches(64), 64);
    assert.is(e.load64(64), 3n);
    guest.rollback();
    assert.is(e.load64(64), 0n);
    assert.throws(() => guest.attempt(() => e.throws(64)));
    assert.is(e.load64(64), 0n);
  });
  check('memory.grow by the host', async () => {
    const { guest } = await start();
    guest.checkpoint();
    assert.is(guest.memory.grow(1), 1);
    assert.is(guest.stats().memoryBytes, 2 * 65536);
    guest.rollback();
    assert.is(guest.stats().memoryBytes, 65536);
  });
  check('an audit names what was not announced, and undoes it', async () => {
    const module = await WebAssembly.compile(await loadFixture('wide', layout));
    const { total } = readContract(module).memories[0]!;
    const memory = new WebAssembly.Memory({ initial: total ?? 1, maximum: total ?? 4 });
    const global = new WebAssembly.Global({ value: 'i32', mutable: true }, 1);
    const guest = await instantiate(module, { host: { memory, global } }, { audit: true });
    guest.checkpoint();
    guest.write(100, new Uint8Array([1]));
    guest.rollback();
    new Uint8Array(memory.buffer)[5000] = 9;
    try {
      guest.rollback();
      assert.unreachable('the audit must notice');
    } catch (error) {
      assert.instance(error, UntrackedWriteError);
      assert.is((error as BelayError).code, 'ERR_BELAY_UNTRACKED_WRITE');
      assert.equal((error as UntrackedWriteError).ranges, [{ memory: 0, from: 5000, to: 5001 }]);
    }
    assert.is(new Uint8Array(memory.buffer)[5000], 0);
  });
  check('host state goes back with the guest', async () => {
    const { guest } = await start();
    let pending = 'a';
    let saved = '';
    guest.join({
      checkpoint() {
        saved = pending;
      },
      rollback() {
        pending = saved;
      },
    });
    guest.checkpoint();
    pending = 'b';
    guest.rollback();
    assert.is(pending, 'a');
  });
  wide.run();
}

test('loads beyond the size that a rollback restored trap with checkLoads', async () => {
  const guest = await instantiate(await loadFixture('checked', 'inline'), { host: { call() {} } });
  const e = guest.exports as { grow(n: number): number; load32(a: number): number };
  guest.checkpoint();
  e.grow(1);
  assert.is(e.load32(65536), 0);
  guest.rollback();
  assert.throws(() => e.load32(65536), WebAssembly.RuntimeError);
  assert.throws(() => e.load32(65533), WebAssembly.RuntimeError);
  assert.is(e.load32(65532), 0);
});

testUnless(test, await missing('memories'), 'two memories', async () => {
  const guest = await instantiate(await loadFixture('memories', 'separate'));
  const e = guest.exports as {
    a: WebAssembly.Memory;
    b: WebAssembly.Memory;
    store(address: number): void;
    grow(): number;
    size(): number;
  };
  guest.checkpoint();
  e.store(64);
  assert.is(new Uint32Array(e.a.buffer)[32], 2);
  assert.is(e.grow(), 1);
  guest.write(200, new Uint8Array([1]), 1);
  guest.rollback();
  assert.is(e.size(), 1);
  for (const memory of [e.a, e.b]) {
    assert.ok(new Uint8Array(memory.buffer).every((byte) => byte === 0));
  }
});

testUnless(test, await missing('memory64'), 'a 64-bit memory', async () => {
  const guest = await instantiate(await loadFixture('memory64', 'separate'));
  const e = guest.exports as {
    store(address: bigint, value: number): void;
    load(address: bigint): number;
    grow(pages: bigint): bigint;
    size(): bigint;
  };
  guest.checkpoint();
  e.store(1000n, 7);
  guest.write(2000n, new Uint8Array([1]));
  guest.write(3000, new Uint8Array([1]));
  assert.is(e.grow(1n), 1n);
  e.store(65536n + 8n, 7);
  assert.throws(() => e.store(2n ** 40n, 7), WebAssembly.RuntimeError);
  guest.rollback();
  assert.is(e.size(), 1n);
  assert.equal([e.load(1000n), e.load(2000n), e.load(3000n)], [0, 0, 0]);
  assert.throws(() => e.store(65536n, 7), WebAssembly.RuntimeError);
});

test.run();
