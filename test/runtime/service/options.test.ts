/** Wrong options are errors that name them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandler, type HandlerOptions } from '../../../runtime/service/handler.js';
import { checkRollback, checkRun } from '../../../runtime/service/options.js';
import { kindOf } from '../../../runtime/service/program.js';
import { listen } from '../../../runtime/service/server.js';
import { fakeGuest, plain } from './support.js';

const handle = () => plain('');

function refuses(pattern: RegExp, action: () => unknown, code = 'ERR_BELAY_OPTION'): void {
  try {
    action();
  } catch (error) {
    assert.is((error as { code?: string }).code, code);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`nothing was refused: ${pattern}`);
}

const WRONG: [RegExp, object][] = [
  [/no option quee/, { handle, quee: 1 }],
  [/queue must be a whole number/, { handle, queue: -1 }],
  [/maxBody must be a whole number/, { handle, maxBody: 1.5 }],
  [/maxHeader must be a whole number of at least 1/, { handle, maxHeader: 0 }],
  [/maxResponse must be a whole number/, { handle, maxResponse: '1' }],
  [/deadline must be a whole number/, { handle, deadline: -5 }],
  [/rollback must be on-failure or always/, { handle, rollback: 'never' }],
  [/deadline needs .*steps: true/, { handle, deadline: 5 }],
  [/maxSteps needs .*steps: true/, { handle, maxSteps: 5 }],
  [/either wasi .* or handle/, {}],
];
for (const [pattern, options] of WRONG) {
  test(`createHandler: ${pattern.source}`, () =>
    refuses(pattern, () => createHandler(fakeGuest(), options as HandlerOptions)));
}

test('a command cannot keep its state', () => {
  refuses(/_start of a command runs only once/, () => checkRollback('command', 'on-failure'));
});

test('the default policy depends on the kind', () => {
  assert.is(checkRollback('command', undefined), 'always');
  assert.is(checkRollback('reactor', undefined), 'on-failure');
  assert.is(checkRollback('function', undefined), 'on-failure');
});

test('always is refused with a WASI that cannot undo everything', () => {
  const wasi = { reversible: false, irreversible: ['changes of real files'] };
  refuses(/cannot undo changes of real files/, () =>
    checkRun(fakeGuest(), 'reactor', { rollback: 'always', wasi }),
  );
  assert.is(checkRun(fakeGuest(), 'reactor', { wasi }).rollback, 'on-failure');
});

test('a port beyond 65535', async () => {
  try {
    await listen(() => new Response(''), { port: 70_000 });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /port must be at most 65535/);
  }
});

/** A module of empty functions under these export names. */
function exporting(...names: string[]): WebAssembly.Module {
  const exports = names.flatMap((name) => [name.length, ...new TextEncoder().encode(name), 0, 0]);
  return new WebAssembly.Module(
    new Uint8Array([
      ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
      ...[7, exports.length + 1, names.length, ...exports],
      ...[10, 4, 1, 2, 0, 0x0b],
    ]),
  );
}

test('the kind of a program is found by its exports', () => {
  assert.is(kindOf(exporting('_start')), 'command');
  assert.is(kindOf(exporting('_initialize', 'handle')), 'reactor');
  assert.is(kindOf(exporting('handle')), 'reactor');
});

test('a module of no kind, or of both, is refused', () => {
  refuses(/export _start .* or _initialize and handle/, () => kindOf(exporting('main')), 'ERR_BELAY_SERVICE');
  refuses(/export one kind/, () => kindOf(exporting('_start', 'handle')), 'ERR_BELAY_SERVICE');
});

test.run();
