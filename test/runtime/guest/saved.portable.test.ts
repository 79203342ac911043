/**
 * A state goes from one instance to another, whatever layout and engine either has: what was saved in Node, with tags and
 * pre-images in memories of their own or above the guest's, is restored here.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instantiate } from '../../../runtime/index.js';
import type { Guest } from '../../../runtime/types.js';
import { loadFixture } from '../../support/engines-fixture.js';
import { HAS_MEMORIES, testUnless } from '../../support/engines-skip.js';
import { CHANGE } from '../../support/fixtures-calls.js';

const LAYOUTS = ['inline', 'separate'] as const;
type Layout = (typeof LAYOUTS)[number];

const start = async (name: string, layout: Layout) =>
  (await instantiate(await loadFixture(name, layout), { host: { call() {} } })) as Guest;

/** Calls an export. */
const run = (guest: Guest, name: string, ...args: unknown[]): unknown =>
  (guest.exports[name] as (...values: unknown[]) => unknown)(...args);

/** All kinds of state are changed, as for the document that Node saved (support/fixtures.ts). */
function change(guest: Guest): void {
  for (const [name, ...args] of CHANGE) run(guest, name, ...args);
}

/** What a caller sees of it. */
function seen(guest: Guest): unknown[] {
  const attempt = (name: string, ...args: unknown[]) => {
    try {
      return run(guest, name, ...args);
    } catch {
      return 'trap';
    }
  };
  const { count, table } = guest.exports as { count: WebAssembly.Global; table: WebAssembly.Table };
  return [
    ...[300, 16, 3 * 65536 - 4, 65536].map((at) => attempt('load32', at)),
    ...['size', 'tableSize', 'wide', 'real', 'single'].map((name) => attempt(name)),
    ...[0, 1, 2, 3, 4, 6, 7].map((i) => attempt('callTable', i)),
    count.value,
    table.get(2) === null,
    // They end what was dropped, or trap.
    attempt('init', 63),
    attempt('tableInit', 0),
  ];
}

for (const from of LAYOUTS) {
  for (const to of LAYOUTS) {
    const why =
      (from === 'separate' || to === 'separate') && !HAS_MEMORIES && 'this engine has no multi-memory';
    testUnless(test, why, `from ${from} to ${to}`, async () => {
      const guest = await start('state', from);
      const blank = guest.save();
      change(guest);
      const document = guest.save();
      assert.equal(guest.save(), document, 'saving changes nothing');

      const other = await start('bytes', to);
      other.restore(document);
      assert.equal(other.save(), document);
      run(other, 'grow', 1);
      run(other, 'store32', 4 * 65536 - 4, 5);
      run(other, 'store32', 300, 6);
      run(other, 'setGlobals', 1, 2n, 3, 4);
      run(other, 'tableClear', 2);
      run(other, 'tableGrow', 1);
      assert.not.equal(other.save(), document);
      other.rollback();
      assert.equal(other.save(), document, 'a rollback returns to what was restored');
      assert.equal(seen(other), seen(guest));

      // Memory and table become smaller, and what they lost comes back empty.
      other.restore(blank);
      assert.equal(other.save(), blank);
      assert.is(run(other, 'grow', 2), 1);
      assert.is(run(other, 'load32', 3 * 65536 - 4), 0);
      other.rollback();
      change(other);
      assert.equal(other.save(), document, 'the same calls lead to the same state');
    });
  }
}

for (const layout of LAYOUTS) {
  const why = layout === 'separate' && !HAS_MEMORIES && 'this engine has no multi-memory';
  testUnless(test, why, `saved by Node, ${layout}`, async () => {
    const guest = await start('state', layout);
    change(guest);
    const saved = await loadFixture('state', 'document');
    assert.equal(guest.save(), saved);
    const other = await start('state', layout);
    other.restore(saved);
    assert.equal(seen(other), seen(guest));
  });
}

testUnless(test, !HAS_MEMORIES && 'this engine has no multi-memory', 'two memories', async () => {
  const [one, two] = [await start('memories', 'separate'), await start('memories', 'separate')];
  run(one, 'grow');
  run(one, 'store', 1000);
  two.restore(one.save());
  assert.is(run(two, 'size'), 2);
  assert.equal(two.save(), one.save());
});

let memory64: Guest | undefined;
try {
  if (HAS_MEMORIES) memory64 = await start('memory64', 'separate');
} catch {
  // Not here.
}
testUnless(test, !memory64 && 'this engine does not take memory64.wat', 'a 64-bit memory', async () => {
  run(memory64!, 'grow', 1n);
  run(memory64!, 'store', 100_000n, 9);
  const other = await start('memory64', 'separate');
  other.restore(memory64!.save());
  assert.is(run(other, 'load', 100_000n), 9);
  assert.is(run(other, 'size'), 2n);
});

test.run();
