/** The file-system module's glue: every byte it writes from outside is announced first. */
import { readFile } from 'node:fs/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import type { Guest } from '../../../runtime/types.js';
import { Glue } from '../../../runtime/wasi/glue.js';
import { StandInInstance, StandInMemory, StandInModule } from '../../../runtime/wasi/stand-ins.js';
import { parse } from './support.js';

/** A table with one function. */
function table(): WebAssembly.Table {
  const wasm = parse('(module (table (export "t") 1 funcref) (elem (i32.const 0) 0) (func))');
  return new WebAssembly.Instance(new WebAssembly.Module(wasm as BufferSource)).exports
    .t as WebAssembly.Table;
}

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
        __wbindgen_export_2: table(),
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
  const instance = new StandInInstance(new StandInMemory(served.guest));
  const buffer = wbg.__wbg_buffer_3f3d764d4747d564!(glue.add(instance.exports.memory)) as number;
  const all = wbg.__wbg_new_8c3f0052272a457a!(buffer) as number;
  const part = wbg.__wbg_subarray_58ad4efbb5bcb886!(all, 1000, 1100) as number;
  wbg.__wbg_set_83db9690f9353e79!(part, glue.add(new Uint8Array(30).fill(1)), 10);
  assert.is(served.changed(), 30);
  assert.is(served.silent(), 0);
  assert.is(served.bytes()[1010], 1);
});

test('the guest’s memory is as long as the guest believes', () => {
  const { served, glue, wbg } = setup();
  const exports = served.guest.instance.exports as Record<string, unknown>;
  exports['belay:size:0'] = () => 0.5;
  const buffer = wbg.__wbg_buffer_3f3d764d4747d564!(glue.add(new StandInMemory(served.guest))) as number;
  const length = wbg.__wbg_get_765201544a2b6869!(buffer, glue.add('byteLength')) as number;
  const view = wbg.__wbg_new_8c3f0052272a457a!(buffer) as number;
  assert.is(glue.get(length), 32768);
  assert.is((glue.get(view) as Uint8Array).length, 32768);
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

test('the heap as data, and loaded into another instance', () => {
  const [one, two] = [setup(), setup()];
  const fn = (glue: Glue) => (glue.exports.__wbindgen_export_2 as WebAssembly.Table).get(0);
  const memory = new StandInMemory(one.served.guest);
  const symbol = Symbol('s');
  const values = [null, undefined, true, 'text', 5, -1.5, symbol, symbol, globalThis, Symbol, Object];
  const objects = [
    new StandInModule('ns'),
    memory,
    new StandInInstance(memory),
    new Error('message'),
    fn(one.glue),
  ];
  const numbers = [...values, ...objects].map((value) => one.glue.add(value));
  const call = one.wbg.__wbg_bind_10dfe70e95d2a480!;
  const bound = call(numbers[numbers.length - 1]!, numbers[1]!, one.glue.add(7), one.glue.add(8)) as number;
  // Two that are free, in an order that tells.
  const [a, b] = [one.glue.add('a'), one.glue.add('b')];
  one.glue.drop(b);
  one.glue.drop(a);

  const saved = JSON.parse(JSON.stringify(one.glue.save([one.glue.get(bound), 'taken'])));
  two.glue.add('what was there');
  const read = two.glue.read(saved);
  assert.is(two.glue.get(36), 'what was there', 'nothing has changed yet');
  two.glue.load(read);
  const get = (i: number) => two.glue.get(numbers[i]!);
  for (const i of [0, 1, 2, 3, 4, 5, 8, 9, 10]) assert.is(get(i), values[i]);
  assert.is((get(6) as symbol).description, 's');
  assert.is(get(6), get(7), 'one symbol stays one');
  const [module, standIn, instance, error, element] = [11, 12, 13, 14, 15].map(get);
  assert.is((module as StandInModule).namespace, 'ns');
  assert.is((instance as StandInInstance).exports.memory, standIn);
  assert.is((standIn as StandInMemory).buffer, two.served.guest.memory.buffer);
  assert.is((error as Error).message, 'message');
  assert.is(element, fn(two.glue), 'the function of its own table');
  assert.is(read.taken[0], two.glue.get(bound));
  assert.is(read.taken[1], 'taken');
  assert.equal(two.glue.save(read.taken), saved);
  assert.is(two.glue.add('first'), a);
  assert.is(two.glue.add('second'), b);
  assert.is(two.glue.add('third'), b + 1);
});

test('objects that cannot be said are named', () => {
  for (const [value, name] of [
    [() => {}, /the function \(without a name\)/],
    [function named() {}, /the function named/],
    [new Uint8Array(1), /class Uint8Array/],
    [new TypeError('x'), /class TypeError/],
    [Object.create(null), /class \(none\)/],
    [{}, /class Object/],
    [1n, /the bigint 1/],
    [Number.NaN, /the number NaN/],
    [-0, /the number 0/],
  ] as const) {
    const { glue } = setup();
    glue.add(value);
    assert.throws(
      () => glue.save([]),
      (error: BelayError) => error.code === 'ERR_BELAY_STATE' && name.test(error.message),
    );
  }
});

test('a heap that is none is refused', () => {
  const good = { heap: [null, 'x', [0]], free: [36], taken: [], objects: [['symbol', null]] };
  setup().glue.read(good);
  for (const wrong of [
    { free: [36, 36] },
    { free: [39] },
    { free: [33] },
    { free: [36.5] },
    { heap: [null, 'x', [1]] },
    { heap: [null, [0, 0]] },
    { heap: [null, {}] },
    { taken: [[5]] },
    { objects: [['symbol', 5]] },
    { objects: ['symbol'] },
    { objects: [null] },
    {
      objects: [
        ['symbol', null],
        ['bound', [0], null],
      ],
    },
    {
      objects: [
        ['symbol', null],
        ['bound', [1], null],
      ],
    },
    { objects: [['global', 'process']] },
    { objects: [['global', 'toString']] },
    { objects: [['table', 1]] },
    { objects: [['table', -1]] },
    { objects: [['instance', null]] },
    { objects: [['module', 1]] },
    { objects: [['error']] },
    { objects: [['view', 1, 2]] },
  ]) {
    assert.throws(
      () => setup().glue.read({ ...good, ...wrong }),
      (error: BelayError) => error.code === 'ERR_BELAY_STATE',
      JSON.stringify(wrong),
    );
  }
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
