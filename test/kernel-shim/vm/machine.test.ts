/** How a machine's end is told, and its lines are read: a shell script in QEMU's place. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bootMachine } from '../../../kernel-shim/vm/machine.js';

const folder = mkdtempSync(join(tmpdir(), 'belay-machine-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, 'lib/modules/6.1.0-0-cloud-amd64'), { recursive: true });
mkdirSync(join(folder, 'usr/bin'), { recursive: true });

async function boot(script: string, limits: { timeoutSeconds: number; silenceSeconds?: number }) {
  const program = join(folder, 'usr/bin/qemu-system-x86_64');
  writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const lines: string[] = [];
  const end = await bootMachine({
    kernel: folder,
    qemu: folder,
    initramfs: 'none.cpio',
    ...limits,
    onLine: (line, from) => lines.push(`${from}: ${line}`),
  });
  return { lines, ...end };
}

test('lines of both serial lines, as they come, without their ends', async () => {
  const script = `printf 'one\\r\\ntw'; sleep 0.1; printf 'o\\r\\n'; sleep 0.1; printf '[ 1.0] hi\\n' >&3; sleep 0.1; printf rest`;
  const { lines, problem } = await boot(script, { timeoutSeconds: 60 });
  assert.is(problem, undefined);
  assert.equal(lines, ['program: one', 'program: two', 'kernel: [ 1.0] hi', 'program: rest']);
});

test('a machine that takes too long is ended', async () => {
  const { problem, seconds } = await boot('while :; do echo on and on; sleep 0.1; done', {
    timeoutSeconds: 1,
    silenceSeconds: 60,
  });
  assert.is(problem, 'not done after 1 s');
  assert.ok(seconds < 30);
});

test('a machine that falls silent is ended, and one that speaks is not', async () => {
  const silent = await boot('echo hello; exec sleep 60', { timeoutSeconds: 60, silenceSeconds: 1 });
  assert.is(silent.problem, 'nothing heard for 1 s');
  assert.equal(silent.lines, ['program: hello']);
  const slow = 'for i in 1 2 3 4 5 6 7 8; do sleep 0.3; echo $i >&3; done';
  assert.is((await boot(slow, { timeoutSeconds: 60, silenceSeconds: 2 })).problem, undefined);
});

test('an exit code or a signal is told with what QEMU said', async () => {
  const failed = await boot('echo "no such board" >&2; exit 3', { timeoutSeconds: 60 });
  assert.match(failed.problem ?? '', /exit code 3: no such board/);
  const killed = await boot('kill -SEGV $$', { timeoutSeconds: 60 });
  assert.match(killed.problem ?? '', /SIGSEGV/);
});

test('a QEMU that is not there is a problem', async () => {
  const end = await bootMachine({
    kernel: folder,
    qemu: join(folder, 'nowhere'),
    initramfs: 'none.cpio',
    timeoutSeconds: 60,
    onLine: () => {},
  });
  assert.match(end.problem ?? '', /cannot be run/);
});

test.run();
