/** Writes that the kernel makes into watched memory: read(), getrandom() and the like. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import { addon, Guest, NATIVE_MECHANISMS, PAGE_BYTES, unavailable } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'belay-host-writes-'));
const file = join(folder, 'data');
writeFileSync(file, Buffer.alloc(5 * PAGE_BYTES, 0x5a));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** How many bytes of the file arrived, or the code of the error. */
function read(guest: Guest, offset: number, length: number): number | string {
  const fd = openSync(file, 'r');
  try {
    return readSync(fd, guest.bytes, offset, length, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code!;
  } finally {
    closeSync(fd);
  }
}

for (const mechanism of NATIVE_MECHANISMS) {
  const why = unavailable(mechanism);

  testUnless(
    test,
    why,
    `${mechanism}: after touch() the kernel writes, and a rollback undoes it`,
    async () => {
      const guest = await Guest.make();
      const watched = addon.attach(guest.memory.buffer, mechanism);
      watched.checkpoint();
      const before = guest.copy();
      for (let n = 0; n < 3; n++) {
        const offset = 10 * PAGE_BYTES - 3;
        watched.touch(offset, 3 * PAGE_BYTES);
        assert.is(read(guest, offset, 3 * PAGE_BYTES), 3 * PAGE_BYTES);
        const out = new Uint32Array(8);
        assert.is(watched.faulted(out), 4);
        assert.equal([...out.subarray(0, 4)], [9, 10, 11, 12]);
        assert.is(watched.stats().faults, 0);
        watched.rollback();
        assert.is(guest.differs(before), -1);
      }
      watched.detach();
    },
  );

  if (mechanism === 'uffd-async') {
    testUnless(test, why, `${mechanism}: needs no touch()`, async () => {
      const guest = await Guest.make();
      const watched = addon.attach(guest.memory.buffer, mechanism);
      watched.checkpoint();
      const before = guest.copy();
      assert.is(read(guest, 100, 4 * PAGE_BYTES), 4 * PAGE_BYTES);
      const handle = await open(file);
      const { bytesRead } = await handle.read(guest.bytes, 50 * PAGE_BYTES, PAGE_BYTES);
      await handle.close();
      assert.is(bytesRead, PAGE_BYTES);
      assert.is(watched.rollback(), 6);
      assert.is(guest.differs(before), -1);
      watched.detach();
    });
    continue;
  }

  testUnless(test, why, `${mechanism}: without touch() the kernel's write fails or falls short`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    const before = guest.copy();
    assert.is(read(guest, 0, PAGE_BYTES), 'EFAULT');
    assert.is(guest.differs(before), -1, 'nothing was written');
    guest.exports.poke(0, 1); // the first page is open now
    assert.is(read(guest, 0, 3 * PAGE_BYTES), PAGE_BYTES, 'a short read');
    watched.rollback();
    assert.is(guest.differs(before), -1);
    watched.detach();
  });
}

test.run();
