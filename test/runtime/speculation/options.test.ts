/** Every option of every policy: checked by name, and each changes what the policy does. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { POLICIES, POLICY_NAMES, type PolicyName, policyNamed } from '../../../runtime/speculation/index.js';
import { replay, type Trace } from '../../../runtime/speculation/replay.js';
import type { Costs } from '../../../runtime/speculation/types.js';
import { COSTS, hotTrace, phaseTrace, randomTrace } from './support.js';

/** For each option a value that is not its default, and values that must be refused. */
const KNOBS: Record<Exclude<PolicyName, 'oracle'>, Record<string, { other: unknown; bad: unknown[] }>> = {
  none: {},
  'active-rnd': {
    interval: { other: 7, bad: [0, 1.5, '50', null] },
    samples: { other: 1, bad: [0, -1, 1001] },
    factor: { other: 2, bad: [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1'] },
    initialSize: { other: 3, bad: [0, 0.5] },
    count: { other: 'listed', bad: ['some', 1] },
    seed: { other: 2, bad: [-1, 2 ** 32, 'x'] },
  },
  'active-cks': { misses: { other: 1, bad: [-1, 0.5, '5'] } },
  gspec: {
    population: { other: 9, bad: [0, 21, 2.5] },
    mutation: { other: 0.1, bad: [-0.1, 1.1, '0'] },
    newPage: { other: 0.9, bad: [-1, 2] },
    parents: { other: 'roulette', bad: ['best', true] },
    crossover: { other: 'uniform', bad: ['two-point'] },
    bestIsParent: { other: false, bad: [1, 'yes'] },
    missCost: { other: 2, bad: [-1, '8'] },
    seed: { other: 2, bad: [-1] },
  },
  adaptive: {
    looks: { other: 1, bad: [-1, 8, '5'] },
    curious: { other: 0, bad: [-1, 31] },
    doubt: { other: 16, bad: [0, 0.5] },
    idle: { other: 0, bad: [-1, 1001] },
    coast: { other: 1, bad: [0, 128] },
    quiet: { other: 30, bad: [0] },
    linger: { other: 0, bad: [-1, 0.5] },
    stay: { other: 0, bad: [-1] },
    explore: { other: 1, bad: [0] },
    memory: { other: 3, bad: [0, 1001] },
    inputs: { other: 1, bad: [-1, 8] },
    rate: { other: 20, bad: [-1, 65] },
    boost: { other: 0, bad: [-1, 65] },
    boostFor: { other: 1, bad: [0, 65536] },
  },
};

const names = Object.keys(KNOBS) as (keyof typeof KNOBS)[];
const traces: Trace[] = [phaseTrace(21, 600), hotTrace(22, 600), randomTrace(23, 600)];
const hashes = (name: PolicyName, options: object, costs: Costs = COSTS) =>
  traces.map((trace) => replay(trace, policyNamed(name, options as never), costs).hash);

function refused(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error: BelayError) => error.code === 'ERR_BELAY_OPTION' && message.test(error.message));
}

for (const name of names) {
  for (const [option, { other, bad }] of Object.entries(KNOBS[name])) {
    test(`${name}: ${option} changes what is chosen`, () => {
      const costs = option === 'linger' ? { ...COSTS, protect: 3 * COSTS.copy } : COSTS;
      assert.not.equal(hashes(name, { [option]: other }, costs), hashes(name, {}, costs));
      assert.equal(hashes(name, { [option]: undefined }), hashes(name, {}), 'undefined is the default');
    });
    test(`${name}: ${option} is checked`, () => {
      for (const value of bad) {
        refused(
          () => policyNamed(name, { [option]: value } as never),
          new RegExp(`^${name}: ${option} must be`),
        );
      }
    });
  }
  test(`${name}: an option that there is not is named`, () => {
    refused(() => policyNamed(name, { knob: 1 } as never), new RegExp(`policy ${name} has no option knob`));
    refused(() => policyNamed(name, 7 as never), /must be an object/);
    refused(() => policyNamed(name, null as never), /must be an object/);
  });
}

test('no option is left out of these tests', () => {
  for (const name of names) {
    let listed = '';
    try {
      policyNamed(name, { knob: 1 } as never);
    } catch (error) {
      listed = / it has (.*)$/.exec((error as Error).message)![1]!;
    }
    assert.is(listed, Object.keys(KNOBS[name]).join(', ') || 'none');
  }
});

test('the oracle needs a future', () => {
  refused(() => policyNamed('oracle', {} as never), /oracle: future must be/);
  refused(() => policyNamed('oracle', { future: 3 } as never), /oracle: future must be/);
  refused(() => policyNamed('oracle', { future: [], past: [] } as never), /no option past/);
});

test('policies have the names of the table', () => {
  assert.equal(POLICY_NAMES, Object.keys(POLICIES));
  for (const name of POLICY_NAMES) {
    assert.is(policyNamed(name, (name === 'oracle' ? { future: [] } : {}) as never)(COSTS).name, name);
  }
  refused(() => policyNamed('lru' as never), /there is no policy lru; there are none, active-rnd/);
  refused(() => policyNamed('toString' as never), /there is no policy toString/);
});

test('costs are numbers above 0', () => {
  for (const name of names) {
    for (const cost of ['copy', 'fault', 'compare']) {
      for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '8', undefined]) {
        refused(() => policyNamed(name)({ ...COSTS, [cost]: value } as never), new RegExp(`costs: ${cost}`));
      }
    }
  }
});

test('what faults cost changes what gspec and adaptive choose', () => {
  for (const name of ['gspec', 'adaptive'] as const) {
    assert.not.equal(hashes(name, {}), hashes(name, {}, { ...COSTS, fault: 75 }));
  }
});

test.run();
