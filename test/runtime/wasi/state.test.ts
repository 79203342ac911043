/**
 * What WASI keeps for a guest, saved and loaded into another one. The oracle: from then on the two cannot be told apart, by
 * anything that the guest or the host is answered, nor by what they save in the end.
 */
import { readFile } from 'node:fs/promises';
import { pack, unpack } from 'msgpackr';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../../contract/errors.js';
import { instantiate } from '../../../runtime/index.js';
import type { Companion, Guest } from '../../../runtime/types.js';
import { createWasi, type MemoryWasiOptions } from '../../../runtime/wasi/index.js';
import {
  APPEND,
  Caller,
  CREATE,
  callerOf,
  DIRECTORY,
  EXCLUSIVE,
  guestOf,
  LAYOUTS,
  random,
  TRUNCATE,
  text,
} from './support.js';

const NS = 'wasi_snapshot_preview1';
const ROOT = 4;
const FILES = { '/hello.txt': 'hello world', '/dir/inner': 'inside' };
type Saving = Required<Companion>;

interface Started {
  wasi: Awaited<ReturnType<typeof createWasi>>;
  guest: Guest;
  caller: Caller;
  process: Saving;
  files: Saving;
}

/** A guest and its WASI, with what WASI joins to it. */
async function start(options: MemoryWasiOptions = {}, wasm = callerOf()): Promise<Started> {
  const wasi = await createWasi({ now: () => 0n, ...options });
  const joined: Saving[] = [];
  const guest = await instantiate(
    wasm,
    (self) => {
      const join = self.join.bind(self);
      self.join = (companion) => {
        joined.push(companion as Saving);
        join(companion);
      };
      return wasi.imports(self);
    },
    { audit: options.audit ?? false },
  );
  const [process, files] = joined as [Saving, Saving];
  return { wasi, guest, caller: new Caller(guest, ROOT), process, files };
}

/** As if it had been on a disk. */
const stored = (saved: unknown): unknown => unpack(pack(saved));
const saveAll = ({ process, files }: Started) => [plain(process.save()), plain(files.save())];

/** What was stored, with bytes as they were before: in Node it is Buffers that come back. */
function plain(saved: unknown): unknown {
  const walk = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return new Uint8Array(value);
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, walk(inner)]));
  };
  return walk(stored(saved));
}

/** Loads the state of a guest whose memory is all that it has; or all of its state at once. */
function move(from: Started, to: Started, whole = false): void {
  if (whole) {
    to.guest.restore(from.guest.save());
    return;
  }
  const memory = new Uint8Array(from.guest.memory.buffer, 0, from.guest.stats().memoryBytes);
  to.guest.write(0, memory);
  to.process.load(stored(from.process.save()));
  to.files.load(stored(from.files.save()));
}

function refused(run: () => void, words: RegExp | string): void {
  try {
    run();
  } catch (error) {
    assert.instance(error, BelayError);
    assert.is((error as BelayError).code, 'ERR_BELAY_STATE');
    assert.match((error as BelayError).message, words);
    return;
  }
  assert.unreachable(`not refused: ${words}`);
}

// Each step: two bytes of the input go to the output and to the end of a file that is opened at first, then its first
// byte is read again, and goes to the errors.
const PROGRAM = `(module
  (import "${NS}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "${NS}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "${NS}" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "${NS}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "log")
  (func (export "step") (result i32)
    (if (i32.eqz (i32.load (i32.const 100)))
      (then (drop (call $open (i32.const ${ROOT}) (i32.const 0) (i32.const 64) (i32.const 3) (i32.const 1) (i64.const 102) (i64.const 0) (i32.const 0) (i32.const 100)))))
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 2))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $seek (i32.load (i32.const 100)) (i64.const 0) (i32.const 2) (i32.const 16)))
    (drop (call $write (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $seek (i32.load (i32.const 100)) (i64.const 0) (i32.const 0) (i32.const 16)))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $read (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.load (i32.const 100))))`;

for (const from of LAYOUTS) {
  for (const to of LAYOUTS) {
    test(`${from} to ${to}: a program goes on elsewhere, in the middle of its input and of a file`, async () => {
      const one = await start(
        { stdin: 'abcdefgh', args: ['prog', 'ä'], env: { A: '1' } },
        guestOf(PROGRAM, from),
      );
      const step = ({ guest }: Started) => (guest.exports.step as () => number)();
      const fd = step(one);
      step(one);
      const two = await start({ stdin: 'something else' }, guestOf(PROGRAM, to));
      move(one, two);
      const three = await start({}, guestOf(PROGRAM, to));
      move(one, three, true);
      for (const started of [one, two, three]) {
        assert.is(step(started), fd);
        assert.is(step(started), fd);
        assert.is(text(started.wasi.takeStdout()), 'abcdefgh');
        assert.is(text(started.wasi.takeStderr()), 'aaaa');
        assert.is(text(started.wasi.files.read('/log')), 'abcdefgh');
      }
      assert.equal(saveAll(two), saveAll(one));
      assert.equal(saveAll(three), saveAll(one));
      three.guest.rollback();
      assert.is(text(three.wasi.takeStdout()), 'abcd', 'restoring a guest is a checkpoint');
      assert.equal(three.guest.save(), move(three, two, true) ?? two.guest.save());
    });
  }
}

test('a guest is not restored where its files cannot be, and stays as it was', async () => {
  const one = await start({ files: FILES });
  one.caller.open('new', CREATE);
  const document = one.guest.save();
  const two = await start({ stdin: 'mine' });
  const fd = two.caller.open('own', CREATE) as number;
  two.caller.write(fd, 'text');
  two.guest.checkpoint();
  const before = saveAll(two);
  const load = two.files.load;
  // As for a state of another build: the process is loaded already.
  two.files.load = function (state) {
    load.call(this, { ...(state as object), module: 1 });
  };
  refused(() => two.guest.restore(document), /checksum/);
  assert.equal(saveAll(two), before);
  assert.is(two.caller.read(0), 'mine');
  assert.equal(two.caller.list(), ['own']);
});

/** One random thing that a guest or its host does; gives all that is answered. */
function operation({ caller, wasi, guest }: Started, next: (limit: number) => number): unknown {
  const path = ['a', 'b', 'dir', 'dir/c', 'hello.txt', 'dir/inner', 'none/x'][next(7)]!;
  const fd = [0, 1, 2, ROOT, 5, 6, 7, 8][next(8)]!;
  switch (next(17)) {
    case 0:
    case 1:
      return caller.open(
        path,
        [0, CREATE, CREATE | TRUNCATE, CREATE | EXCLUSIVE, DIRECTORY][next(5)],
        next(2) * APPEND,
      );
    case 2:
    case 3:
      return caller.write(fd, 'x'.repeat(next(next(20) === 0 ? 50_000 : 40)) + next(100));
    case 4:
      return caller.read(fd, next(20));
    case 5:
      return caller.seek(fd, next(60) - 10, next(3));
    case 6:
      return caller.tell(fd);
    case 7:
      return caller.size(fd);
    case 8:
      return caller.close(next(6) ? fd : 5);
    case 9:
      return caller.mkdir(path);
    case 10:
      return caller.rmdir(path);
    case 11:
      return caller.unlink(path);
    case 12:
      return caller.rename(path, ['a', 'd', 'dir/e'][next(3)]!);
    case 13:
      return caller.list();
    case 14:
      return caller.call('fd_renumber', fd, next(9));
    case 15:
      return caller.call('fd_fdstat_get', fd, 4096) || new Uint8Array(guest.memory.buffer, 4096, 24).slice();
    default:
      switch (next(5)) {
        case 0:
          return wasi.setStdin(`input ${next(1000)}`);
        case 1:
          return text(wasi.takeStdout());
        case 2:
          return wasi.setEnv({ N: String(next(100)) });
        case 3:
          return wasi.files.list('/');
        default:
          try {
            return wasi.files.write(`/host${next(3)}`, String(next(1000)));
          } catch (error) {
            return (error as Error).message;
          }
      }
  }
}

/** The same, where a trap is an answer, too: of some things the module panics, and no call of it succeeds before a rollback. */
function tried(started: Started, next: (limit: number) => number): unknown {
  try {
    return operation(started, next);
  } catch (error) {
    assert.ok(trapped(error), String(error));
    started.guest.rollback();
    return 'trap';
  }
}

const trapped = (error: unknown) =>
  [error, (error as Error).cause].some((one) => one instanceof WebAssembly.RuntimeError);

for (let seed = 0; seed < 12; seed++) {
  test(`random operations, seed ${seed}: original and copy answer alike, and what they save is equal`, async () => {
    const next = random(seed);
    const pick = () => LAYOUTS[next(LAYOUTS.length)]!;
    const one = await start({ files: FILES, stdin: 'some input', audit: true }, callerOf(pick()));
    one.guest.checkpoint();
    for (let i = next(60); i > 0; i--) tried(one, next);
    if (next(2)) one.guest.checkpoint();
    for (let i = next(20); i > 0; i--) tried(one, next);
    // Into a fresh one, or one that has done something else, and has it before or behind a checkpoint.
    const two = await start(next(2) ? {} : { files: { '/other': 'o' }, audit: true }, callerOf(pick()));
    two.guest.checkpoint();
    if (next(2)) for (let i = next(30); i > 0; i--) tried(two, next);
    two.guest.checkpoint();
    if (next(2)) for (let i = next(30); i > 0; i--) tried(two, next);
    const before = saveAll(one);
    move(one, two, next(2) === 0);
    assert.equal(saveAll(two), before, 'right after loading');
    for (let epoch = 0; epoch < 3; epoch++) {
      for (const started of [one, two]) started.guest.checkpoint();
      const kept = saveAll(one);
      for (let i = 0; i < 25; i++) {
        const dice = next(2 ** 32);
        const [answer, other] = [one, two].map((started) => tried(started, random(dice)));
        assert.equal(other, answer, `operation ${i} of epoch ${epoch}`);
      }
      assert.equal(saveAll(two), saveAll(one));
      if (next(2)) continue;
      for (const started of [one, two]) started.guest.rollback();
      assert.equal(saveAll(one), kept, 'what is saved after a rollback is what was saved at the checkpoint');
      assert.equal(saveAll(two), kept);
    }
  });
}

test('descriptors that are not in order, and one file under two of them', async () => {
  const one = await start({ files: FILES });
  const opened = ['hello.txt', 'dir/inner', 'new', 'new'].map((name) =>
    one.caller.open(name, CREATE),
  ) as number[];
  const [hello, inner, , again] = opened as [number, number, number, number];
  one.caller.write(again, 'text');
  one.caller.seek(again, 1);
  one.caller.close(hello);
  const two = await start();
  move(one, two);
  for (const { caller } of [one, two]) {
    assert.is(caller.tell(again), 1n);
    assert.is(caller.read(again), 'ext');
    assert.is(caller.read(inner), 'inside');
    assert.equal(caller.list(), ['dir', 'hello.txt', 'new']);
  }
  assert.is(two.caller.open('dir/inner'), one.caller.open('dir/inner'));
  assert.equal(saveAll(two), saveAll(one));
});

test('what a trap inside of the file system left behind is refused by name, until it is rolled back', async () => {
  const one = await start({ files: FILES });
  const fd = one.caller.open('hello.txt') as number;
  one.guest.checkpoint();
  // What the module panics of, in the middle of a call.
  one.caller.unlink('hello.txt');
  try {
    one.caller.read(fd);
    assert.unreachable();
  } catch (error) {
    assert.ok(trapped(error), String(error));
  }
  refused(() => one.files.save(), /an object of class Uint8Array/);
  one.guest.rollback();
  const two = await start();
  move(one, two);
  for (const { caller } of [one, two]) assert.is(caller.read(fd), 'hello world');
  assert.equal(saveAll(two), saveAll(one));
});

test('a trap that leaves nothing behind but a stack is saved with it', async () => {
  const one = await start({ files: FILES });
  const fd = one.caller.open('new', CREATE) as number;
  one.caller.unlink('new');
  const stack = () => (one.files.save() as { stack: number }).stack;
  const before = stack();
  const traps = ({ caller }: Started) => {
    try {
      return caller.call('fd_sync', fd);
    } catch (error) {
      return trapped(error);
    }
  };
  assert.is(traps(one), true);
  assert.ok(stack() < before);
  const two = await start();
  move(one, two);
  assert.equal(saveAll(two), saveAll(one));
  for (const started of [one, two]) assert.is(traps(started), true);
  assert.equal(saveAll(two), saveAll(one));
});

test('a state of another build of the file-system module is refused', async () => {
  const url = new URL(`../../../runtime/wasi/wasmer.${LAYOUTS[0]}.wasm`, import.meta.url);
  const wasm = new Uint8Array(await readFile(url));
  // One letter of a message.
  const at = Buffer.from(wasm).indexOf('not a directory');
  assert.ok(at > 0);
  wasm[at]! ^= 0x20;
  const other = await start({ module: await WebAssembly.compile(wasm as BufferSource) });
  other.caller.list();
  const one = await start();
  refused(() => one.files.load(other.files.save()), /another version of the file-system module/);
  one.caller.list();
  refused(() => one.files.load(other.files.save()), /another version of the file-system module/);
});

test('a rollback after loading returns to the checkpoint, whatever was loaded', async () => {
  const used = await start({ files: { '/used': 'u' } });
  used.caller.open('opened', CREATE);
  const unused = await start({ files: { '/unused': 'u' }, stdin: 'in' });
  for (const source of [used, unused]) {
    for (const touched of [false, true]) {
      for (const late of [false, true]) {
        const target = await start({ files: FILES, stdin: 'mine', audit: true });
        if (touched) target.caller.open('before', CREATE);
        target.guest.checkpoint();
        const before = saveAll(target);
        if (late) target.caller.open('after', CREATE);
        const [process, files] = saveAll(source);
        target.process.load(process);
        target.files.load(files);
        assert.equal(saveAll(target), saveAll(source));
        target.guest.rollback();
        assert.equal(saveAll(target), before);
        assert.equal(target.caller.list(), [...(touched ? ['before'] : []), 'dir', 'hello.txt']);
        assert.is(target.caller.read(0), 'mine');
        // And a checkpoint after loading is one of what was loaded.
        target.process.load(process);
        target.files.load(files);
        target.guest.checkpoint();
        target.caller.open('more', CREATE);
        target.guest.rollback();
        assert.equal(saveAll(target), saveAll(source));
      }
    }
  }
});

test('a guest that uses no files saves what they begin with, and nothing has changed at the second checkpoint', async () => {
  const one = await start({ preopens: { '/data': '/d', '.': '/' }, directories: ['/x/y'], files: FILES });
  assert.ok(one.process.changed && one.files.changed, 'there is nothing that could be the same');
  assert.equal(plain(one.files.save()), {
    wasi: 'new files',
    version: 1,
    preopens: [
      ['/data', '/d'],
      ['.', '/'],
    ],
    directories: ['/x/y'],
    files: Object.entries(FILES).map(([path, content]) => [path, new TextEncoder().encode(content)]),
  });
  one.guest.checkpoint();
  assert.not.ok(one.process.changed || one.files.changed);
  one.wasi.setStdin('abc');
  assert.ok(one.process.changed);
  one.guest.checkpoint();
  const changes: [string, () => unknown][] = [
    ['read', () => one.caller.read(0, 2)],
    ['write', () => one.caller.write(1, 'text')],
    ['errors', () => one.caller.write(2, 'text')],
    ['taken', () => one.wasi.takeStdout()],
    ['environment', () => one.wasi.setEnv({ A: '2' })],
    ['arguments', () => one.wasi.setArgs(['b'])],
    ['renumbered', () => one.caller.call('fd_renumber', 2, 1)],
    ['closed', () => one.caller.close(0)],
  ];
  for (const [name, change] of changes) {
    change();
    assert.ok(one.process.changed, name);
    one.guest.checkpoint();
    assert.not.ok(one.process.changed, name);
  }
  one.wasi.takeStderr();
  one.guest.checkpoint();
  one.wasi.takeStderr();
  assert.not.ok(one.process.changed, 'nothing was taken');
});

test('files count as unused again after a rollback, and as used from the checkpoint on', async () => {
  const one = await start({ files: FILES });
  const unused = plain(one.files.save());
  one.guest.checkpoint();
  one.caller.open('new', CREATE);
  assert.ok(one.files.changed);
  assert.is((one.files.save() as { wasi: string }).wasi, 'files');
  one.guest.rollback();
  assert.not.ok(one.files.changed);
  assert.equal(plain(one.files.save()), unused);
  assert.equal(one.caller.list(), ['dir', 'hello.txt']);
  one.guest.checkpoint();
  one.caller.open('new', CREATE);
  one.guest.rollback();
  assert.equal(one.caller.list(), ['dir', 'hello.txt']);
  assert.is((one.files.save() as { wasi: string }).wasi, 'files');
});

test('what is usual takes some bytes, and what is used some kilobytes beside the files', async () => {
  const one = await start();
  const size = (saved: unknown) => pack(saved).length;
  assert.ok(size(one.process.save()) <= 40, `${size(one.process.save())}`);
  assert.ok(size(one.files.save()) <= 60, `${size(one.files.save())}`);
  one.caller.list();
  assert.ok(size(one.files.save()) < 20_000, `${size(one.files.save())}`);
  const fd = one.caller.open('new', CREATE) as number;
  one.caller.write(fd, 'x'.repeat(8000));
  assert.ok(size(one.files.save()) < 36_000, `${size(one.files.save())}`);
});

/** Everything about a state that one change can be made to, changed. */
function* changed(value: unknown, next: (limit: number) => number): Generator<unknown> {
  if (value instanceof Uint8Array) {
    for (const at of new Set([0, next(value.length), value.length - 1])) {
      if (!(at in value)) continue;
      const other = value.slice();
      other[at]! ^= 1 << next(8);
      yield other;
    }
    yield value.slice(1);
    yield 'text';
  } else if (Array.isArray(value)) {
    yield value.slice(1);
    yield [...value, next(10)];
    for (const at of new Set([0, next(value.length)])) {
      for (const part of at in value ? changed(value[at], next) : []) yield replaced(value, at, part);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      for (const part of changed(inner, next)) yield { ...value, [name]: part };
      const { [name]: _, ...others } = value as Record<string, unknown>;
      yield others;
    }
    yield { ...value, unknown: 1 };
  } else {
    yield* [null, -1, 1.5, 2 ** 33, next(1000), 'text', 'A=\0', true, [], {}].filter(
      (other) => other !== value,
    );
  }
}

function replaced(list: readonly unknown[], at: number, part: unknown): unknown[] {
  return list.map((value, i) => (i === at ? part : value));
}

test('damaged states are refused or are states of their own, and a refusal changes nothing', async () => {
  const next = random(7);
  const one = await start({ stdin: 'input', env: { A: '1' }, files: FILES });
  one.caller.write(1, 'output');
  one.caller.close(2);
  const unused = plain(one.files.save());
  const two = await start({ files: { '/mine': 'm' } });
  const fd = two.caller.open('mine') as number;
  two.caller.read(fd, 1);
  one.caller.open('new', CREATE);
  const before = saveAll(two);
  const [process, files] = saveAll(one);
  const cases: [Saving, unknown, always: boolean][] = [
    [two.process, process, false],
    [two.files, unused, false],
    [two.files, files, true],
  ];
  let [taken, not] = [0, 0];
  for (const [companion, state, always] of cases) {
    for (const other of [
      undefined,
      null,
      5,
      'text',
      [],
      {},
      { wasi: 'toString', version: 1 },
      ...changed(state, next),
    ]) {
      try {
        companion.load(other);
        taken++;
      } catch (error) {
        assert.is((error as BelayError).code, 'ERR_BELAY_STATE', String(error));
        assert.equal(saveAll(two), before);
        not++;
        continue;
      }
      assert.not.ok(always, 'a state with a checksum is what was saved, or refused');
      const again = plain(companion.save());
      companion.load(again);
      assert.equal(plain(companion.save()), again);
      two.process.load(before[0]);
      two.files.load(before[1]);
    }
  }
  assert.ok(taken > 10 && not > 200, `${taken} taken, ${not} refused`);
  assert.is(two.caller.read(fd), '');
});

test('what is not understood is refused by name', async () => {
  const one = await start({ files: FILES });
  const unused = one.files.save() as object;
  one.caller.list();
  const process = one.process.save() as object;
  const files = one.files.save() as { module: number };
  refused(() => one.process.load(files), /files in memory, not of a WASI process/);
  refused(() => one.files.load(process), /of a WASI process, not of files in memory/);
  refused(() => one.files.load({ ...unused, wasi: 'real files' }), /descriptors of real files, not of/);
  refused(() => one.process.load({ ...process, wasi: 'future' }), /"future"/);
  refused(() => one.process.load({ ...process, version: 2 }), /version 2, and version 1/);
  refused(() => one.files.load({ ...unused, version: 'x' }), /version x/);
  refused(() => one.process.load({ ...process, umask: 1 }), /unknown field umask/);
  refused(() => one.files.load({ ...unused, links: [] }), /unknown field links/);
  refused(() => one.process.load('text'), /no state/);
  refused(() => one.process.load({ ...process, args: ['a\0'] }), /args/);
  refused(() => one.process.load({ ...process, env: ['=x'] }), /env/);
  refused(() => one.process.load({ ...process, stdin: 'text' }), /stdin should be bytes/);
  refused(
    () =>
      one.process.load({
        ...process,
        streams: [
          [0, 0],
          [0, 1],
        ],
      }),
    /two streams/,
  );
  refused(
    () =>
      one.files.load({
        ...unused,
        files: [
          ['/a', new Uint8Array(1)],
          ['/a/b', new Uint8Array(1)],
        ],
      }),
    /cannot be made/,
  );
  refused(() => one.files.load({ ...files, pages: 30 }), /checksum/);
  const other = await start({}, callerOf(undefined, 'wasi_unstable'));
  refused(
    () => other.files.load(files),
    /imports wasi_snapshot_preview1, and this guest imports wasi_unstable/,
  );
  other.files.load(unused);
  assert.equal(other.caller.list(), ['dir', 'hello.txt']);
});

test('files that the host made before there was a guest, and those that need trying', async () => {
  for (const options of [
    {},
    { files: { '/a/./b': 'x', '/c': 'y' } },
    { directories: ['/a//b/'] },
  ] as MemoryWasiOptions[]) {
    const one = await start(options);
    const two = await start();
    move(one, two);
    assert.equal(two.wasi.files.list('/'), one.wasi.files.list('/'));
    one.wasi.files.write('/late', 'l');
    move(one, two);
    assert.equal(two.wasi.files.list('/'), one.wasi.files.list('/'));
    assert.equal(saveAll(two), saveAll(one));
  }
  for (const files of [{ '/a': '', '/a/b': '' }, { '/': '' }] as Record<string, string>[]) {
    try {
      await createWasi({ files });
      assert.unreachable();
    } catch (error) {
      assert.is((error as BelayError).code, 'ERR_BELAY_WASI');
    }
  }
});

test.run();
