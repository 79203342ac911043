/** Replays traces under every policy, at the costs of this machine. */
import { readFileSync } from 'node:fs';
import { machineCosts } from '../../../runtime/mechanisms/native.js';
import {
  type Costs,
  oracleOf,
  POLICY_NAMES,
  type PolicyName,
  policyNamed,
  replay,
  type Trace,
} from '../../../runtime/speculation/index.js';
import { readTrace } from '../../../runtime/speculation/trace.js';
import { now } from '../../clock.js';
import { hotAndNoise, phases } from '../../traces/synthetic.js';
import type { PoliciesJob, PoliciesResult } from './types.js';

/** Where there is no addon: what the thesis measured, a copy as the unit. */
const THESIS: Record<string, Costs> = { thesis: { copy: 1, fault: 8, compare: 0.5 } };

export function measurePolicies({ traces: files, epochs }: PoliciesJob): PoliciesResult {
  const traces: Trace[] = files.length
    ? files.map((file) => readTrace(readFileSync(file)))
    : [phases(1, epochs), hotAndNoise(1, epochs)];
  const costs = costsHere();
  const outcomes = Object.entries(costs).flatMap(([where, prices]) =>
    traces.flatMap((trace) =>
      POLICY_NAMES.map((name) => {
        const maker =
          name === 'oracle' ? oracleOf(trace) : policyNamed(name as Exclude<PolicyName, 'oracle'>);
        // The first replay is what makes the engine optimise the policy.
        replay(trace, maker, prices);
        const start = now();
        const { hash: _, ...outcome } = replay(trace, maker, prices);
        return { ...outcome, costs: where, nanoseconds: (now() - start) / trace.epochs.length };
      }),
    ),
  );
  return {
    costs,
    traces: traces.map((t) => ({ name: t.name, description: t.description, epochs: t.epochs.length })),
    outcomes,
  };
}

function costsHere(): Record<string, Costs> {
  const found = (['uffd', 'mprotect'] as const).flatMap((name) => {
    const costs = machineCosts(name);
    return typeof costs === 'string' ? [] : [[name, costs] as const];
  });
  return found.length ? Object.fromEntries(found) : THESIS;
}
