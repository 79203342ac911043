/** The install script never fails; where it builds nothing it says why. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NATIVE } from './support.js';

function install(env: Record<string, string>): { status: number | null; output: string; reason: string } {
  const folder = mkdtempSync(join(tmpdir(), 'belay-install-'));
  try {
    cpSync(join(NATIVE, 'install.mjs'), join(folder, 'install.mjs'));
    mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
    writeFileSync(join(folder, 'build', 'Release', 'belay.node'), 'stale');
    const child = spawnSync(process.execPath, [join(folder, 'install.mjs')], {
      env: { ...process.env, ...env },
      encoding: 'utf8',
    });
    assert.not.ok(existsSync(join(folder, 'build', 'Release')), 'nothing stale is left');
    const { reason } = JSON.parse(readFileSync(join(folder, 'build', 'unbuilt.json'), 'utf8'));
    return { status: child.status, output: child.stdout + child.stderr, reason };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('BELAY_NO_NATIVE=1 skips it', () => {
  const { status, output, reason } = install({ BELAY_NO_NATIVE: '1' });
  assert.is(status, 0);
  assert.match(reason, /BELAY_NO_NATIVE=1/);
  assert.is(output.trim().split('\n').length, 1, output);
});

test('without a compiler', () => {
  const { status, output, reason } = install({ CXX: '/nonexistent', CC: '/nonexistent' });
  assert.is(status, 0);
  assert.match(reason, /no C\+\+ compiler/);
  assert.is(output.trim().split('\n').length, 1, output);
});

test('a build that fails', () => {
  // There is no binding.gyp in that folder, or node-gyp is not there at all.
  const { status, output, reason } = install({ CXX: 'true' });
  assert.is(status, 0);
  assert.match(reason, /node-gyp/);
  assert.is(output.trim().split('\n').length, 1, output);
});

test('what the package carries is enough to build it', () => {
  const { files } = JSON.parse(readFileSync(join(NATIVE, '..', '..', 'package.json'), 'utf8')) as {
    files: string[];
  };
  const gyp = readFileSync(join(NATIVE, 'binding.gyp'), 'utf8');
  const sources = [...gyp.matchAll(/"([\w/]+\.cc)"/g)].map(([, name]) => name!);
  assert.ok(sources.length > 5);
  for (const name of [...sources, 'binding.gyp', 'install.mjs']) {
    assert.ok(existsSync(join(NATIVE, name)), name);
    const path = `kernel-shim/native/${name}`;
    assert.ok(
      files.some((entry) => path === entry || path.startsWith(`${entry}/`)),
      `${path} is not in package.json's files`,
    );
  }
});

test.run();
