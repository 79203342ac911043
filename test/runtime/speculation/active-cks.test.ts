/** Active-CKS, step by step. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { activeCks } from '../../../runtime/speculation/active-cks.js';
import { COSTS, Driver } from './support.js';

test('a page is dropped when it has stayed unchanged six times in a row', () => {
  const policy = new Driver(activeCks()(COSTS));
  policy.at();
  assert.equal(policy.at([9]), [9]);
  assert.equal(policy.asked, []);
  for (let same = 1; same <= 5; same++) {
    assert.equal(policy.at(), [9], `unchanged ${same} times`);
    assert.equal(policy.asked, [9]);
  }
  assert.equal(policy.at(), []);
  assert.equal(policy.at(), []);
  assert.equal(policy.asked, [], 'what is not listed is not compared');
  assert.equal(policy.at([9]), [9]);
});

test('a change begins the count anew', () => {
  const policy = new Driver(activeCks()(COSTS));
  policy.at([9]);
  for (let same = 1; same <= 5; same++) policy.at();
  assert.equal(policy.at([], [9]), [9]);
  for (let same = 1; same <= 5; same++) assert.equal(policy.at(), [9]);
  assert.equal(policy.at(), []);
});

test('misses says how many are borne', () => {
  for (const misses of [0, 1, 3, 10]) {
    const policy = new Driver(activeCks({ misses })(COSTS));
    policy.at([9]);
    let copies = 1;
    while (policy.at().length > 0) copies++;
    assert.is(copies, misses + 1);
  }
});

test('pages stay in the order in which they came, and there is no bound', () => {
  const policy = new Driver(activeCks({ misses: 1 })(COSTS));
  policy.at([5, 2]);
  assert.equal(policy.at([7], [5, 2]), [5, 2, 7]);
  assert.equal(policy.at([], [5, 7]), [5, 2, 7]);
  assert.equal(policy.at([], [5, 7]), [5, 7]);
  const all = Array.from({ length: 64 }, (_, page) => 63 - page);
  assert.is(new Driver(activeCks()(COSTS)).at(all).length, 64);
});

test.run();
