/** Damaged modules: whatever bytes come in, what comes out is a module or an error that says what to do. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../contract/errors.js';
import { inspect, instrument } from '../../rewriter/index.js';

const test = suite('damaged modules');
const cgi = readFileSync(fileURLToPath(new URL('../../../samples/cgi/cgi.wasm', import.meta.url)));

/** A small generator of numbers below `n`: the same in every run. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** What `run` throws: a BelayError's code, or the test fails. */
function outcome(run: () => unknown): string {
  try {
    run();
    return 'taken';
  } catch (error) {
    assert.instance(error, BelayError, `${(error as Error).stack}`);
    return (error as BelayError).code;
  }
}

test('a constant that is cut off by the end of its function', () => {
  const bytes = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
    ...[10, 5, 1, 3, 0, 0x41, 0xff],
  );
  assert.is(
    outcome(() => inspect(bytes)),
    'ERR_BELAY_INVALID_MODULE',
  );
});

test('a call of a function that does not exist', () => {
  const bytes = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
    ...[10, 6, 1, 4, 0, 0x10, 9, 0x0b],
  );
  for (const run of [inspect, instrument]) {
    assert.is(
      outcome(() => run(bytes)),
      'ERR_BELAY_INVALID_MODULE',
    );
  }
});

test('three hundred modules with one to three bytes changed', () => {
  const number = numbers(1);
  const seen = new Set<string>();
  for (let i = 0; i < 300; i++) {
    const bytes = Uint8Array.from(cgi);
    for (let k = number(3); k >= 0; k--) bytes[8 + number(20_000)] = number(256);
    seen.add(outcome(() => instrument(bytes, { layout: 'inline', reserve: 2 ** 22 })));
  }
  assert.ok(seen.has('ERR_BELAY_INVALID_MODULE'));
  assert.ok(seen.has('taken'));
});

test.run();
