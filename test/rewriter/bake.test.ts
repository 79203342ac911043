/** Baking: what a state becomes in a module, one kind of state at a time, and what is refused. */
import binaryen from 'binaryen';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CONTRACT_VERSION } from '../../contract/contract.js';
import {
  type GuestState,
  HOST,
  memorySpace,
  REGISTERS,
  stateShape,
  tableSpace,
} from '../../contract/state.js';
import { bake, instrument } from '../../rewriter/index.js';
import { functionNames, type Module, parseModule } from '../../rewriter/wasm/module.js';
import { Writer } from '../../rewriter/wasm/writer.js';
import { testUnless } from '../support/engines-skip.js';
import { exposeState } from '../support/expose.js';
import { Code, FUNCREF, I32, ModuleBuilder, prng } from '../support/generate.js';
import type { Call } from '../support/oracle.js';
import { baked, type Case, contractOf, goOn, load, stateOf, textOf } from './bake-support.js';
import { assemble, errorOf } from './support.js';

/** Typed references are newer than wabt. */
function parse(text: string): Uint8Array {
  const module = binaryen.parseText(text);
  const { All, CompactImports = 0 } = binaryen.Features as typeof binaryen.Features & {
    CompactImports?: number;
  };
  module.setFeatures(All & ~CompactImports);
  const bytes = module.emitBinary();
  module.dispose();
  return bytes;
}

/** The state with another content of one space. */
const replaced = (state: GuestState, space: number, content: Uint8Array): GuestState =>
  state.map((old, i) => (i === space ? content : old));

const section = (module: Module, id: number, name = '') => {
  const found = module.sections.find((s) => s.id === id && s.name === name);
  return found && module.bytes.slice(found.from, found.to);
};

const number = (instance: WebAssembly.Instance, name: string, ...args: number[]) =>
  (instance.exports[name] as (...args: number[]) => number)(...args);

/** A test of a module: it is baked after some calls, and goes on like the instance that made them. */
function bakes(
  name: string,
  text: string,
  options: Case,
  check: (wasm: Uint8Array) => void = () => {},
): void {
  test(name, async () => {
    const { wasm } = await baked(text, options);
    textOf(wasm);
    check(wasm);
  });
}

// --- memories ----------------------------------------------------------------------------------------------------------

const MEMORY = `(module (memory 1 9) (data (i32.const 8) "before") (data $p "passive") (data $q "gone")
  (data (i32.const 65500) "end")
  (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init0") (param i32 i32 i32) (memory.init 0 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "initP") (param i32 i32 i32) (memory.init $p (local.get 0) (local.get 1) (local.get 2)))
  (func (export "initQ") (param i32 i32 i32) (memory.init $q (local.get 0) (local.get 1) (local.get 2)))
  (func (export "dropP") (data.drop $p)) (func (export "dropQ") (data.drop $q)) (func (export "drop3") (data.drop 3)))`;
const SEGMENTS: Call[] = [
  ['init0', 0, 0, 0],
  ['init0', 0, 0, 1],
  ['initP', 100, 2, 5],
  ['initP', 100, 2, 6],
  ['initQ', 200, 0, 4],
  ['initQ', 200, 0, 0],
  ['drop3'],
  ['dropP'],
  ['initP', 300, 0, 1],
  ['dropQ'],
];

bakes('memory that has not changed', MEMORY, { after: SEGMENTS });
bakes(
  'memory that was written, cleared and grown; dropped data segments',
  MEMORY,
  {
    before: [
      ['fill', 8, 0, 3],
      ['set', 65500, 0],
      ['set', 40000, 0x01000000],
      ['grow', 3],
      ['set', 200000, -1],
      ['fill', 262143, 7, 1],
      ['initQ', 70000, 0, 4],
      ['dropQ'],
    ],
    after: [...SEGMENTS, ['get', 262140], ['get', 262141], ['grow', 5], ['grow', 6]],
    dropped: { data: [2] },
  },
  (wasm) => {
    const { memories, dataSegments } = parseModule(wasm);
    assert.is(memories[0]!.minimum, 4);
    assert.is(memories[0]!.maximum, 9);
    assert.is(dataSegments, 9, 'five runs behind the four segments of before');
    assert.match(textOf(wasm), /\(data \$q ""\)/);
  },
);

test('what was dropped is known by its flag alone', async () => {
  await baked(MEMORY, { before: [['dropQ']], after: SEGMENTS, dropped: { data: [2] } });
  let message = '';
  await baked(MEMORY, { before: [['dropQ']], after: SEGMENTS }).catch((e: Error) => {
    message = e.message;
  });
  assert.match(message, /initQ\(200, 0, 4\)/);
});

bakes(
  'a module without a data section',
  `(module (memory 1) (func (export "set") (param i32) (i32.store8 (local.get 0) (i32.const 5))))`,
  { before: [['set', 65535]], after: [['set', 1]] },
  (wasm) => assert.is(parseModule(wasm).dataSegments, 1),
);
bakes(
  'a module with nothing',
  '(module (func (export "f") (result i32) (i32.const 3)))',
  { after: [['f']] },
  (wasm) => assert.is(parseModule(wasm).dataSegments, 0),
);
bakes('a memory of no pages', '(module (memory 0 0) (func (export "size") (result i32) (memory.size)))', {
  after: [['size']],
});

// wabt forgets the memory's number in an active segment.
const SEVERAL =
  parse(`(module (memory $a 1 3) (memory $b i64 1 4) (memory $c 0 2) (data (memory $b) (i64.const 9) "b")
  (data (memory $a) (i32.const 9) "a") (data $p "passive")
  (func (export "a") (param i32 i32) (i32.store $a (local.get 0) (local.get 1)))
  (func (export "b") (param i64 i32) (i32.store $b (local.get 0) (local.get 1)))
  (func (export "c") (param i32 i32) (i32.store $c (local.get 0) (local.get 1)))
  (func (export "growB") (param i64) (result i64) (memory.grow $b (local.get 0)))
  (func (export "growC") (param i32) (result i32) (memory.grow $c (local.get 0)))
  (func (export "initB") (param i64 i32 i32) (memory.init $b $p (local.get 0) (local.get 1) (local.get 2))))`);
testUnless(
  test,
  !WebAssembly.validate(SEVERAL as Uint8Array<ArrayBuffer>) && 'this engine has no memories of both kinds',
  'several memories, one of 64 bits',
  async () => {
    const { wasm, report } = await baked(exposeState(SEVERAL), {
      before: [
        ['a', 9, 0],
        ['b', 60000n, 7],
        ['growB', 2n],
        ['b', 131080n, -1],
        ['growC', 1],
        ['c', 4, 4],
      ],
      after: [
        ['a', 65532, 1],
        ['b', 196604n, 2],
        ['b', 196605n, 2],
        ['growB', 1n],
        ['growB', 1n],
        ['growC', 2],
        ['initB', 0n, 0, 7],
      ],
    });
    assert.equal(
      parseModule(wasm).memories.map((m) => [m.minimum, m.maximum, m.is64]),
      [
        [1, 3, false],
        [3, 4, true],
        [1, 2, false],
      ],
    );
    assert.is(report.segments, 4);
  },
);

test('however memory is strewn, there are not too many segments', async () => {
  const text = '(module (memory 64) (table 1 funcref))';
  const { old } = await baked(text);
  const bytes = exposeState(await assemble(text));
  const contract = contractOf(bytes);
  for (const [step, most] of [
    [8, 1],
    [0, 20_000],
    [300, 20_000],
  ] as const) {
    const memory = new Uint8Array((old.exports['state:memory:0'] as WebAssembly.Memory).buffer).fill(0);
    const random = prng(1);
    for (let i = 3; i < memory.length; i += step || 11 + (random() % 100)) memory[i] = 1 + (i % 200);
    const { wasm, report } = bake(bytes, contract, stateOf(old, contract, bytes));
    assert.ok(report.segments <= most && report.segments > most / 3, `${step}: ${report.segments}`);
    goOn(old, load(wasm), []);
  }
});

test('content that lies at an odd place in a larger buffer, and content that is not said', async () => {
  const bytes = exposeState(await assemble(MEMORY));
  const contract = contractOf(bytes);
  const old = load(bytes);
  const state = stateOf(old, contract, bytes);
  const memory = state[memorySpace(0)]!;
  const odd = new Uint8Array(memory.length + 4099);
  odd.set(memory, 4099);
  const { wasm } = bake(bytes, contract, state);
  assert.equal(bake(bytes, contract, replaced(state, memorySpace(0), odd.subarray(4099))).wasm, wasm);
  const short = replaced(state, memorySpace(0), memory.subarray(0, 65503));
  assert.equal(bake(bytes, contract, short).wasm, wasm);
});

// --- globals -----------------------------------------------------------------------------------------------------------

const GLOBALS = `(module (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
  (global $k i32 (i32.const 42)) (global $i (mut i32) (i32.const 1)) (global $j (mut i64) (i64.const 2))
  (global $f (mut f32) (f32.const 3)) (global $d (mut f64) (f64.const 4)) (global $v (mut v128) (v128.const i64x2 5 6))
  (global $r (mut funcref) (ref.func $one)) (global $e (mut externref) (ref.null extern)) (global $q (mut funcref) (ref.null func))
  (elem declare func $two) (table 1 funcref)
  (func (export "i") (param i32) (global.set $i (local.get 0))) (func (export "j") (param i64) (global.set $j (local.get 0)))
  (func (export "f") (param i32) (global.set $f (f32.reinterpret_i32 (local.get 0))))
  (func (export "d") (param i64) (global.set $d (f64.reinterpret_i64 (local.get 0))))
  (func (export "v") (param i64 i64) (global.set $v (i64x2.replace_lane 1 (i64x2.splat (local.get 0)) (local.get 1))))
  (func (export "bits") (result i32 i64) (i32.reinterpret_f32 (global.get $f)) (i64.reinterpret_f64 (global.get $d)))
  (func (export "swap") (global.set $q (ref.func $one)) (global.set $r (ref.func $two)))
  (func (export "none") (global.set $r (ref.null func)))
  (func (export "k") (result i32) (global.get $k))
  (func (export "call") (result i32) (table.set (i32.const 0) (global.get $r)) (call_indirect (result i32) (i32.const 0))))`;
const READ: Call[] = [['bits'], ['call'], ['k'], ['swap'], ['call'], ['none'], ['call']];

for (const [i, j] of [
  [0, 0n],
  [-1, -1n],
  [63, 63n],
  [64, 64n],
  [-64, -64n],
  [-65, -65n],
  [2 ** 31 - 1, 2n ** 63n - 1n],
  [-(2 ** 31), -(2n ** 63n)],
  [123456789, 0x123456789abcdefn],
] as const) {
  bakes(`globals: ${i} and ${j}`, GLOBALS, {
    before: [
      ['i', i],
      ['j', j],
      ['v', j, ~j],
      ['f', 0x80000000],
      ['d', -(2n ** 63n)],
    ],
    after: READ,
  });
}
bakes('globals: references', GLOBALS, { before: [['swap']], after: READ });
bakes('globals: null', GLOBALS, { before: [['none']], after: READ });

test('globals: the bits of a NaN', async () => {
  const bytes = exposeState(await assemble(GLOBALS));
  const contract = contractOf(bytes);
  const old = load(bytes);
  const state = stateOf(old, contract, bytes);
  const { globals } = stateShape(contract);
  const view = new DataView(state[REGISTERS]!.buffer);
  view.setUint32(globals + 32, 0xffa12345, true);
  view.setBigUint64(globals + 48, 0x7ff4123456789abcn, true);
  const fresh = load(bake(bytes, contract, state).wasm);
  assert.equal((fresh.exports.bits as () => unknown)(), [0xffa12345 | 0, 0x7ff4123456789abcn]);
});

// --- tables ------------------------------------------------------------------------------------------------------------

const TABLES = `(module (type $r (func (result i32)))
  (import "env" "host" (func $host (result i32)))
  (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2)) (func $three (result i32) (i32.const 3))
  (table $t (export "t") 5 90 funcref) (table $u 20 funcref) (table $x 2 9 externref) (table $fixed 3 funcref)
  (elem (table $t) (i32.const 0) func $one $two) (elem $e func $three $two $one $host) (elem declare func $three)
  (elem (table $u) (i32.const 2) funcref (ref.func $host) (ref.null func) (ref.func $one))
  (elem (table $fixed) (i32.const 1) func $three $host)
  (func (export "set") (param i32 i32) (table.set $t (local.get 0) (if (result funcref) (local.get 1) (then (ref.func $three)) (else (ref.null func)))))
  (func (export "setU") (param i32 i32) (table.set $u (local.get 0) (if (result funcref) (local.get 1) (then (ref.func $two)) (else (ref.null func)))))
  (func (export "copy") (param i32 i32 i32) (table.copy $u $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init0") (param i32 i32 i32) (table.init $t 0 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (elem.drop $e)) (func (export "drop0") (elem.drop 0))
  (func (export "grow") (param i32) (result i32) (table.grow $t (ref.func $two) (local.get 0)))
  (func (export "growX") (param i32) (result i32) (table.grow $x (ref.null extern) (local.get 0)))
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $r) (local.get 0)))
  (func (export "callU") (param i32) (result i32) (call_indirect $u (type $r) (local.get 0)))
  (func (export "callF") (param i32) (result i32) (call_indirect $fixed (type $r) (local.get 0))))`;
const host = () => ({ env: { host: () => 77 } });
const LOOK: Call[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((i): Call[] => [
    ['call', i],
    ['callU', i],
  ]),
  ['callF', 0],
  ['callF', 1],
  ['callF', 2],
  ['init0', 0, 0, 0],
  ['init0', 0, 0, 1],
  ['init', 0, 1, 3],
  ['call', 2],
  ['grow', 2],
  ['growX', 2],
  ['set', 0, 0],
  ['setU', 19, 1],
  ['drop0'],
  ['drop'],
  ['init', 0, 1, 3],
];

bakes('tables that have not changed', TABLES, { after: LOOK, imports: host });
bakes(
  'tables that were written, cleared and grown; a dropped element segment',
  TABLES,
  {
    before: [
      ['grow', 3],
      ['init', 4, 1, 3],
      ['set', 0, 0],
      ['setU', 2, 0],
      ['copy', 10, 0, 7],
      ['growX', 4],
      ['drop'],
    ],
    after: LOOK,
    imports: host,
    dropped: { elements: [1] },
  },
  (wasm) => {
    const { tables } = parseModule(wasm);
    assert.equal(
      tables.map((t) => [t.minimum, t.maximum]),
      [
        [8, 90],
        [20, undefined],
        [6, 9],
        [3, undefined],
      ],
    );
  },
);

test('a function that only a table named may still be named by the code', async () => {
  const text = `(module (table $t 2 funcref) (elem (i32.const 0) func $one $two)
    (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
    (func (export "clear") (table.fill $t (i32.const 0) (ref.null func) (i32.const 2)))
    (func (export "set") (table.set $t (i32.const 1) (ref.func $one)))
    (func (export "call") (param i32) (result i32) (call_indirect $t (result i32) (local.get 0))))`;
  const after: Call[] = [['call', 0], ['set'], ['call', 1]];
  for (const before of [[], [['clear']], [['clear'], ['set']]] as Call[][]) {
    const { wasm, report } = await baked(text, { before, after });
    textOf(wasm);
    assert.is(report.elements, [2, 0, 1][before.length]);
  }
});

test('however a table is strewn, there are not too many segments', async () => {
  const text = `(module (table $t 100000 funcref) (func $f (result i32) (i32.const 1)) (elem declare func $f)
    (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $f))))`;
  const bytes = exposeState(await assemble(text));
  const contract = contractOf(bytes);
  const old = load(bytes);
  for (let i = 0; i < 100_000; i += 3) (old.exports.set as (i: number) => void)(i);
  const { wasm, report } = bake(bytes, contract, stateOf(old, contract, bytes));
  assert.ok(report.elementSegments <= 20_000, `${report.elementSegments}`);
  goOn(old, load(wasm), [['set', 1]]);
});

test('a table that cannot change, flags of segments of both kinds, and a name that only an export declares', async () => {
  const text = `(module (import "env" "base" (global $base i32)) (memory 1) (table $t 4 funcref) (table $fixed 3 funcref)
    (elem (table $fixed) (global.get $base) func $one $two) (data $p "p") (data $q "q") (elem $e func $one) (elem $f func $two)
    (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2)) (func $init)
    (export "_initialize" (func $init))
    (func (export "fixed") (param i32) (result i32) (call_indirect $fixed (result i32) (local.get 0)))
    (func (export "set") (table.set $t (i32.const 0) (ref.func $init)))
    (func (export "call") (call_indirect $t (i32.const 0)))
    (func (export "e") (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "f") (table.init $t $f (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "p") (memory.init $p (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "q") (memory.init $q (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "dropQ") (data.drop $q)) (func (export "dropE") (elem.drop $e)) (func (export "dropP") (data.drop $p))
    (func (export "dropF") (elem.drop $f)))`;
  const imports = { env: { base: 1 } };
  const bytes = await assemble(text);
  const contract = contractOf(bytes);
  assert.equal(
    contract.tables.map((t) => t.index),
    [0],
    'the module is not made to export its tables',
  );
  const old = load(exposeState(bytes), imports);
  for (const name of ['dropQ', 'dropE']) number(old, name);
  const { wasm } = bake(bytes, contract, stateOf(old, contract, bytes, { data: [1], elements: [1] }));
  textOf(wasm);
  const fresh = load(wasm, imports);
  assert.is(number(fresh, 'fixed', 1), 1);
  assert.is(number(fresh, 'fixed', 2), 2);
  assert.throws(() => number(fresh, 'fixed', 0));
  number(fresh, 'set');
  number(fresh, 'call');
  for (const name of ['p', 'f']) number(fresh, name);
  for (const name of ['q', 'e']) assert.throws(() => number(fresh, name), /out of bounds/);
});

const TYPED = (element: string) => `(module
  (type $v (func (result i32)))
  (func $one (type $v) (i32.const 1)) (func $two (type $v) (i32.const 2)) (func $none (result i32) (i32.const 3))
  (elem declare func $one $two) (elem $e ${element} (ref.func $two) (ref.func $one))
  (table $t 7 20 ${element} (ref.func $none))
  (table $i 3 ${element} (ref.func $none))
  (global $g (mut (ref $v)) (ref.func $one)) (global $n (mut (ref null $v)) (ref.null $v))
  (func (export "set") (param i32) (table.set $t (local.get 0) (ref.func $two)))
  (func (export "init") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
  (func (export "globals") (global.set $g (ref.func $two)) (global.set $n (ref.func $one)))
  (func (export "callG") (result i32) (call_ref $v (global.get $g)))
  (func (export "callN") (result i32) (call_ref $v (global.get $n)))
  (func (export "callI") (param i32) (result i32) (call_indirect $i (type $v) (local.get 0)))
  (func (export "call") (param i32) (result i32) (call_indirect $t (type $v) (local.get 0)))
  ${element.includes('null') ? NULLS : ''})`;
const NULLS = `(func (export "null") (param i32) (table.set $t (local.get 0) (ref.null $v)))`;
for (const element of ['(ref $v)', '(ref null $v)']) {
  const bytes = parse(TYPED(element));
  testUnless(
    test,
    !WebAssembly.validate(bytes as Uint8Array<ArrayBuffer>) && 'this engine has no typed function references',
    `tables of ${element}, with an initial value`,
    async () => {
      const after: Call[] = [
        ...[0, 1, 2, 3, 6, 7].map((i): Call => ['call', i]),
        ['callG'],
        ['callN'],
        ['callI', 2],
        ['init', 4, 0, 2],
        ['call', 4],
        ['globals'],
        ['callG'],
        ['callN'],
      ];
      await baked(exposeState(bytes), { after });
      const change: Call[] = [['set', 0], ['init', 2, 1, 1], ['globals']];
      await baked(exposeState(bytes), { before: change, after });
      if (!element.includes('null')) return;
      await baked(exposeState(bytes), { before: [...change, ['null', 1]], after });
    },
  );
}

/** One table whose elements begin as a function that nothing else declares; byte by byte, for tools add declarations. */
function initial(): Uint8Array {
  const builder = new ModuleBuilder();
  const one = builder.fn([], [I32]);
  builder.define(one, [], new Code().i32(1));
  builder.tables.push(new Writer().byte(0x40, 0, FUNCREF, 0, 2, 0xd2).u(one).byte(0x0b));
  const set = (name: string, value: Code) =>
    builder.define(builder.fn([], [], name), [], new Code().i32(0).bytes(value.done()).op(0x26, 0));
  set('set', new Code().op(0xd2).u(one));
  set('clear', new Code().op(0xd0, FUNCREF));
  builder.define(builder.fn([I32], [I32], 'call'), [], new Code().get(0).op(0x11, 0, 0));
  return builder.build();
}
testUnless(
  test,
  !WebAssembly.validate(initial() as Uint8Array<ArrayBuffer>) &&
    'this engine has no initial values of tables',
  'a function that only the initial value of a table declares',
  async () => {
    const bytes = exposeState(initial());
    const contract = contractOf(bytes);
    const old = load(bytes);
    number(old, 'clear');
    const state = stateOf(old, contract, bytes);
    // Both elements null.
    const { wasm } = bake(bytes, contract, replaced(state, tableSpace(contract, 0), new Uint8Array(8)));
    const fresh = load(wasm);
    number(fresh, 'set');
    assert.is(number(fresh, 'call', 0), 1);
    assert.throws(() => number(fresh, 'call', 1));
    await baked(bytes, { before: [['clear']], after: [['call', 0], ['call', 1], ['set'], ['call', 0]] });
  },
);

// --- imports -----------------------------------------------------------------------------------------------------------

test('an imported memory and table: as large as then, and written by segments', async () => {
  const text = `(module (import "env" "memory" (memory 1 5)) (import "env" "table" (table 2 9 funcref))
    (import "env" "things" (table 1 4 externref)) (import "env" "base" (global $base i32))
    (table $own 4 funcref) (elem (table $own) (global.get $base) func $one $two)
    (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
    (elem (i32.const 0) func $one) (data (i32.const 9) "nine")
    (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "grow") (result i32) (drop (table.grow 0 (ref.func $two) (i32.const 1))) (memory.grow (i32.const 2)))
    (func (export "clear") (table.set 0 (i32.const 0) (ref.null func)))
    (func (export "own") (param i32) (result i32) (call_indirect $own (result i32) (local.get 0)))
    (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))`;
  const imports = (isBaked: boolean) => {
    const memory = new WebAssembly.Memory({ initial: isBaked ? 3 : 1, maximum: 5 });
    const table = new WebAssembly.Table({ initial: isBaked ? 3 : 2, maximum: 9, element: 'anyfunc' });
    const things = new WebAssembly.Table({ initial: 1, maximum: 4, element: 'externref' as 'anyfunc' });
    if (isBaked) {
      const f = load(exposeState(parse('(module (func (export "f")))'))).exports.f;
      table.set(0, f as never);
      things.set(0, 'stale');
    } else things.set(0, null);
    return { env: { memory, table, things, base: 2 } };
  };
  const { wasm, report } = await baked(text, {
    imports,
    before: [['set', 9, 0], ['set', 100, 5], ['grow'], ['set', 190000, 1], ['clear']],
    after: [['call', 0], ['call', 2], ['own', 2], ['own', 3], ['own', 1], ['set', 196604, 1], ['grow']],
  });
  textOf(wasm);
  assert.match(
    report.warnings.join('\n'),
    'memory 0 is imported (env.memory): the host has to give one of exactly 3',
  );
  assert.match(
    report.warnings.join('\n'),
    'table 0 is imported (env.table): the host has to give one of exactly 3',
  );
  const { memories, tables } = parseModule(wasm);
  assert.equal([memories[0]!.minimum, memories[0]!.maximum], [3, 5]);
  assert.equal(
    tables.slice(0, 2).map((t) => [t.minimum, t.maximum]),
    [
      [3, 9],
      [1, 4],
    ],
  );
  assert.throws(() => load(wasm, imports(false)), /smaller|size|pages|initial/);
});

test('an imported mutable global is refused by name', async () => {
  const bytes = exposeState(
    await assemble(`(module (import "env" "sp" (global $sp (mut i32))) (global (mut i32) (i32.const 1)))`),
  );
  const contract = contractOf(bytes);
  const sp = new WebAssembly.Global({ value: 'i32', mutable: true }, 5);
  const old = load(bytes, { env: { sp } });
  const { code, message } = errorOf(() => bake(bytes, contract, stateOf(old, contract, bytes)));
  assert.is(code, 'ERR_BELAY_REFUSED');
  assert.match(message, /env\.sp is imported.*link the module/);
});

// --- functions that have run -------------------------------------------------------------------------------------------

const REACTOR = `(module (memory 1) (global $n (mut i32) (i32.const 0)) (func $init (global.set $n (i32.const 100)))
  (func $start (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))) (start $start)
  (export "_initialize" (func $init)) (export "again" (func $init)) (export "start" (func $start))
  (func (export "__wasm_call_ctors") (param f64) (global.set $n (i32.const 200)))
  (func (export "_start") (global.set $n (i32.const 300)))
  (func (export "setup") (result i32) (global.set $n (i32.const 400)) (i32.const 1))
  (func (export "add") (param i32) (result i32) (global.set $n (i32.add (global.get $n) (local.get 0))) (global.get $n)))`;

test('start and initialisation have run: what the host calls of them does nothing', async () => {
  const { wasm, report } = await baked(REACTOR, {
    before: [['_initialize'], ['__wasm_call_ctors', 0], ['add', 5]],
    after: [['add', 1], ['start']],
  });
  textOf(wasm);
  assert.equal(report.finished, ['_initialize', '__wasm_call_ctors']);
  assert.is(parseModule(wasm).start, undefined);
  const fresh = load(wasm);
  number(fresh, '_initialize');
  number(fresh, '__wasm_call_ctors', 1.5);
  assert.is(number(fresh, 'add', 0), 205);
  number(fresh, 'again');
  assert.is(number(fresh, 'add', 0), 100, 'other names of the function are left alone');
  number(fresh, '_start');
  assert.is(number(fresh, 'add', 0), 300, '_start of a command stays');
  assert.is(new Uint32Array((fresh.exports['state:memory:0'] as WebAssembly.Memory).buffer)[0], 1, 'once');
});

test('the option finished says which functions have run', async () => {
  const { wasm, report } = await baked(REACTOR, { finished: ['again', '_start'] });
  assert.equal(report.finished, ['again', '_start']);
  const fresh = load(wasm);
  number(fresh, 'again');
  number(fresh, '_start');
  assert.is(number(fresh, 'add', 0), 0);
  number(fresh, '_initialize');
  assert.is(number(fresh, 'add', 0), 100);
  const none = await baked(REACTOR, { finished: [], after: [['_initialize'], ['add', 1]] });
  assert.equal(none.report.finished, []);
  for (const name of ['nothing', 'setup', 'state:memory:0']) {
    let code = '';
    await baked(REACTOR, { finished: [name] }).catch((e) => {
      code = e.code;
      assert.match(e.message, name);
    });
    assert.is(code, 'ERR_BELAY_OPTION');
  }
});

test('a module that exports an imported function as _initialize, and has none of its own', async () => {
  const text = '(module (import "env" "f" (func $f)) (memory 1) (export "_initialize" (func $f)))';
  let calls = 0;
  const bytes = await assemble(text);
  const old = load(exposeState(bytes), { env: { f() {} } });
  const contract = contractOf(bytes);
  const { wasm } = bake(bytes, contract, stateOf(old, contract, bytes));
  number(load(wasm, { env: { f: () => calls++ } }), '_initialize');
  assert.is(calls, 0);
});

// --- what is kept ------------------------------------------------------------------------------------------------------

test('names, unknown sections and code are kept', async () => {
  const custom = (name: string, content: string) =>
    new Writer()
      .byte(0)
      .sized(new Writer().name(name).bytes(new TextEncoder().encode(content)))
      .done();
  const plain = exposeState(await assemble(REACTOR));
  const first = new Writer().bytes(plain.subarray(0, 8)).bytes(custom('first', 'one'));
  const bytes = first
    .bytes(plain.subarray(8))
    .bytes(custom('producers', 'two'))
    .bytes(custom('sourceMappingURL', 'x'));
  const original = bytes.done().slice();
  const contract = contractOf(original);
  const { wasm, report } = bake(original, contract, stateOf(load(original), contract, original));
  const [a, b] = [parseModule(original), parseModule(wasm)];
  const customs = (m: Module) => m.sections.filter((s) => s.id === 0).map((s) => s.name);
  assert.equal(customs(b), customs(a));
  assert.is(customs(b)[0], 'first');
  for (const name of customs(a)) assert.equal(section(b, 0, name), section(a, 0, name), name);
  assert.equal(functionNames(b), functionNames(a));
  assert.equal(section(b, 1), section(a, 1), 'types');
  const body = (m: Module, i: number) => m.bytes.slice(m.bodies[i]!.from, m.bodies[i]!.to);
  a.bodies.forEach((_, i) => assert.equal(body(b, i), body(a, i)));
  assert.match(report.warnings.join(), 'source map');
});

test('what comes out is instrumented as any module, and baked again', async () => {
  const first = await baked(MEMORY, {
    before: [
      ['set', 500, 5],
      ['grow', 2],
    ],
  });
  const second = await baked(first.wasm, {
    before: [['set', 600, 6], ['dropP']],
    after: SEGMENTS,
    dropped: { data: [1] },
  });
  const again = await baked(second.wasm, { after: SEGMENTS });
  assert.is(again.report.bytes, second.report.bytes);
});

// --- what is refused ---------------------------------------------------------------------------------------------------

test('module, contract and state that do not belong together', async () => {
  const bytes = exposeState(await assemble(TABLES));
  const contract = contractOf(bytes);
  const state = stateOf(load(bytes, host()), contract, bytes);
  const fails = (run: () => unknown, code: string, what: RegExp) => {
    const error = errorOf(run);
    assert.is(error.code, code, error.message);
    assert.match(error.message, what);
  };
  const other = exposeState(await assemble(MEMORY));
  fails(() => bake(other, contract, state), 'ERR_BELAY_STATE', /another module.*give the very file/);
  const { wasm } = instrument(bytes, { mechanism: 'full-copy' });
  fails(() => bake(wasm, contract, state), 'ERR_BELAY_ALREADY_INSTRUMENTED', /give that/);
  fails(
    () => bake(bytes, { ...contract, version: CONTRACT_VERSION + 1 }, state),
    'ERR_BELAY_CONTRACT_VERSION',
    /bake with/,
  );
  fails(
    () => bake(bytes, contract, state, { finish: [] } as never),
    'ERR_BELAY_OPTION',
    /'finish'.*finished/,
  );
  fails(() => bake(bytes.subarray(0, 100), contract, state), 'ERR_BELAY_INVALID_MODULE', /cut off/);
  const damaged = (made: GuestState, what: RegExp) =>
    fails(() => bake(bytes, contract, made), 'ERR_BELAY_STATE', what);
  damaged(state.slice(1), /spaces/);
  damaged([], /spaces/);
  damaged(replaced(state, REGISTERS, state[REGISTERS]!.subarray(8)), /bytes of registers/);
  const table = tableSpace(contract, 0);
  damaged(replaced(state, table, new Uint8Array(999)), /more than its/);
  damaged(
    replaced(state, table, Uint8Array.of(255, 255, 255, 255)),
    /an element of table 0 is a function that is not there/,
  );
  damaged(
    replaced(state, tableSpace(contract, 2), Uint8Array.of(1, 0, 0, 0)),
    /an element of table 2.*its type has none/,
  );
});

const WRONG = exposeState(parse(TYPED('(ref null $v)')));
testUnless(
  test,
  !WebAssembly.validate(WRONG as Uint8Array<ArrayBuffer>) && 'this engine has no typed function references',
  'a function of the wrong type in a typed table',
  () => {
    const contract = contractOf(WRONG);
    const state = stateOf(load(WRONG), contract, WRONG);
    const wrong = parseModule(WRONG).exports.find((e) => e.name === 'set')!.index;
    const made = replaced(state, tableSpace(contract, 0), Uint8Array.of(1 + wrong, 0, 0, 0));
    const { code, message } = errorOf(() => bake(WRONG, contract, made));
    assert.is(code, 'ERR_BELAY_STATE');
    assert.match(message, /does not fit/);
  },
);

test('what the host kept is not in the module, and the report says so', async () => {
  const bytes = exposeState(await assemble(MEMORY));
  const contract = contractOf(bytes);
  const state = stateOf(load(bytes), contract, bytes);
  assert.equal(bake(bytes, contract, state).report.warnings, []);
  new DataView(state[REGISTERS]!.buffer).setBigUint64(0, 7n, true);
  const { warnings } = bake(bytes, contract, replaced(state, HOST, new Uint8Array(7))).report;
  assert.match(warnings.join(), /7 bytes of state that the host kept/);
});

test.run();
