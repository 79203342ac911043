/** More scattered pages than the kernel allows mappings (vm.max_map_count). */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import { addon, Guest, NATIVE_MECHANISMS, PAGE_BYTES, unavailable } from './support.js';

const WASM_PAGES = 8192; // 512 MiB
const PAGES = (WASM_PAGES * 65536) / PAGE_BYTES;
const mappings = Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8'));
const tooMany = mappings > PAGES - 1000 && `vm.max_map_count is ${mappings}: the kernel would take them all`;

for (const mechanism of NATIVE_MECHANISMS) {
  testUnless(
    test,
    unavailable(mechanism) ?? tooMany,
    `${mechanism}: every second page of 512 MiB`,
    async () => {
      const guest = await Guest.make(WASM_PAGES, WASM_PAGES);
      const watched = addon.attach(guest.memory.buffer, mechanism);
      watched.checkpoint();
      guest.exports.dirty(0, 2, PAGES / 2);
      const { openedWhole } = watched.stats();
      assert.is(openedWhole, mechanism === 'mprotect' ? 1 : 0);
      assert.is(watched.rollback(), openedWhole ? PAGES : PAGES / 2);
      const bytes = guest.bytes;
      let wrong = 0;
      for (let page = 0; page < PAGES; page++) if (bytes[page * PAGE_BYTES] !== ((page + 1) & 255)) wrong++;
      assert.is(wrong, 0);
      // The next epoch watches again.
      watched.checkpoint();
      guest.exports.poke(7 * PAGE_BYTES, 1);
      assert.is(watched.faulted(new Uint32Array(1)), 1);
      assert.is(watched.rollback(), 1);
      assert.is(guest.exports.peek(7 * PAGE_BYTES), 8);
      if (mechanism !== 'uffd-async') {
        // As many pages ahead, which cannot all be opened.
        const ahead = Uint32Array.from({ length: PAGES / 2 }, (_, n) => 2 * n);
        watched.checkpoint(ahead);
        guest.exports.dirty(0, 2, PAGES / 2);
        guest.exports.dirty(1, 2, 100);
        watched.rollback();
        for (let page = 0; page < PAGES; page++) if (bytes[page * PAGE_BYTES] !== ((page + 1) & 255)) wrong++;
        assert.is(wrong, 0);
      }
      watched.detach();
    },
  );
}

test.run();
