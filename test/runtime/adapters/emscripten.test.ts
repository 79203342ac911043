/** Emscripten's glue beyond the everyday: growth from JavaScript, callbacks, files, errors. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { emscripten, keepInMemory } from '../../../runtime/adapters/index.js';
import { instantiate, UntrackedWriteError } from '../../../runtime/index.js';
import type { Guest, InstantiateOptions } from '../../../runtime/types.js';
import { codeOf, compiled, freshGlue, fromText, inBothLayouts } from './support.js';

interface Database {
  run(sql: string, values?: unknown[]): void;
  exec(sql: string): { values: unknown[][] }[];
  export(): Uint8Array;
  create_function(name: string, fn: (...args: never[]) => unknown): void;
  create_aggregate(name: string, fns: object): void;
}
type Sql = {
  Database: new (bytes?: Uint8Array) => Database;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  addFunction(fn: unknown, signature?: string): number;
  [name: string]: unknown;
};

const WASM = 'sql.js/dist/sql-wasm.wasm';

async function sqlite(
  layout: 'inline' | 'separate',
  options: InstantiateOptions = { audit: true },
  reserve = 64 << 20,
) {
  const adapter = emscripten(await compiled(WASM, layout, reserve), options);
  const sql = await freshGlue<(config: object) => Promise<Sql>>('sql.js/dist/sql-wasm.js')(adapter.module);
  const guest = await adapter.guest;
  const one = (db: Database, query: string) => db.exec(query)[0]!.values[0]![0];
  return { adapter, sql, guest, one };
}

inBothLayouts(test, 'databases in memory go back with the guest', async (layout) => {
  const { sql, guest, one } = await sqlite(layout);
  keepInMemory(sql);
  const db = new sql.Database();
  db.run('create table t(a); insert into t values (1)');
  guest.checkpoint();
  db.run('insert into t values (2)');
  db.run('create table u(b)');
  guest.rollback();
  assert.is(one(db, 'select count(*) from t'), 1);
  assert.throws(() => db.exec('select * from u'), /no such table/);
  // Within a transaction, too.
  db.run('begin; insert into t values (3)');
  guest.rollback();
  db.run('insert into t values (4)');
  assert.is(one(db, 'select group_concat(a) from t'), '1,4');
});

inBothLayouts(test, 'bytes brought in before the checkpoint', async (layout) => {
  const { sql, guest, one } = await sqlite(layout);
  const withFiles = keepInMemory(sql);
  const first = new sql.Database();
  first.run('create table t(a); insert into t values (7)');
  const bytes = first.export();
  const db = withFiles(() => new sql.Database(bytes));
  assert.is(one(db, 'select a from t'), 7);
  guest.checkpoint();
  assert.is(one(db, 'select a from t'), 7);
  guest.rollback();
  assert.is(one(db, 'select a from t'), 7);
});

inBothLayouts(
  test,
  'a database in files: guest memory is tracked through minified system calls',
  async (layout) => {
    const { sql, guest, one } = await sqlite(layout);
    const db = new sql.Database();
    db.run('create table t(a, b)');
    for (let round = 0; round < 3; round++) {
      guest.checkpoint();
      for (let i = 0; i < 20; i++) db.run('insert into t values (?, ?)', [i, 'x'.repeat(500 * round)]);
      assert.is(
        new sql.Database(db.export()).exec('select count(*) from t')[0]!.values[0]![0],
        20 * (round + 1),
      );
      db.run('vacuum');
    }
    assert.is(one(db, "select datetime('now', 'localtime') is not null"), 1);
    // The files themselves are JavaScript's, so this says nothing of the database: only that nothing was missed.
    guest.rollback();
  },
);

inBothLayouts(test, 'JavaScript functions called from the guest', async (layout) => {
  const { sql, guest, one } = await sqlite(layout);
  keepInMemory(sql);
  const db = new sql.Database();
  db.create_function('twice', (text: string) => text + text);
  db.create_function('blob', () => new Uint8Array(3000).fill(7));
  db.create_function('fails', () => {
    throw new Error('on purpose');
  });
  db.create_aggregate('total2', {
    init: () => 0,
    step: (s: number, v: number) => s + 2 * v,
    finalize: (s: number) => s,
  });
  for (let i = 0; i < 3; i++) {
    guest.checkpoint();
    assert.is(one(db, "select twice('ab')"), 'abab');
    assert.is(one(db, 'select length(blob())'), 3000);
    assert.is(one(db, 'with t(a) as (values (1), (2)) select total2(a) from t'), 6);
    assert.throws(() => db.exec('select fails()'), /on purpose/);
    guest.rollback();
  }
});

inBothLayouts(test, 'memory grows from JavaScript, and a rollback takes that back', async (layout) => {
  const { sql, guest, one } = await sqlite(layout, {});
  keepInMemory(sql);
  const db = new sql.Database();
  db.run('create table t(a)');
  guest.checkpoint();
  const before = guest.stats().memoryBytes;
  let grown = 0;
  for (let i = 0; i < 4; i++) {
    db.run('insert into t values (zeroblob(20000000))');
    assert.is(one(db, 'select length(a) from t'), 20000000);
    const now = guest.stats().memoryBytes;
    assert.ok(now > before, 'it grew');
    if (i > 0) assert.is(now, grown, 'as far each time');
    grown = now;
    guest.rollback();
    assert.is(guest.stats().memoryBytes, before, 'and is as it was');
  }
  // Without a rollback: on from where it is.
  db.run('insert into t values (zeroblob(20000000))');
  guest.checkpoint();
  assert.ok(guest.stats().memoryBytes > before);
});

test('inline: a guest that reaches its reserve is told so, and goes on', async () => {
  const { sql, guest, one } = await sqlite('inline', {}, 24 << 20);
  keepInMemory(sql);
  const db = new sql.Database();
  db.run('create table t(a)');
  guest.checkpoint();
  assert.throws(() => db.run('insert into t values (zeroblob(40000000))'), /out of memory/);
  guest.rollback();
  db.run('insert into t values (zeroblob(1000000))');
  assert.is(one(db, 'select length(a) from t'), 1000000);
});

inBothLayouts(test, 'outside of an import memory.grow adds pages as usual', async (layout) => {
  const { guest } = await sqlite(layout, {});
  const before = guest.stats().memoryBytes;
  guest.checkpoint();
  assert.is(guest.memory.grow(2), before / 65536);
  assert.is(guest.stats().memoryBytes, before + 131072);
  guest.rollback();
  assert.is(guest.stats().memoryBytes, before);
});

inBothLayouts(test, 'a scratch word allocated once is announced in every epoch', async (layout) => {
  const { sql, guest, adapter } = await sqlite(layout);
  const scratch = sql._malloc(4);
  const word = () => new Int32Array(guest.memory.buffer, scratch, 1);
  word()[0] = 1;
  for (let i = 0; i < 3; i++) {
    guest.checkpoint();
    word()[0] = 2;
    guest.rollback();
    assert.is(word()[0], 1);
    word()[0] = 3;
    guest.rollback();
    assert.is(word()[0], 1);
  }
  sql._free(scratch);
  assert.is(adapter.stats().remembered, 1, 'that of sql.js itself');
});

inBothLayouts(
  test,
  'a write nobody announced is found by the audit; announce and remember cover it',
  async (layout) => {
    const { sql, guest, adapter } = await sqlite(layout);
    const block = sql._malloc(200000);
    const bytes = () => new Uint8Array(guest.memory.buffer, block, 200000);
    guest.checkpoint();
    assert.is(adapter.stats().tooLong, 1);
    bytes()[150000] = 1;
    try {
      guest.rollback();
      assert.unreachable('the audit said nothing');
    } catch (error) {
      assert.instance(error, UntrackedWriteError);
      assert.equal((error as UntrackedWriteError).ranges, [
        { memory: 0, from: block + 150000, to: block + 150001 },
      ]);
    }
    adapter.announce(block + 150000, 1);
    bytes()[150000] = 2;
    guest.rollback();
    assert.is(bytes()[150000], 0);

    adapter.remember(block, 200000);
    for (let i = 0; i < 2; i++) {
      bytes().fill(9);
      guest.rollback();
      assert.is(bytes()[199999], 0);
    }
    adapter.forget(block);
    assert.is(await codeOf(() => adapter.announce(2 ** 32 - 1, 8)), 'ERR_BELAY_RANGE');
  },
);

inBothLayouts(test, 'without an adapter the same glue is caught by the audit', async (layout) => {
  const module = await compiled(WASM, layout);
  let guest: Guest | undefined;
  const sql = await freshGlue<(config: object) => Promise<Sql>>('sql.js/dist/sql-wasm.js')({
    instantiateWasm(imports: WebAssembly.Imports, receive: (instance: WebAssembly.Instance) => void) {
      void instantiate(module, imports, { audit: true }).then((made) => {
        guest = made;
        receive(made.instance);
      });
      return {};
    },
  });
  keepInMemory(sql);
  const db = new sql.Database();
  db.run('create table t(a)');
  guest!.checkpoint();
  // Long enough to lie outside of the regions that malloc itself writes to.
  db.run('insert into t values (?)', ['x'.repeat(3000)]);
  assert.is(await codeOf(() => guest!.rollback()), 'ERR_BELAY_UNTRACKED_WRITE');
});

inBothLayouts(test, 'an interposed export can be put into a table', async (layout) => {
  const { sql, guest } = await sqlite(layout);
  guest.checkpoint();
  const index = sql.addFunction(sql._free);
  assert.type(index, 'number');
  const table = Object.values(guest.exports).find((value) => value instanceof WebAssembly.Table)!;
  assert.type((table as WebAssembly.Table).get(index), 'function');
  const size = (table as WebAssembly.Table).length;
  guest.rollback();
  assert.is(sql.addFunction((_: number) => {}, 'vi') >= 0, true);
  assert.ok((table as WebAssembly.Table).length <= size);
});

inBothLayouts(test, 'an adapter serves one instance', async (layout) => {
  const { adapter } = await sqlite(layout);
  assert.is(await codeOf(adapter.instantiate({})), 'ERR_BELAY_OPTION');
  assert.is(await codeOf(() => adapter.instantiateSync({})), 'ERR_BELAY_OPTION');
});

inBothLayouts(test, 'an option that does not exist is an error', async (layout) => {
  const adapter = emscripten(await compiled(WASM, layout), { audits: true } as InstantiateOptions);
  assert.is(await codeOf(adapter.instantiate({})), 'ERR_BELAY_OPTION');
});

test('a module that cannot be loaded: the guest rejects, and the glue is told to abort', async () => {
  const adapter = emscripten(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  let aborted: unknown;
  const config = Object.assign(adapter.module, { onAbort: (reason: unknown) => (aborted = reason) });
  config.instantiateWasm({}, () => assert.unreachable());
  assert.is(await codeOf(adapter.guest), 'ERR_BELAY_NOT_INSTRUMENTED');
  assert.is((aborted as { code?: string }).code, 'ERR_BELAY_NOT_INSTRUMENTED');
});

inBothLayouts(test, 'options for imports that nobody knows', async (layout) => {
  const module = await fromText(
    `(module
      (import "env" "far" (func $far (param i32)))
      (import "env" "drop" (func $drop (param i32)))
      (memory (export "memory") 2)
      (func (export "far") (call $far (i32.const 1024)))
      (func (export "drop") (call $drop (i32.const 5)))
      (func (export "buffer") (result i32) (i32.const 65536)))`,
    layout,
  );
  const dropped: number[] = [];
  const load = async (options: Parameters<typeof emscripten>[1]) => {
    const adapter = emscripten(module, { audit: true, ...options });
    const bytes = () => new Uint8Array((guest.memory as WebAssembly.Memory).buffer);
    const { exports } = await adapter.instantiate({
      env: {
        far: (pointer: number) => bytes().fill(1, pointer + 5000, pointer + 5010),
        drop: (what: number) => void dropped.push(what),
      },
    });
    const guest = await adapter.guest;
    return { guest, bytes, exports: exports as unknown as { far(): void; drop(): void; buffer(): number } };
  };

  const without = await load({});
  without.guest.checkpoint();
  without.exports.far();
  assert.is(await codeOf(() => without.guest.rollback()), 'ERR_BELAY_UNTRACKED_WRITE');

  const { guest, exports, bytes } = await load({
    announce: { far: ([pointer], touch) => touch((pointer as number) + 5000, 10) },
    buffers: { buffer: 60000 },
    defer: ['env.drop'],
  });
  guest.checkpoint();
  exports.far();
  guest.rollback();
  assert.is(bytes()[6024], 0);

  const pointer = exports.buffer();
  guest.checkpoint();
  bytes().fill(3, pointer, pointer + 60000);
  guest.rollback();
  assert.is(bytes()[pointer + 59999], 0);

  exports.drop();
  guest.rollback();
  exports.drop();
  assert.equal(dropped, []);
  guest.checkpoint();
  assert.equal(dropped, [5]);
});

test.run();
