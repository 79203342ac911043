/** What V8 and others make of signals is as it was before memories were watched. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import {
  addon,
  Guest,
  MISSING,
  NATIVE_MECHANISMS,
  type NativeMechanism,
  runAs,
  unavailable,
} from './support.js';

const ROLE = process.env.BELAY_ROLE;

/** A child: watches memories by everything that there is, proves that it works, and then is hit by a signal. */
async function child(signal: string): Promise<void> {
  const guest = await Guest.make();
  const other = await Guest.make();
  const [first, second] = NATIVE_MECHANISMS.filter((name) => unavailable(name) === undefined);
  for (const [one, mechanism] of [
    [guest, first],
    [other, second ?? first],
  ] as [Guest, NativeMechanism][]) {
    const watched = addon.attach(one.memory.buffer, mechanism);
    watched.checkpoint();
    one.exports.poke(0, 1);
    watched.rollback();
  }
  console.log('armed');
  process.kill(process.pid, signal);
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  console.log('survived');
}

for (const mechanism of NATIVE_MECHANISMS) {
  const why = unavailable(mechanism);

  testUnless(test, why, `${mechanism}: accesses outside of memory are RuntimeErrors`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    const before = guest.copy();
    for (let n = 0; n < 50; n++) {
      const size = guest.bytes.length;
      for (const address of [size, size + 1, size + 4096 * n, 0x7fffffff, -1]) {
        assert.throws(
          () => guest.exports.poke(address, 1),
          (error: Error) => error instanceof WebAssembly.RuntimeError && /out of bounds/.test(error.message),
        );
        assert.throws(
          () => guest.exports.peek(address),
          (error: Error) => error instanceof WebAssembly.RuntimeError,
        );
      }
      guest.exports.poke(n * 5000, 1);
      assert.throws(
        () => guest.exports.fill(size - 10, 1, 11),
        (error: Error) => error instanceof WebAssembly.RuntimeError,
      );
    }
    watched.rollback();
    assert.is(guest.differs(before), -1);
    watched.detach();
    assert.throws(
      () => guest.exports.poke(-1, 1),
      (error: Error) => error instanceof WebAssembly.RuntimeError,
    );
  });

  testUnless(test, why, `${mechanism}: running out of stack is a RangeError`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    for (let n = 0; n < 3; n++) {
      assert.throws(
        () => guest.exports.deep(),
        (error: Error) => error instanceof RangeError,
      );
      guest.exports.poke(n * 5000, 1);
    }
    assert.is(watched.rollback(), 3);
    watched.detach();
  });
}

for (const signal of ['SIGSEGV', 'SIGBUS']) {
  testUnless(test, MISSING, `${signal} that someone sends still ends the process`, () => {
    const result = runAs(signal, import.meta.url);
    assert.match(result.output, /armed/);
    assert.not.match(result.output, /survived/);
    assert.is(result.signal, signal, result.output);
  });
}

if (ROLE) await child(ROLE);
else test.run();
