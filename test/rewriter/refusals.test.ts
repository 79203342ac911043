/** What cannot be rolled back is refused, naming function and instruction; inspect() says the same. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, instrument, type RefusedError } from '../../rewriter/index.js';
import { Writer } from '../../rewriter/wasm/writer.js';
import { Code, I32, ModuleBuilder } from '../support/generate.js';
import { assemble, errorOf } from './support.js';

const HEAD = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const custom = (name: string, ...bytes: number[]) => {
  const w = new Writer().name(name).byte(...bytes);
  return [0, w.length, ...w.done()];
};

function refused(bytes: Uint8Array, ...patterns: RegExp[]): void {
  const { code, message } = errorOf(() => instrument(bytes, { layout: 'inline' }));
  assert.is(code, 'ERR_BELAY_REFUSED', message);
  for (const pattern of patterns) assert.match(message, pattern);
  const { canRollBack, refusals } = inspect(bytes);
  assert.is(canRollBack, false);
  assert.ok(refusals.length > 0);
  assert.match(message, refusals[0]!.reason);
}

/** A module whose second function, `$bad`, has this body (without locals, with end). */
function withBody(types: number[], body: number[]): Uint8Array {
  const names = [1, 8, 2, 0, 1, 0x61, 1, 3, 0x62, 0x61, 0x64];
  return Uint8Array.from([
    ...HEAD,
    ...[1, types.length, ...types],
    ...[3, 3, 2, 0, 0],
    ...[10, body.length + 7, 2, 2, 0, 0x0b, body.length + 2, 0, ...body, 0x0b],
    ...custom('name', ...names.slice(0, 2), ...names.slice(2)),
  ]);
}

test('a shared memory', async () => {
  refused(await assemble('(module (memory 1 2 shared))'), /memory 0 is shared/, /threads/);
});

test('a mutated object, with function, instruction and offset', () => {
  // type 0: func; type 1: struct { mut i32 }; struct.set 1 0
  const bytes = withBody([2, 0x60, 0, 0, 0x5f, 1, 0x7f, 1], [0xd0, 1, 0x41, 0, 0xfb, 5, 1, 0]);
  refused(bytes, /\$bad/, /struct\.set/, /at byte \d+/);
  const [{ offset, instruction } = { offset: -1, instruction: '' }] = inspect(bytes).refusals;
  assert.is(instruction, 'struct.set');
  assert.is(bytes[offset!], 0xfb);
  assert.is(bytes[offset! + 1], 5);
});

test('array.set, array.fill, array.copy, array.init_data', () => {
  // type 1: array of mut i32
  for (const [name, sub, ...immediates] of [
    ['array.set', 14, 1],
    ['array.fill', 16, 1],
    ['array.copy', 17, 1, 1],
    ['array.init_data', 18, 1, 0],
  ] as const) {
    refused(
      withBody([2, 0x60, 0, 0, 0x5e, 0x7f, 1], [0x00, 0xfb, sub, ...immediates]),
      new RegExp(name.replace('.', '\\.')),
      /garbage-collected/,
    );
  }
});

test('an instruction that nobody knows', () => {
  refused(withBody([1, 0x60, 0, 0], [0x00, 0xfd, 0xff, 0x7f]), /not known/, /\$bad/, /0xfd3fff/);
  refused(withBody([1, 0x60, 0, 0], [0x00, 0xf5]), /0xf5/);
});

test('stack switching', () => {
  refused(withBody([1, 0x60, 0, 0], [0x00, 0xe2, 0]), /suspended/, /\$bad/);
});

test('an unknown section', () => {
  const { code, message } = errorOf(() => instrument(Uint8Array.from([...HEAD, 60, 1, 0])));
  assert.is(code, 'ERR_BELAY_REFUSED');
  assert.match(message, /unknown kind 60/);
});

test('a relocatable object file', () => {
  refused(Uint8Array.from([...HEAD, ...custom('linking', 2)]), /link it first/);
  refused(Uint8Array.from([...HEAD, ...custom('reloc.CODE', 0)]), /link it first/);
});

test('a table with 64-bit indices', () => {
  refused(Uint8Array.from([...HEAD, 4, 4, 1, 0x70, 4, 1]), /table 0 has 64-bit indices/);
});

test('a memory with a page size of its own', () => {
  refused(Uint8Array.from([...HEAD, 5, 4, 1, 8, 1, 0]), /page size/);
});

test("exports that begin with 'belay:'", async () => {
  refused(await assemble('(module (func (export "belay:checkpoint")))'), /belay:checkpoint/);
});

test('a module that is instrumented already', async () => {
  const { wasm } = instrument(await assemble('(module (memory 1))'), { layout: 'inline' });
  const { code, message } = errorOf(() => instrument(wasm));
  assert.is(code, 'ERR_BELAY_ALREADY_INSTRUMENTED');
  assert.match(message, /original/);
  const { instrumented, contract } = inspect(wasm);
  assert.is(instrumented, true);
  assert.is(contract?.layout, 'inline');
});

test('a component, another version, and what is no module at all', () => {
  const code = (bytes: number[]) => errorOf(() => instrument(Uint8Array.from(bytes)));
  assert.match(code([0, 0x61, 0x73, 0x6d, 13, 0, 1, 0]).message, /component/);
  assert.match(code([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]).message, /version 2/);
  assert.is(code([1, 2, 3]).code, 'ERR_BELAY_INVALID_MODULE');
  assert.is(code([]).code, 'ERR_BELAY_INVALID_MODULE');
});

test('every reason is listed, up to a limit', () => {
  const builder = new ModuleBuilder();
  for (let i = 0; i < 60; i++) {
    builder.define(builder.fn([I32], []), [], new Code().op(0x00, 0xf5));
  }
  const bytes = builder.build();
  const { refusals } = inspect(bytes);
  assert.is(refusals.length, 51);
  assert.match(refusals[50]!.reason, /10 more/);
  assert.match(errorOf(() => instrument(bytes)).message, /50 more/);
  try {
    instrument(bytes);
    assert.unreachable();
  } catch (error) {
    assert.is((error as RefusedError).refusals.length, 51);
  }
});

test.run();
