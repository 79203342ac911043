/** The table of WASI's writes, against the witx files and against providers that write all they may. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { instantiate } from '../../../runtime/index.js';
import type { Guest } from '../../../runtime/types.js';
import { createWasi, type HostFunction, trackWasi, WASI_FUNCTIONS } from '../../../runtime/wasi/index.js';
import { NAMESPACES } from '../../../runtime/wasi/preview1.js';
import { SIZES } from '../../../runtime/wasi/sizes.js';
import { callerOf, guestOf, LAYOUTS, random } from './support.js';
import { forwarders, type Lowered, sizeOf, WITX } from './witx.js';

test('the table names every function, with its parameters', () => {
  assert.equal(Object.keys(WASI_FUNCTIONS).sort(), WITX.map(({ name }) => name).sort());
  for (const { name, parameters, result } of WITX) {
    const known = WASI_FUNCTIONS[name]!;
    assert.equal(
      known.params.map(({ type }) => type),
      parameters.map(({ type }) => type),
      name,
    );
    assert.is(known.result, result ? 'errno' : 'none', name);
  }
});

test('sizes are those of the witx records', () => {
  for (const type of ['fdstat', 'filestat', 'prestat', 'event', 'subscription', 'roflags'] as const) {
    assert.is(SIZES[type], sizeOf(type, false), type);
  }
  assert.is(SIZES.filestatUnstable, sizeOf('filestat', true));
  assert.is(SIZES.subscriptionUnstable, sizeOf('subscription', true));
  assert.equal([SIZES.filestat, SIZES.fdstat, SIZES.event, SIZES.subscription], [64, 24, 32, 48]);
});

/** Strings that the scribbling provider has: what args_sizes_get and environ_sizes_get tell. */
const COUNT = 5;
const LENGTH = 77;

/**
 * A provider that fills every byte it may write with noise, even those before an address at which it would
 * fail, and reads each iovec only when its turn has come. It sees the whole buffer, as real ones do.
 */
function scribbler(
  guest: Guest,
  unstable: boolean,
  next: (limit: number) => number,
): WebAssembly.ModuleImports {
  const noise = (start: number, length: number) => {
    const memory = new Uint8Array(guest.memory.buffer);
    const end = Math.min(start + length, memory.length);
    for (let at = start; at < end; at++) memory[at] = next(256);
  };
  const functions: Record<string, HostFunction> = {};
  for (const { name, parameters } of WITX) {
    functions[name] = (...args) => {
      const at = (index: number) => Number(args[index]) >>> 0;
      if (name === 'args_sizes_get' || name === 'environ_sizes_get') {
        const view = new DataView(guest.memory.buffer);
        for (const [index, value] of [COUNT, LENGTH].entries()) {
          if (at(index) + 4 <= view.byteLength) view.setUint32(at(index), value, true);
        }
        return 0;
      }
      for (const [i, { of, part }] of parameters.entries()) {
        if (part === 'result') noise(at(i), sizeOf(of, unstable));
        else if (part !== 'pointer') continue;
        else if (of === 'bytes') noise(at(i), at(i + 1));
        else if (of === 'pointers') noise(at(i), COUNT * 4);
        else if (of === 'strings') noise(at(i), LENGTH);
        else if (of === 'events') noise(at(i), at(i + 1) * sizeOf('event', unstable));
        else if (of === 'iovec_array') {
          const view = new DataView(guest.memory.buffer);
          for (let n = 0; n < at(i + 1) && at(i) + n * 8 + 8 <= view.byteLength; n++) {
            const pair = at(i) + n * 8;
            noise(view.getUint32(pair, true), view.getUint32(pair + 4, true));
          }
        }
      }
      return 0;
    };
  }
  return functions;
}

/** An argument that shows where a function writes: mostly in memory, now and then at its end or far outside. */
function pick(next: (limit: number) => number, part: string): number {
  if (part === 'length') return next(8) === 0 ? next(2 ** 32) : next(200);
  const kind = next(12);
  if (kind === 0) return next(2 ** 32);
  if (kind === 1) return 65536 - next(64);
  if (kind === 2) return 65536 + next(2 ** 20);
  return next(65536);
}

function argumentsFor({ parameters }: Lowered, next: (limit: number) => number): (number | bigint)[] {
  return parameters.map(({ type, of, part }) => {
    if (type === 'i64') return BigInt(next(1000));
    if (of.endsWith('iovec_array') && part === 'length') return next(20) === 0 ? next(2 ** 32) : next(8);
    return part === 'value' ? next(8) : pick(next, part);
  });
}

for (const layout of LAYOUTS) {
  for (const namespace of NAMESPACES) {
    test(`${layout}, ${namespace}: whatever a provider writes is undone`, async () => {
      const unstable = namespace === 'wasi_unstable';
      const next = random(20_240_917);
      const guest = await instantiate(
        callerOf(layout, namespace),
        (self) => trackWasi(self, { [namespace]: scribbler(self, unstable, next) }),
        { audit: true },
      );
      const size = 65536;
      const start = new Uint8Array(size).map(() => next(256));
      guest.write(0, start);
      for (const lowered of WITX) {
        if (unstable && lowered.name === 'sock_accept') continue;
        for (let round = 0; round < 60; round++) {
          const args = argumentsFor(lowered, next);
          guest.write(0, start);
          // Buffers of an iovec array: some small, some over the array itself, some outside.
          for (const [i, { of, part }] of lowered.parameters.entries()) {
            if (!of.endsWith('iovec_array') || part !== 'pointer') continue;
            const pairs = new Uint32Array(16).map((_, n) => {
              if (n % 2 === 1) return next(300);
              return next(6) === 0 ? Number(args[i]) + next(64) : pick(next, 'pointer');
            });
            const at = Number(args[i]);
            if (at + 64 <= size) guest.write(at, new Uint8Array(pairs.buffer));
          }
          const before = new Uint8Array(guest.memory.buffer).slice(0, size);
          guest.checkpoint();
          (guest.exports[lowered.name] as HostFunction)(...args);
          try {
            guest.rollback();
          } catch (error) {
            throw new Error(`${lowered.name}(${args.join(', ')}): ${(error as Error).message}`);
          }
          assert.is(
            Buffer.compare(new Uint8Array(guest.memory.buffer, 0, size), before),
            0,
            `${lowered.name}(${args.join(', ')})`,
          );
        }
      }
    });
  }
}

test('without the wrapper, the same writes are noticed', async () => {
  const next = random(7);
  const guest = await instantiate(
    callerOf(),
    (self) => ({ wasi_snapshot_preview1: scribbler(self, false, next) }),
    { audit: true },
  );
  guest.checkpoint();
  (guest.exports.random_get as HostFunction)(1000, 50);
  try {
    guest.rollback();
    assert.unreachable();
  } catch (error) {
    assert.is((error as BelayError).code, 'ERR_BELAY_UNTRACKED_WRITE');
  }
});

test('a provider answers as it did; addresses past the guest’s memory never reach the support area', async () => {
  for (const layout of LAYOUTS) {
    const seen: number[] = [];
    const provider: WebAssembly.ModuleImports = Object.fromEntries(WITX.map(({ name }) => [name, () => 0]));
    provider.random_get = (pointer: number) => {
      seen.push(pointer);
      return 28;
    };
    const guest = await instantiate(callerOf(layout), (self) =>
      trackWasi(self, { wasi_snapshot_preview1: provider, other: {} }, { fault: 61 }),
    );
    const call = guest.exports.random_get as HostFunction;
    assert.is(call(0, 10), 28);
    assert.is(call(65530, 6), 28);
    const outside = call(65530, 7);
    // Where the provider sees guest memory only, it decides; else it must not be asked.
    if (layout === 'separate') assert.equal([outside, seen.length], [28, 3]);
    else assert.equal([outside, seen.length], [61, 2]);
  }
});

test('after a grow that was undone, memory ends where the guest believes it to', async () => {
  const body = `(memory (export "memory") 1 16)
    (func (export "grow") (result i32) (memory.grow (i32.const 3)))`;
  for (const layout of LAYOUTS) {
    let asked = 0;
    const counting = Object.fromEntries(WITX.map(({ name }) => [name, () => ++asked && 0]));
    const wasm = guestOf(forwarders('wasi_snapshot_preview1', body), layout);
    const tracked = await instantiate(wasm, (self) => trackWasi(self, { wasi_snapshot_preview1: counting }));
    const wasi = await createWasi({ files: { '/f': 'content' } });
    const served = await instantiate(wasm, (self) => wasi.imports(self));
    for (const guest of [tracked, served]) {
      guest.checkpoint();
      assert.is((guest.exports.grow as HostFunction)(), 1);
      assert.is((guest.exports.random_get as HostFunction)(65530, 100), 0);
      guest.rollback();
      assert.is((guest.exports.random_get as HostFunction)(65530, 100), 21, layout);
      assert.is((guest.exports.random_get as HostFunction)(65530, 6), 0, layout);
    }
    assert.is(asked, 2);
    // The file system, too, sees no more than the guest has.
    served.write(1000, new TextEncoder().encode('f'));
    const open = served.exports.path_open as HostFunction;
    assert.is(open(4, 0, 1000, 1, 0, 2n, 0n, 0, 70_000), 21);
    assert.is(open(4, 0, 1000, 1, 0, 2n, 0n, 0, 65_532), 0);
  }
});

test('a function that the table does not know may write anywhere', async () => {
  const guest = await instantiate(
    callerOf(),
    (self) => {
      const functions = scribbler(self, false, random(1));
      const tracked = trackWasi(self, {
        wasi_snapshot_preview1: {
          ...functions,
          sock_open: () => new Uint8Array(self.memory.buffer, 5000, 9).fill(1).length,
        },
      }).wasi_snapshot_preview1!;
      return { wasi_snapshot_preview1: { ...tracked, sched_yield: tracked.sock_open! } };
    },
    { audit: true },
  );
  guest.checkpoint();
  (guest.exports.sched_yield as HostFunction)();
  guest.rollback();
  assert.is(new Uint8Array(guest.memory.buffer)[5000], 0);
});

test.run();
