/** Arguments, environment, streams, clocks, sleep and exit, which no provider is asked for. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../../contract/errors.js';
import { instantiate } from '../../../runtime/index.js';
import { createWasi, type MemoryWasiOptions, WasiExit } from '../../../runtime/wasi/index.js';
import { Caller, CREATE, callerOf, guestOf, LAYOUTS, text } from './support.js';

const ROOT = 4;
const NS = 'wasi_snapshot_preview1';

async function start(options: MemoryWasiOptions = {}, layout = LAYOUTS[0]!) {
  const wasi = await createWasi(options);
  const guest = await instantiate(callerOf(layout), (self) => wasi.imports(self), { audit: true });
  const view = () => new DataView(guest.memory.buffer);
  return { wasi, guest, caller: new Caller(guest, ROOT), view };
}

/** What args_get or environ_get gives. */
function strings({ caller, view }: Awaited<ReturnType<typeof start>>, which: 'args' | 'environ'): string[] {
  assert.is(caller.call(`${which}_sizes_get`, 0, 4), 0);
  const [count, length] = [view().getUint32(0, true), view().getUint32(4, true)];
  assert.is(caller.call(`${which}_get`, 64, 1024), 0);
  const all = text(new Uint8Array(view().buffer, 1024, length).slice());
  const list: string[] = [];
  for (let i = 0; i < count; i++) {
    const at = view().getUint32(64 + i * 4, true) - 1024;
    list.push(all.slice(at, all.indexOf('\0', at)));
  }
  return list;
}

test('arguments and environment, and both set for one request only', async () => {
  const started = await start({ args: ['prog', '', 'zwei'], env: { A: '1', EMPTY: '' } });
  assert.equal(strings(started, 'args'), ['prog', '', 'zwei']);
  assert.equal(strings(started, 'environ'), ['A=1', 'EMPTY=']);
  started.guest.checkpoint();
  started.wasi.setEnv({ REQUEST_METHOD: 'GET', QUERY_STRING: 'a=b' });
  started.wasi.setArgs(['other']);
  assert.equal(strings(started, 'environ'), ['REQUEST_METHOD=GET', 'QUERY_STRING=a=b']);
  assert.equal(strings(started, 'args'), ['other']);
  started.guest.rollback();
  assert.equal(strings(started, 'environ'), ['A=1', 'EMPTY=']);
  assert.equal(strings(started, 'args'), ['prog', '', 'zwei']);
  assert.throws(
    () => started.wasi.setEnv({ A: 'x\0y' }),
    (error: BelayError) => error.code === 'ERR_BELAY_OPTION',
  );
});

// Echoes stdin, counts its runs in memory, makes a file that must not exist yet, exits with the count.
const COMMAND = `(module
  (import "${NS}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "${NS}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "${NS}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "${NS}" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $sp (mut i32) (i32.const 65536))
  (data (i32.const 64) "once")
  (func (export "_start")
    (global.set $sp (i32.sub (global.get $sp) (i32.const 64)))
    (i32.store (i32.const 100) (i32.add (i32.load (i32.const 100)) (i32.const 1)))
    (if (call $open (i32.const ${ROOT}) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 5) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8))
      (then (call $exit (i32.const 99))))
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 4096))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (i32.ne (global.get $sp) (i32.const 65472)) (then (call $exit (i32.const 98))))
    (call $exit (i32.load (i32.const 100)))))`;

for (const layout of LAYOUTS) {
  test(`${layout}: every run of a command starts from the same state, in one guest`, async () => {
    const wasi = await createWasi();
    const guest = await instantiate(guestOf(COMMAND, layout), (self) => wasi.imports(self), { audit: true });
    guest.checkpoint();
    for (const input of ['first', 'second', 'third']) {
      wasi.setStdin(input);
      assert.is(wasi.start(guest), 1);
      assert.is(text(wasi.takeStdout()), input);
      guest.rollback();
    }
    assert.is(wasi.start(guest), 1);
    // Without a rollback it is the second run that it looks like.
    assert.is(wasi.start(guest), 99);
  });
}

// C++'s `catch (...)` around exit(), in both forms of exception handling.
test('an exit is not caught by the guest', async () => {
  const wasi = await createWasi();
  const guest = await instantiate(
    guestOf(`(module
      (import "${NS}" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "run") (result i32)
        (try (do (call $exit (i32.const 42))) (catch_all (return (i32.const 1))))
        (i32.const 2)))`),
    (self) => wasi.imports(self),
  );
  guest.checkpoint();
  for (let i = 0; i < 2; i++) {
    try {
      const result = (guest.exports.run as () => number)();
      assert.unreachable(`returned ${result}`);
    } catch (error) {
      assert.ok(error instanceof WasiExit, String(error));
      assert.ok(error instanceof BelayError);
      assert.is((error as WasiExit).exitCode, 42);
      assert.is((error as WasiExit).code, 'ERR_BELAY_WASI');
    }
    guest.rollback();
  }
  assert.not.ok(new BelayError('ERR_BELAY_WASI', 'another') instanceof WasiExit);
  assert.not.ok(new Error('another') instanceof WasiExit);
});

test('start and initialize', async () => {
  const wasi = await createWasi();
  const guest = await instantiate(
    guestOf(`(module (import "${NS}" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
      (func (export "_initialize") (i32.store (i32.const 0) (i32.const 5)) (call $exit (i32.const 3))))`),
    (self) => wasi.imports(self),
  );
  assert.throws(
    () => wasi.start(guest),
    (error: BelayError) => error.code === 'ERR_BELAY_WASI',
  );
  assert.throws(
    () => wasi.initialize(guest),
    (error: WasiExit) => error.exitCode === 3,
  );
  const trap = await createWasi();
  const trapping = await instantiate(
    guestOf(`(module (memory (export "memory") 1) (func (export "_start") unreachable))`),
    (self) => trap.imports(self),
  );
  assert.throws(
    () => trap.start(trapping),
    (error: Error) => error instanceof WebAssembly.RuntimeError,
  );
});

test('a start function cannot call WASI, and is told so', async () => {
  const wasi = await createWasi();
  const wasm = guestOf(`(module
    (import "${NS}" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $begin (drop (call $random (i32.const 0) (i32.const 4))))
    (start $begin))`);
  try {
    await instantiate(wasm, (self) => wasi.imports(self));
    assert.unreachable();
  } catch (error) {
    assert.is((error as BelayError).code, 'ERR_BELAY_WASI');
    assert.match((error as Error).message, '_initialize');
  }
});

test('streams are no terminals, cannot be sought, and refuse the wrong direction', async () => {
  const { caller, view } = await start();
  for (const fd of [0, 1, 2]) {
    assert.is(caller.call('fd_fdstat_get', fd, 512), 0);
    assert.not.equal(view().getUint8(512), 2);
    assert.is(caller.seek(fd, 0), 'errno 70');
    assert.is(caller.call('fd_prestat_get', fd, 512), 8);
  }
  assert.is(caller.write(0, 'x'), 'errno 8');
  assert.is(caller.read(1), 'errno 8');
});

test('descriptors renumbered onto streams and away, and back', async () => {
  const { wasi, guest, caller } = await start({ files: { '/f': '' } });
  const fd = caller.open('f') as number;
  guest.checkpoint();
  assert.is(caller.call('fd_renumber', fd, 1), 0);
  assert.is(caller.write(1, 'into the file'), 13);
  assert.is(text(wasi.takeStdout()), '');
  assert.is(text(wasi.files.read('/f')), 'into the file');
  assert.is(caller.write(fd, 'x'), 'errno 8');
  assert.is(caller.call('fd_renumber', 2, 1), 0);
  assert.is(caller.write(1, 'error'), 5);
  assert.is(text(wasi.takeStderr()), 'error');
  assert.is(caller.close(0), 0);
  assert.is(caller.read(0), 'errno 8');
  guest.rollback();
  wasi.setStdin('in');
  assert.is(caller.read(0), 'in');
  caller.write(1, 'out');
  caller.write(2, 'err');
  assert.equal([text(wasi.takeStdout()), text(wasi.takeStderr())], ['out', 'err']);
  assert.is(text(wasi.files.read('/f')), '');
  assert.is(caller.write(fd, 'again'), 5);
});

test('output is bounded', async () => {
  const { wasi, caller } = await start({ outputLimit: 10 });
  assert.is(caller.write(1, '1234567'), 7);
  assert.is(caller.write(1, '1234'), 'errno 51');
  assert.is(caller.write(1, '123'), 3);
  assert.is(caller.write(2, '1234567890'), 10);
  assert.is(text(wasi.takeStdout()), '1234567123');
  assert.is(caller.write(1, '1234'), 4);
});

test('clocks, random numbers and what is not supported', async () => {
  const { caller, view } = await start({ now: () => 123n, random: (bytes) => bytes.fill(9) });
  assert.is(caller.call('clock_time_get', 0, 0n, 512), 0);
  assert.is(view().getBigUint64(512, true), 123n);
  assert.is(caller.call('clock_time_get', 1, 0n, 512), 0);
  const first = view().getBigUint64(512, true);
  caller.call('clock_time_get', 1, 0n, 512);
  assert.ok(view().getBigUint64(512, true) >= first);
  assert.is(caller.call('clock_time_get', 9, 0n, 512), 28);
  assert.is(caller.call('clock_res_get', 0, 512), 0);
  assert.ok(view().getBigUint64(512, true) > 0n);
  assert.is(caller.call('random_get', 513, 4), 0);
  assert.equal([...new Uint8Array(view().buffer, 512, 6)].slice(1, 5), [9, 9, 9, 9]);
  assert.is(caller.call('random_get', 65530, 10), 21);
  assert.is(caller.call('sched_yield'), 0);
  assert.is(caller.call('sock_shutdown', 1, 0), 57);
  const real = await start();
  assert.is(real.caller.call('random_get', 0, 65536), 0);
  assert.ok(new Set(new Uint8Array(real.view().buffer, 0, 65536)).size > 200);
  real.caller.call('clock_time_get', 0, 0n, 512);
  assert.ok(Math.abs(Number(real.view().getBigUint64(512, true) / 1_000_000n) - Date.now()) < 5000);
});

test('poll_oneoff sleeps, ends early where told, and takes streams for ready', async () => {
  const { caller, guest, view } = await start({ maxSleep: 40, stdin: 'abc' });
  const subscribe = (at: number, kind: number, fields: [number, bigint][]) => {
    const record = new DataView(new ArrayBuffer(48));
    record.setBigUint64(0, BigInt(at), true);
    record.setUint8(8, kind);
    for (const [offset, value] of fields) record.setBigUint64(offset, value, true);
    guest.write(at, new Uint8Array(record.buffer));
  };
  const sleepFor = (nanoseconds: bigint) => {
    subscribe(1000, 0, [
      [16, 1n],
      [24, nanoseconds],
    ]);
    const start = performance.now();
    assert.is(caller.call('poll_oneoff', 1000, 2000, 1, 3000), 0);
    assert.is(view().getUint32(3000, true), 1);
    assert.equal([view().getBigUint64(2000, true), view().getUint8(2010)], [1000n, 0]);
    return performance.now() - start;
  };
  assert.ok(sleepFor(15_000_000n) >= 14);
  assert.ok(sleepFor(0n) < 15);
  const early = sleepFor(60_000_000_000n);
  assert.ok(early >= 35 && early < 5000, `${early}`);
  // With a descriptor that is ready, nobody sleeps.
  subscribe(1048, 1, [[16, 0n]]);
  subscribe(1096, 2, [[16, 1n]]);
  assert.is(caller.call('poll_oneoff', 1000, 2000, 3, 3000), 0);
  assert.is(view().getUint32(3000, true), 2);
  assert.equal([view().getBigUint64(2000, true), view().getBigUint64(2016, true)], [1048n, 3n]);
  assert.equal([view().getBigUint64(2032, true), view().getUint8(2042)], [1096n, 2]);
  assert.is(caller.call('poll_oneoff', 1000, 2000, 0, 3000), 28);
  assert.is(caller.call('poll_oneoff', 1000, 2000, 0x7fffffff, 3000), 28);
  assert.is(caller.call('poll_oneoff', 65500, 2000, 1, 3000), 21);
});

test('addresses outside of memory are refused, and lists that are too long', async () => {
  for (const layout of LAYOUTS) {
    const { caller, guest } = await start({ stdin: 'abc', files: { '/f': 'content' } }, layout);
    const fd = caller.open('f', CREATE) as number;
    for (const descriptor of [0, fd]) {
      guest.write(256, new Uint8Array(new Uint32Array([65530, 10]).buffer));
      assert.is(caller.call('fd_read', descriptor, 256, 1, 512), 21, `${layout} buffer`);
      assert.is(caller.call('fd_read', descriptor, 65533, 1, 512), 21, `${layout} list`);
      guest.write(256, new Uint8Array(new Uint32Array([1000, 1]).buffer));
      assert.is(caller.call('fd_read', descriptor, 256, 1, 0xfffffffe | 0), 21, `${layout} result`);
    }
    assert.is(caller.call('fd_write', 1, 256, 0x10000, 512), 28);
    assert.is(caller.call('args_get', -4, 0), 21);
  }
});

test.run();
