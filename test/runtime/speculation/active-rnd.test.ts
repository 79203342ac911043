/** Active-RND, step by step. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActiveRndOptions, activeRnd } from '../../../runtime/speculation/active-rnd.js';
import { COSTS, Driver } from './support.js';

const driver = (options: Partial<ActiveRndOptions>) => new Driver(activeRnd(options)(COSTS));
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

test('pages that fault are copied ahead from then on, and nothing is compared', () => {
  const policy = driver({});
  assert.equal(policy.at(), []);
  assert.equal(policy.at([7, 3]), [7, 3]);
  assert.equal(policy.at([5]), [7, 3, 5]);
  assert.equal(policy.at(), [7, 3, 5]);
  assert.equal(policy.asked, []);
});

test('a list over its size loses a page for each that comes', () => {
  const policy = driver({ initialSize: 4 });
  policy.at();
  assert.is(policy.at(range(0, 4)).length, 4);
  const after = policy.at([20, 21]);
  assert.is(after.length, 4);
  assert.ok(after.every((page) => page < 4 || page === 20 || page === 21));
});

test('eviction is by chance, and evenly so', () => {
  const survived = new Array(5).fill(0);
  for (let seed = 1; seed <= 1000; seed++) {
    const policy = driver({ initialSize: 4, seed: seed * 7919 });
    policy.at();
    for (const page of policy.at(range(0, 5))) survived[page]++;
  }
  for (const count of survived) assert.ok(count > 740 && count < 860, survived.join(' '));
});

test('every nth epoch samples: nothing is copied, and the list stays', () => {
  const policy = driver({ interval: 3 });
  policy.at();
  assert.equal(policy.at([1, 2]), [1, 2]);
  assert.equal(policy.at(), []);
  // The sample is of two faults: floor(2 * 1.125) = 2.
  assert.equal(policy.at([1, 2]), [1, 2]);
  assert.is(policy.at([3]).length, 2);
  assert.equal(policy.at(), []);
});

test('the size is the median of the samples and an eighth, rounded down', () => {
  const policy = driver({ interval: 2 });
  policy.at();
  policy.at();
  assert.is(policy.at(range(0, 20)).length, 20); // median 20: size 22
  policy.at();
  assert.is(policy.at(range(20, 8)).length, 15); // 20 and 8: 14 * 1.125 = 15.75
  policy.at();
  assert.is(policy.at(range(40, 9)).length, 10); // 8, 9, 20: 9 * 1.125 = 10.125
});

test('factor, samples, initialSize and count change the size', () => {
  const sized = (options: Partial<ActiveRndOptions>) => {
    const policy = driver({ interval: 2, ...options });
    policy.at();
    policy.at();
    policy.at(range(0, 20));
    policy.at();
    policy.at(range(20, 8));
    policy.at();
    return policy.at(range(40, 12)).length;
  };
  assert.is(sized({}), 13); // 8, 12, 20
  assert.is(sized({ factor: 2 }), 24);
  assert.is(sized({ samples: 1 }), 13); // 12
  assert.is(sized({ samples: 2 }), 11); // 8, 12
  assert.is(sized({ count: 'listed' }), 1); // no page in the list faulted
  const first = (initialSize: number) => {
    const policy = driver({ initialSize });
    policy.at();
    return policy.at(range(0, 30)).length;
  };
  assert.equal([first(3), first(12), first(40)], [3, 12, 30]);
});

test('only faults of listed pages are a sample, where asked for', () => {
  const policy = driver({ interval: 2, count: 'listed', initialSize: 8 });
  policy.at();
  policy.at(range(0, 8));
  // Four of the eight, and ten others: 4 * 1.125.
  assert.is(policy.at([...range(0, 4), ...range(30, 10)]).length, 4);
});

test('pages that memory lost leave the list', () => {
  const policy = activeRnd()(COSTS);
  const out = new Uint32Array(64);
  const epoch = (pages: number, ...faults: number[]) => ({
    pages,
    kind: 0,
    faults: Uint32Array.from(faults),
    faultCount: faults.length,
    changed: () => false,
  });
  policy.choose(epoch(64), out);
  assert.is(policy.choose(epoch(64, 40, 3, 50), out), 3);
  assert.is(policy.choose(epoch(32, 60), out), 1);
  assert.is(out[0], 3);
  assert.is(policy.choose(epoch(64), out), 1);
});

test.run();
