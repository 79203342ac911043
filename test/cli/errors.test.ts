/** Every way to get it wrong is told in one line that says what to do, with the documented exit code. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../support/engines-skip.js';
import { assertFails, belay, inFolder, MUTATED_OBJECTS, SHARED, SMALL, shell } from './belay.js';

const root = process.getuid?.() === 0;

test('no command: help on standard error, exit code 2', () => {
  const run = belay([]);
  assert.is(run.code, 2);
  assert.is(run.out, '');
  assert.match(run.err, /Usage: belay/);
});

test('a command that does not exist, with what was meant', () => {
  assertFails(
    belay(['inspec', 'a.wasm']),
    2,
    'ERR_BELAY_OPTION',
    /inspec/,
    /did you mean inspect\?/,
    /--help/,
  );
});

test('an option that does not exist, with what was meant', () => {
  const run = belay(['instrument', 'a.wasm', '--regoin', '64']);
  assertFails(run, 2, 'ERR_BELAY_OPTION', /'--regoin'/, /did you mean --region\?/, /belay instrument --help/);
});

test('arguments missing or too many', () => {
  assertFails(belay(['inspect']), 2, 'ERR_BELAY_OPTION', /missing required argument/);
  assertFails(belay(['inspect', 'a', 'b']), 2, 'ERR_BELAY_OPTION', /too many arguments/);
  assertFails(belay(['instrument', 'a.wasm']), 2, 'ERR_BELAY_OPTION', /-o <file>/);
  assertFails(belay(['instrument', 'a.wasm', '-o']), 2, 'ERR_BELAY_OPTION', /argument missing/);
});

test('malformed values', () => {
  const given = (...flags: string[]) => belay(['instrument', 'a.wasm', '-o', 'b.wasm', ...flags]);
  for (const region of ['0', '3', '8192', '-1', '64k', 'x', '1.5', '']) {
    assertFails(given(`--region=${region}`), 2, 'ERR_BELAY_OPTION', /power of two from 1 to 4096/);
  }
  assertFails(given('--layout', 'sideways'), 2, 'ERR_BELAY_OPTION', /auto, separate, inline/);
  for (const reserve of ['0', '-5', 'big', '1.2', '64XiB']) {
    assertFails(given(`--reserve=${reserve}`), 2, 'ERR_BELAY_OPTION', /number of bytes/);
  }
});

test('contradictory options', () => {
  const given = (...flags: string[]) => belay(['instrument', 'a.wasm', ...flags]);
  const both = /contradicts --layout separate/;
  assertFails(
    given('-o', 'b', '--layout', 'separate', '--reserve', '1MiB'),
    2,
    'ERR_BELAY_OPTION',
    /--reserve/,
    both,
  );
  assertFails(
    given('-o', 'b', '--layout=separate', '--check-loads'),
    2,
    'ERR_BELAY_OPTION',
    /--check-loads/,
    both,
  );
  assertFails(given('-o', '-', '--json'), 2, 'ERR_BELAY_OPTION', /--json and -o - both/);
});

test('a missing file', () => {
  assertFails(
    belay(['inspect', 'nowhere.wasm']),
    1,
    'ERR_BELAY_FILE',
    /nowhere\.wasm: no such file; check the path/,
  );
  assertFails(belay(['instrument', 'nowhere.wasm', '-o', 'x']), 1, 'ERR_BELAY_FILE', /nowhere\.wasm/);
});

test('a directory', () =>
  inFolder((folder) => {
    assertFails(
      belay(['inspect', folder]),
      1,
      'ERR_BELAY_FILE',
      /it is a directory; name a \.wasm file in it/,
    );
  }));

testUnless(test, root && 'root may read everything', 'a file that may not be read', () =>
  inFolder((folder) => {
    const file = join(folder, 'a.wasm');
    writeFileSync(file, SMALL);
    chmodSync(file, 0);
    assertFails(belay(['inspect', file]), 1, 'ERR_BELAY_FILE', /permission denied/);
  }),
);

test('a text file that is no module', () => {
  const says = /text file, but not WebAssembly text/;
  for (const input of ['hello\n', '# notes\n(module)', '{"module": 1}', ';; only a comment\n']) {
    assertFails(belay(['inspect', '-'], { input }), 1, 'ERR_BELAY_INVALID_MODULE', /standard input/, says);
  }
});

test('text that does not parse names the place', () =>
  inFolder((folder) => {
    const file = join(folder, 'bad.wat');
    writeFileSync(file, '(module\n  (func (i32.frobnicate)))\n');
    assertFails(belay(['inspect', file]), 1, 'ERR_BELAY_INVALID_MODULE', /bad\.wat/, /:2/, /frobnicate/);
  }));

test('files of another kind', () => {
  const told = (input: Uint8Array, says: RegExp) =>
    assertFails(belay(['inspect', '-'], { input }), 1, 'ERR_BELAY_INVALID_MODULE', says);
  told(gzipSync('x'), /gzip/);
  told(Buffer.from('\x7fELF\x02\x01\x01\0', 'latin1'), /ELF/);
  told(Buffer.from([0xff, 0xfe, 0, 1]), /begins with ff fe 00 01/);
  told(Buffer.from([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]), /component/);
  told(Buffer.from([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), /version 2/);
});

test('an empty file', () => {
  assertFails(belay(['inspect', '-']), 1, 'ERR_BELAY_INVALID_MODULE', /is empty/);
});

test('a module cut off anywhere', () =>
  inFolder((folder) => {
    const whole = join(folder, 'whole.wasm');
    const cut = join(folder, 'cut.wasm');
    const plain = binary(SMALL);
    writeFileSync(whole, plain);
    assert.is(belay(['inspect', whole]).code, 0);
    for (const length of [4, 7, 9, 20, Math.floor(plain.length / 2), plain.length - 1]) {
      writeFileSync(cut, plain.subarray(0, length));
      for (const args of [
        ['inspect', cut],
        ['instrument', cut, '-o', join(folder, 'out.wasm')],
      ]) {
        assertFails(belay(args), 1, 'ERR_BELAY_INVALID_MODULE', /cut\.wasm/);
      }
    }
    assert.not.ok(existsSync(join(folder, 'out.wasm')));
  }));

test('a module that does not validate', () =>
  inFolder((folder) => {
    const file = join(folder, 'invalid.wasm');
    // (func (result i32)) with an empty body: the type says i32, nothing is returned.
    const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0b];
    writeFileSync(file, Buffer.from(bytes));
    const run = belay(['instrument', file, '-o', join(folder, 'out.wasm')]);
    assertFails(run, 1, 'ERR_BELAY_INVALID_MODULE', /invalid\.wasm/);
    assertFails(belay(['inspect', file]), 1, 'ERR_BELAY_INVALID_MODULE', /invalid\.wasm/);
  }));

test('a section that nobody knows', () =>
  inFolder((folder) => {
    const file = join(folder, 'new.wasm');
    writeFileSync(file, Buffer.concat([binary(SMALL), Buffer.from([0x7e, 1, 0])]));
    const run = belay(['instrument', file, '-o', join(folder, 'out.wasm')]);
    assertFails(run, 1, 'ERR_BELAY_REFUSED', /section of unknown kind 126/);
  }));

test('a refused module: where and what; inspect gives every reason', () =>
  inFolder((folder) => {
    const file = join(folder, 'shared.wat');
    writeFileSync(file, SHARED);
    const run = belay(['instrument', file, '-o', join(folder, 'out.wasm')]);
    assertFails(run, 1, 'ERR_BELAY_REFUSED', /memory 0 is shared/);
    assert.not.ok(existsSync(join(folder, 'out.wasm')));
    writeFileSync(file, MUTATED_OBJECTS);
    const two = belay(['instrument', file, '-o', join(folder, 'out.wasm')]);
    assertFails(two, 1, 'ERR_BELAY_REFUSED', /\$foo/, /struct\.set/, /1 more; belay inspect lists/);
    const inspected = belay(['inspect', file]);
    assert.is(inspected.code, 0, inspected.err);
    assert.match(
      inspected.out,
      /can be rolled back: no\n {4}- .*struct\.set.*\$foo.*\n {4}- .*struct\.set.*\$bar/,
    );
    const { canRollBack, refusals } = JSON.parse(belay(['inspect', file, '--json']).out);
    assert.is(canRollBack, false);
    assert.is(refusals.length, 2);
  }));

test('a module that is instrumented already', () =>
  inFolder((folder) => {
    const once = join(folder, 'once.wasm');
    assert.is(belay(['instrument', '-', '-o', once], { input: SMALL }).code, 0);
    const twice = belay(['instrument', once, '-o', join(folder, 'twice.wasm')]);
    assertFails(twice, 1, 'ERR_BELAY_ALREADY_INSTRUMENTED', /once\.wasm/);
  }));

test('an output that cannot be written', () =>
  inFolder((folder) => {
    const to = (output: string) => belay(['instrument', '-', '-o', output], { input: SMALL });
    assertFails(to(folder), 1, 'ERR_BELAY_FILE', /cannot write .*: it is a directory; name a file in it/);
    const missing = join(folder, 'no', 'out.wasm');
    assertFails(to(missing), 1, 'ERR_BELAY_FILE', /no such directory; create the directory first/);
    assert.equal(readdirSync(folder), []);
  }));

testUnless(test, root && 'root may write everywhere', 'a directory that may not be written', () =>
  inFolder((folder) => {
    chmodSync(folder, 0o555);
    const run = belay(['instrument', '-', '-o', join(folder, 'out.wasm')], { input: SMALL });
    chmodSync(folder, 0o755);
    assertFails(run, 1, 'ERR_BELAY_FILE', /permission denied/);
  }),
);

testUnless(test, !existsSync('/dev/full') && 'no /dev/full here', 'standard output that is full', () => {
  const run = shell(`echo '(module (memory 1))' | $BELAY instrument - -o - > /dev/full`);
  assertFails(run, 1, 'ERR_BELAY_FILE', /standard output: no space left on the device/);
  assertFails(shell(`echo '(module)' | $BELAY inspect - > /dev/full`), 1, 'ERR_BELAY_FILE', /no space left/);
});

const tinyDisk = mountTinyDisk();
testUnless(test, tinyDisk.why, 'a full disk: the old file stays, nothing is left behind', () => {
  const { folder } = tinyDisk;
  try {
    const out = join(folder, 'out.wasm');
    writeFileSync(out, 'old');
    const run = belay(['instrument', '-', '-o', out], { input: withData(512 * 1024) });
    assertFails(run, 1, 'ERR_BELAY_FILE', /no space left on the device; free some, nothing was replaced/);
    assert.equal(readdirSync(folder), ['out.wasm']);
    assert.is(readFileSync(out, 'utf8'), 'old');
  } finally {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  }
});

/** 256 KiB of disk, where this user may have one. */
function mountTinyDisk(): { folder: string; why?: string } {
  const folder = `/tmp/belay-disk-${process.pid}`;
  if (process.platform !== 'linux' || !root)
    return { folder, why: 'only root on Linux can mount a small disk' };
  try {
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder], { stdio: 'pipe' });
    return { folder };
  } catch {
    rmSync(folder, { recursive: true, force: true });
    return { folder, why: 'this machine does not let root mount a small disk' };
  }
}

/** A module with `bytes` bytes of data that do not compress away. */
function withData(bytes: number): string {
  return `(module (memory (export "memory") 16) (data (i32.const 0) "${'x'.repeat(bytes)}"))`;
}

/** The binary of a module given as text. */
function binary(text: string): Buffer {
  return execFileSync(process.execPath, ['--input-type=module', '-e', TO_BINARY], {
    input: text,
    cwd: import.meta.dirname,
  });
}

const TO_BINARY = `
import { text } from 'node:stream/consumers';
import wabt from 'wabt';
const module = (await wabt()).parseWat('m.wat', await text(process.stdin));
process.stdout.write(module.toBinary({}).buffer);
`;

test.run();
