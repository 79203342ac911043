/** `belay instrument` and `belay inspect` doing their work. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CONTRACT_VERSION, SECTION } from '../../contract/contract.js';
import { belay, inFolder, SHARED, SMALL, shell } from './belay.js';

const isInstrumented = (bytes: Uint8Array) =>
  WebAssembly.Module.customSections(new WebAssembly.Module(new Uint8Array(bytes)), SECTION).length === 1;

test('a file to a file, with a report for people', () =>
  inFolder((folder) => {
    const input = join(folder, 'in.wat');
    const output = join(folder, 'out.wasm');
    writeFileSync(input, SMALL);
    const run = belay([
      'instrument',
      input,
      '-o',
      output,
      '--layout',
      'inline',
      '--region',
      '256',
      '--no-cache',
    ]);
    assert.is(run.code, 0, run.err);
    assert.is(run.err, '');
    assert.match(run.out, /out\.wasm: inline layout, region 256\n/);
    for (const row of [
      'functions',
      'stores found +3',
      'checks inserted',
      'checks merged',
      'checks removed',
      'in stack frames',
      'size',
    ]) {
      assert.match(run.out, new RegExp(`^ {2}${row}`, 'm'));
    }
    assert.ok(isInstrumented(readFileSync(output)));
    assert.equal(readdirSync(folder).sort(), ['in.wat', 'out.wasm']);
  }));

test('standard input to standard output; the report goes to standard error', () => {
  const run = belay(['instrument', '-', '-o', '-', '--layout', 'inline'], { input: SMALL });
  assert.is(run.code, 0, run.err);
  assert.ok(isInstrumented(run.stdout));
  assert.match(run.err, /stores found/);
});

test('the output is deterministic', () => {
  const once = belay(['instrument', '-', '-o', '-', '--layout', 'inline', '--no-cache'], { input: SMALL });
  assert.is(once.code, 0, once.err);
  const twice = belay(['instrument', '-', '-o', '-', '--layout', 'inline', '--no-cache'], { input: SMALL });
  assert.ok(once.stdout.equals(twice.stdout));
});

test('--json gives the report and the contract', () =>
  inFolder((folder) => {
    const output = join(folder, 'out.wasm');
    const run = belay(['instrument', '-', '-o', output, '--json', '--layout', 'inline', '--steps'], {
      input: SMALL,
    });
    assert.is(run.code, 0, run.err);
    const result = JSON.parse(run.out);
    assert.is(result.output, output);
    assert.is(result.report.stores, 3);
    assert.is(result.report.bytesAfter, statSync(output).size);
    assert.is(result.contract.layout, 'inline');
    assert.is(result.contract.steps, true);
  }));

test('each option changes what it says', () => {
  const json = (...flags: string[]) =>
    inFolderSync((folder) => {
      const args = ['instrument', '-', '-o', join(folder, 'out.wasm'), '--json', ...flags];
      const run = belay(args, { input: SMALL });
      assert.is(run.code, 0, run.err);
      return JSON.parse(run.out);
    });
  assert.is(json('--region', '1').contract.region, 1);
  assert.is(json('--region', '4096').contract.region, 4096);
  assert.is(json('--layout', 'separate').contract.layout, 'separate');
  assert.is(json('--layout', 'inline').contract.layout, 'inline');
  const reserved = json('--layout', 'inline', '--reserve', '4MiB').contract.memories[0].reserve;
  assert.is(reserved, 64);
  assert.is(json('--steps').contract.steps, true);
  assert.is(json().contract.steps, false);
  assert.is(json('--oracle').contract.oracle, true);
  assert.is(json('--no-hints').report.branchHints, 0);
  assert.ok(json().report.branchHints > 0);
  const plain = json('--no-optimize', '--layout', 'inline').report;
  const optimized = json('--layout', 'inline').report;
  assert.is(plain.checksMerged + plain.checksRemoved, 0);
  assert.ok(optimized.checksMerged + optimized.checksRemoved > 0);
  const loads = json('--layout', 'inline', '--check-loads').report.bytesAfter;
  assert.ok(loads > optimized.bytesAfter, 'checked loads need code');
});

test('an existing file is replaced whole and keeps its mode; a link stays a link', () =>
  inFolder((folder) => {
    const real = join(folder, 'real.wasm');
    const link = join(folder, 'link.wasm');
    writeFileSync(real, 'old');
    chmodSync(real, 0o640);
    symlinkSync(real, link);
    assert.is(belay(['instrument', '-', '-o', link], { input: SMALL }).code, 0);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.is(statSync(real).mode & 0o777, 0o640);
    assert.is(readFileSync(real)[0], 0);
    assert.equal(readdirSync(folder).sort(), ['link.wasm', 'real.wasm']);
  }));

test('a device is written, not replaced', () => {
  if (!existsSync('/dev/null')) return;
  assert.is(belay(['instrument', '-', '-o', '/dev/null'], { input: SMALL }).code, 0);
  assert.ok(statSync('/dev/null').isCharacterDevice());
});

test('no progress bar and no colours where nobody watches', () => {
  const run = belay(['instrument', '-', '-o', '/dev/null', '--no-cache'], { input: SMALL });
  assert.not.ok((run.err + run.out).includes('\u001b'), 'no escape sequences');
});

test('a reader that has seen enough is no failure', () => {
  const run = shell(`echo '(module)' | $BELAY inspect - --json | head -c 1`);
  assert.is(run.out, '{');
  assert.is(run.err, '');
});

test('inspect says what state there is', () => {
  const run = belay(['inspect', '-'], { input: SMALL });
  assert.is(run.code, 0, run.err);
  assert.match(run.out, /^standard input: \d+ B, library\n/);
  assert.match(run.out, /memories +1 pages exported/);
  assert.match(run.out, /globals +1 mutable, 0 immutable/);
  assert.match(run.out, /state changes +.*i32\.store 3/);
  assert.match(run.out, /can be rolled back: yes/);
});

test('inspect --json is the whole inspection', () => {
  const module = JSON.parse(belay(['inspect', '-', '--json'], { input: SMALL }).out);
  assert.is(module.canRollBack, true);
  assert.equal(module.refusals, []);
  assert.is(module.writes['i32.store'], 3);
  assert.is(module.memories.length, 1);
});

test('inspect names function and instruction of what cannot be rolled back', () => {
  const run = belay(['inspect', '-'], { input: SHARED });
  assert.is(run.code, 0, run.err);
  assert.match(run.out, /can be rolled back: no/);
});

test('inspect knows an instrumented module', () => {
  const instrumented = belay(['instrument', '-', '-o', '-', '--layout', 'inline'], { input: SMALL }).stdout;
  const run = belay(['inspect', '-'], { input: instrumented });
  assert.is(run.code, 0, run.err);
  const said = `instrumented: lmc, inline layout, region \\d+, steps not counted, contract ${CONTRACT_VERSION}\\b`;
  assert.match(run.out, new RegExp(said));
});

function inFolderSync<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'belay-cli-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test.run();
