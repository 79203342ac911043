/** Each kind of instrumentation, left out, makes some test fail: see support/breakage.ts. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OMITTABLE } from '../../rewriter/types.js';
import { broken, intact, verdict } from '../support/breakage.js';

test('nothing left out: all pass', () => {
  for (const row of intact()) assert.is(verdict(row), '', row.file);
});

for (const kind of OMITTABLE) {
  test(`${kind} left out: a test fails`, () => {
    assert.is(verdict(broken(kind)), '');
  });
}

test.run();
