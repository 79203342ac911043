/** Compression: what one engine's library wrote the other one's reads. */
import * as wasm from '@bokuweb/zstd-wasm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadCodec } from '../../../runtime/history/codec.js';

/** Around the lengths at which a frame's header says its size in another way (RFC 8878, 3.1.1.1). */
const LENGTHS = [33, 255, 256, 257, 4096, 65_791, 65_792, 700_000];

function repeating(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * i) >> 7);
}

test('what was compressed comes back, whichever engine did either', async () => {
  const codec = await loadCodec();
  await wasm.init();
  for (const length of LENGTHS) {
    const bytes = repeating(length);
    const ways = [codec.compress(bytes), codec.compress(bytes, true), wasm.compress(bytes, 3)];
    for (const frame of ways) {
      assert.equal(Buffer.compare(codec.decompress(frame), bytes), 0, `${length} bytes`);
      assert.equal(Buffer.compare(wasm.decompress(frame), bytes), 0, `${length} bytes, by WebAssembly`);
    }
  }
});

test.run();
