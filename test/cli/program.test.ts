/** belay run, trace and replay. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unavailable } from '../../runtime/mechanisms/index.js';
import '../../runtime/node.js';
import { readTrace } from '../../runtime/speculation/trace.js';
import { testUnless } from '../support/engines-skip.js';
import { assertFails, belay, inFolder, SMALL } from './belay.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const NOTES = join(ROOT, 'samples', 'notes', 'notes.wasm');
const REQUESTS = join(ROOT, 'samples', 'notes', 'requests.txt');

const TRAP = `(module (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.store (i32.const 0) (local.get 0)) (i32.add (local.get 0) (local.get 1)))
  (func (export "boom") (i32.store (i32.const 0) (i32.const 1)) (unreachable))
  (func (export "spin") (loop $l (br $l))))`;

/** Prints "hi" and exits with the code in $CODE's place. */
const COMMAND = (code: number) => `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $x (param i32)))
  (memory (export "memory") 1) (data (i32.const 8) "hi\\0a")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 8)) (i32.store (i32.const 4) (i32.const 3))
    (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (call $x (i32.const ${code}))))`;

function file(folder: string, name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('run: requests to a reactor; what fails is undone', () => {
  const { code, out, err } = belay(['run', NOTES, '--requests', REQUESTS, '--stats']);
  assert.is(code, 0, err);
  const lines = out.trim().split('\n');
  assert.is(lines.length, 9);
  assert.is(lines[0], 'POST /notes: 201 {"id":1,"text":"buy milk"}');
  assert.match(lines[5]!, /^POST \/crash\/scribble: undone, trap/);
  assert.is(lines[8], 'GET /notes: 200 [{"id":2,"text":"walk the dog"}]');
  assert.match(err, /failed +\{"trap":2\}/);
});

test('run: requests from standard input, again and again, as JSON', () => {
  const { code, out, err } = belay(['run', NOTES, '--requests', '-', '--repeat', '3', '--json'], {
    input: 'POST /notes one\n\n# nothing\nGET /notes\n',
  });
  assert.is(code, 0, err);
  const { requests, failed, stats } = JSON.parse(out);
  assert.equal([requests, failed, stats.mechanism], [6, {}, 'lmc']);
});

test('run: a function, by every mechanism of any engine', async () => {
  await inFolder((folder) => {
    const wat = file(folder, 'm.wat', TRAP);
    for (const mechanism of ['lmc', 'cards', 'undolog', 'page-cow', 'full-copy']) {
      const args = ['--invoke', 'add', '--mechanism', mechanism, '--repeat', '5', '--json', '2', '40'];
      const { code, out, err } = belay(['run', wat, ...args]);
      assert.is(code, 0, err);
      const { result, calls, stats } = JSON.parse(out);
      assert.equal([result, calls, stats.mechanism], ['42', 5, mechanism]);
    }
    assert.is(belay(['run', wat, '--invoke', 'add', '2', '40']).out, '42\n');
    const auto = belay(['run', wat, '--invoke', 'add', '--mechanism', 'auto', '1', '2']);
    assert.is(auto.out, '3\n');
    assert.match(auto.err, /^mechanism auto: for epochs of .* is estimated to cost/);
  });
});

testUnless(test, unavailable('uffd'), 'run: natively, with a policy and its options', () => {
  const args = ['--mechanism', 'uffd', '--policy', 'gspec:population=7,seed=3', '--repeat', '20', '--json'];
  const { code, out, err } = belay(['run', NOTES, '--requests', REQUESTS, ...args]);
  assert.is(code, 0, err);
  const { stats } = JSON.parse(out);
  assert.is(stats.mechanism, 'uffd');
  assert.ok(stats.faults > 0 && stats.copiedAhead > 0, out);
});

test('run: a command, its output and its exit code', async () => {
  await inFolder((folder) => {
    const good = belay(['run', file(folder, 'good.wat', COMMAND(0))]);
    assert.equal([good.code, good.out, good.err], [0, 'hi\n', '']);
    const bad = belay(['run', file(folder, 'bad.wat', COMMAND(7))]);
    assert.equal([bad.code, bad.out], [7, 'hi\n']);
  });
});

test('run: what goes wrong is said in one line', async () => {
  await inFolder((folder) => {
    const wat = file(folder, 'm.wat', TRAP);
    assertFails(belay(['run', wat, '--invoke', 'boom']), 1, 'ERR_BELAY_SERVICE', /rolled back: unreachable/);
    assertFails(
      belay(['run', wat, '--invoke', 'spin', '--max-steps', '1000']),
      1,
      'ERR_BELAY_OVERRUN',
      /steps/,
    );
    assertFails(belay(['run', wat, '--invoke', 'nope']), 2, 'ERR_BELAY_OPTION', /there are add, boom, spin/);
    assertFails(belay(['run', wat, '--invoke', 'add', 'x']), 2, 'ERR_BELAY_OPTION', /x is no number/);
    assertFails(belay(['run', wat]), 1, 'ERR_BELAY_SERVICE', /cannot be served/);
    assertFails(belay(['run', NOTES]), 1, 'ERR_BELAY_SERVICE', /--requests/);
    assertFails(belay(['run', wat, '--mechanism', 'magic']), 2, 'ERR_BELAY_OPTION', /lmc, cards/);
    assertFails(
      belay(['run', wat, '--invoke', 'add', '--policy', 'lru', '--mechanism', 'page-cow']),
      2,
      'ERR_BELAY_OPTION',
      /lru/,
    );
    assertFails(
      belay(['run', wat, '--invoke', 'add', '--policy', 'gspec:colour=1', '--mechanism', 'page-cow']),
      2,
      'ERR_BELAY_OPTION',
      /colour/,
    );
    assertFails(
      belay(['run', wat, '--invoke', 'add', '--policy', 'none']),
      2,
      'ERR_BELAY_OPTION',
      /policy is for/,
    );
    assertFails(
      belay(['run', wat, '--typical', '5', '--invoke', 'add']),
      2,
      'ERR_BELAY_OPTION',
      /--mechanism auto/,
    );
    const requests = file(folder, 'r.txt', 'GET /ok\nFETCH\n');
    assertFails(belay(['run', NOTES, '--requests', requests]), 2, 'ERR_BELAY_OPTION', /line 2/);
    assertFails(
      belay(['run', NOTES, '--requests', join(folder, 'none')]),
      1,
      'ERR_BELAY_FILE',
      /no such file/,
    );
  });
});

test('trace and replay: the pages of each epoch, and what each policy makes of them', async () => {
  await inFolder((folder) => {
    const trace = join(folder, 'notes.trace');
    const run = belay(['trace', NOTES, '--requests', REQUESTS, '--repeat', '40', '-o', trace, '--json']);
    assert.is(run.code, 0, run.err);
    assert.is(JSON.parse(run.out).requests, 360);
    const read = readTrace(readFileSync(trace));
    assert.is(read.epochs.length, 360);
    assert.ok(read.kinds.includes('POST /notes') && read.kinds.includes('GET /search'), read.kinds.join());
    assert.ok(read.epochs.every(({ written }) => written.length > 0));
    const { code, out, err } = belay(['replay', trace, '--policy', 'all', '--costs', '1,8,0.5']);
    assert.is(code, 0, err);
    for (const policy of ['none', 'active-rnd', 'active-cks', 'gspec', 'adaptive', 'oracle']) {
      assert.match(out, new RegExp(`^${policy} `, 'm'));
    }
    const json = JSON.parse(
      belay(['replay', trace, '--policy', 'gspec:population=3', '--costs', '1,8,0.5', '--json']).out,
    );
    assert.equal(
      json.results[0].outcomes.map(({ policy }: { policy: string }) => policy),
      ['none', 'gspec', 'oracle'],
    );
    assertFails(belay(['replay', NOTES]), 1, 'ERR_BELAY_TRACE', /not a trace/);
    assertFails(belay(['replay', join(folder, 'none')]), 1, 'ERR_BELAY_FILE', /no such file/);
    assertFails(belay(['replay', trace, '--costs', '1,2']), 2, 'ERR_BELAY_OPTION', /three numbers/);
    assertFails(belay(['trace', NOTES, '--requests', REQUESTS]), 2, 'ERR_BELAY_OPTION', /-o <file>/);
    assertFails(belay(['trace', NOTES, '-o', trace]), 2, 'ERR_BELAY_OPTION', /--requests/);
    assertFails(
      belay(['trace', NOTES, '-o', trace, '--requests', REQUESTS, '--policy', 'none']),
      2,
      'ERR_BELAY_OPTION',
      /without/,
    );
  });
});

test('trace: a function without a service', async () => {
  await inFolder((folder) => {
    const trace = join(folder, 'small.trace');
    const run = belay([
      'trace',
      file(folder, 'm.wat', SMALL),
      '--invoke',
      'bump',
      '--repeat',
      '10',
      '-o',
      trace,
      '5000',
    ]);
    assert.is(run.code, 0, run.err);
    const { epochs } = readTrace(readFileSync(trace));
    assert.equal(
      epochs.map(({ written }) => [...written]),
      Array.from({ length: 10 }, () => [1]),
    );
  });
});

test.run();
