/** Guarantees that docs/architecture.md makes and no other test file is named after. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PAGE } from '../../contract/contract.js';
import { instrument, toBinary } from '../../rewriter/index.js';
import { inlineGeometry, separateGeometry, supportBytes } from '../../rewriter/layout.js';
import { engineHasMultiMemory } from '../../rewriter/options.js';
import { instantiate } from '../../runtime/index.js';

const test = suite('guarantees');
const LAYOUTS = engineHasMultiMemory() ? (['separate', 'inline'] as const) : (['inline'] as const);

/** A guest of `pages`, and a function that writes one byte into each `stride` bytes of it. */
async function writer(pages: number, layout: 'separate' | 'inline', region: number) {
  const text = `(module (memory (export "memory") ${pages} ${pages})
    (func (export "write") (param $stride i32) (local $p i32)
      (loop $next
        (i32.store8 (local.get $p) (i32.const 7))
        (local.set $p (i32.add (local.get $p) (local.get $stride)))
        (br_if $next (i32.lt_u (local.get $p) (i32.shl (memory.size) (i32.const 16)))))))`;
  const { wasm } = instrument(await toBinary(new TextEncoder().encode(text)), { layout, region });
  return instantiate<{ memory: WebAssembly.Memory; write: (stride: number) => void }>(wasm);
}

test('support memory: guest memory, a byte a region, 16 bytes a block, and a constant', () => {
  for (const region of [1, 4, 16, 64, 256, 4096]) {
    for (const bytes of [0, PAGE, 7 * PAGE, 2 ** 24, 2 ** 30]) {
      const g = separateGeometry(region, false);
      const block = Math.max(64 * region, 1024);
      const { tags, shadow } = supportBytes(g, bytes);
      assert.ok(tags <= Math.ceil(bytes / block) * (block / region) + 64);
      assert.ok(shadow <= bytes + (Math.ceil(bytes / block) + 1) * 16 + 64);
      if (bytes === 0 || bytes > 2 ** 24) continue;
      const { totalPages } = inlineGeometry(region, bytes / PAGE);
      assert.ok(totalPages * PAGE <= bytes + tags + shadow + 256 + PAGE);
    }
  }
});

for (const layout of LAYOUTS) {
  test(`${layout}: whatever an epoch writes, support memory stays as it is`, async () => {
    for (const region of [1, 64, 4096]) {
      const guest = await writer(16, layout, region);
      const before = guest.stats().supportBytes;
      const { tags, shadow } = supportBytes(separateGeometry(region, false), 16 * PAGE);
      assert.ok(before <= tags + shadow + 3 * PAGE, `${before} bytes for regions of ${region}`);
      for (let epoch = 0; epoch < 3; epoch++) {
        guest.checkpoint();
        guest.exports.write(1);
        guest.exports.write(1);
        assert.is(guest.stats().supportBytes, before);
        guest.rollback();
      }
    }
  });

  test(`${layout}: a checkpoint does not depend on the size of memory`, async () => {
    const small = await writer(16, layout, 64);
    const large = await writer(16 * 256, layout, 64);
    const time = (guest: typeof small) => {
      const begin = performance.now();
      for (let i = 0; i < 2000; i++) {
        guest.exports.write(guest.exports.memory.buffer.byteLength);
        guest.checkpoint();
      }
      return performance.now() - begin;
    };
    for (let i = 0; i < 3; i++) [time(small), time(large)];
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 7; i++) {
      const reference = time(small);
      best = Math.min(best, time(large) / reference);
    }
    // What grew with memory would take 256 times as long.
    assert.ok(best < 8, `${best.toFixed(1)} times as long with 256 times the memory`);
  });
}

test.run();
