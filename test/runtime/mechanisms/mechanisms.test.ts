/** What the mechanisms share: which fits which module, what they cost, what goes wrong by name. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MECHANISMS, OUTSIDE_MECHANISMS } from '../../../contract/contract.js';
import { BelayError } from '../../../contract/errors.js';
import { type InstrumentOptions, instrument, toBinary } from '../../../rewriter/index.js';
import { recommendMechanism } from '../../../runtime/mechanisms/auto.js';
import { unavailable } from '../../../runtime/mechanisms/index.js';
import { instantiateSync } from '../../../runtime/node.js';
import { adaptive, gspec, none, type PolicyMaker } from '../../../runtime/speculation/index.js';
import type { Guest, InstantiateOptions } from '../../../runtime/types.js';
import { testUnless } from '../../support/engines-skip.js';
import { mechanismVariants } from '../../support/mechanisms.js';

const test = suite('mechanisms');

interface Program extends WebAssembly.Exports {
  /** Stores `value` at `address`. */
  set(address: number, value: number): void;
  get(address: number): number;
  /** Stores a word into each of `count` pages from page `first`. */
  pages(first: number, count: number, value: number): void;
  grow(pages: number): number;
}

const PROGRAM = await toBinary(
  new TextEncoder().encode(`(module (memory (export "memory") 16 64)
  (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "get") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "pages") (param $p i32) (param $n i32) (param $v i32)
    (loop $l
      (i32.store (i32.shl (local.get $p) (i32.const 12)) (local.get $v))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`),
);

const start = (options: InstrumentOptions, more: InstantiateOptions = {}): Guest<Program> =>
  instantiateSync<Program>(instrument(PROGRAM, options).wasm as Uint8Array<ArrayBuffer>, {}, more);

/** Engines have words of their own. */
const isTrap = (error: unknown): boolean => error instanceof WebAssembly.RuntimeError;

function codeOf(fn: () => unknown): [code: string, message: string] {
  try {
    fn();
  } catch (error) {
    if (error instanceof BelayError) return [error.code, error.message];
    throw error;
  }
  return ['no error', ''];
}

for (const { name, mechanism, instrument: options, why } of mechanismVariants()) {
  testUnless(test, why, `${name}: says so, counts, and lets go`, () => {
    const guest = start(options);
    assert.is(guest.mechanism, mechanism);
    assert.is(guest.stats().mechanism, mechanism);
    guest.checkpoint();
    guest.exports.set(5000, 7);
    guest.exports.set(70_000, 8);
    guest.rollback();
    assert.is(guest.exports.get(5000) + guest.exports.get(70_000), 0);
    guest.exports.set(5000, 7);
    guest.exports.set(70_000, 8);
    guest.checkpoint();
    const { regionsSaved, bytesSaved, supportBytes, memoryBytes } = guest.stats();
    assert.ok(regionsSaved >= 2, `${regionsSaved} regions`);
    assert.ok(bytesSaved >= 8 && supportBytes >= 8, `${bytesSaved} of ${supportBytes} bytes`);
    assert.is(memoryBytes, 16 * 65536);
    guest[Symbol.dispose]();
    guest[Symbol.dispose]();
    // What was protected is writable.
    guest.exports.set(5000, 9);
    assert.is(guest.exports.get(5000), 9);
  });

  testUnless(test, why, `${name}: host writes, and many rollbacks to one checkpoint`, () => {
    const guest = start(options);
    guest.exports.set(100, 1);
    guest.checkpoint();
    for (let i = 0; i < 20; i++) {
      guest.write(96, Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9));
      guest.fill(4090, 5, 12);
      guest.touch(8190, 4);
      new Uint8Array(guest.memory.buffer).set([1, 2, 3, 4], 8190);
      guest.exports.pages(i % 8, 3, i + 1);
      guest.exports.set(65536 * 16 - 4, i);
      guest.rollback();
      for (const [at, value] of [
        [100, 1],
        [96, 0],
        [4092, 0],
        [8190, 0],
        [i * 4096, 0],
        [65536 * 16 - 4, 0],
      ] as const) {
        assert.is(guest.exports.get(at), value, `byte ${at} in round ${i}`);
      }
    }
  });

  testUnless(test, why, `${name}: growth in the middle of an epoch hides no store`, () => {
    const guest = start(options);
    guest.exports.pages(0, 200, 1);
    guest.checkpoint();
    guest.exports.pages(0, 50, 2);
    assert.is(guest.exports.grow(2), 16);
    guest.exports.pages(25, 50, 3);
    guest.exports.pages(256, 30, 4);
    guest.memory.grow(1);
    guest.exports.pages(100, 100, 5);
    guest.rollback();
    for (let page = 0; page < 200; page++) assert.is(guest.exports.get(page * 4096), 1, `page ${page}`);
    assert.is(guest.exports.grow(2), 16);
    assert.is(guest.exports.get(256 * 4096), 0);
    guest.exports.pages(256, 8, 6);
    guest.checkpoint();
    guest.exports.pages(250, 20, 7);
    guest.rollback();
    assert.is(guest.exports.get(257 * 4096), 6);
    assert.is(guest.exports.get(250 * 4096), 0);
  });
}

test('a module whose stores were left alone takes any mechanism outside', () => {
  for (const mechanism of ['full-copy', 'uffd'] as const) {
    const guest = start({ mechanism }, { mechanism: 'full-copy' });
    assert.is(guest.mechanism, 'full-copy');
    const best = start({ mechanism }, { mechanism: 'auto' });
    assert.ok((OUTSIDE_MECHANISMS as readonly string[]).includes(best.mechanism), best.mechanism);
    best.checkpoint();
    best.exports.set(0, 1);
    best.rollback();
    assert.is(best.exports.get(0), 0);
  }
  assert.is(start({ layout: 'inline' }, { mechanism: 'auto' }).mechanism, 'lmc');
});

test('what does not fit is an error that says what to do', () => {
  const lmc = { layout: 'inline' } as const;
  for (const mechanism of MECHANISMS.filter((name) => name !== 'lmc')) {
    const [code, message] = codeOf(() => start(lmc, { mechanism }));
    assert.is(code, 'ERR_BELAY_OPTION');
    assert.match(message, `instrument it with mechanism '${mechanism}'`);
  }
  assert.is(codeOf(() => start({ mechanism: 'uffd' }, { mechanism: 'cards' }))[0], 'ERR_BELAY_OPTION');
  for (const options of [lmc, { mechanism: 'full-copy' }, { mechanism: 'uffd-async' }] as const) {
    const [code, message] = codeOf(() => start(options, { policy: none() }));
    assert.is(code, 'ERR_BELAY_OPTION', message);
    assert.match(message, /policy is for page-cow, mprotect, uffd/);
  }
  for (const mechanism of ['mprotect', 'uffd', 'uffd-async'] as const) {
    const why = unavailable(mechanism);
    if (why === undefined) continue;
    const [code, message] = codeOf(() => start({ mechanism }));
    assert.is(code, 'ERR_BELAY_MECHANISM');
    assert.match(message, why);
  }
});

test('an undo log that is full stops the store, says why, and rolls back', () => {
  const guest = start({ mechanism: 'undolog', layout: 'inline', reserve: 2 ** 22, logLimit: 65536 });
  guest.exports.pages(0, 200, 1);
  guest.checkpoint();
  const used = () => guest.stats().bytesSaved;
  const before = used();
  for (let i = 0; i < 1000; i++) guest.exports.set(8, i);
  assert.is(used() - before, 4000, 'each store is logged');
  const [code, message] = codeOf(() =>
    guest.attempt(() => {
      for (let i = 0; i < 10_000; i++) guest.exports.set(4096 * (i % 50), i + 2);
    }),
  );
  assert.is(code, 'ERR_BELAY_LOG_FULL');
  assert.match(message, /logLimit/);
  assert.is(guest.logFull, false);
  for (let page = 0; page < 200; page++) assert.is(guest.exports.get(page * 4096), 1);
  // Without attempt: the trap comes as it is.
  guest.checkpoint();
  assert.throws(() => {
    for (let i = 0; i < 10_000; i++) guest.exports.set(0, i + 2);
  }, isTrap);
  assert.is(guest.logFull, true);
  assert.throws(() => guest.fill(0, 1, 2 ** 20), isTrap);
  guest.rollback();
  assert.is(guest.logFull, false);
  assert.is(guest.exports.get(0), 1);
});

for (const { name, mechanism, instrument: options, why } of mechanismVariants()) {
  if (!['page-cow', 'mprotect', 'uffd'].includes(mechanism)) continue;

  testUnless(
    test,
    why,
    `${name}: a policy sees just the pages that were written, and what it chooses does not fault`,
    () => {
      const seen: { faults: number[]; kind: number; pages: number; changed: boolean[] }[] = [];
      let choice: number[] = [];
      let last: number[] = [];
      const policy: PolicyMaker = (costs) => {
        for (const cost of Object.values(costs)) assert.ok(cost > 0 && Number.isFinite(cost), `${cost}`);
        return {
          name: 'scripted',
          choose({ faults, faultCount, kind, pages, changed }, out) {
            const list = [...faults.subarray(0, faultCount)];
            seen.push({ faults: list, kind, pages, changed: [...list, ...last].map(changed) });
            last = choice;
            out.set(choice);
            return choice.length;
          },
        };
      };
      const guest = start(options, { policy });
      guest.exports.pages(0, 100, 1);
      guest.checkpoint({ kind: 'a' });
      seen.length = 0;
      guest.exports.pages(10, 3, 2);
      guest.exports.set(11 * 4096 + 8, 1);
      guest.exports.pages(7, 1, 1);
      choice = [10, 11, 40];
      guest.checkpoint({ kind: 'b' });
      assert.equal(seen.pop(), {
        faults: [10, 11, 12, 7],
        kind: 2,
        pages: 256,
        changed: [true, true, true, false],
      });
      const before = guest.stats();
      guest.exports.pages(10, 3, 3);
      const after = guest.stats();
      assert.is(after.faults! - before.faults!, 1);
      assert.is(after.copiedAhead!, 3);
      guest.checkpoint();
      assert.equal(seen.pop(), { faults: [12], kind: 0, pages: 256, changed: [true, true, true, false] });
      guest.exports.pages(9, 5, 9);
      guest.exports.pages(40, 1, 9);
      guest.rollback();
      for (const [page, value] of [
        [9, 1],
        [10, 3],
        [12, 3],
        [13, 1],
        [40, 1],
      ] as const) {
        assert.is(guest.exports.get(page * 4096), value, `page ${page}`);
      }
      assert.equal(guest.kinds, ['', 'a', 'b']);
      guest[Symbol.dispose]();
    },
  );

  for (const [title, make] of Object.entries({ adaptive: adaptive(), gspec: gspec() })) {
    testUnless(test, why, `${name}: ${title} never changes what a rollback restores`, () => {
      const guest = start(options, { policy: make });
      const model = new Uint32Array(256);
      let state = 7;
      const below = (n: number) => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return (state >>> 8) % n;
      };
      guest.checkpoint();
      for (let epoch = 0; epoch < 300; epoch++) {
        const kept = model.slice();
        const first = (epoch % 3) * 40 + below(4);
        guest.exports.pages(first, 20, epoch + 1);
        model.fill(epoch + 1, first, first + 20);
        if (below(3) === 0) {
          guest.rollback();
          model.set(kept);
        }
        for (let page = 0; page < 160; page++) {
          if (guest.exports.get(page * 4096) !== model[page])
            assert.unreachable(`page ${page}, epoch ${epoch}`);
        }
        guest.checkpoint({ kind: `k${epoch % 3}` });
      }
      // Under page-cow a copy ahead costs what a fault does.
      if (mechanism !== 'page-cow') assert.ok(guest.stats().copiedAhead! > 0, 'nothing was copied ahead');
      guest[Symbol.dispose]();
    });
  }

  testUnless(test, why, `${name}: a policy that breaks its contract is named`, () => {
    const policy: PolicyMaker = () => ({ name: 'wild', choose: () => 1e6 });
    const guest = start(options, { policy });
    const [code, message] = codeOf(() => guest.checkpoint());
    assert.is(code, 'ERR_BELAY_OPTION');
    assert.match(message, /wild/);
  });
}

test('auto: short epochs are for lmc, long ones for page protection, where it can be had', () => {
  const program = { stores: 12_000, codeBytes: 660_000, memoryBytes: 2 ** 24 };
  const all = () => undefined;
  const nothing = () => 'not here';
  const choose = (epochSeconds: number, unavailableHere: () => string | undefined, more = {}) =>
    recommendMechanism({ ...program, ...more, epochSeconds, unavailable: unavailableHere });
  assert.is(choose(1e-6, all).mechanism, 'lmc');
  assert.is(choose(1e-3, all).mechanism, 'uffd');
  assert.is(choose(1e-3, all).policy, 'adaptive');
  assert.is(
    choose(
      1e-3,
      (
        () => (name: string) =>
          name === 'uffd' ? 'no' : undefined
      )() as never,
    ).mechanism,
    'mprotect',
  );
  assert.is(choose(1e-3, nothing).mechanism, 'lmc');
  assert.is(choose(1e-3, nothing, { memoryBytes: 65536 }).mechanism, 'full-copy');
  // A module that hardly stores pays hardly anything for checks.
  assert.is(choose(1e-4, all, { stores: 10 }).mechanism, 'lmc');
  assert.match(choose(1e-3, all).why, /uffd is estimated to cost .* each \(.*lmc/);
  for (const cost of Object.values(choose(1e-3, all).estimates)) assert.ok(cost > 0);
});

test.run();
