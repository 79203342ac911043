/** Saving and restoring a guest's whole state: every mechanism with every other, companions, observers, refusals. */
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EXPORTS, isOutside } from '../../../contract/contract.js';
import type { BelayError } from '../../../contract/errors.js';
import { instrument, toBinary } from '../../../rewriter/index.js';
import type { InstrumentOptions } from '../../../rewriter/types.js';
import { HOST, spaceSizes } from '../../../runtime/guest/state.js';
import { instantiateSync } from '../../../runtime/node.js';
import type { Companion, EpochInfo, Guest, InstantiateOptions } from '../../../runtime/types.js';
import { testUnless } from '../../support/engines-skip.js';
import { mechanismVariants } from '../../support/mechanisms.js';

const TEXT = `(module
  (type $void (func))
  (import "host" "call" (func $call))
  (import "host" "given" (global $given (mut i32)))
  (memory (export "memory") 1 40)
  (table $table 4 20 funcref)
  (table $objects (export "objects") 2 externref)
  (global $single (mut f32) (f32.const nan:0x200001))
  (global $double (mut f64) (f64.const nan:0x4000000000001))
  (global $vector (mut v128) (v128.const i64x2 7 -8))
  (global $function (mut funcref) (ref.func $one))
  (global $object (export "object") (mut externref) (ref.null extern))
  (global $count (export "count") (mut i64) (i64.const -1))
  (data $data "abc")
  (elem $spare func $one $call)
  (elem (table $table) (i32.const 1) $one)
  (elem declare func $two)
  (func $one (export "one") (global.set $count (i64.add (global.get $count) (i64.const 1))))
  (func $two (global.set $count (i64.add (global.get $count) (i64.const 2))))
  (func (export "run") (param i32)
    (i32.store (local.get 0) (i32.const 77))
    (i32.store offset=70000 (i32.const 4) (memory.grow (i32.const 3)))
    (table.set $table (i32.const 2) (ref.func $two))
    (table.set $table (i32.const 3) (ref.func $call))
    (drop (table.grow $table (ref.func $one) (i32.const 3)))
    (data.drop $data)
    (global.set $given (local.get 0))
    (global.set $function (ref.func $two))
    (global.set $vector (v128.const i64x2 -3 4))
    (global.set $count (i64.const 1000)))
  (func (export "dropElements") (table.init $table $spare (i32.const 0) (i32.const 0) (i32.const 2)) (elem.drop $spare))
  (func (export "init") (memory.init $data (i32.const 5) (i32.const 0) (i32.const 3)))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "sizes") (result i32 i32) (memory.size) (table.size $table))
  (func (export "call") (param i32) (call_indirect $table (type $void) (local.get 0)))
  (func (export "hold") (param i32 externref) (table.set $objects (local.get 0) (local.get 1)))
  (func (export "put") (param i32 funcref) (table.set $table (local.get 0) (local.get 1))))`;

const BINARY = await toBinary(new TextEncoder().encode(TEXT));
const OTHER = await toBinary(new TextEncoder().encode('(module (memory 1))'));

interface Exports extends WebAssembly.Exports {
  run(value: number): void;
  dropElements(): void;
  init(): void;
  store(address: number, value: number): void;
  load(address: number): number;
  grow(pages: number): number;
  sizes(): [number, number];
  call(index: number): void;
  hold(index: number, value: unknown): void;
  put(index: number, value: unknown): void;
  count: WebAssembly.Global;
  object: WebAssembly.Global;
}

const LMC: InstrumentOptions = { mechanism: 'lmc', layout: 'inline', reserve: 40 * 65536 };

function make(options: InstrumentOptions = LMC, more: InstantiateOptions = {}): Guest<Exports> {
  const { wasm } = instrument(BINARY, options);
  const given = new WebAssembly.Global({ value: 'i32', mutable: true }, 5);
  return instantiateSync<Exports>(wasm as Uint8Array<ArrayBuffer>, { host: { call() {}, given } }, more);
}

/** What `action` throws, which must have this code and message. */
function refused(action: () => unknown, message: RegExp, code = 'ERR_BELAY_STATE'): void {
  try {
    action();
  } catch (error) {
    assert.is((error as BelayError).code, code, String(error));
    assert.match((error as Error).message, message);
    return;
  }
  assert.unreachable(`nothing was thrown; expected ${message}`);
}

const VARIANTS = mechanismVariants();

for (const from of VARIANTS) {
  testUnless(test, from.why, `from ${from.name} to every other`, () => {
    const guest = make(from.instrument);
    const blank = guest.save();
    guest.exports.run(9);
    guest.exports.dropElements();
    const document = guest.save();
    assert.ok(document.length < 20_000, `${document.length} bytes: pages that are zero take no room`);
    for (const to of VARIANTS) {
      if (to.why) continue;
      const other = make(to.instrument);
      // In the middle of an epoch, with more memory and larger tables.
      other.checkpoint();
      other.exports.grow(20);
      other.exports.store(20 * 65536, 3);
      other.exports.store(30000, 3);
      other.restore(document);
      assert.equal(other.save(), document, to.name);
      assert.equal(other.exports.sizes(), [4, 7]);
      for (const [index, count] of [
        [0, 1001n],
        [2, 1003n],
        [4, 1004n],
      ] as const) {
        other.exports.call(index);
        assert.is(other.exports.count.value, count);
      }
      assert.throws(() => other.exports.init(), WebAssembly.RuntimeError);
      assert.throws(() => other.exports.dropElements(), WebAssembly.RuntimeError);
      if (!isOutside(to.mechanism)) {
        other.exports.store(4 * 65536 - 8, 1);
        assert.throws(() => other.exports.store(4 * 65536 - 2, 1), WebAssembly.RuntimeError);
      }
      assert.is(other.exports.grow(1), 4);
      assert.is(other.exports.load(4 * 65536), 0, 'what memory lost comes back empty');
      other.exports.store(4 * 65536, 8);
      other.rollback();
      assert.equal(other.save(), document, `${to.name}: rolled back`);
      // Regions that were restored are saved before they are written, in full.
      other.exports.store(70004, 1);
      other.rollback();
      assert.equal(other.save(), document, `${to.name}: rolled back again`);
      other.restore(blank);
      assert.equal(other.save(), blank, `${to.name}: the state it had begun with`);
      other.exports.run(9);
      other.exports.dropElements();
      assert.equal(other.save(), document, `${to.name}: and on from there`);
      other[Symbol.dispose]();
    }
    guest[Symbol.dispose]();
  });
}

test('registers hold sizes, the bits of globals, and flags', () => {
  const guest = make();
  guest.exports.run(9);
  const { state, contract } = guest;
  const bytes = new Uint8Array(state.shape.length).fill(255);
  state.registers(bytes);
  const view = new DataView(bytes.buffer);
  assert.equal(spaceSizes(state.shape, bytes), [bytes.length, 0, 4 * 65536, 7 * 4, 2 * 4]);
  assert.equal(
    contract.globals.map(({ type }) => type),
    ['i32', 'f32', 'f64', 'v128', 'funcref', 'externref', 'i64'],
  );
  const at = (i: number) => state.shape.globals + 16 * i;
  assert.is(view.getUint32(at(0), true), 9);
  assert.is(view.getUint32(at(1), true), 0x7fa00001, 'a signalling NaN keeps its bits');
  assert.is(view.getBigUint64(at(2), true), 0x7ff4000000000001n);
  assert.equal([view.getBigInt64(at(3), true), view.getBigInt64(at(3) + 8, true)], [-3n, 4n]);
  assert.is(view.getUint32(at(4), true), 3, 'function 2, plus 1');
  assert.is(view.getUint32(at(5), true), 0);
  assert.is(view.getBigInt64(at(6), true), 1000n);
  assert.equal(contract.segments, { data: [0], elements: [0] });
  assert.equal([...bytes.subarray(state.shape.segments)].slice(0, 2), [1, 0]);
  assert.equal([...state.table(0)], [0, 2, 3, 1, 2, 2, 2]);
});

test('a table says whether it was written', () => {
  const guest = make();
  assert.ok(guest.state.tableWritten(0), 'before the first checkpoint');
  guest.checkpoint();
  assert.not.ok(guest.state.tableWritten(0));
  guest.exports.put(0, null);
  assert.ok(guest.state.tableWritten(0));
  assert.not.ok(guest.state.tableWritten(1));
  guest.rollback();
  assert.not.ok(guest.state.tableWritten(0));
});

test('only spaces that are given are loaded', () => {
  const guest = make();
  guest.exports.store(100, 1);
  const registers = new Uint8Array(guest.state.shape.length);
  guest.state.registers(registers);
  guest.exports.count.value = 5n;
  guest.exports.store(100, 2);
  guest.state.load([registers]);
  assert.is(guest.exports.count.value, -1n);
  assert.is(guest.exports.load(100), 2);
  guest.state.load([registers, undefined, new Uint8Array([9])]);
  assert.equal([guest.exports.load(0), guest.exports.load(100)], [9, 0], 'zeros behind what is given');
});

test('an audited guest is restored', () => {
  const guest = make(LMC, { audit: true });
  const document = guest.save();
  guest.exports.run(1);
  guest.restore(document);
  guest.exports.run(2);
  guest.rollback();
  assert.equal(guest.save(), document);
});

// ---- companions ----

/** Keeps a number. */
class Counter implements Companion {
  value: unknown = 1;
  private kept: unknown = 1;
  saves = 0;
  fails = false;

  checkpoint(): void {
    this.kept = this.value;
  }

  rollback(): void {
    this.value = this.kept;
  }

  get changed(): boolean {
    return this.value !== this.kept;
  }

  save(): unknown {
    this.saves++;
    return { value: this.value };
  }

  load(saved: unknown): void {
    if (this.fails) throw new Error('no');
    this.value = (saved as { value: unknown }).value;
  }
}

test('what companions keep is saved and restored, and goes back with a rollback', () => {
  const [guest, other] = [make(), make()];
  const [one, two] = [new Counter(), new Counter()];
  guest.join(one);
  other.join(two);
  one.value = Uint8Array.of(1, 2, 3);
  other.restore(guest.save());
  assert.equal([...(two.value as Uint8Array)], [1, 2, 3]);
  two.value = 9;
  other.rollback();
  assert.equal([...(two.value as Uint8Array)], [1, 2, 3]);
});

test('companions are asked when they have changed, and not otherwise', () => {
  const guest = make();
  const counter = new Counter();
  guest.join(counter);
  const { state } = guest;
  const registers = new Uint8Array(state.shape.length);
  guest.checkpoint();
  assert.is(state.host(false), undefined);
  assert.ok(state.host(true));
  assert.is(counter.saves, 1);
  state.registers(registers);
  assert.is(counter.saves, 1, 'nothing has changed');
  counter.value = 'a longer one';
  state.registers(registers);
  assert.is(spaceSizes(state.shape, registers)[HOST], state.host(false)!.length);
  guest.rollback();
  state.registers(registers);
  assert.is(
    spaceSizes(state.shape, registers)[HOST],
    state.host(true)!.length,
    'what was undone is forgotten',
  );

  const looking = guest.observe({ beforeCheckpoint() {}, beforeRollback: () => void state.host(true) });
  const length = state.host(true)!.length;
  counter.value = 'the longest of them all';
  guest.rollback();
  looking();
  state.registers(registers);
  assert.is(spaceSizes(state.shape, registers)[HOST], length, 'whoever looked at it');

  counter.saves = 0;
  const stop = guest.observe({
    beforeCheckpoint() {
      state.host(false);
      state.registers(registers);
    },
    beforeRollback() {},
  });
  for (let i = 0; i < 5; i++) {
    counter.value = i;
    guest.checkpoint();
    guest.checkpoint();
  }
  stop();
  assert.is(counter.saves, 5, 'once for each change');
});

test('a companion that fails leaves the guest as it was', () => {
  const [guest, other] = [make(), make()];
  for (const [g, value] of [
    [guest, 5],
    [other, 6],
  ] as const) {
    const first = new Counter();
    first.value = value;
    g.join(first);
  }
  const last = new Counter();
  guest.join(new Counter());
  other.join(last);
  guest.exports.run(3);
  const document = guest.save();
  other.exports.store(500, 7);
  const before = other.save();
  last.fails = true;
  assert.throws(() => other.restore(document), 'no');
  assert.equal(other.save(), before);
  last.fails = false;
  other.restore(document);
  assert.equal(other.save(), document);
});

test('refused: companions without save, of other number, or with something else than data', () => {
  const guest = make();
  class Ledger {
    checkpoint(): void {}
    rollback(): void {}
  }
  const bare = guest.save();
  guest.join(new Ledger());
  refused(() => guest.save(), /\(Ledger\) has no save\(\) and load\(\)/);
  guest.restore(bare);
  const two = make();
  two.join(new Counter());
  const document = two.save();
  refused(() => make().restore(document), /1 parts of the host .* has 0/);
  const odd = make();
  const counter = new Counter();
  odd.join(counter);
  counter.value = 1n;
  refused(() => odd.save(), /not plain data: .*bigint/);
});

// ---- observers ----

test('an observer is told in time, and can stop a checkpoint', () => {
  const guest = make();
  const told: unknown[] = [];
  let fail: string | undefined;
  let parts = 0;
  const stop = guest.observe({
    beforeCheckpoint(info?: EpochInfo) {
      if (fail) throw new Error(fail);
      parts = 0;
      guest.state.written(() => parts++);
      told.push(['checkpoint', info?.label, parts > 0]);
    },
    afterCheckpoint: () => told.push('begun'),
    beforeRollback: (reason) => told.push(['rollback', reason]),
    afterRollback: () => told.push('undone'),
  });
  refused(() => guest.observe({ beforeCheckpoint() {}, beforeRollback() {} }), /recorded already/);
  guest.checkpoint({ label: 'first', request: 1, digest: '00ff' });
  guest.exports.store(100, 1);
  fail = 'the disk is full';
  assert.throws(() => guest.checkpoint(), /the disk is full/);
  fail = undefined;
  guest.rollback('a test');
  assert.is(guest.exports.load(100), 0, 'the checkpoint did not happen');
  assert.throws(() => guest.attempt(() => guest.exports.load(-1)));
  assert.is(guest.stats().checkpoints, 2);
  stop();
  guest.checkpoint();
  assert.equal(told.slice(0, 5), [
    ['checkpoint', 'first', true],
    'begun',
    ['rollback', 'a test'],
    'undone',
    ['checkpoint', undefined, told[4] && (told[4] as unknown[])[2]],
  ]);
  assert.match(String((told[6] as unknown[])[1]), /out of bounds/i);
  assert.is(told.length, 8);
});

test('an observer sees a state that is loaded as written, all of it', () => {
  const guest = make();
  guest.exports.run(3);
  const document = guest.save();
  const other = make();
  other.checkpoint();
  const seen: number[] = [];
  other.observe({
    beforeCheckpoint() {
      other.state.written((_, address, length) => seen.push(address, length));
      assert.ok(other.state.tableWritten(0));
      assert.ok(other.state.host(false));
    },
    beforeRollback() {},
  });
  other.restore(document);
  assert.equal(seen, [0, 4 * 65536]);
  assert.not.ok(other.state.tableWritten(0));
  assert.is(other.stats().checkpoints, 2, 'restoring counts as one checkpoint');
});

test('where an observer refuses, the state is loaded, and a rollback returns to it', () => {
  const [guest, other] = [make(), make()];
  guest.exports.run(3);
  const document = guest.save();
  other.checkpoint();
  const stop = other.observe({
    beforeCheckpoint() {
      throw new Error('full');
    },
    beforeRollback() {},
  });
  assert.throws(() => other.restore(document), 'full');
  stop();
  other.exports.store(100, 1);
  other.rollback();
  assert.equal(other.save(), document);
});

test('record hands the guest over', () => {
  const guest = make();
  const store = { record: (who: Guest, options: { every: number }) => [who, options.every] };
  assert.equal(guest.record(store, { every: 3 })[1], 3);
  assert.is(guest.record(store, { every: 3 })[0], guest);
});

// ---- refusals ----

const saved = (() => {
  const guest = make();
  guest.exports.run(3);
  return guest.save();
})();

/** That a document is refused, and leaves the guest as it was. */
function refusedDocument(document: Uint8Array, message: RegExp): void {
  const guest = make();
  guest.exports.store(100, 1);
  guest.checkpoint();
  guest.exports.store(200, 2);
  const before = guest.save();
  refused(() => guest.restore(document), message);
  assert.equal(guest.save(), before);
  guest.rollback();
  assert.equal([guest.exports.load(100), guest.exports.load(200)], [1, 0], 'its checkpoint is as it was');
}

test('refused: something else, cut off, damaged, another version, another module', () => {
  refusedDocument(new Uint8Array(0), /no state of a guest/);
  refusedDocument(new TextEncoder().encode('{"belay": "state"}'), /no state of a guest/);
  refusedDocument(BINARY, /no state of a guest/);
  for (const length of [9, 15, 40, 200, saved.length - 1]) {
    refusedDocument(saved.subarray(0, length), /cut off or damaged \(it has \d+ bytes\)/);
  }
  const longer = new Uint8Array(saved.length + 1);
  longer.set(saved);
  refusedDocument(longer, /cut off or damaged/);
  const version = saved.slice();
  const at = Buffer.from(saved).indexOf('version') + 7;
  assert.is(version[at], 1);
  version[at] = 2;
  refusedDocument(version, /has version 2, and version 1 is understood/);
  const { wasm } = instrument(OTHER, LMC);
  refusedDocument(
    instantiateSync(wasm as Uint8Array<ArrayBuffer>).save(),
    /of another module \(SHA-256 [0-9a-f]{16}…/,
  );
});

test('any byte that is changed is noticed', () => {
  const guest = make();
  const before = guest.save();
  for (let i = 0; i < saved.length; i += i < 700 ? 1 : 97) {
    const document = saved.slice();
    document[i]! ^= 1 << (i % 8);
    refused(() => guest.restore(document), /damaged|no state|version/);
  }
  assert.equal(guest.save(), before);
});

test('a document need not be aligned', () => {
  const odd = new Uint8Array(saved.length + 3);
  odd.set(saved, 3);
  const guest = make();
  guest.restore(odd.subarray(3));
  assert.equal(guest.save(), saved);
});

test('refused: states that say what cannot be', () => {
  const guest = make();
  const { state, contract } = guest;
  const before = guest.save();
  const registers = new Uint8Array(state.shape.length);
  state.registers(registers);
  const changed = (write: (view: DataView) => void) => {
    const copy = registers.slice();
    write(new DataView(copy.buffer));
    return copy;
  };
  const size = (i: number, value: bigint) => changed((view) => view.setBigUint64(8 * i, value, true));
  refused(() => state.load([]), /no bytes of registers/);
  refused(() => state.load([registers.subarray(8)]), /bytes of registers/);
  refused(() => state.load([registers, Uint8Array.of(1)]), /what the host kept has another size/);
  refused(() => state.load([registers, undefined, new Uint8Array(65537)]), /the size of memory 0 is wrong/);
  refused(
    () => state.load([size(1, 41n)]),
    /41 pages, and this guest's can have 40: instrument with a larger reserve/,
  );
  refused(() => state.load([size(2, 2n ** 40n)]), /the size of table 0 is wrong/);
  refused(
    () => state.load([registers, undefined, undefined, new Uint8Array(20)]),
    /the size of table 0 is wrong/,
  );
  refused(
    () => state.load([registers, undefined, undefined, Uint8Array.of(200, 0, 0, 0)]),
    /element 0 of table 0 refers to function 199/,
  );
  const function_ = contract.globals.findIndex(({ type }) => type === 'funcref');
  const at = state.shape.globals + 16 * function_;
  refused(
    () => state.load([changed((view) => view.setUint32(at, 99, true))]),
    /global \d+ refers to function 98/,
  );
  // What could be done before that is undone.
  const larger = changed((view) => {
    view.setBigUint64(8, 6n, true);
    view.setBigUint64(16, 21n, true);
  });
  refused(() => state.load([larger]), /table 0 of the state does not fit into this guest/);
  assert.equal(guest.save(), before);
});

test('refused: memory that this guest cannot have, and nothing has changed', () => {
  const guest = make();
  guest.exports.grow(30);
  const document = guest.save();
  const small = make({ ...LMC, reserve: 8 * 65536 });
  refused(() => small.restore(document), /instrument with a larger reserve \(2031616 bytes\)/);
  for (const { instrument: options, why, name } of VARIANTS) {
    if (why || name.includes('inline')) continue;
    const other = make(options);
    other.exports.store(100, 1);
    const before = other.save();
    const registers = new Uint8Array(other.state.shape.length);
    other.state.registers(registers);
    new DataView(registers.buffer).setBigUint64(8, 41n, true);
    refused(() => other.state.load([registers]), /41 pages, which this guest's cannot have here/);
    assert.equal(other.save(), before, name);
    other[Symbol.dispose]();
  }
});

test('refused: references to what is not of the module', () => {
  const guest = make();
  guest.exports.hold(1, 'a string');
  refused(() => guest.save(), /element 1 of table 1 holds an object of the host/);
  guest.exports.hold(1, null);
  guest.exports.object.value = {};
  refused(() => guest.save(), /global 5 holds an object of the host/);
  guest.exports.object.value = null;
  guest.exports.put(0, make().exports.one);
  refused(() => guest.save(), /element 0 of table 0 holds a function of another module/);
  guest.exports.put(0, guest.exports.one);
  guest.save();
});

test('refused: while the guest is running, and after it was disposed of', () => {
  const { wasm } = instrument(BINARY, LMC);
  const given = new WebAssembly.Global({ value: 'i32', mutable: true }, 5);
  const errors: string[] = [];
  const guest: Guest<Exports> = instantiateSync<Exports>(wasm as Uint8Array<ArrayBuffer>, {
    host: {
      call() {
        for (const action of [() => guest.save(), () => guest.restore(saved), () => guest.state.load([])]) {
          try {
            action();
          } catch (error) {
            errors.push((error as BelayError).code);
          }
        }
      },
      given,
    },
  });
  guest.exports.dropElements();
  guest.exports.call(1);
  assert.equal(errors, Array(3).fill('ERR_BELAY_RUNNING'));
  guest[Symbol.dispose]();
  refused(() => guest.save(), /disposed/, 'ERR_BELAY_DISPOSED');
  refused(() => guest.restore(saved), /disposed/, 'ERR_BELAY_DISPOSED');
});

test('the contract names what the original module has', () => {
  const contracts = VARIANTS.map(({ instrument: options }) => instrument(BINARY, options).contract);
  for (const { module, globals, segments, functions, tables } of contracts) {
    assert.match(module, /^[0-9a-f]{64}$/);
    assert.equal(
      [module, globals, segments, functions, tables],
      [
        contracts[0]!.module,
        contracts[0]!.globals,
        contracts[0]!.segments,
        contracts[0]!.functions,
        contracts[0]!.tables,
      ],
    );
  }
  const { globals, functions } = contracts[0]!;
  assert.equal(globals[0], { index: 0, type: 'i32', exports: [], import: ['host', 'given'] });
  assert.equal(globals[5], { index: 5, type: 'externref', exports: ['object'] });
  // The import, the exports, and $two, which only ref.func names.
  assert.equal(functions.slice(0, 3), [0, 1, 2]);
  const plain = instrument(OTHER, LMC).contract;
  assert.equal([plain.globals, plain.functions], [[], []]);
  assert.is(plain.module, createHash('sha256').update(OTHER).digest('hex'));
  const exports = WebAssembly.Module.exports(
    new WebAssembly.Module(instrument(OTHER, LMC).wasm as Uint8Array<ArrayBuffer>),
  );
  assert.not.ok(exports.some(({ name }) => name === EXPORTS.functions));
});

test.run();
