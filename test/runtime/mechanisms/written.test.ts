/**
 * Mechanism.written(): each byte that differs from the checkpoint lies in a part that is visited. The reference is a copy
 * of all memory. Programs: one that writes in every way around the edges of regions, blocks, pages and of memory, and
 * random modules.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { InstrumentOptions } from '../../../rewriter/index.js';
import { instrument, toBinary } from '../../../rewriter/index.js';
import { instantiateSync } from '../../../runtime/node.js';
import { adaptive } from '../../../runtime/speculation/index.js';
import type { Guest, InstantiateOptions } from '../../../runtime/types.js';
import { drawOptions, SCRIPT_BYTES } from '../../random/case.js';
import { KINDS } from '../../random/kinds.js';
import { BETWEEN, HAS_MEMORIES, testUnless } from '../../support/engines-skip.js';
import { prng, randomBytes, Tape } from '../../support/generate.js';
import { mechanismVariants } from '../../support/mechanisms.js';
import { outcome } from '../../support/oracle.js';
import {
  bytesOf,
  checkRestored,
  checkWritten,
  copies,
  mechanismOf,
  runsChecked,
  written,
} from '../../support/written.js';

const test = suite('written');

const PAGE = 65536;
/** Most bytes of stack that are saved ahead (rewriter/stack.ts). */
const AHEAD = 16384;

/** A program that writes in every way. `A` is the type of its addresses, `pages` how many it has. */
const text = (A: 'i32' | 'i64', pages = 5) => {
  const at = '(local.get $a)';
  const memory = A === 'i64' ? '(memory (export "memory") i64' : '(memory (export "memory")';
  return `(module ${memory} ${pages} ${pages + 30})
  (global $sp (mut i32) (i32.const 131072))
  (data $d "a segment of some bytes, more than there are in a small region")
  (func (export "s8") (param $a ${A}) (param $v i64) (i64.store8 ${at} (local.get $v)))
  (func (export "s16") (param $a ${A}) (param $v i64) (i64.store16 align=1 ${at} (local.get $v)))
  (func (export "s32") (param $a ${A}) (param $v i64) (i64.store32 align=1 ${at} (local.get $v)))
  (func (export "s64") (param $a ${A}) (param $v i64) (i64.store align=1 ${at} (local.get $v)))
  (func (export "s128") (param $a ${A}) (param $v i64) (v128.store align=1 ${at} (i64x2.splat (local.get $v))))
  ;; Checks of these are merged.
  (func (export "some") (param $a ${A}) (param $v i64)
    (i64.store align=1 ${at} (local.get $v))
    (i64.store offset=24 align=1 ${at} (local.get $v))
    (i64.store8 offset=9 ${at} (local.get $v))
    (i64.store offset=47 align=1 ${at} (local.get $v)))
  (func (export "fill") (param $a ${A}) (param $v i64) (param $n ${A})
    (memory.fill ${at} (i32.wrap_i64 (local.get $v)) (local.get $n)))
  (func (export "copy") (param $a ${A}) (param $from ${A}) (param $n ${A})
    (memory.copy ${at} (local.get $from) (local.get $n)))
  (func (export "init") (param $a ${A}) (param $n i32) (memory.init $d ${at} (i32.const 0) (local.get $n)))
  (func (export "grow") (param $n ${A}) (result ${A}) (memory.grow (local.get $n)))
  ;; Frames, whose stores are not checked one by one.
  (func $frame (export "frame") (param $depth i32) (param $v i64) (local $fp i32)
    (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const 400))))
    ${[0, 8, 200, 392]
      .map(
        (o) =>
          `(i64.store offset=${o} ${A === 'i64' ? '(i64.extend_i32_u (local.get $fp))' : '(local.get $fp)'} (local.get $v))`,
      )
      .join(' ')}
    (if (local.get $depth) (then (call $frame (i32.sub (local.get $depth) (i32.const 1)) (local.get $v))))
    (global.set $sp (i32.add (local.get $fp) (i32.const 400)))))`;
};

const assemble = (wat: string) => toBinary(new TextEncoder().encode(wat));
const PROGRAM = await assemble(text('i32'));
const WIDE = await assemble(text('i64'));
const NEEDS_64 = !HAS_MEMORIES
  ? 'this engine has one memory a module'
  : !WebAssembly.validate(WIDE as Uint8Array<ArrayBuffer>) && 'this engine has no 64-bit memories';

type Write = (address: number | bigint, ...more: (number | bigint)[]) => void;
type Program = Record<string, Write>;

const start = (wasm: Uint8Array, options: InstrumentOptions, more: InstantiateOptions = {}) =>
  instantiateSync(instrument(wasm, options).wasm as Uint8Array<ArrayBuffer>, {}, more) as Guest<
    Program & WebAssembly.Exports
  >;

/** Writes at random, around what has edges. */
function someWrites(guest: Guest<Program & WebAssembly.Exports>, below: (n: number) => number, most: number) {
  const { exports, contract } = guest;
  const { is64 } = contract.memories[0]!;
  const wide = (n: number) => (is64 ? BigInt(n) : n);
  const size = () => guest.stats().memoryBytes;
  const place = (length: number) => {
    const unit = [contract.region, 64 * contract.region, 1024, 4096, PAGE, 4 * PAGE, size(), 1][below(8)]!;
    const edge = unit * below(Math.floor(size() / unit) + 1);
    return Math.max(0, Math.min(size() - length, edge - 20 + below(40)));
  };
  for (let n = below(most); n > 0; n--) {
    const value = BigInt(below(2 ** 32)) * 0x1_0000_0001n;
    switch (below(16)) {
      case 0:
        exports.fill!(wide(place(3000)), value, wide(below(3000)));
        break;
      case 1:
        exports.copy!(wide(place(700)), wide(place(700)), wide(below(700)));
        break;
      case 2:
        exports.init!(wide(place(62)), below(62));
        break;
      case 3:
        if (below(3) === 0) exports.grow!(wide(1 + below(2)));
        else if (below(8) === 0) guest.memory.grow(wide(1) as number);
        break;
      case 4:
        exports.frame!(below(12), value);
        break;
      case 5:
        guest.write(place(40), new Uint8Array(below(40)).fill(below(256)));
        break;
      case 6:
        guest.touch(place(400), below(400));
        guest.fill(place(60), below(256), below(60));
        break;
      case 7:
        exports.some!(wide(place(55)), value);
        break;
      default: {
        const width = 2 ** below(5);
        exports[`s${8 * width}`]!(wide(place(width)), value);
      }
    }
  }
}

interface Checked {
  /** Whether nothing is said to be written after a checkpoint: no stack, no pages ahead. */
  exact?: boolean;
  epochs?: number;
  most?: number;
}

/** Epochs of random writes; most are rolled back, after which all must be as it was, looked at or not. */
function property(
  guest: Guest<Program & WebAssembly.Exports>,
  seed: number,
  { exact = false, epochs = 60, most = 14 }: Checked = {},
): void {
  const next = prng(seed);
  const below = (n: number) => Math.floor((next() / 2 ** 32) * n);
  const { contract, mechanism } = guest;
  const { region } = contract;
  const bounded = mechanism === 'lmc' || mechanism === 'page-cow';
  const saved = () => guest.stats().regionsSaved;
  assert.is(bytesOf(written(guest)), guest.stats().memoryBytes, 'before the first checkpoint: all of it');
  someWrites(guest, below, 20);
  let before: Uint8Array[] = [];
  let savedBefore = 0;
  const begin = (how: 'checkpoint' | 'rollback') => {
    savedBefore = saved();
    guest[how]();
    const said = bytesOf(written(guest));
    // Pages that trapped stay open after a rollback.
    if (how === 'rollback' && (mechanism === 'mprotect' || mechanism === 'uffd')) return;
    assert.ok(said <= (exact ? 0 : AHEAD + 2 * region + 16), `${said} bytes after a ${how}`);
  };
  for (let epoch = 0; epoch < epochs; epoch++) {
    const when = `epoch ${epoch} of seed ${seed}`;
    if (epoch === 0 || below(3) === 0) {
      begin('checkpoint');
      before = copies(guest);
    }
    someWrites(guest, below, most);
    const parts = checkWritten(guest, before, when);
    if (bounded) {
      const regions = saved() - savedBefore;
      assert.ok(
        bytesOf(parts) <= regions * (region + 16),
        `${when}: ${bytesOf(parts)} bytes, ${regions} regions`,
      );
    }
    assert.equal(written(guest), parts, `${when}: the same when asked again`);
    someWrites(guest, below, 4);
    checkWritten(guest, before, `${when}, later`);
    if (below(3) < 2) {
      begin('rollback');
      checkRestored(guest, before, when);
    }
  }
  guest[Symbol.dispose]();
}

for (const { name, mechanism, instrument: options, why } of mechanismVariants()) {
  testUnless(test, why, `${name}: no byte that was written is left out`, () => {
    const exact = !(options.layout === 'separate' && (mechanism === 'lmc' || mechanism === 'cards'));
    for (let seed = 1; seed <= 3; seed++) {
      property(start(PROGRAM, options), seed, { exact, epochs: mechanism === 'full-copy' ? 20 : 40 });
    }
  });
}

for (const { name, instrument: options, why } of mechanismVariants()) {
  testUnless(test, why, `${name}: all of memory, most of which is new`, () => {
    const guest = start(PROGRAM, options);
    guest.checkpoint();
    const before = copies(guest);
    guest.exports.grow!(25);
    assert.ok(bytesOf(written(guest)) < 5 * PAGE, 'what is new and zero need not be said');
    guest.exports.fill!(0, 7n, 30 * PAGE);
    assert.is(bytesOf(checkWritten(guest, before, 'filled')), 30 * PAGE);
    guest.rollback();
    checkRestored(guest, before, 'rolled back');
    assert.ok(bytesOf(written(guest)) <= 5 * PAGE);
    guest[Symbol.dispose]();
  });
}

for (const layout of ['separate', 'inline'] as const) {
  const why = layout === 'separate' && !HAS_MEMORIES && 'this engine has one memory a module';
  testUnless(test, why, `lmc and cards, ${layout}: regions of every size`, () => {
    const reserve = layout === 'inline' ? { reserve: 64 * PAGE } : {};
    for (let shift = 0; shift <= 12; shift++) {
      for (const mechanism of shift < 6 ? (['lmc'] as const) : (['lmc', 'cards'] as const)) {
        for (const optimize of [true, false]) {
          const options = { mechanism, layout, region: 2 ** shift, optimize, ...reserve };
          const exact = layout === 'inline' || !optimize;
          property(start(PROGRAM, options), 100 * shift + 7, { exact, epochs: 15 });
        }
      }
    }
  });
}

for (const mechanism of ['lmc', 'page-cow', 'cards', 'undolog', 'full-copy'] as const) {
  testUnless(test, NEEDS_64, `${mechanism}: a 64-bit memory`, () => {
    for (const region of mechanism === 'lmc' ? [1, 8, 16, 256, 4096] : [undefined]) {
      const options = {
        mechanism,
        ...(region && { region }),
        ...(mechanism === 'undolog' && { logLimit: 2 ** 24 }),
      };
      property(start(WIDE, options), 5, { exact: true, epochs: 20 });
    }
  });
}

for (const { name, mechanism, instrument: options, why } of mechanismVariants()) {
  if (!['page-cow', 'mprotect', 'uffd'].includes(mechanism)) continue;
  testUnless(test, why, `${name}: pages copied ahead are among what may be written`, () => {
    let chosen: number[] = [];
    const guest = start(PROGRAM, options, {
      policy: () => ({
        name: 'scripted',
        choose: (_, out) => {
          out.set(chosen);
          return chosen.length;
        },
      }),
    });
    assert.is(bytesOf(written(guest)), 5 * PAGE, 'measuring costs is no checkpoint');
    chosen = [3, 4, 20];
    guest.checkpoint();
    guest.exports.s64!(20 * 4096 + 100, 1n);
    guest.exports.s64!(4 * 4096, 1n);
    guest.exports.s64!(50 * 4096, 1n);
    const pages = new Set(
      written(guest).flatMap(({ address, length }) => {
        const first = Math.floor(address / 4096);
        return Array.from({ length: Math.floor(length / 4096) }, (_, i) => first + i);
      }),
    );
    assert.equal(
      [...pages].sort((a, b) => a - b),
      [3, 4, 20, 50],
    );
    guest[Symbol.dispose]();
    const driven = start(PROGRAM, options, { policy: adaptive() });
    const next = prng(3);
    for (let epoch = 0; epoch < 40; epoch++) {
      driven.checkpoint();
      const before = copies(driven);
      someWrites(driven, (n) => Math.floor((next() / 2 ** 32) * n), 10);
      checkWritten(driven, before, `epoch ${epoch}`);
    }
    driven[Symbol.dispose]();
  });
}

testUnless(
  test,
  !HAS_MEMORIES && 'this engine has one memory a module',
  'lmc: regions are named exactly, with their tails, neighbours in one part',
  () => {
    const guest = start(PROGRAM, { layout: 'separate', optimize: false });
    guest.checkpoint();
    guest.exports.s8!(0x1000, 1n);
    guest.exports.s8!(0x1100, 1n);
    // The last region of a block, and the last one of memory.
    guest.exports.s64!(0x7ffc, -1n);
    guest.exports.s8!(5 * PAGE - 1, 1n);
    assert.equal(written(guest), [
      { memory: 0, address: 0x1000, length: 0x210 },
      { memory: 0, address: 0x7f00, length: 0x110 },
      { memory: 0, address: 5 * PAGE - 256, length: 256 },
    ]);
    // The tail becomes a region of its own, in the next block.
    guest.exports.s8!(0x8000, 1n);
    assert.equal(
      written(guest).slice(1, 3),
      [
        [0x7f00, 0x100],
        [0x8000, 0x110],
      ].map(([address, length]) => ({ memory: 0, address, length })),
    );
    guest.rollback();
    assert.equal(written(guest), []);
  },
);

test('undolog: a place that is written often is visited once', () => {
  const options = { mechanism: 'undolog', layout: 'inline', reserve: 64 * PAGE, logLimit: 2 ** 22 } as const;
  const guest = start(PROGRAM, options);
  guest.checkpoint();
  for (let i = 0; i < 10_000; i++) guest.exports.s64!((i % 3) * 256 + 1000, BigInt(i));
  guest.exports.s128!(PAGE - 16, 1n);
  guest.exports.fill!(2 * PAGE, 1n, PAGE);
  assert.equal(
    written(guest).map(({ address, length }) => [address, length]),
    [
      [768, 768],
      [PAGE - 256, 256],
      [2 * PAGE, PAGE],
    ],
  );
});

testUnless(test, NEEDS_64, 'addresses beyond 4 GiB', async () => {
  const pages = 65536 + 16;
  for (const mechanism of ['lmc', 'page-cow'] as const) {
    const guest = start(await assemble(text('i64', pages)), { mechanism });
    guest.checkpoint();
    guest.exports.s64!(2n ** 32n + 5000n, 1n);
    guest.exports.s64!(2n ** 32n - 4n, -1n);
    const parts = written(guest);
    for (const address of [2 ** 32 - 4, 2 ** 32, 2 ** 32 + 3, 2 ** 32 + 5000, 2 ** 32 + 5007]) {
      assert.ok(
        parts.some((part) => address >= part.address && address < part.address + part.length),
        `${mechanism}: ${address}`,
      );
    }
    assert.ok(bytesOf(parts) <= 3 * (mechanism === 'lmc' ? 272 : 4112), `${bytesOf(parts)} bytes`);
  }
});

testUnless(test, BETWEEN, 'random modules', async () => {
  let epochs = 0;
  for (let seed = 1; seed <= 240; seed++) {
    const kind = KINDS[seed % KINDS.length]!;
    if (kind.name.startsWith('wasm-opt') && seed % 5) continue;
    const bytes = randomBytes(seed * 7919, kind.tape);
    const script = new Tape(bytes.subarray(0, SCRIPT_BYTES));
    const options = drawOptions(script, kind);
    const module = await kind.generate(new Tape(bytes.subarray(SCRIPT_BYTES)));
    if (!WebAssembly.validate(module.wasm as Uint8Array<ArrayBuffer>)) continue;
    let guest: Guest;
    try {
      guest = instantiateSync(
        instrument(module.wasm, options).wasm as Uint8Array<ArrayBuffer>,
        module.imports(() => {}),
      );
    } catch {
      // Refused, or its start function traps: other tests look at these.
      continue;
    }
    const call = (): void => {
      const run = ([name, ...args]: readonly [string, ...unknown[]]) =>
        outcome(() => (guest.exports[name] as (...a: unknown[]) => unknown)(...args));
      if (module.before) run(module.before);
      const { name, args } = script.pick(module.exports);
      run([name, ...script.pick(args)]);
    };
    call();
    for (let epoch = 0; epoch < 6; epoch++) {
      const when = `${kind.name}, seed ${seed}, ${JSON.stringify({ ...options, omit: undefined })}, epoch ${epoch}`;
      guest.checkpoint();
      const before = copies(guest);
      checkWritten(guest, before, `${when}, checkpoint`);
      for (let n = 1 + script.below(3); n > 0; n--) call();
      checkWritten(guest, before, when);
      guest.rollback();
      checkRestored(guest, before, when);
      checkWritten(guest, before, `${when}, rollback`);
      call();
      checkWritten(guest, before, `${when}, after a rollback`);
      epochs++;
    }
    mechanismOf(guest).dispose?.();
  }
  console.log(`\n${epochs} epochs of random modules`);
  assert.ok(epochs > 700, `${epochs} epochs`);
  assert.ok(runsChecked() > 5000, `${runsChecked()} runs of words that differ`);
});

test.run();
