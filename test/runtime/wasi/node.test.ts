/** WASI on real files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { instantiate } from '../../../runtime/index.js';
import type { Companion } from '../../../runtime/types.js';
import { createNodeWasi, type NodeWasiOptions, WasiExit } from '../../../runtime/wasi/index.js';
import { Caller, CREATE, callerOf, LAYOUTS, random, text } from './support.js';
import { WITX } from './witx.js';

// node:wasi warns that it is experimental; nobody needs to read that here.
process.removeAllListeners('warning');

const test = suite<{ folder: string }>('node:wasi');
const { versions } = process as { versions: Record<string, string | undefined> };
const isNode = !versions.bun && !versions.deno;

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'belay-wasi-'));
  writeFileSync(join(context.folder, 'hello.txt'), 'hello world');
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

async function start(layout = LAYOUTS[0]!, options: NodeWasiOptions = {}, namespace?: string) {
  const wasi = await createNodeWasi(options);
  const guest = await instantiate(callerOf(layout, namespace), (self) => wasi.imports(self), { audit: true });
  return { wasi, guest, caller: new Caller(guest, 3) };
}

const onNode = isNode ? test : test.skip;

for (const layout of LAYOUTS) {
  onNode(`${layout}: files are real, and stay as they are`, async ({ folder }) => {
    const { wasi, guest, caller } = await start(layout, { preopens: { '/': folder } });
    assert.is(wasi.reversible, false);
    assert.ok(wasi.irreversible.length > 0);
    assert.is(wasi.files, undefined);
    guest.checkpoint();
    const fd = caller.open('hello.txt') as number;
    assert.is(caller.read(fd, 5), 'hello');
    caller.write(caller.open('new', CREATE) as number, 'content');
    assert.is(readFileSync(join(folder, 'new'), 'utf8'), 'content');
    // What the guest saw of it is undone in its memory; the file and its offset are not.
    guest.rollback();
    assert.equal(readdirSync(folder).sort(), ['hello.txt', 'new']);
    assert.is(caller.read(fd, 100), ' world');
    assert.equal(caller.list(), ['hello.txt', 'new']);
  });

  onNode(`${layout}: no write goes untracked, whatever is asked`, async ({ folder }) => {
    const { wasi, guest } = await start(layout, { preopens: { '/': folder }, maxSleep: 0 });
    const next = random(31);
    for (const { name, parameters } of WITX) {
      for (let round = 0; round < 20; round++) {
        const args = parameters.map(({ type, part, of }) => {
          if (type === 'i64') return BigInt(next(2) ? 0x7fff : next(100));
          if (of === 'fd') return next(8);
          if (part === 'length') return next(10) === 0 ? next(2 ** 32) : next(12);
          if (part === 'value') return next(4);
          return next(10) === 0 ? 65536 - next(20) : next(8) === 0 ? next(2 ** 32) : next(60000);
        });
        wasi.setStdin('some input');
        guest.checkpoint();
        for (let i = 0; i < 64; i++) guest.write(next(60000), new TextEncoder().encode('hello.txt'));
        try {
          (guest.exports[name] as (...args: unknown[]) => unknown)(...args);
        } catch (error) {
          assert.ok(error instanceof WasiExit, `${name}: ${error}`);
        }
        guest.rollback();
      }
    }
  });
}

onNode('streams and environment go back, as with files in memory', async () => {
  const { wasi, guest, caller } = await start(undefined, { stdin: 'before', env: { A: '1' } });
  assert.is(wasi.reversible, true);
  assert.equal(wasi.irreversible, []);
  guest.checkpoint();
  wasi.setStdin('request');
  assert.is(caller.read(0), 'request');
  caller.write(1, 'answer');
  assert.is(text(wasi.takeStdout()), 'answer');
  caller.close(1);
  guest.rollback();
  assert.is(caller.read(0), 'before');
  caller.write(1, 'next');
  assert.is(text(wasi.takeStdout()), 'next');
});

/** A guest on real files, and what WASI joins to it: the process, and its descriptors. */
async function saving(options: NodeWasiOptions = {}, namespace?: string) {
  const wasi = await createNodeWasi(options);
  const joined: Required<Companion>[] = [];
  const guest = await instantiate(callerOf(undefined, namespace), (self) => {
    self.join = (companion) => joined.push(companion as Required<Companion>);
    return wasi.imports(self);
  });
  const [process, files] = joined as [Required<Companion>, Required<Companion>];
  return { wasi, guest, process, files, caller: new Caller(guest, 3) };
}

const refuses = (run: () => void, words: RegExp) =>
  assert.throws(run, (error: BelayError) => error.code === 'ERR_BELAY_STATE' && words.test(error.message));

onNode('what is kept can be saved while no file is open, and loaded elsewhere', async ({ folder }) => {
  const options = { preopens: { '/': folder, '/again': folder }, stdin: 'abcdef' };
  const one = await saving(options);
  assert.equal(one.files.save(), { wasi: 'real files', version: 1, preopens: ['/', '/again'] });
  one.files.checkpoint();
  assert.not.ok(one.files.changed);
  one.caller.read(0, 3);
  one.caller.write(1, 'output');
  const fd = one.caller.open('hello.txt') as number;
  assert.ok(one.files.changed);
  refuses(() => one.files.save(), new RegExp(`descriptor ${fd} of the guest is a real file`));
  // No rollback closes it.
  one.files.rollback();
  refuses(() => one.files.save(), /real file/);
  one.caller.close(fd);
  one.caller.close(1);
  one.caller.close(4);

  const two = await saving(options);
  two.caller.open('hello.txt');
  two.process.load(one.process.save());
  two.files.load(one.files.save());
  for (const { caller, wasi } of [one, two]) {
    assert.is(caller.read(0), 'def');
    assert.is(caller.write(1, 'more'), 'errno 8');
    assert.is(text(wasi.takeStdout()), 'output');
    // The numbers that are free.
    assert.equal([caller.open('hello.txt'), caller.open('hello.txt')], [1, 4]);
    assert.is(caller.read(4), 'hello world');
  }
});

onNode('descriptors that are not what was given, and states of others, are refused', async ({ folder }) => {
  const options = { preopens: { '/': folder, '/again': folder } };
  const changes: ((caller: Caller) => number)[] = [
    (caller) => caller.call('fd_renumber', 3, 4),
    (caller) => caller.call('fd_renumber', 1, 4),
    (caller) => caller.call('fd_fdstat_set_rights', 3, 1n << 13n, 0n),
  ];
  const unused = await saving(options);
  for (const change of changes) {
    const one = await saving(options);
    assert.is(change(one.caller), 0);
    refuses(() => one.files.save(), /not what it was given/);
    refuses(() => one.files.load(unused.files.save()), /has closed or changed descriptor/);
  }
  const lost = await saving(options);
  lost.caller.close(3);
  refuses(() => lost.files.load(unused.files.save()), /has closed or changed descriptor 3/);
  assert.is(lost.caller.close(3), 8);
  // Streams are all alike.
  const moved = await saving();
  assert.is(moved.caller.call('fd_renumber', 1, 2), 0);
  const target = await saving();
  target.process.load(moved.process.save());
  target.files.load(moved.files.save());
  for (const { caller, wasi } of [moved, target]) {
    caller.write(2, 'text');
    assert.is(text(wasi.takeStdout()), 'text');
    assert.is(caller.write(1, 'text'), 'errno 8');
  }
  refuses(() => moved.files.load(unused.files.save()), /named \/, \/again, and here they are \(none\)/);
  const closed = (list: unknown) => ({ wasi: 'real files', version: 1, closed: list });
  for (const list of [[['wasi_snapshot_preview1', [9]]], [['other', [0]]], [[0]], 5]) {
    refuses(() => moved.files.load(closed(list)), /damaged/);
  }
  refuses(() => moved.files.load({ wasi: 'files', version: 1 }), /files in memory, not of/);
});

onNode('a guest that closes its streams does not close ours', async ({ folder }) => {
  const { caller } = await start(undefined, { preopens: { '/': folder } });
  for (const fd of [0, 1, 2]) caller.close(fd);
  assert.is(writeSync(1, ''), 0);
  assert.is(writeSync(2, ''), 0);
});

onNode('the predecessor of preview 1', async ({ folder }) => {
  const { caller } = await start(undefined, { preopens: { '/': folder } }, 'wasi_unstable');
  assert.is(caller.read(caller.open('hello.txt') as number), 'hello world');
});

onNode('a directory that is not there, an option that does not exist', async () => {
  try {
    await createNodeWasi({ preopens: { '/': '/no/such/directory' } });
    assert.unreachable();
  } catch (error) {
    assert.is((error as BelayError).code, 'ERR_BELAY_WASI');
  }
  try {
    await createNodeWasi({ files: {} } as NodeWasiOptions);
    assert.unreachable();
  } catch (error) {
    assert.is((error as BelayError).code, 'ERR_BELAY_OPTION');
  }
});

if (!isNode) {
  test('elsewhere it is refused', async () => {
    try {
      await createNodeWasi();
      assert.unreachable();
    } catch (error) {
      assert.is((error as BelayError).code, 'ERR_BELAY_WASI');
    }
  });
}

test.run();
