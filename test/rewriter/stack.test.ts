/**
 * Random programs that use a stack in linear memory in every way that they should, and some that they should
 * not: frames, recursion, allocation at run time, a pointer that is raised, saved and put back, that overflows,
 * or lies beyond memory. The oracle looks at every store.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../support/engines-skip.js';
import { NotInstantiated, Twins } from '../support/oracle.js';
import { assemble, NEEDS_MEMORIES } from './support.js';

const FUNCTIONS = 6;

/** A small generator of numbers below `n`: the same in every run. */
function numbers(seed: number): (n: number) => number {
  let state = seed * 2654435761;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** Function `k`: a frame, and statements that store into it, move the pointer, and call functions above `k`. */
function body(k: number, number: (n: number) => number): string {
  const size = [16, 32, 48, 144, 1040, 5000][number(6)]!;
  const pick = (...texts: string[]) => texts[number(texts.length)]!;
  const frameStore = () => {
    const at = number(size + 8);
    return pick(
      `(i32.store offset=${at} (local.get $fp) (local.get 0))`,
      `(i64.store (i32.add (local.get $fp) (i32.const ${at})) (i64.const -1))`,
      `(i32.store8 offset=${at} (local.get $fp) (i32.const 7))`,
      `(i32.store (i32.sub (local.get $fp) (i32.const ${number(200)})) (i32.const 5))`,
      `(i32.store offset=${number(64)} (global.get $sp) (i32.const 3))`,
    );
  };
  const statement = (depth: number): string => {
    switch (number(depth > 2 ? 7 : 12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return frameStore();
      case 4:
        return k + 1 < FUNCTIONS
          ? `(call $f${k + 1 + number(FUNCTIONS - k - 1)} (i32.add (local.get 0) (i32.const ${number(9)})))`
          : frameStore();
      case 5:
        // Allocation at run time.
        return `(global.set $sp (i32.sub (global.get $sp) (i32.and (local.get 0) (i32.const ${pick('16', '240', '4080')}))))`;
      case 6:
        return pick(
          '(global.set $sp (local.get $old))',
          '(global.set $sp (local.get $fp))',
          `(global.set $sp (i32.add (global.get $sp) (i32.const ${number(3) * 64})))`,
          `(global.set $sp (i32.sub (local.get $fp) (i32.const ${number(500)})))`,
          `(local.set $fp (global.get $sp))`,
          `(local.set $old (global.get $sp))`,
          `(global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const ${number(2000)}))))`,
        );
      case 7:
        return `(if (i32.and (local.get 0) (i32.const ${1 << number(3)})) (then ${statement(depth + 1)} ${statement(depth + 1)}))`;
      case 8:
        return `(if (i32.and (local.get 0) (i32.const ${1 << number(3)})) (then ${statement(depth + 1)}) (else ${statement(depth + 1)}))`;
      case 9:
        return `(block (br_if 0 (i32.and (local.get 0) (i32.const 1))) ${statement(depth + 1)} ${statement(depth + 1)})`;
      case 10:
        return `(local.set $n (i32.const 3)) (loop ${statement(3)} ${statement(3)}
          (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))`;
      default:
        return pick('(drop (memory.grow (i32.const 1)))', frameStore(), frameStore(), frameStore());
    }
  };
  const statements = Array.from({ length: 4 + number(8) }, () => statement(0));
  const epilogue = pick(
    `(global.set $sp (i32.add (local.get $fp) (i32.const ${size})))`,
    '(global.set $sp (local.get $old))',
    '(global.set $sp (local.get $old))',
    '',
  );
  return `(func $f${k} (export "f${k}") (param i32) (local $fp i32) (local $old i32) (local $n i32)
    (local.set $old (global.get $sp))
    (global.set $sp (local.tee $fp (i32.sub (global.get $sp) (i32.const ${size}))))
    ${statements.join('\n    ')}
    ${epilogue})`;
}

function program(seed: number): { text: string; number: (n: number) => number } {
  const number = numbers(seed);
  const sp = [65536, 1024, 64, 4096, 40000, 65530, 131072, 3000][number(8)]!;
  const functions = Array.from({ length: FUNCTIONS }, (_, k) => body(k, number));
  return {
    number,
    text: `(module (memory 1 6) (global $sp (mut i32) (i32.const ${sp}))
      ${functions.join('\n')}
      (func (export "setsp") (param i32) (global.set $sp (local.get 0)))
      (func (export "store") (param i32) (i64.store (local.get 0) (i64.const 77))))`,
  };
}

testUnless(test, NEEDS_MEMORIES, 'a hundred random programs with a stack', async () => {
  let stack = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const { text, number } = program(seed);
    const bytes = await assemble(text);
    const region = [1, 8, 16, 64, 256, 4096][number(6)]!;
    try {
      const twins = new Twins(bytes, { instrument: { layout: 'separate', region, oracle: seed % 2 === 0 } });
      stack += twins.report.checksStack;
      for (let epoch = 0; epoch < 12; epoch++) {
        const calls = Array.from({ length: 1 + number(5) }, () => {
          const way = number(10);
          if (way === 0) return ['setsp', number(4) ? number(140_000) : -number(3000)] as const;
          if (way === 1) return ['store', number(70_000)] as const;
          return [`f${number(FUNCTIONS)}`, number(5000)] as const;
        });
        twins.guest.checkpoint();
        for (const call of calls) twins.call(...(call as [string, number]));
        twins.same('done');
        twins.guest.checkpoint();
        const size = twins.guest.memory.buffer.byteLength;
        for (const call of calls) twins.guestCall(call);
        twins.rollback('undone');
        // After growth that was undone, a frame beyond the guest's memory need not trap.
        if (twins.guest.memory.buffer.byteLength !== size) break;
      }
    } catch (error) {
      if (error instanceof NotInstantiated) continue;
      (error as Error).message = `seed ${seed}, region ${region}: ${(error as Error).message}\n${text}`;
      throw error;
    }
  }
  assert.ok(stack > 300, `${stack} stores into frames`);
});

testUnless(test, NEEDS_MEMORIES, 'a store directly behind the setting of the pointer', async () => {
  const bytes = await assemble(`(module (memory 1) (global $sp (mut i32) (i32.const 1024))
    (func (export "f") (local i32)
      global.get $sp i32.const 32 i32.sub local.tee 0 i32.const 7 local.get 0 global.set $sp i32.store))`);
  for (const oracle of [false, true]) {
    const twins = new Twins(bytes, { instrument: { layout: 'separate', oracle } });
    assert.is(twins.report.checksStack, 1);
    twins.undoneAndDone(['f'], ['f']);
  }
});

testUnless(test, NEEDS_MEMORIES, 'an overflow below zero after another that left no trace', async () => {
  const bytes = await assemble(`(module (memory 1) (global $sp (mut i32) (i32.const 4096))
    (func (export "alloca") (param i32) (local i32)
      (local.set 1 (global.get $sp)) (global.set $sp (i32.sub (local.get 1) (local.get 0))) (global.set $sp (local.get 1)))
    (func (export "frame") (local i32)
      (global.set $sp (local.tee 0 (i32.sub (global.get $sp) (i32.const 5000))))
      (i32.store offset=2541 (local.get 0) (i32.const -1)) (global.set $sp (i32.add (local.get 0) (i32.const 5000))))
    (func (export "set") (param i32) (global.set $sp (local.get 0))))`);
  for (const oracle of [false, true]) {
    const twins = new Twins(bytes, { instrument: { layout: 'separate', oracle } });
    twins.undoneAndDone(['alloca', 4600], ['frame']);
    // The same where the pointer lies below zero at the checkpoint.
    twins.call('set', -512);
    twins.undoneAndDone(['set', 4096], ['frame'], ['set', -600], ['frame'], ['set', 3000], ['frame']);
  }
});

test.run();
