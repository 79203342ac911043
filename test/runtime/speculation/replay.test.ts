/** The replay: by hand, against another one that is written with sets, and what holds for every policy. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { POLICIES, type PolicyName, policyNamed } from '../../../runtime/speculation/index.js';
import {
  type Outcome,
  oracleOf,
  replay,
  replayAll,
  type Trace,
} from '../../../runtime/speculation/replay.js';
import type { Costs, PolicyMaker } from '../../../runtime/speculation/types.js';
import { COSTS, hotTrace, periodicTrace, phaseTrace, randomTrace, traceOf } from './support.js';

const NAMES = (Object.keys(POLICIES) as PolicyName[]).filter((name) => name !== 'oracle');

/** A policy that chooses what it was told, checkpoint by checkpoint. */
const script =
  (...choices: readonly number[][]): PolicyMaker =>
  () => {
    let n = 0;
    return {
      name: 'script',
      choose(_, out) {
        const chosen = choices[n++] ?? [];
        out.set(chosen);
        return chosen.length;
      },
    };
  };

test('three epochs by hand', () => {
  const trace = traceOf([[1, 2], [2, 3], [3]]);
  const outcome = replay(trace, script([], [2, 5], [3, 6, 7]), { copy: 2, fault: 10, compare: 1 });
  const { hash, ...rest } = outcome;
  assert.type(hash, 'number');
  assert.equal(rest, {
    policy: 'script',
    trace: 'by hand',
    epochs: 3,
    written: 5,
    copies: 5,
    faults: 3,
    wasted: 3,
    compares: 0,
    protects: 6,
    cost: 40,
    share: (50 - 40) / (50 - 10),
    peakHeld: 3,
    meanHeld: 8 / 3,
    meanRollback: 16 / 3,
  });
});

test('policies see faults in ascending order, the kind of the next epoch, and the size of memory', () => {
  const seen: unknown[] = [];
  const spy: PolicyMaker = () => ({
    name: 'spy',
    choose(epoch) {
      seen.push([epoch.pages, epoch.kind, [...epoch.faults.subarray(0, epoch.faultCount)]]);
      return 0;
    },
  });
  const epochs = [
    { pages: 4, kind: 1, written: Uint32Array.of(0, 3) },
    { pages: 9, kind: 0, written: Uint32Array.of(8) },
    { pages: 2, kind: 1, written: Uint32Array.of() },
  ];
  replay({ name: '', description: '', kinds: ['', 'a'], epochs }, spy, COSTS);
  assert.equal(seen, [
    [4, 1, []],
    [9, 0, [0, 3]],
    [2, 1, [8]],
  ]);
});

test('changed tells what was written, of pages that were saved, and is counted', () => {
  const answers: boolean[] = [];
  const asks: PolicyMaker = () => {
    let n = 0;
    return {
      name: 'asks',
      choose(epoch, out) {
        if (n++ === 1) answers.push(epoch.changed(1), epoch.changed(2), epoch.changed(4));
        out.set([2, 4]);
        return 2;
      },
    };
  };
  const outcome = replay(traceOf([[1, 2], []]), asks, COSTS);
  assert.equal(answers, [true, true, false]);
  assert.is(outcome.compares, 3);
});

test('a policy that breaks the rules is stopped', () => {
  const stopped = (maker: PolicyMaker, message: RegExp) =>
    assert.throws(
      () => replay(traceOf([[1], [1], [1]]), maker, COSTS),
      (error: BelayError) => error.code === 'ERR_BELAY_POLICY' && message.test(error.message),
    );
  stopped(script([], [3, 3]), /script chose page 3 twice at checkpoint 1/);
  stopped(script([16]), /chose page 16 of 16/);
  const asking =
    (page: number): PolicyMaker =>
    () => ({ name: 'asks', choose: (epoch) => (epoch.changed(page) ? 0 : 0) });
  stopped(asking(1), /compared page 1, which the last epoch did not save/);
  stopped(() => ({ name: 'many', choose: () => 17 }), /says it chose 17/);
  stopped(() => ({ name: 'nan', choose: () => Number.NaN }), /says it chose NaN/);
});

test('a page saved an epoch ago may not be compared', () => {
  let n = 0;
  const late: PolicyMaker = () => ({
    name: 'late',
    choose: (epoch) => (n++ === 2 && epoch.changed(1) ? 0 : 0),
  });
  assert.throws(() => replay(traceOf([[1], [2], [3]]), late, COSTS), /compared page 1/);
});

/** The same numbers from sets, with a trace of what a real mechanism would hold. */
function naive(trace: Trace, maker: PolicyMaker, costs: Costs): Partial<Outcome> {
  const policy = maker(costs);
  const bytes: number[] = [];
  let [copies, faults, wasted, compares, protects, peakHeld] = [0, 0, 0, 0, 0, 0];
  let first = true;
  let saved = new Set<number>();
  let wrote = new Set<number>();
  let faulted: number[] = [];
  for (const { pages, kind, written } of trace.epochs) {
    const out = new Uint32Array(pages);
    const epoch = {
      pages,
      kind,
      faults: Uint32Array.from(faulted),
      faultCount: faulted.length,
      changed(page: number) {
        assert.ok(saved.has(page));
        compares++;
        return wrote.has(page);
      },
    };
    const list = [...out.subarray(0, policy.choose(epoch, out))];
    const chosen = new Set(list);
    assert.is(chosen.size, list.length, 'each page once');
    assert.ok(list.every((page) => page < pages));
    for (const number of [list.length, ...list]) {
      for (let i = 0; i < 4; i++) bytes.push((number >>> (8 * i)) & 255);
    }
    // Open until now, and open from now on: a page in one of them alone changes its protection.
    const open = [...saved, ...list];
    if (!first) protects += open.filter((page) => saved.has(page) !== chosen.has(page)).length;
    first = false;
    wrote = new Set(written);
    faulted = [...wrote].filter((page) => !chosen.has(page));
    saved = new Set([...chosen, ...wrote]);
    copies += chosen.size;
    faults += faulted.length;
    wasted += [...chosen].filter((page) => !wrote.has(page)).length;
    peakHeld = Math.max(peakHeld, saved.size);
  }
  let hash = 2166136261n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 16777619n) & 0xffffffffn;
  const cost =
    copies * costs.copy + faults * costs.fault + compares * costs.compare + protects * (costs.protect ?? 0);
  return { copies, faults, wasted, compares, protects, cost, peakHeld, hash: Number(hash) };
}

const some = (outcome: Outcome): Partial<Outcome> => {
  const { copies, faults, wasted, compares, protects, cost, peakHeld, hash } = outcome;
  return { copies, faults, wasted, compares, protects, cost, peakHeld, hash };
};

for (const name of NAMES) {
  test(`${name}: replays as with sets, twice the same, on random traces of a memory that grows and shrinks`, () => {
    for (let seed = 1; seed <= 40; seed++) {
      const trace = randomTrace(seed, 150);
      const costs = { copy: 1, fault: [2, 8, 35, 75][seed % 4]!, compare: 1 };
      const outcome = replay(trace, policyNamed(name), costs);
      assert.equal(some(outcome), naive(trace, policyNamed(name), costs));
      assert.equal(replay(trace, policyNamed(name), costs), outcome);
      assert.ok(outcome.share <= 1);
    }
  });
}

test('the oracle has no faults, wastes nothing, and gains all', () => {
  for (const trace of [randomTrace(1), phaseTrace(2), periodicTrace(3), hotTrace(4)]) {
    const outcome = replay(trace, oracleOf(trace), COSTS);
    assert.equal([outcome.faults, outcome.wasted, outcome.compares, outcome.share], [0, 0, 0, 1]);
    assert.is(outcome.copies, outcome.written);
    assert.equal(some(outcome), naive(trace, oracleOf(trace), COSTS));
  }
});

test('none faults for every page written, and gains nothing', () => {
  const outcome = replay(hotTrace(4), policyNamed('none'), COSTS);
  assert.equal([outcome.faults, outcome.copies, outcome.share], [outcome.written, 0, 0]);
});

test('replayAll puts the makers between none and the oracle', () => {
  const outcomes = replayAll(hotTrace(1), [policyNamed('gspec'), policyNamed('adaptive')], COSTS);
  assert.equal(
    outcomes.map((outcome) => outcome.policy),
    ['none', 'gspec', 'adaptive', 'oracle'],
  );
});

test('what opening and protecting pages costs is in the cost of each policy, of none and of the oracle', () => {
  const costs = { ...COSTS, protect: 3 };
  for (const trace of [randomTrace(3), phaseTrace(2), hotTrace(4)]) {
    for (const name of NAMES) {
      const outcome = replay(trace, policyNamed(name), costs);
      assert.equal(some(outcome), naive(trace, policyNamed(name), costs));
    }
    const [none, oracle] = replayAll(trace, [], costs);
    assert.equal([none!.share, oracle!.share], [0, 1]);
    assert.ok(none!.protects > 0 && oracle!.protects > 0);
  }
  assert.throws(() => replay(hotTrace(1), policyNamed('none'), { ...COSTS, protect: -1 }), /protect/);
});

test('a trace without writes leaves nothing to gain', () => {
  for (const outcome of replayAll(
    traceOf([[], []]),
    NAMES.map((name) => policyNamed(name)),
    COSTS,
  )) {
    assert.equal([outcome.cost, outcome.share], [0, 1]);
  }
  assert.is(replay(traceOf([]), policyNamed('adaptive'), COSTS).meanHeld, 0);
});

test('makers make policies that know nothing of each other', () => {
  const maker = policyNamed('adaptive');
  const first = replay(hotTrace(1), maker, COSTS);
  replay(phaseTrace(1), maker, COSTS);
  assert.equal(replay(hotTrace(1), maker, COSTS), first);
});

test('watch is told of every epoch', () => {
  const seen: [number, number[], number][] = [];
  const watch = (n: number, chosen: Uint32Array, faults: number) => void seen.push([n, [...chosen], faults]);
  replay(traceOf([[1], [1, 2]]), script([], [2]), COSTS, watch);
  assert.equal(seen, [
    [0, [], 1],
    [1, [2], 1],
  ]);
});

test.run();
