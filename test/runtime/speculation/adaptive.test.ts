/** Adaptive: what it decides in small worlds, and what its arithmetic holds to. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  STRETCH,
  squash,
  TO_12_BITS,
  TRAININGS,
  trained,
  UNTRAINED,
} from '../../../runtime/speculation/adaptive/logistic.js';
import { type AdaptiveOptions, adaptive } from '../../../runtime/speculation/adaptive.js';
import { gspec } from '../../../runtime/speculation/gspec.js';
import { replay, type Trace } from '../../../runtime/speculation/replay.js';
import { COSTS, Driver, hotTrace, periodicTrace, phaseTrace, randomTrace, traceOf } from './support.js';

const driver = (options: Partial<AdaptiveOptions> = {}, costs = COSTS) =>
  new Driver(adaptive(options)(costs));

/** Faults and copies in vain of the second half of a trace. */
function late(trace: Trace, costs = COSTS): { faults: number; wasted: number; written: number } {
  const half = trace.epochs.length / 2;
  const sum = { faults: 0, wasted: 0, written: 0 };
  replay(trace, adaptive(), costs, (n, chosen, faults) => {
    if (n < half) return;
    const { length } = trace.epochs[n]!.written;
    sum.faults += faults;
    sum.written += length;
    sum.wasted += chosen.length + faults - length;
  });
  return sum;
}

/** Epochs from a function. */
const repeat = (epochs: number, written: (n: number) => readonly number[], pages = 64) =>
  traceOf(
    Array.from({ length: epochs }, (_, n) => written(n)),
    pages,
  );

test('stretch undoes squash, and both only rise', () => {
  for (let p = 1; p < 4095; p++) {
    assert.ok(STRETCH[p]! >= STRETCH[p - 1]!);
    assert.ok(Math.abs(squash(STRETCH[p]!) - p) <= 16, `${p}: ${squash(STRETCH[p]!)}`);
  }
  for (let x = -3000; x < 3000; x++) {
    assert.ok(squash(x) <= squash(x + 1));
    const exact = 4096 / (1 + Math.exp(-x / 256));
    assert.ok(Math.abs(squash(x) - exact) < 24, `${x}: ${squash(x)}, not ${exact}`);
  }
});

test('a counter is the mean of what it saw, and then a decaying mean', () => {
  let counter = UNTRAINED;
  for (let i = 0; i < 30; i++) counter = trained(counter, i % 3 === 0 ? 1 : 0, 200);
  assert.is(counter & TRAININGS, 30);
  assert.ok(Math.abs((counter >> TO_12_BITS) / 4096 - 1 / 3) < 0.05);
  for (let i = 0; i < 2000; i++) counter = trained(counter, 1, 200);
  assert.is(counter & TRAININGS, 200);
  assert.ok(counter >> TO_12_BITS > 4000);
  for (let i = 0; i < 20_000; i++) counter = trained(counter, 0, 200);
  assert.ok(counter >= 0 && counter >> TO_12_BITS < 8);
});

test('a page that is always written is copied from its second epoch on, and looked at ever more rarely', () => {
  const policy = driver({ looks: 4 });
  policy.at();
  let chosen = policy.at([7]);
  assert.ok(chosen.includes(7));
  const looks: number[] = [];
  for (let n = 0; n < 300; n++) {
    chosen = policy.at(chosen.includes(7) ? [] : [7], [7]);
    assert.ok(chosen.includes(7), `epoch ${n}`);
    // Its neighbours were candidates for a while.
    if (n > 10) assert.equal(chosen, [7]);
    if (policy.asked.includes(7)) looks.push(n);
  }
  const gaps = looks.slice(1).map((n, i) => n - looks[i]!);
  assert.equal(gaps.slice(-5), [15, 15, 15, 15, 15]);
  assert.ok(looks.length < 40, `${looks.length} looks`);
});

test('a page that stops being written is dropped by the next look', () => {
  const policy = driver();
  policy.at();
  policy.at([7]);
  for (let n = 0; n < 100; n++) policy.at([], [7]);
  let copies = 0;
  let left = 60;
  while (left-- > 0) copies += policy.at().length;
  assert.ok(copies <= 40, `${copies} copies`);
});

test('a page that is not worth a fault is not copied', () => {
  const dear = { copy: 1, fault: 1, compare: 1 };
  const policy = driver({}, dear);
  for (let n = 0; n < 50; n++) assert.equal(policy.at([3]), []);
  // Written one time in twenty: not at 8 copies a fault, and always at 75.
  const trace = repeat(2000, (n) => ((n * 7919) % 1000 < 50 ? [5] : []));
  const copies = (fault: number) => replay(trace, adaptive(), { ...COSTS, fault }).copies;
  assert.ok(copies(8) < 300, `${copies(8)}`);
  assert.ok(copies(75) > 600, `${copies(75)}`);
});

test('periods are learnt', () => {
  for (const period of [2, 3, 5, 12, 40]) {
    const { faults, wasted, written } = late(repeat(100 * period, (n) => (n % period ? [] : [9])));
    assert.ok(
      faults + wasted <= written / 5,
      `every ${period}: ${faults} faults, ${wasted} in vain, of ${written}`,
    );
  }
});

test('what a kind of request writes is copied for that kind alone', () => {
  const epochs = Array.from({ length: 1000 }, (_, n) => {
    const kind = 1 + ((n * 7919) % 13 < 5 ? 1 : 0);
    return { pages: 64, kind, written: Uint32Array.of(kind * 10, kind * 10 + 3) };
  });
  const { faults, wasted, written } = late({ name: '', description: '', kinds: ['', 'a', 'b'], epochs });
  assert.ok(faults + wasted < written / 50, `${faults} faults, ${wasted} in vain, of ${written}`);
});

test('kinds beyond fifteen are borne', () => {
  const epochs = Array.from({ length: 300 }, (_, n) => ({
    pages: 64,
    kind: n % 40,
    written: Uint32Array.of(n % 40),
  }));
  const kinds = Array.from({ length: 40 }, (_, i) => (i ? `${i}` : ''));
  assert.ok(replay({ name: '', description: '', kinds, epochs }, adaptive(), COSTS).share < 1);
});

test('pages that allocation has not reached yet are copied before their first write', () => {
  for (const step of [1, -1]) {
    const { faults, written } = late(repeat(400, (n) => [600 + step * n], 2000));
    assert.ok(faults <= written / 10, `${faults} faults of ${written}`);
  }
});

test('sequences are learnt: who follows a leader', () => {
  // Page 50 comes three epochs after page 10, which comes at random.
  let next = 10;
  let due = -1;
  const random = (n: number) => 12 + ((n * 2654435761) % 23);
  const trace = repeat(4000, (n) => {
    const written: number[] = [];
    if (n === next) {
      written.push(10);
      due = n + 3;
      next = n + random(n);
    }
    if (n === due) written.push(50);
    return written;
  });
  let faults = 0;
  replay(trace, adaptive(), COSTS, (n, chosen) => {
    if (n > 2000 && trace.epochs[n]!.written.includes(50) && !chosen.includes(50)) faults++;
  });
  const times = trace.epochs.slice(2001).filter((epoch) => epoch.written.includes(50)).length;
  assert.ok(faults < times / 4, `${faults} of ${times}`);
});

test('memory that shrinks and grows again', () => {
  const epochs = Array.from({ length: 400 }, (_, n) => {
    const pages = n % 100 < 50 ? 64 : 32;
    return { pages, kind: 0, written: Uint32Array.from([3, 31, 40, 63].filter((page) => page < pages)) };
  });
  const outcome = replay({ name: '', description: '', kinds: [''], epochs }, adaptive(), COSTS);
  assert.ok(outcome.share > 0.8, `${outcome.share}`);
});

test('it costs less than gspec on every small trace, for all costs', () => {
  for (const make of [hotTrace, periodicTrace, phaseTrace, randomTrace]) {
    for (const fault of [8, 35, 75]) {
      const costs = { copy: 1, fault, compare: 0.5 };
      const trace = make(77, 1000);
      const [ours, theirs] = [replay(trace, adaptive(), costs), replay(trace, gspec(), costs)];
      assert.ok(ours.cost < theirs.cost, `${trace.name}, ${fault}: ${ours.cost} and ${theirs.cost}`);
    }
  }
});

test('its work follows what is hot, not the size of memory', () => {
  const time = (pages: number) => {
    const maker = adaptive();
    const trace = repeat(3000, (n) => [1, 5, 9, (n * 31) % 60], pages);
    const begin = performance.now();
    replay(trace, maker, COSTS);
    return performance.now() - begin;
  };
  time(64);
  const best = (pages: number) => Math.min(...Array.from({ length: 5 }, () => time(pages)));
  assert.ok(best(2 ** 18) < 8 * best(64) + 20);
});

test('where protecting costs something, a page that is written now and then stays open', () => {
  // Page 1 in each epoch, page 2 in requests of the second kind alone.
  const epochs = Array.from({ length: 800 }, (_, n) => ({
    pages: 8,
    kind: 1 + (n % 3 === 0 ? 1 : 0),
    written: Uint32Array.from(n % 3 === 0 ? [1, 2] : [1]),
  }));
  const trace = { name: 'now and then', description: '', kinds: ['', 'a', 'b'], epochs };
  const costs = { copy: 1, fault: 35, compare: 0.5 };
  const free = replay(trace, adaptive(), costs);
  const dear = replay(trace, adaptive(), { ...costs, protect: 3 });
  assert.ok(free.protects > 400, `${free.protects} changes where they cost nothing`);
  assert.ok(dear.protects < 60, `${dear.protects} changes where they cost three copies`);
  assert.ok(dear.share > 1, `${dear.share}: more than the oracle, which closes and opens`);
});

test('choosing allocates nothing once the pages are known', () => {
  const policy = adaptive()({ copy: 1, fault: 35, compare: 0.5 });
  const out = new Uint32Array(64);
  const faults = new Uint32Array(1);
  const epoch = { pages: 64, kind: 0, faults, faultCount: 0, changed: (page: number) => page < 8 };
  const run = (epochs: number) => {
    for (let n = 0; n < epochs; n++) {
      epoch.faultCount = n % 5 === 0 ? 1 : 0;
      faults[0] = 20 + (n % 7);
      epoch.kind = n % 4;
      policy.choose(epoch, out);
    }
  };
  run(20_000);
  // An object an epoch would be 16 bytes or more, in every round. The engine itself may allocate in one.
  const rounds = Array.from({ length: 9 }, () => {
    const before = process.memoryUsage().heapUsed;
    run(20_000);
    return process.memoryUsage().heapUsed - before;
  }).sort((a, b) => a - b);
  assert.ok(rounds[4]! < 200_000, rounds.join());
});

test.run();
