/** Which functions count their entries, and that whatever runs for long is ended by its steps. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument, toBinary } from '../../rewriter/index.js';
import { recursiveFunctions } from '../../rewriter/recursion.js';
import { survey } from '../../rewriter/survey.js';
import { instantiate } from '../../runtime/index.js';

const TEXT = `(module
  (type $unary (func (param i32) (result i32)))
  (import "host" "f" (func $host))
  (table funcref (elem $indirect))
  (memory 1)
  (func $leaf (export "leaf") (param i32) (result i32) (local.get 0))
  (func $caller (export "caller") (drop (call $leaf (i32.const 1))) (call $host))
  (func $itself (export "itself") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
      (else (i32.add (call $itself (i32.sub (local.get 0) (i32.const 1)))
                     (call $itself (i32.sub (local.get 0) (i32.const 2)))))))
  (func $ping (export "ping") (call $pong))
  (func $pong (call $ping))
  (func $indirect (type $unary) (call $through (local.get 0)))
  (func $through (param i32) (result i32) (call_indirect (type $unary) (local.get 0) (i32.const 0)))
  (func $last (return_call $last))
  (func (export "turns") (param i32)
    (loop $l (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $l (local.get 0)))))`;

const binary = () => toBinary(new TextEncoder().encode(TEXT));

test('functions on a cycle of the call graph, and no others', async () => {
  const { module, found, names } = survey(await binary(), false, () => {});
  const recursive = [...recursiveFunctions(module, found)].map((f) => names.get(f)).sort();
  assert.equal(recursive, ['indirect', 'itself', 'last', 'ping', 'pong', 'through']);
});

test('recursion without a loop is ended by its steps', async () => {
  const { wasm } = instrument(await binary(), { steps: true });
  const guest = await instantiate<{ itself(n: number): number } & WebAssembly.Exports>(wasm, {
    host: { f: () => {} },
  });
  guest.limit({ steps: 100_000 });
  assert.is(
    guest.attempt(() => guest.exports.itself(15)),
    610,
  );
  guest.limit({ steps: 100_000 });
  assert.throws(
    () => guest.attempt(() => guest.exports.itself(60)),
    (error: { code?: string }) => error.code === 'ERR_BELAY_OVERRUN',
  );
});

test('turns of a loop are taken off the steps, 256 at a time', async () => {
  const { wasm } = instrument(await binary(), { steps: true });
  const guest = await instantiate<{ turns(n: number): void } & WebAssembly.Exports>(wasm, {
    host: { f: () => {} },
  });
  const used = (turns: number) => {
    guest.limit({ steps: 1_000_000 });
    const steps = guest.instance.exports['belay:steps'] as WebAssembly.Global;
    const before = steps.value as bigint;
    guest.exports.turns(turns);
    return Number(before - (steps.value as bigint));
  };
  assert.is(used(255), 0);
  assert.is(used(256), 256);
  assert.is(used(100_000), Math.floor(100_000 / 256) * 256);
});

test.run();
