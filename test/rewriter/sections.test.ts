/** What surrounds the code: names, custom sections, branch hints, sizes; and that output is deterministic. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspect, instrument, toBinary } from '../../rewriter/index.js';
import { Decoder } from '../../rewriter/wasm/decode.js';
import { functionNames, parseModule } from '../../rewriter/wasm/module.js';
import { Reader } from '../../rewriter/wasm/reader.js';
import { Writer } from '../../rewriter/wasm/writer.js';
import { randomBytes, Tape } from '../support/generate.js';
import { generateStress } from '../support/generate-stress.js';
import { assemble, errorOf } from './support.js';

const HINTS = 'metadata.code.branch_hint';

function withCustom(bytes: Uint8Array, name: string, content: Uint8Array, before?: number): Uint8Array {
  const at =
    before === undefined ? bytes.length : parseModule(bytes).sections.find((s) => s.id === before)!.start;
  const section = new Writer().byte(0).sized(new Writer().name(name).bytes(content));
  return new Writer(bytes.length + 100)
    .bytes(bytes.subarray(0, at))
    .bytes(section.done())
    .bytes(bytes.subarray(at))
    .done()
    .slice();
}

/** [function, offset in its body, likely] of each hint, having checked that an `if` or br_if is there. */
function hintsOf(bytes: Uint8Array): [number, number, number, string][] {
  const module = parseModule(bytes);
  const section = module.sections.find((s) => s.name === HINTS);
  if (!section) return [];
  const code = module.sections.findIndex((s) => s.id === 10);
  assert.ok(module.sections.indexOf(section) < code, 'before the code section');
  const r = new Reader(bytes, section.from, section.to);
  const found: [number, number, number, string][] = [];
  let lastFunction = -1;
  for (let n = r.u32(); n > 0; n--) {
    const fn = r.u32();
    assert.ok(fn > lastFunction, 'functions in order');
    lastFunction = fn;
    const body = module.bodies[fn - module.importedFunctions]!;
    const starts = new Map<number, string>();
    const header = new Reader(bytes, body.from, body.to);
    for (let k = header.u32(); k > 0; k--) {
      header.u32();
      header.valueType();
    }
    const d = new Decoder(bytes, header.pos, body.to);
    while (d.next()) starts.set(d.start - body.from, d.op.name);
    let last = -1;
    for (let k = r.u32(); k > 0; k--) {
      const offset = r.u32();
      assert.is(r.u32(), 1);
      const likely = r.byte();
      assert.ok(offset > last, 'offsets in order');
      last = offset;
      const name = starts.get(offset);
      assert.ok(name === 'if' || name === 'br_if', `function ${fn}, offset ${offset}: ${name}`);
      found.push([fn, offset, likely, name!]);
    }
  }
  assert.ok(r.done);
  return found;
}

test('every branch hint points at an if', () => {
  for (let seed = 0; seed < 20; seed++) {
    const { wasm } = generateStress(new Tape(randomBytes(seed, 4000)), { exceptions: 'legacy' });
    for (const layout of ['separate', 'inline'] as const) {
      const { wasm: out, report } = instrument(wasm, {
        layout,
        steps: seed % 2 === 0,
        region: seed % 3 ? 64 : 1,
      });
      const hints = hintsOf(out);
      assert.is(hints.length, report.branchHints);
      assert.ok(hints.length > 0);
      assert.ok(hints.every(([, , likely, name]) => likely === 0 && name === 'if'));
    }
  }
});

test('hints that the module had are kept, and moved', async () => {
  const bytes = await assemble(`(module (memory 1) (func (param i32)
    (i32.store (local.get 0) (i32.const 1)) (if (local.get 0) (then (i32.store (i32.add (local.get 0) (local.get 0)) (i32.const 1))))
    (block (br_if 0 (local.get 0)) (i32.store offset=99 (local.get 0) (i32.const 1)))) (func))`);
  const module = parseModule(bytes);
  const body = module.bodies[0]!;
  const d = new Decoder(bytes, body.from + 1, body.to);
  const offsets: number[] = [];
  while (d.next()) if (d.op.name === 'if' || d.op.name === 'br_if') offsets.push(d.start - body.from);
  const section = new Writer().u(1).u(0).u(2);
  for (const offset of offsets) section.u(offset).u(1).byte(1);
  const hinted = withCustom(bytes, HINTS, section.done(), 10);
  for (const hints of [true, false]) {
    const kept = hintsOf(instrument(hinted, { layout: 'inline', hints, steps: true }).wasm).filter(
      ([, , likely]) => likely === 1,
    );
    assert.equal(
      kept.map(([fn, , , name]) => [fn, name]),
      [
        [0, 'if'],
        [0, 'br_if'],
      ],
    );
  }
});

test('names are kept, and those of what is added are new', async () => {
  const bytes = await assemble(
    '(module $m (memory 1) (func $first (param $p i32) (i32.store (local.get 0) (i32.const 1))) (func $second))',
  );
  const before = functionNames(parseModule(bytes));
  const { wasm } = instrument(bytes, { layout: 'inline' });
  const module = parseModule(wasm);
  const after = functionNames(module);
  for (const [index, name] of before) assert.is(after.get(index), name);
  for (let i = 2; i < module.functions.length; i++) assert.match(after.get(i) ?? '', /^belay:/);
  assert.is(new Set(after.values()).size, after.size);
  // The local's name is still there.
  assert.ok(Buffer.from(wasm).includes('first'));
});

test('custom sections are kept, wherever they are', async () => {
  const bytes = await assemble('(module (memory 1) (func (i32.store (i32.const 0) (i32.const 1))))');
  const content = Uint8Array.from([9, 8, 7, 6]);
  let with_ = bytes;
  for (const id of [1, 3, 5, 10]) with_ = withCustom(with_, `mine-${id}`, content, id);
  with_ = withCustom(with_, 'producers', content);
  const { wasm } = instrument(with_, { layout: 'inline' });
  const module = parseModule(wasm);
  for (const name of ['mine-1', 'mine-3', 'mine-5', 'mine-10', 'producers']) {
    const section = module.sections.find((s) => s.name === name)!;
    assert.equal([...wasm.subarray(section.from, section.to)], [...content], name);
  }
  assert.ok(WebAssembly.validate(wasm as Uint8Array<ArrayBuffer>));
});

test('warnings for sections whose offsets no longer fit', async () => {
  const bytes = await assemble('(module (func))');
  const warnings = (name: string) =>
    instrument(withCustom(bytes, name, Uint8Array.of(0)), { layout: 'inline' }).report.warnings.join();
  assert.match(warnings('.debug_info'), /debug/);
  assert.match(warnings('sourceMappingURL'), /source map/);
  assert.is(warnings('producers'), '');
});

test('modules of almost nothing', async () => {
  for (const text of [
    '(module)',
    '(module (func))',
    '(module (memory 0))',
    '(module (memory 1) (data (i32.const 0) "x"))',
    '(module (global (mut i32) (i32.const 1)))',
    '(module (table 1 funcref))',
    '(module (import "a" "b" (func)) (start 0))',
  ]) {
    const bytes = await assemble(text);
    for (const layout of ['separate', 'inline'] as const) {
      const { wasm } = instrument(bytes, { layout });
      assert.ok(layout === 'separate' || WebAssembly.validate(wasm as Uint8Array<ArrayBuffer>), text);
    }
  }
});

test('the output is a function of input and options', () => {
  for (let seed = 0; seed < 4; seed++) {
    const { wasm } = generateStress(new Tape(randomBytes(seed, 3000)), { exceptions: 'none' });
    for (const layout of ['separate', 'inline'] as const) {
      const options = { layout, steps: true, oracle: seed % 2 === 0 };
      const first = instrument(wasm, options);
      instrument(wasm, { layout, region: 1 });
      const second = instrument(wasm.slice(), options);
      assert.ok(Buffer.from(first.wasm).equals(Buffer.from(second.wasm)));
      assert.equal(first.report, second.report);
    }
  }
});

test('the input is left as it was', () => {
  const { wasm } = generateStress(new Tape(randomBytes(9, 3000)), { exceptions: 'none' });
  const copy = wasm.slice();
  instrument(wasm);
  assert.ok(Buffer.from(copy).equals(Buffer.from(wasm)));
});

test('text is taken where a binary is, and wrong text is an error with line and column', async () => {
  const text = (source: string) => toBinary(new TextEncoder().encode(source), 'mine.wat');
  assert.ok(WebAssembly.validate((await text('\n ;; a comment\n(module)')) as Uint8Array<ArrayBuffer>));
  for (const [source, message] of [
    ['(module (func (i32.addd)))', /mine\.wat:1:\d+/],
    ['(module (oops))', /mine\.wat:1:/],
    ['hello', /parenthesis/],
    ['', /empty/],
  ] as const) {
    try {
      await text(source);
      assert.unreachable();
    } catch (error) {
      const { code, message: said } = errorOf(() => {
        throw error;
      });
      assert.is(code, 'ERR_BELAY_INVALID_MODULE', said);
      assert.match(said, message);
    }
  }
  try {
    await toBinary(Uint8Array.of(0xff, 0xfe, 0), 'mine.bin');
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /UTF-8/);
  }
});

test('text that assembles and does not validate', async () => {
  const bytes = await assemble('(module (memory 1) (func (i32.store (i32.const 1))))');
  assert.is(errorOf(() => instrument(bytes)).code, 'ERR_BELAY_INVALID_MODULE');
});

test('inspect says what is there', async () => {
  const bytes =
    await assemble(`(module (import "env" "f" (func)) (import "env" "g" (global i32)) (memory (export "memory") 1 3) (table $t (export "t") 2 5 funcref) (table 1 externref)
    (global (mut i32) (i32.const 0)) (global (mut f64) (f64.const 0)) (data $d "x") (data (i32.const 0) "y") (elem $e func)
    (func (export "_initialize") (i32.store (i32.const 0) (i32.const 1)) (i64.store8 (i32.const 0) (i64.const 1)) (data.drop $d) (elem.drop $e) (table.set $t (i32.const 0) (ref.null func)) (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))`);
  const i = inspect(bytes);
  assert.is(i.canRollBack, true);
  assert.is(i.kind, 'reactor');
  assert.equal(i.functions, { imported: 1, defined: 1 });
  assert.equal(i.memories, [
    { index: 0, imported: false, exported: true, is64: false, shared: false, initial: 1, maximum: 3 },
  ]);
  assert.equal(
    i.tables.map((t) => [t.type, t.exported, t.mutated]),
    [
      ['funcref', true, true],
      ['externref', false, false],
    ],
  );
  assert.is(i.globals.mutable, 2);
  assert.equal(i.globals.byType, { i32: 1, f64: 1 });
  assert.equal(i.segments, { data: 2, dataDropped: 1, elem: 1, elemDropped: 1 });
  assert.is(i.writes['i32.store'], 1);
  assert.is(i.writes['i64.store8'], 1);
  assert.is(i.writes['memory.fill'], 1);
  assert.is(i.start, false);
  assert.is(i.bytes, bytes.length);
});

test.run();
