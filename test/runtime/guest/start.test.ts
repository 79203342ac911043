/** Host code that runs while the start function does cannot reach the guest's memory yet, and is told so. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument, toBinary } from '../../../rewriter/index.js';
import { instantiate } from '../../../runtime/index.js';
import type { Guest } from '../../../runtime/types.js';

const TEXT = `(module
  (import "host" "f" (func $f))
  (memory (export "memory") 1)
  (start $f))`;

for (const [name, use] of Object.entries<(guest: Guest) => unknown>({
  write: (guest) => guest.write(0, new Uint8Array(1)),
  memory: (guest) => guest.memory,
  stats: (guest) => guest.stats(),
})) {
  test(`${name} during the start function`, async () => {
    const { wasm } = instrument(await toBinary(new TextEncoder().encode(TEXT)));
    let code = '';
    await instantiate(wasm, (guest) => ({
      host: {
        f: () => {
          try {
            use(guest);
          } catch (error) {
            code = (error as { code: string }).code;
          }
        },
      },
    }));
    assert.is(code, 'ERR_BELAY_RUNNING');
  });
}

test.run();
