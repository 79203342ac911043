/** The file-system module's glue: every byte it writes from outside is announced first. */
import { readFile } from 'node:fs/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Guest } from '../../../runtime/types.js';
import { Glue, StandInInstance } from '../../../runtime/wasi/glue.js';

/** A guest that is a memory with a stack pointer and an allocator that never frees; it notes what is announced. */
function fake() {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const announced = new Uint8Array(65536);
  let free = 32768;
  let stack = 16384;
  const guest = {
    memory,
    instance: {
      exports: {
        memory,
        __wbindgen_export_2: new WebAssembly.Table({ element: 'anyfunc', initial: 1 }),
        __wbindgen_malloc: (bytes: number) => {
          free += bytes;
          return free - bytes;
        },
        __wbindgen_exn_store: () => {},
        __wbindgen_add_to_stack_pointer: (delta: number) => {
          stack += delta;
          return stack;
        },
      },
    },
    touch: (start: number, length: number) => announced.fill(1, start, start + length),
    write: (start: number, bytes: Uint8Array) => {
      announced.fill(1, start, start + bytes.length);
      new Uint8Array(memory.buffer).set(bytes, start);
    },
  };
  const bytes = () => new Uint8Array(memory.buffer);
  bytes().fill(0xee);
  return {
    guest: guest as unknown as Guest,
    bytes,
    /** Bytes that changed and were not announced. */
    silent: () => bytes().reduce((n, byte, i) => n + (byte !== 0xee && !announced[i] ? 1 : 0), 0),
    changed: () => bytes().reduce((n, byte) => n + (byte !== 0xee ? 1 : 0), 0),
  };
}

function setup() {
  const [served, self] = [fake(), fake()];
  const sources = { now: () => 5_000_000n, random: (bytes: Uint8Array) => bytes.fill(7) };
  const glue = new Glue(() => served.guest, sources);
  glue.bind(self.guest);
  const wbg = glue.imports().wbg as Record<string, (...args: (number | bigint)[]) => unknown>;
  return { served, self, glue, wbg };
}

test('what imports write into the module is announced', () => {
  const { self, glue, wbg } = setup();
  const cases: [string, ...(number | bigint)[]][] = [
    ['__wbindgen_string_get', 1024, glue.add('tëxt')],
    ['__wbindgen_string_get', 2048, glue.add(5)],
    ['__wbindgen_number_get', 3072, glue.add(1.5)],
    ['__wbindgen_number_get', 4096, glue.add('no number')],
    ['__wbindgen_debug_string', 5120, glue.add({})],
    ['__wbg_randomFillSync_6894564c2c334c42', 0, 6144, 10],
  ];
  for (const [name, ...args] of cases) {
    const before = self.changed();
    wbg[name]!(...args);
    assert.ok(self.changed() > before, name);
    assert.is(self.silent(), 0, name);
  }
  const memory = wbg.__wbindgen_memory!() as number;
  const buffer = wbg.__wbg_buffer_3f3d764d4747d564!(memory) as number;
  const view = wbg.__wbg_newwithbyteoffsetandlength_d9aa266703cb98be!(buffer, 7168, 20) as number;
  wbg.__wbg_getRandomValues_805f1c3d65988a5a!(0, view);
  wbg.__wbg_set_83db9690f9353e79!(view, glue.add(new Uint8Array(10).fill(3)), 5);
  assert.is(self.bytes()[7168 + 5], 3);
  assert.is(self.bytes()[7168], 7);
  assert.is(self.silent(), 0);
  assert.throws(() => wbg.__wbg_set_83db9690f9353e79!(view, glue.add(new Uint8Array(10)), 11), RangeError);
  glue.passString('a string that is longer than one region of sixty-four bytes, and then some');
  assert.is(self.silent(), 0);
});

test('so is what they write into the guest, to the byte', () => {
  const { served, glue, wbg } = setup();
  const instance = new StandInInstance(served.guest);
  const buffer = wbg.__wbg_buffer_3f3d764d4747d564!(glue.add(instance.exports.memory)) as number;
  const all = wbg.__wbg_new_8c3f0052272a457a!(buffer) as number;
  const part = wbg.__wbg_subarray_58ad4efbb5bcb886!(all, 1000, 1100) as number;
  wbg.__wbg_set_83db9690f9353e79!(part, glue.add(new Uint8Array(30).fill(1)), 10);
  assert.is(served.changed(), 30);
  assert.is(served.silent(), 0);
  assert.is(served.bytes()[1010], 1);
});

test('numbers of objects mean after a rollback what they meant', () => {
  const { glue } = setup();
  const [a, b, c] = ['a', 'b', 'c'].map((value) => glue.add(value)) as [number, number, number];
  glue.drop(b);
  glue.checkpoint();
  for (let round = 0; round < 2; round++) {
    assert.is(glue.take(a), 'a');
    assert.is(glue.add('d'), a);
    assert.is(glue.add('e'), b);
    glue.add('f');
    glue.drop(c);
    glue.rollback();
    assert.equal([glue.get(a), glue.get(c)], ['a', 'c']);
  }
  assert.is(glue.add('next'), b);
  assert.is(glue.add('after'), c + 1);
  // Fixed numbers are never given up.
  glue.drop(33);
  assert.is(glue.get(33), null);
});

test('errors go where the module looks for them', () => {
  const { glue, wbg } = setup();
  const stored: unknown[] = [];
  glue.exports.__wbindgen_exn_store = (object) => stored.push(glue.take(object));
  wbg.__wbg_call_97ae9d8645dc388b!(
    glue.add(() => {
      throw new Error('inside');
    }),
    glue.add(undefined),
  );
  assert.match((stored[0] as Error).message, 'inside');
});

test('each import takes as many arguments as the module gives', async () => {
  const { wbg } = setup();
  const url = new URL('../../../runtime/wasi/wasmer.inline.wasm', import.meta.url);
  const { default: binaryen } = await import('binaryen');
  const module = binaryen.readBinary(await readFile(url));
  let seen = 0;
  for (let i = 0; i < module.getNumFunctions(); i++) {
    const info = binaryen.getFunctionInfo(module.getFunctionByIndex(i));
    if (info.module !== 'wbg') continue;
    seen++;
    const given = binaryen.expandType(info.params).length;
    const name = info.base!;
    const taken = wbg[name]!.length;
    // Functions wrapped to catch errors take any number.
    assert.ok(taken === given || taken === 0, `${name}: ${taken}, ${given}`);
  }
  assert.is(seen, Object.keys(wbg).length);
  module.dispose();
});

test.run();
