/** A memory as what differs from another one. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assemble, baseOf, checksum, difference } from '../../../runtime/wasi/image.js';
import { random } from './support.js';

const PAGE = 65536;

test('put together again, a memory is what it was, and its difference takes about as much as was changed', () => {
  const next = random(3);
  for (let round = 0; round < 60; round++) {
    const first = new Uint8Array(PAGE * (1 + next(2)));
    const [from, length] = [next(first.length), next(5000)];
    for (let i = from; i < Math.min(first.length, from + length); i++) first[i] = next(256);
    const base = baseOf(first);
    const second = new Uint8Array(first.length + PAGE * next(3));
    second.set(first);
    let changed = 0;
    for (let runs = next(30); runs > 0; runs--) {
      const [at, count] = [
        next(10) ? next(second.length) : second.length - next(9),
        next(next(2) ? 10 : 3000),
      ];
      changed += count + 24;
      second.fill(next(256), at, at + count);
    }
    // Single words with gaps of all small sizes.
    const words = new Int32Array(second.buffer);
    for (let at = next(words.length); round % 2 && at < words.length; at += 1 + next(7), changed += 8)
      words[at]! ^= 1;
    const runs = difference(second, base);
    assert.ok(runs.length <= changed, `${runs.length} of ${changed}`);
    assert.is(Buffer.compare(assemble(runs, base, second.length)!, second), 0);
  }
  const zeros = baseOf(new Uint8Array(PAGE));
  assert.is(difference(new Uint8Array(PAGE), zeros).length, 0);
});

test('runs that do not fit are none', () => {
  const first = new Uint8Array(PAGE).fill(1, 100, 200);
  const base = baseOf(first);
  const end = [PAGE / 4 - 1, PAGE / 4];
  const leb = (value: number) => [(value & 0x7f) | 0x80, ((value >> 7) & 0x7f) | 0x80, value >> 14];
  assert.ok(assemble(Uint8Array.from([...leb(end[0]!), 1, 1, 2, 3, 4]), base, PAGE));
  for (const runs of [
    [...leb(end[0]!), 2, 1, 2, 3, 4, 5, 6, 7, 8],
    [...leb(end[1]!), 1, 1, 2, 3, 4],
    [0, 1, 1, 2, 3],
    [0],
    [0x80],
    [0, 1, 1, 2, 3, 4, 0x80],
    new Array(20).fill(0xff),
  ]) {
    assert.is(assemble(Uint8Array.from(runs), base, PAGE), undefined, String(runs));
  }
  assert.is(assemble(new Uint8Array(0), base, 0), undefined, 'a memory too small for its base');
});

test('a checksum changes with each bit', () => {
  const bytes = Uint8Array.from({ length: 67 }, (_, i) => i * 7);
  const right = checksum(0, bytes);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const other = bytes.slice();
    other[bit >> 3]! ^= 1 << (bit & 7);
    assert.is.not(checksum(0, other), right);
  }
  assert.is.not(checksum(1, bytes), right);
});

test.run();
