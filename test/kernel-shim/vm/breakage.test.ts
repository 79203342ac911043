/**
 * Deliberate faults in the kernel module: a few of them here, because each takes a build and a machine; all where
 * BELAY_KERNEL_FAULTS=all, as `npm run kernel:breakage` does.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { broken, tryFaults } from '../../../kernel-shim/vm/breakage.js';
import { Unavailable } from '../../../kernel-shim/vm/cache.js';
import { FAULTS } from '../../../kernel-shim/vm/faults.js';
import { SUITE } from '../../../kernel-shim/vm/suite.js';
import { testUnless } from '../../support/engines-skip.js';

test('every fault fits the sources, and changes them', () => {
  for (const fault of FAULTS) {
    assert.ok(broken(fault).length > 0);
    assert.is.not(fault.from, fault.to, fault.what);
    assert.ok(
      SUITE.some(({ name }) => name === fault.by),
      `${fault.what}: no program is called ${fault.by}`,
    );
  }
  assert.is(new Set(FAULTS.map(({ what }) => what)).size, FAULTS.length);
});

test('a fault that does not fit is refused by name', () => {
  const fault = { what: '', file: 'main.c', from: 'no such text', to: '', by: 'mem_basic' };
  assert.throws(() => broken(fault), /main\.c: "no such text" is there 0 times/);
  assert.throws(() => broken({ ...fault, from: 'smc' }), /is there \d+ times/);
});

const chosen = FAULTS.filter(({ quick }) => quick || process.env.BELAY_KERNEL_FAULTS === 'all');
try {
  for (const { fault, first, problem, seconds } of await tryFaults(chosen, 2)) {
    console.log(`${fault.what}: ${first ?? problem ?? 'nothing'} (${seconds.toFixed(0)} s)`);
    test(`${fault.by} notices: ${fault.what}`, () => assert.type(first, 'string', problem));
  }
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  testUnless(test, error.message, 'deliberate faults in the kernel module', () => {});
}

test.run();
