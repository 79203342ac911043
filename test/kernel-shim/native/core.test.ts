/** The core alone, without Node: random operations against a copy, plain, with a refusing kernel, and under ASan. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FAULTS, NativeBreakage } from '../../support/breakage-native.js';
import { testUnless } from '../../support/engines-skip.js';
import { NATIVE, NATIVE_MECHANISMS } from './support.js';

const compiler = process.env.CXX || 'g++';
const why =
  process.platform !== 'linux'
    ? 'it is for Linux'
    : spawnSync(compiler, ['--version']).status !== 0
      ? `there is no C++ compiler (${compiler})`
      : // Nothing of an engine is in it: the Node that runs the tests has run it.
        process.execPath.includes(join('.cache', 'engines')) && 'the core knows nothing of Node';

const folder = mkdtempSync(join(tmpdir(), 'belay-fuzz-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const core = readdirSync(join(NATIVE, 'core'))
  .filter((name) => name.endsWith('.cc'))
  .map((name) => join(NATIVE, 'core', name));

function build(name: string, flags: string[], source = 'fuzz.cc'): string {
  const program = join(folder, name);
  const warnings = ['-Wall', '-Wextra', '-Werror'];
  const wrapped = source === 'fuzz.cc' ? ['-Wl,--wrap=mprotect,--wrap=ioctl'] : [];
  const sources = [...core, join(NATIVE, 'test', source)];
  const result = spawnSync(
    compiler,
    ['-std=c++17', '-g', ...warnings, ...flags, ...sources, '-o', program, '-pthread', ...wrapped],
    { encoding: 'utf8' },
  );
  assert.is(result.status, 0, result.stderr);
  return program;
}

/** Why it was not run, or nothing; throws on a mismatch. */
function run(program: string, args: (string | number)[]): string | undefined {
  const env = { ...process.env, ASAN_OPTIONS: 'handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1' };
  const { status, signal, stdout, stderr } = spawnSync(program, args.map(String), { env, encoding: 'utf8' });
  if (status === 2) return stdout;
  assert.is(status, 0, `${args.join(' ')} (${signal ?? status}): ${stdout}${stderr}`);
  return undefined;
}

const seed = 1 + Math.floor(Math.random() * 1e6);

function runAll(program: string, operations: number): void {
  for (const mechanism of NATIVE_MECHANISMS) {
    const missing = run(program, [mechanism, operations, seed]);
    if (missing) console.log(`\nSKIP ${mechanism} in the core\t${missing}`);
    if (missing) continue;
    run(program, [mechanism, operations / 2, seed, 3]);
    run(program, [mechanism, operations / 2, seed, 1, 'inject']);
    run(program, [mechanism, operations / 2, seed, 3, 'inject']);
  }
}

testUnless(test, why, `random operations (seed ${seed})`, () => runAll(build('plain', ['-O2']), 10_000));

testUnless(test, why, `random operations under AddressSanitizer (seed ${seed})`, () => {
  runAll(build('asan', ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']), 1_000);
});

testUnless(test, why, 'signals that are not ours, with every kind of earlier handler', () => {
  run(build('signals', ['-O2'], 'signals.cc'), []);
});

testUnless(test, why, 'deliberate faults in the core are found', () => {
  const breakage = new NativeBreakage();
  try {
    const unnoticed = FAULTS.flatMap((fault) =>
      breakage.unnoticed(fault).map((mechanism) => `${mechanism}: ${fault.what}`),
    );
    assert.equal(unnoticed, []);
  } finally {
    breakage.remove();
  }
});

test.run();
