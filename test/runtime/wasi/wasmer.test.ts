/** WASI on files in memory: everything in it goes back with the guest. */
import { readFile } from 'node:fs/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { instrument } from '../../../rewriter/index.js';
import { instantiate } from '../../../runtime/index.js';
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
import { WITX } from './witx.js';

// The module puts a descriptor of its own, 3, before the preopened directory.
const ROOT = 4;

const FILES = { '/hello.txt': 'hello world', '/dir/inner': 'inside' };

/** A guest that calls WASI as told, its clock and its chance being the same in every run. */
async function start(layout = LAYOUTS[0]!, options: MemoryWasiOptions = {}) {
  let ticks = 1_700_000_000_000_000_000n;
  const next = random(5);
  const wasi = await createWasi({
    files: FILES,
    now: () => {
      ticks += 1_000_000n;
      return ticks;
    },
    random: (bytes) => {
      for (let i = 0; i < bytes.length; i++) bytes[i] = next(256);
    },
    ...options,
  });
  const guest = await instantiate(callerOf(layout), (self) => wasi.imports(self), {
    audit: options.audit ?? false,
  });
  return { wasi, guest, caller: new Caller(guest, ROOT) };
}

type Started = Awaited<ReturnType<typeof start>>;

/** All that can be seen of a file system from the host. */
function tree({ wasi }: Started, path = '/'): Record<string, string> {
  const seen: Record<string, string> = {};
  for (const name of wasi.files.list(path)) {
    const inner = `${path === '/' ? '' : path}/${name}`;
    try {
      seen[inner] = text(wasi.files.read(inner));
    } catch {
      seen[inner] = 'directory';
      Object.assign(seen, tree({ wasi } as Started, inner));
    }
  }
  return seen;
}

for (const layout of LAYOUTS) {
  const both = (name: string, run: () => Promise<void>) => test(`${layout}: ${name}`, run);
  const begin = (options?: MemoryWasiOptions) => start(layout, { audit: true, ...options });

  both('a file written since the checkpoint is gone', async () => {
    const { wasi, guest, caller } = await begin();
    guest.checkpoint();
    const fd = caller.open('new', CREATE) as number;
    assert.is(caller.write(fd, 'content'), 7);
    assert.is(text(wasi.files.read('/new')), 'content');
    guest.rollback();
    assert.not.ok(wasi.files.exists('/new'));
    assert.equal(caller.list(), ['dir', 'hello.txt']);
    // And again: the epoch began anew.
    assert.is(caller.open('new', CREATE | EXCLUSIVE), fd);
    guest.rollback();
    assert.not.ok(wasi.files.exists('/new'));
  });

  both('a file that was overwritten, appended to, cut or removed is back', async () => {
    const started = await begin();
    const { wasi, guest, caller } = started;
    const before = tree(started);
    guest.checkpoint();
    const changes: (() => void)[] = [
      () => caller.write(caller.open('hello.txt') as number, 'HELLO'),
      () => caller.write(caller.open('hello.txt', 0, APPEND) as number, ' and more'.repeat(1000)),
      () => caller.open('hello.txt', TRUNCATE),
      () => caller.unlink('hello.txt'),
      () => caller.rename('hello.txt', 'other'),
      () => caller.mkdir('more'),
      () => wasi.files.write('/hello.txt', 'from the host'),
      () => wasi.files.write('/dir/large', 'from the host '.repeat(5000)),
      () => wasi.files.write(`/${'long'.repeat(50)}`, ''),
      () => wasi.files.remove('/dir/inner'),
    ];
    for (const [i, change] of changes.entries()) {
      change();
      assert.not.equal(tree(started), before, `change ${i}`);
      guest.rollback();
      assert.equal(tree(started), before, `change ${i}`);
    }
  });

  both('descriptors and offsets are what they were', async () => {
    const { guest, caller } = await begin();
    const kept = caller.open('hello.txt') as number;
    assert.is(caller.read(kept, 6), 'hello ');
    guest.checkpoint();
    assert.is(caller.read(kept, 3), 'wor');
    const opened = caller.open('dir/inner') as number;
    assert.is(caller.close(kept), 0);
    guest.rollback();
    assert.is(caller.read(opened), 'errno 8');
    assert.is(caller.tell(kept), 6n);
    assert.is(caller.read(kept), 'world');
    assert.is(caller.seek(kept, 1), 1n);
    guest.rollback();
    assert.is(caller.tell(kept), 6n);
    assert.is(caller.open('dir/inner'), opened);
  });

  both('standard streams go back too', async () => {
    const { wasi, guest, caller } = await begin({ stdin: 'input of before' });
    assert.is(caller.read(0, 6), 'input ');
    caller.write(1, 'kept ');
    guest.checkpoint();
    assert.is(caller.read(0, 3), 'of ');
    caller.write(1, 'lost');
    caller.write(2, 'lost');
    assert.is(text(wasi.takeStdout()), 'kept lost');
    wasi.setStdin('of the request');
    assert.is(caller.read(0), 'of the request');
    guest.rollback();
    assert.is(text(wasi.takeStdout()), 'kept ');
    assert.is(text(wasi.takeStderr()), '');
    assert.is(caller.read(0), 'of before');
    assert.is(caller.read(0), '');
  });

  both('a rolled-back guest cannot be told from one that never ran', async () => {
    const [tried, twin] = [await begin(), await start(layout)];
    const next = random(99);
    const names = ['a', 'b', 'dir/c', 'hello.txt', 'new', 'new/d', 'nowhere/e'];
    const operation = (): ((on: Started) => unknown) => {
      const [name, other] = [names[next(names.length)]!, names[next(names.length)]!];
      const [fd, n, kind, flag, mode] = [next(9), next(300), next(14), next(2), next(3)];
      const content = String.fromCharCode(97 + next(26)).repeat(n);
      return ({ caller, wasi }) => {
        if (kind < 3) return caller.open(name, flag ? CREATE : 0, mode === 0 ? APPEND : 0);
        if (kind < 6) return caller.write(fd, content);
        if (kind === 6) return caller.read(fd, n);
        if (kind === 7) return caller.seek(fd, n % 20);
        if (kind === 8) return `${caller.tell(fd)} ${caller.size(fd)}`;
        if (kind === 9) return [caller.mkdir(name), caller.open(name, DIRECTORY)];
        if (kind === 10) return caller.unlink(name);
        if (kind === 11) return caller.rename(name, other);
        if (kind === 12) return fd > 2 && fd !== ROOT ? caller.close(fd) : caller.list();
        wasi.setStdin(content);
        return text(wasi.takeStdout());
      };
    };
    const memory = ({ guest }: Started) => Buffer.from(guest.memory.buffer.slice(0, 65536));
    for (let round = 0; round < 40; round++) {
      tried.guest.checkpoint();
      for (let i = next(12); i > 0; i--) {
        try {
          operation()(tried);
        } catch (error) {
          assert.instance(error, WebAssembly.RuntimeError);
          break;
        }
      }
      tried.guest.rollback();
      assert.equal(tree(tried), tree(twin), `round ${round}`);
      for (let i = next(4); i > 0; i--) {
        const run = operation();
        const results = [tried, twin].map((on) => {
          try {
            return JSON.stringify(run(on), (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
          } catch (error) {
            return String(error);
          }
        });
        assert.is(results[0], results[1], `round ${round}`);
      }
      assert.is(Buffer.compare(memory(tried), memory(twin)), 0, `memory, round ${round}`);
    }
  });

  both('no write of the file system goes untracked, whatever it is asked', async () => {
    const { wasi, guest } = await begin({ maxSleep: 0 });
    const next = random(12);
    for (const { name, parameters } of WITX) {
      for (let round = 0; round < 12; round++) {
        const args = parameters.map(({ type, part, of }) => {
          if (type === 'i64') return BigInt(next(2) ? 0x7fff : next(100));
          if (of === 'fd') return next(8);
          if (part === 'length') return next(10) === 0 ? next(2 ** 32) : next(12);
          if (part === 'value') return next(4);
          return next(10) === 0 ? 65536 - next(20) : next(8) === 0 ? next(2 ** 32) : next(60000);
        });
        wasi.setStdin('some input');
        guest.checkpoint();
        for (let i = 0; i < 64; i++) guest.write(next(60000), new TextEncoder().encode('/hello.txt'));
        try {
          (guest.exports[name] as (...args: unknown[]) => unknown)(...args);
        } catch (error) {
          assert.ok(error instanceof WebAssembly.RuntimeError || name === 'proc_exit', `${name}: ${error}`);
        }
        // With `audit`, throws when a byte of either memory was written unannounced.
        guest.rollback();
      }
    }
    assert.equal(wasi.files.list('/'), ['dir', 'hello.txt']);
  });
}

/** What a program of the package's own tests prints with the package itself. */
async function original(wasm: Uint8Array, stdin: string): Promise<string> {
  const { init, WASI, MemFS } = await import('@wasmer/wasi');
  await init();
  const fs = new MemFS();
  for (const path of ['/a', '/b']) fs.createDir(path);
  fs.open('/f1', { read: true, write: true, create: true }).writeString('x');
  const wasi = new WASI({ preopens: { '.': '/' }, fs });
  wasi.setStdinString(stdin);
  const module = await WebAssembly.compile(wasm as BufferSource);
  const imports = wasi.getImports(module) as WebAssembly.Imports;
  wasi.instantiate(await WebAssembly.instantiate(module, imports), {});
  wasi.start();
  return wasi.getStdoutString();
}

for (const name of ['demo', 'mapdir', 'pipe_reverse']) {
  test(`${name}: rolled back and run again, prints what it does with the package itself`, async () => {
    const folder = new URL('./', import.meta.resolve('@wasmer/wasi/package.json'));
    const wasm = new Uint8Array(await readFile(new URL(`tests/${name}.wasm`, folder)));
    const expected = await original(wasm, 'Hello');
    assert.ok(expected.length > 3);
    for (const layout of LAYOUTS) {
      const wasi = await createWasi({
        directories: ['/a', '/b'],
        files: { '/f1': 'x' },
        preopens: { '.': '/' },
        audit: true,
      });
      const instrumented = instrument(wasm, {
        layout,
        ...(layout === 'inline' && { reserve: 1 << 24 }),
      }).wasm;
      const guest = await instantiate(instrumented, (self) => wasi.imports(self), { audit: true });
      guest.checkpoint();
      for (let run = 0; run < 3; run++) {
        wasi.setStdin('Hello');
        assert.is(wasi.start(guest), 0);
        assert.is(text(wasi.takeStdout()), expected, `${layout}, run ${run}`);
        guest.rollback();
      }
    }
  });
}

test('guests do not share files', async () => {
  const [one, two] = [await start(), await start()];
  one.guest.checkpoint();
  two.guest.checkpoint();
  one.caller.open('one', CREATE);
  two.caller.open('two', CREATE);
  one.guest.rollback();
  assert.equal(one.caller.list(), ['dir', 'hello.txt']);
  assert.equal(two.caller.list(), ['dir', 'hello.txt', 'two']);
  assert.throws(
    () => one.wasi.imports(two.guest),
    (error: BelayError) => error.code === 'ERR_BELAY_WASI',
  );
});

test('a checkpoint does not depend on what the files hold', async () => {
  const { wasi, guest, caller } = await start();
  wasi.files.write('/large', new Uint8Array(20_000_000).fill(1));
  guest.checkpoint();
  const fd = caller.open('large') as number;
  caller.write(fd, 'changed');
  guest.rollback();
  assert.is(wasi.files.read('/large')[0], 1);
  assert.is(wasi.files.read('/large').length, 20_000_000);
});

test('the host’s view of the files', async () => {
  const { wasi } = await start(undefined, { directories: ['/x/y/z'], preopens: { '/': '/x' } });
  assert.equal(wasi.files.list('/'), ['dir', 'hello.txt', 'x']);
  assert.equal(wasi.files.list('/x/y'), ['z']);
  wasi.files.write('/x/a', 'ä'.repeat(5));
  assert.is(text(wasi.files.read('/x/a')), 'äääää');
  wasi.files.write('/x/a', '');
  assert.is(wasi.files.read('/x/a').length, 0);
  wasi.files.rename('/x/a', '/x/b');
  assert.not.ok(wasi.files.exists('/x/a'));
  wasi.files.removeDirectory('/x/y/z');
  wasi.files.remove('/x/b');
  assert.equal(wasi.files.list('/x'), ['y']);
  for (const wrong of [
    () => wasi.files.read('/none'),
    () => wasi.files.write('/none/a', ''),
    () => wasi.files.list('/none'),
  ]) {
    assert.throws(wrong, (error: BelayError) => error.code === 'ERR_BELAY_WASI');
  }
  assert.throws(
    () => wasi.files.read('relative'),
    (error: BelayError) => error.code === 'ERR_BELAY_OPTION',
  );
});

test('symbolic links are refused, not made and then fatal', async () => {
  const { guest, caller } = await start();
  guest.write(1000, new TextEncoder().encode('hello.txtlink'));
  assert.is(caller.call('path_symlink', 1000, 9, ROOT, 1009, 4), 58);
  assert.is(caller.open('link'), 'errno 44');
});

test('options that do not exist are errors', async () => {
  for (const options of [{ dirs: [] }, { outputLimit: -1 }, { env: { 'A=': '' } }, { args: ['a\0'] }]) {
    try {
      await createWasi(options as MemoryWasiOptions);
      assert.unreachable();
    } catch (error) {
      assert.is((error as BelayError).code, 'ERR_BELAY_OPTION');
    }
  }
});

test('a module that needs nothing but a stream, and the predecessor of preview 1', async () => {
  for (const namespace of ['wasi_snapshot_preview1', 'wasi_unstable']) {
    const wasi = await createWasi({ files: FILES });
    const guest = await instantiate(callerOf(undefined, namespace), (self) => wasi.imports(self));
    const caller = new Caller(guest, ROOT);
    const fd = caller.open('hello.txt') as number;
    assert.is(caller.read(fd), 'hello world', namespace);
  }
  const wasi = await createWasi();
  const guest = await instantiate(guestOf('(module (memory (export "memory") 1))'), (self) =>
    wasi.imports(self),
  );
  guest.checkpoint();
  guest.rollback();
});

test.run();
