/** The method of the bench, on contenders whose times are known. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Contender, compare } from '../../bench/compare.js';
import { geometricMean, median, quantile } from '../../bench/statistics.js';

const EFFORT = { rounds: 9, batch: 1e6, warm: [1, 1e9] as [number, number] };
const fixed = (name: string, time: number, rest: Partial<Contender> = {}): Contender => ({
  name,
  batch: (count) => time * count,
  ...rest,
});

test('quantiles and means', () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 2, 3]), 2.5);
  assert.is(quantile([0, 10], 0.25), 2.5);
  assert.ok(Number.isNaN(median([])));
  assert.ok(Math.abs(geometricMean([1, 4]) - 2) < 1e-12);
});

test('ratios are to the baseline, whatever the batch', async () => {
  const { base, others, steady } = await compare(
    fixed('base', 1000),
    [fixed('twice', 2000), fixed('slow', 5e6, { rough: true }), fixed('few', 1500, { most: 3 })],
    EFFORT,
  );
  assert.is(base.nanoseconds, 1000);
  assert.equal(
    others.map(({ name, ratio }) => [name, ratio]),
    [
      ['twice', 2],
      ['slow', 5000],
      ['few', 1.5],
    ],
  );
  assert.ok(steady);
});

test('what slows both sides cancels out', async () => {
  // Slower from batch to batch, as when a processor grows hot.
  let heat = 1;
  const drifting = (name: string, time: number): Contender => ({
    name,
    batch(count) {
      heat *= 1.01;
      return time * heat * count;
    },
  });
  const { others } = await compare(drifting('base', 1000), [drifting('other', 1300)], EFFORT);
  assert.ok(Math.abs(others[0]!.ratio - 1.3) < 0.01, String(others[0]!.ratio));
});

test('warming goes on until the times agree, and ends in any case', async () => {
  let calls = 0;
  const warming: Contender = {
    name: 'warming',
    batch(count) {
      calls++;
      return count * (1000 + 1e6 / calls ** 3);
    },
  };
  const calm = await compare(warming, [], { ...EFFORT, rounds: 1 });
  assert.ok(calm.steady);
  assert.ok(calm.base.nanoseconds < 1500, String(calm.base.nanoseconds));

  let turn = 0;
  const restless: Contender = { name: 'restless', batch: (count) => count * (turn++ % 2 ? 1000 : 3000) };
  assert.not((await compare(restless, [], { rounds: 1, batch: 1e6, warm: [1, 1e8] })).steady);
});

test.run();
