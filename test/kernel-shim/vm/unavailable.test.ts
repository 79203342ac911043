/** Where packages cannot be had the kernel's tests are skipped, and say so; and how the cache's folders are made. */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const run = promisify(execFile);

const scratch = mkdtempSync(join(tmpdir(), 'belay-kernel-'));
test.after(() => rmSync(scratch, { recursive: true, force: true }));
process.env.BELAY_KERNEL_CACHE = join(scratch, 'cache');
const { CACHE, folderOf, hashOf, ROOT } = await import('../../../kernel-shim/vm/cache.js');

/** Runs `npm run kernel:test` without its build. */
async function kernelTest(env: Record<string, string>): Promise<{ code: number; output: string }> {
  const command = [join(ROOT, 'dist/kernel-shim/vm/test.js')];
  const result = run(process.execPath, command, { env: { ...process.env, ...env }, timeout: 120_000 });
  return result.then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    ({ code, stdout, stderr }) => ({ code, output: stdout + stderr }),
  );
}

test('without a network: skipped, with the reason, and not passed', async () => {
  const nowhere = 'http://127.0.0.1:9';
  const { code, output } = await kernelTest({ http_proxy: nowhere, https_proxy: nowhere });
  assert.match(output, /^SKIPPED the kernel module's tests: ./m);
  assert.match(output, /\n0 passed, 0 failed, 1 skipped\n$/);
  assert.is(code, 0);
});

test('without apt-get: the same', async () => {
  const path = mkdtempSync(join(scratch, 'bin-'));
  for (const name of ['flock', 'sh', 'cat']) symlinkSync(join('/usr/bin', name), join(path, name));
  const { output } = await kernelTest({ PATH: path });
  assert.match(output, /^SKIPPED the kernel module's tests: ./m);
});

test('wrong options are failures', async () => {
  const command = join(ROOT, 'dist/kernel-shim/vm/test.js');
  for (const args of [['--cpus', '0'], ['--cpus', '1,x'], ['--seconds', '-1'], ['--what']]) {
    const { code, stdout } = (await run(process.execPath, [command, ...args]).catch((error) => error)) as {
      code: number;
      stdout: string;
    };
    assert.is(code, 1, args.join(' '));
    assert.match(stdout, /^0 passed, 1 failed, 0 skipped$/m);
  }
});

test('a folder is made once for each content, and whole', async () => {
  let made = 0;
  const make = (folder: string) => {
    made++;
    writeFileSync(join(folder, 'x'), String(made));
  };
  const folder = await folderOf('thing', 'a', make);
  assert.is(folder, join(CACHE, 'thing'));
  await folderOf('thing', 'a', make);
  assert.is(made, 1);
  await folderOf('thing', 'b', make);
  assert.is(readFileSync(join(folder, 'x'), 'utf8'), '2');
  const broken = folderOf('thing', 'c', (partial) => {
    writeFileSync(join(partial, 'x'), 'half');
    throw new Error('interrupted');
  });
  await broken.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'interrupted'),
  );
  assert.is(readFileSync(join(folder, 'x'), 'utf8'), '2');
  assert.equal(
    readdirSync(CACHE).filter((name) => name.startsWith('partial-')),
    [],
  );
});

test('those who want a folder at the same time get the one that the first makes', async () => {
  let made = 0;
  const make = async (folder: string) => {
    made++;
    await new Promise((resolve) => setTimeout(resolve, 100));
    writeFileSync(join(folder, 'x'), '');
  };
  const folders = await Promise.all([1, 2, 3].map(() => folderOf('shared', 'a', make)));
  assert.is(made, 1);
  assert.ok(folders.every((folder) => existsSync(join(folder, 'x'))));
});

test('a hash tells names, contents and texts apart', () => {
  const folder = mkdtempSync(join(scratch, 'hash-'));
  const hash = () => hashOf(['a'], [folder]);
  const empty = hash();
  assert.is(empty, hashOf(['a'], [join(folder, 'missing')]));
  writeFileSync(join(folder, 'x'), '1');
  const one = hash();
  writeFileSync(join(folder, 'x'), '2');
  const two = hash();
  rmSync(join(folder, 'x'));
  writeFileSync(join(folder, 'y'), '2');
  assert.is(new Set([empty, one, two, hash(), hashOf(['b'], [folder])]).size, 5);
});

test.run();
