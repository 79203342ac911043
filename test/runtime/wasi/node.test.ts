/** WASI on real files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { instantiate } from '../../../runtime/index.js';
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
