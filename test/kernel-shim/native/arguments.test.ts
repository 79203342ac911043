/** Wrong arguments are errors that say what is wrong; nothing crashes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import { addon, Guest, MISSING, NATIVE_MECHANISMS, unavailable } from './support.js';

type Loose = Record<string, (...args: unknown[]) => unknown>;

function fails(call: () => unknown, type: new (message?: string) => Error, message: RegExp): void {
  assert.throws(call, (error: Error) => {
    assert.instance(error, type);
    assert.match(error.message, message);
    return true;
  });
}

testUnless(test, MISSING, 'attach() and unavailable()', async () => {
  const loose = addon as unknown as Loose;
  const guest = await Guest.make();
  for (const value of [undefined, null, 5, {}, guest.bytes, guest.memory, new SharedArrayBuffer(65536)]) {
    fails(() => loose.attach!(value, 'mprotect'), TypeError, /ArrayBuffer of a WebAssembly\.Memory/);
  }
  fails(() => loose.attach!(), TypeError, /ArrayBuffer/);
  fails(() => loose.attach!(new ArrayBuffer(0), 'mprotect'), RangeError, /no bytes/);
  fails(() => loose.attach!(new ArrayBuffer(5000), 'mprotect'), RangeError, /whole pages/);
  for (const value of [undefined, 'none', 'MPROTECT', 'mprotect-and-more-of-it', 7, {}]) {
    fails(() => loose.attach!(guest.memory.buffer, value), TypeError, /'mprotect', 'uffd' or 'uffd-async'/);
    fails(() => loose.unavailable!(value), TypeError, /'mprotect', 'uffd' or 'uffd-async'/);
  }
  const { buffer } = guest.memory;
  guest.memory.grow(1);
  fails(() => loose.attach!(buffer, 'mprotect'), RangeError, /detached because its memory has grown/);
});

for (const mechanism of NATIVE_MECHANISMS) {
  testUnless(test, unavailable(mechanism), `${mechanism}: methods`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    const loose = watched as unknown as Loose;
    const pages = guest.bytes.length / 4096;
    for (const ahead of [5, null, [1], new Uint8Array(4), new Int32Array(4), 'x']) {
      fails(() => loose.checkpoint!(ahead), TypeError, /Uint32Array/);
    }
    for (const count of [-1, 3, 0.5, Number.NaN, '1', null]) {
      fails(() => loose.checkpoint!(new Uint32Array(2), count), RangeError, /count/);
    }
    fails(() => loose.checkpoint!(undefined, 1), RangeError, /count/);
    if (mechanism === 'uffd-async') {
      fails(() => watched.checkpoint(new Uint32Array(2)), TypeError, /takes no pages ahead/);
      watched.checkpoint(new Uint32Array(2), 0);
    } else {
      fails(() => watched.checkpoint(Uint32Array.of(0, pages)), RangeError, /beyond the memory's 256 pages/);
    }
    watched.checkpoint(undefined, undefined);
    for (const args of [[], [0], [-1, 1], [0, -1], [0.5, 1], ['0', 1], [0, Number.POSITIVE_INFINITY]]) {
      fails(() => loose.touch!(...args), TypeError, /whole numbers of bytes/);
    }
    const size = guest.bytes.length;
    for (const [offset, length] of [
      [size + 1, 0],
      [size, 1],
      [0, size + 1],
      [1, Number.MAX_SAFE_INTEGER],
    ] as const) {
      fails(() => watched.touch(offset, length), RangeError, /beyond the memory's/);
    }
    watched.touch(size, 0);
    watched.touch(0, size);
    for (const out of [undefined, null, 3, [], new Uint8Array(3)]) {
      fails(() => loose.faulted!(out), TypeError, /Uint32Array/);
      fails(() => loose.written!(out), TypeError, /Uint32Array/);
    }
    fails(() => watched.changed(pages), RangeError, /beyond/);
    for (const page of [undefined, -1, 0.5, '1'])
      fails(() => loose.changed!(page), TypeError, /whole number/);
    fails(() => loose.resized!(5), TypeError, /ArrayBuffer/);
    fails(
      () => watched.resized(new WebAssembly.Memory({ initial: 20 }).buffer),
      RangeError,
      /another memory/,
    );
    fails(() => watched.resized(new WebAssembly.Memory({ initial: 1 }).buffer), RangeError, /cannot shrink/);
    watched.resized(guest.memory.buffer);
    watched.detach();
    for (const name of [
      'checkpoint',
      'rollback',
      'touch',
      'resized',
      'faulted',
      'written',
      'changed',
      'stats',
    ]) {
      fails(() => loose[name]!(), Error, /after detach\(\)/);
    }
  });
}

testUnless(test, MISSING, 'methods of a handle are for handles', async () => {
  const guest = await Guest.make();
  const watched = addon.attach(guest.memory.buffer, 'mprotect');
  for (const name of [
    'checkpoint',
    'rollback',
    'touch',
    'resized',
    'faulted',
    'written',
    'changed',
    'stats',
    'detach',
  ]) {
    const method = (watched as unknown as Loose)[name]!;
    for (const self of [undefined, 5, {}, guest.memory, Object.create(watched)]) {
      fails(() => method.call(self), TypeError, /no watched memory|Illegal invocation/);
    }
  }
  const made = Reflect.getPrototypeOf(watched)!.constructor as new (arg?: unknown) => unknown;
  fails(() => new made(), TypeError, /made by attach\(\)/);
  fails(() => new made({}), TypeError, /made by attach\(\)/);
  watched.detach();
});

test.run();
