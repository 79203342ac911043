/** Faults that are put into the history on purpose make a test fail: see support/breakage-history.ts, which has them all. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HISTORY_FAULTS, HistoryBreakage } from '../../support/breakage-history.js';

const breakage = new HistoryBreakage();
test.after(() => breakage.remove());

test('nothing is broken, and all pieces are small: all pass', () => {
  assert.is(breakage.noticed(undefined), undefined);
});

for (const fault of HISTORY_FAULTS.filter(({ quick }) => quick)) {
  test(`${fault.what}: a test fails`, () => {
    assert.ok(breakage.noticed(fault));
  });
}

test.run();
