/**
 * The runtime in every engine: modules that were instrumented elsewhere are loaded, checkpointed and rolled
 * back. Imports no Node module and not the rewriter (see support/fixtures.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../../contract/errors.js';
import { instantiate } from '../../../runtime/index.js';
import type { Guest } from '../../../runtime/types.js';
import { loadFixture } from '../../support/engines-fixture.js';
import { HAS_MEMORIES, testUnless } from '../../support/engines-skip.js';

/** What the fixture `state` exports. */
interface State extends WebAssembly.Exports {
  memory: WebAssembly.Memory;
  table: WebAssembly.Table;
  count: WebAssembly.Global;
  store8(address: number, value: number): void;
  store32(address: number, value: number): void;
  store64(address: number, value: bigint): void;
  load32(address: number): number;
  fill(address: number, value: number, length: number): void;
  copy(to: number, from: number, length: number): void;
  init(address: number): void;
  dropData(): void;
  grow(pages: number): number;
  size(): number;
  setGlobals(count: number, wide: bigint, real: number, single: number): void;
  wide(): bigint;
  real(): number;
  single(): number;
  tableInit(index: number): void;
  dropElem(): void;
  tableClear(index: number): void;
  tableGrow(delta: number): number;
  tableSize(): number;
  callTable(index: number): number;
  storeThenTrap(address: number): void;
  storeThenCall(address: number): void;
}

/** Every byte of the guest's memory, and its size. */
const image = (guest: Guest<State>): Uint8Array =>
  new Uint8Array(guest.memory.buffer).slice(0, guest.exports.size() * 65536);

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

const code = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return error instanceof BelayError ? error.code : String(error);
  }
  return 'no error';
};

for (const layout of ['separate', 'inline'] as const) {
  for (const name of ['state', 'bytes']) {
    const why = layout === 'separate' && !HAS_MEMORIES && 'this engine has no multi-memory';
    const test = suite(`${name}, ${layout}`);

    const start = async (call: (guest: Guest<State>) => void = () => {}) => {
      const wasm = await loadFixture(name, layout);
      const guest = await instantiate(wasm, (own) => ({ host: { call: () => call(own as Guest<State>) } }));
      return guest as Guest<State>;
    };

    /** Runs `change` after a checkpoint, asserts that it changed something, and that rollback undoes it. */
    const undone = async (
      change: (e: State, guest: Guest<State>) => void,
      changed: (e: State) => unknown,
    ) => {
      const guest = await start();
      guest.exports.store32(300, 0x01020304);
      const before = changed(guest.exports);
      const bytes = image(guest);
      guest.checkpoint();
      for (let round = 0; round < 3; round++) {
        change(guest.exports, guest);
        assert.not.equal(changed(guest.exports), before, 'it changed something');
        guest.rollback();
        assert.equal(changed(guest.exports), before);
        assert.ok(sameBytes(image(guest), bytes), 'memory is as it was');
      }
    };

    const check = (title: string, run: () => Promise<void>) =>
      testUnless(test, why, `${name}, ${layout}: ${title}`, run);

    check('stores', () =>
      undone(
        (e) => {
          e.store8(300, 9);
          e.store32(65532, -1);
          e.store64(301, -1n);
        },
        (e) => [e.load32(300), e.load32(304), e.load32(65532)],
      ),
    );
    check('fill', () =>
      undone(
        (e) => e.fill(100, 0xaa, 5000),
        (e) => e.load32(1000),
      ),
    );
    check('copy onto itself', () =>
      undone(
        (e) => e.copy(302, 300, 4000),
        (e) => e.load32(302),
      ),
    );
    check('init', () =>
      undone(
        (e) => e.init(63),
        (e) => e.load32(63),
      ),
    );
    check('grow', () =>
      undone(
        (e) => {
          assert.is(e.grow(2), 1);
          e.store32(3 * 65536 - 4, 7);
        },
        (e) => e.size(),
      ),
    );
    check('pages that a rollback took come back zeroed', async () => {
      const guest = await start();
      guest.checkpoint();
      guest.exports.grow(1);
      guest.exports.store32(65536 + 8, 77);
      guest.rollback();
      // A memory cannot shrink: the rewriter sees to it that stores trap all the same.
      assert.throws(() => guest.exports.store32(65536 + 8, 1), WebAssembly.RuntimeError);
      assert.throws(() => guest.exports.fill(65536 - 8, 1, 16), WebAssembly.RuntimeError);
      assert.is(guest.exports.grow(1), 1);
      assert.is(guest.exports.load32(65536 + 8), 0);
    });
    check('globals', () =>
      undone(
        (e) => e.setGlobals(8, 9n, 1.5, 2.5),
        (e) => [e.count.value, e.wide(), e.real(), e.single()],
      ),
    );
    check('a dropped data segment', async () => {
      const guest = await start();
      guest.checkpoint();
      guest.exports.dropData();
      assert.throws(() => guest.exports.init(0));
      guest.rollback();
      guest.exports.init(0);
      assert.is(guest.exports.load32(0), 0x72617073);
    });
    check('a dropped element segment', async () => {
      const guest = await start();
      guest.checkpoint();
      guest.exports.dropElem();
      assert.throws(() => guest.exports.tableInit(0));
      guest.rollback();
      guest.exports.tableInit(0);
      assert.is(guest.exports.callTable(0), 2);
    });
    check('a table', async () => {
      const guest = await start();
      guest.checkpoint();
      guest.exports.tableInit(0);
      assert.is(guest.exports.callTable(0), 2);
      guest.rollback();
      assert.is(guest.exports.callTable(0), 1);
      guest.exports.tableClear(0);
      guest.rollback();
      assert.is(guest.exports.callTable(0), 1);
    });
    check('the size of a table', async () => {
      const guest = await start();
      guest.checkpoint();
      assert.is(guest.exports.tableGrow(2), 4);
      assert.is(guest.exports.tableSize(), 6);
      guest.rollback();
      assert.is(guest.exports.tableSize(), 4);
      assert.is(guest.exports.tableGrow(2), 4);
    });
    check('host writes', () =>
      undone(
        (_, guest) => {
          guest.write(400, new Uint8Array([1, 2, 3]));
          guest.fill(60_000, 0x55, 900);
          guest.touch(500, 4);
          new Uint8Array(guest.memory.buffer).set([4, 5, 6, 7], 500);
        },
        (e) => [e.load32(400), e.load32(60_000), e.load32(500)],
      ),
    );
    check('a host write outside of memory', async () => {
      const guest = await start();
      assert.is(
        code(() => guest.write(65_535, new Uint8Array(2))),
        'ERR_BELAY_RANGE',
      );
      assert.is(
        code(() => guest.touch(0xffff_fff0, 32)),
        'ERR_BELAY_RANGE',
      );
    });
    check('a second checkpoint keeps what came before it', async () => {
      const guest = await start();
      guest.checkpoint();
      guest.exports.store32(300, 1);
      guest.checkpoint();
      guest.exports.store32(300, 2);
      guest.rollback();
      assert.is(guest.exports.load32(300), 1);
    });
    check('attempt: a trap is undone and thrown on', async () => {
      const guest = await start();
      const bytes = image(guest);
      assert.throws(() => guest.attempt(() => guest.exports.storeThenTrap(40)), /unreachable/i);
      assert.ok(sameBytes(image(guest), bytes));
      assert.is(guest.exports.count.value, 7);
      guest.attempt(() => guest.exports.store32(40, 5));
      assert.is(guest.exports.load32(40), 5);
    });
    check('attempt: a promise that rejects is undone', async () => {
      const guest = await start();
      const failed = await guest
        .attempt(async () => {
          guest.exports.store32(40, 5);
          await null;
          throw new Error('no');
        })
        .catch((error: Error) => error.message);
      assert.is(failed, 'no');
      assert.is(guest.exports.load32(40), 0);
    });
    check('checkpoint and rollback are refused while the guest runs', async () => {
      const codes: string[] = [];
      const guest = await start((own) => {
        codes.push(code(() => own.checkpoint()));
        codes.push(code(() => own.rollback()));
      });
      guest.checkpoint();
      guest.exports.storeThenCall(40);
      assert.equal(codes, ['ERR_BELAY_RUNNING', 'ERR_BELAY_RUNNING']);
      guest.rollback();
      assert.is(guest.exports.load32(40), 0);
    });
    check('a rollback needs a checkpoint', async () => {
      const guest = await start();
      assert.is(
        code(() => guest.rollback()),
        'ERR_BELAY_NO_CHECKPOINT',
      );
    });
    check('stats count', async () => {
      const guest = await start();
      guest.checkpoint();
      const before = guest.stats();
      guest.exports.store8(300, 1);
      guest.exports.store8(300, 2);
      const after = guest.stats();
      const region = name === 'bytes' ? 1 : 64;
      assert.is(guest.contract.region, region);
      assert.is(after.checkpoints, 1);
      assert.is(after.rollbacks, 0);
      assert.ok(after.regionsSaved > before.regionsSaved, 'the first store saves');
      assert.is(after.bytesSaved - before.bytesSaved, (after.regionsSaved - before.regionsSaved) * region);
      assert.is(after.memoryBytes, 65536);
      assert.ok(after.supportBytes > 0);
      guest.rollback();
      assert.is(guest.stats().rollbacks, 1);
    });
    check('the exports that Belay adds are hidden', async () => {
      const guest = await start();
      assert.equal(
        Object.keys(guest.exports).filter((key) => key.startsWith('belay:')),
        [],
      );
    });

    test.run();
  }

  const loops = suite(`loop, ${layout}`);
  const why = layout === 'separate' && !HAS_MEMORIES && 'this engine has no multi-memory';
  testUnless(loops, why, `loop, ${layout}: an endless loop ends and is undone`, async () => {
    const guest = await instantiate(await loadFixture('loop', layout));
    const loop = guest.exports.loop as (address: number) => void;
    guest.limit({ steps: 10_000 });
    assert.is(
      code(() => guest.attempt(() => loop(16))),
      'ERR_BELAY_OVERRUN',
    );
    guest.limit({ deadline: 30, interval: 1000 });
    assert.is(
      code(() => guest.attempt(() => loop(16))),
      'ERR_BELAY_OVERRUN',
    );
    assert.is(new Uint32Array(guest.memory.buffer)[4], 0);
  });
  loops.run();
}

const modules = suite('modules');
modules('a module that was not instrumented is refused by code', async () => {
  const plain = await loadFixture('state', 'plain');
  try {
    await instantiate(plain, { host: { call() {} } });
    assert.unreachable();
  } catch (error) {
    assert.is((error as BelayError).code, 'ERR_BELAY_NOT_INSTRUMENTED');
  }
});
modules.run();
