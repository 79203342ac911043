/** Each kind of instrumentation of each mechanism, left out, makes some test fail: see support/breakage.ts. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { broken, intact, kindsOf, mechanismsHere, verdict } from '../support/breakage.js';
import { BETWEEN, testUnless } from '../support/engines-skip.js';

const SAMPLE = [
  'store',
  'store-lane',
  'memory.copy',
  'memory.grow',
  'table.set',
  'global',
  'data.drop',
  'tail',
];

test('nothing left out: all pass', () => {
  for (const row of intact('lmc')) assert.is(verdict(row), '', row.file);
});

for (const mechanism of mechanismsHere()) {
  // Of the native ones, the module is the same as that of full-copy.
  if (['mprotect', 'uffd', 'uffd-async'].includes(mechanism)) continue;
  // All of lmc; of the others one of each sort, because each takes a process (`npm run breakage` does them all).
  const kinds = kindsOf(mechanism).filter((kind) => mechanism === 'lmc' || SAMPLE.includes(kind));
  for (const kind of kinds) {
    testUnless(test, mechanism !== 'lmc' && BETWEEN, `${mechanism}, ${kind} left out: a test fails`, () => {
      assert.is(verdict(broken(mechanism, kind)), '');
    });
  }
}

test.run();
