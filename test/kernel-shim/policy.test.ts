/**
 * The kernel module's policies, compiled for user space: they choose what the policies in TypeScript choose, number by
 * number; each option changes what it says; and where memory is refused they choose less, and break nothing.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { policyNamed } from '../../runtime/speculation/index.js';
import { Random } from '../../runtime/speculation/random.js';
import { replay, type Trace } from '../../runtime/speculation/replay.js';
import { writeTrace } from '../../runtime/speculation/trace.js';
import type { Costs } from '../../runtime/speculation/types.js';
import { FOLDER, type Golden, readResults } from '../runtime/speculation/golden.js';
import {
  COSTS,
  Driver,
  hotTrace,
  periodicTrace,
  phaseTrace,
  randomTrace,
  traceOf,
} from '../runtime/speculation/support.js';
import { ROOT } from '../support/engines.js';
import { testUnless } from '../support/engines-skip.js';

const POLICY = join(ROOT, 'kernel-shim', 'module', 'policy');
const NAMES = ['none', 'active-rnd', 'active-cks', 'gspec'] as const;
type Name = (typeof NAMES)[number];
type Options = Record<string, number | string | boolean>;

/** Of all random cases; BELAY_POLICY_SEED=7 tries others. BELAY_POLICY_VERBOSE=1 says what finds each deliberate fault. */
const SEED = Number(process.env.BELAY_POLICY_SEED ?? 1);

const compiler = process.env.CC || 'gcc';
const why =
  spawnSync(compiler, ['--version']).status !== 0
    ? `there is no C compiler (${compiler})`
    : // Nothing of an engine is in it: the Node that runs the tests has run it.
      process.execPath.includes(join('.cache', 'engines')) && 'policies in C know nothing of Node';

const folder = mkdtempSync(join(tmpdir(), 'belay-policy-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const sources = [POLICY, join(POLICY, 'test')].flatMap((from) =>
  readdirSync(from)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(from, name)),
);

/** As strict as the kernel's build, and a little more. */
const STRICT = '-std=gnu11 -Wall -Wextra -Werror -Wdeclaration-after-statement -Wvla'.split(' ');
const CHECKED = '-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all'.split(' ');

function compile(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  assert.is(status, 0, `${compiler} ${args.join(' ')}\n${stderr}`);
  return stdout + stderr;
}

/** The program, with its sources' objects, so that one can be replaced. */
function build(flags: readonly string[]): { program: string; objects: Map<string, string> } {
  const kind = flags.length;
  const objects = new Map<string, string>();
  for (const source of sources) {
    const object = join(folder, `${basename(source)}.${kind}.o`);
    compile(...STRICT, ...flags, '-c', source, '-o', object);
    objects.set(basename(source), object);
  }
  const program = join(folder, `replay.${kind}`);
  compile(...flags, ...objects.values(), '-o', program);
  return { program, objects };
}

const once = <T>(make: () => T) => {
  let made: T | undefined;
  return () => (made ??= make());
};
const plain = once(() => build(['-O2']));
const checked = once(() => build(CHECKED));

/** What the program says for each command that has an answer. */
interface Reply extends Omit<Golden, 'trace' | 'policy' | 'options' | 'costs'> {
  allocations: number;
  chosen: number[] | number[][];
  asked: number[];
  error?: string;
  column?: number;
}

function say(program: string, lines: readonly string[]): Reply[] {
  const result = spawnSync(program, {
    input: `${lines.join('\n')}\n`,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    timeout: 120_000,
  });
  const last = `${result.stderr}${result.error ?? ''}`;
  assert.is(result.status, 0, `${basename(program)} ended with ${result.signal ?? result.status}: ${last}`);
  return result.stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Nine digits after the point, and none that say nothing. */
const text = (value: Options[string]) =>
  typeof value === 'number' ? value.toFixed(9).replace(/\.?0*$/, '') : String(value);

function spec(policy: Name, options: Options = {}): string {
  const given = Object.entries(options).map(([name, value]) => `${name}=${text(value)}`);
  return [policy, ...(given.length > 0 ? [given.join(',')] : [])].join(':');
}

const cost = ({ copy, fault, compare }: Costs) => `costs ${copy} ${fault} ${compare}`;

let files = 0;
function stored(trace: Trace): string {
  const path = join(folder, `${files++}.belaytrace`);
  writeFileSync(path, writeTrace(trace));
  return path;
}

const hex = (hash: number) => hash.toString(16).padStart(8, '0');
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

// -- whole traces -----------------------------------------------------------------------------------------------------

interface Case {
  policy: Name;
  options: Options;
  costs: Costs;
  trace: Trace;
  /** Commands to the program, but for the last, and what comes out in TypeScript. */
  commands: string[];
  expected: string;
}

function caseOf(policy: Name, options: Options, costs: Costs, trace: Trace): Case {
  const { hash, ...counts } = replay(trace, policyNamed(policy, options as never), costs);
  const expected = summary({ ...counts, hash: hex(hash) });
  return { policy, options, costs, trace, expected, commands: [`trace ${stored(trace)}`, cost(costs)] };
}

const FIELDS = ['copies', 'faults', 'wasted', 'compares', 'cost', 'peakHeld', 'hash'] as const;
const summary = (from: Pick<Reply, (typeof FIELDS)[number]>) =>
  FIELDS.map((field) => `${field} ${from[field]}`).join(', ');

/** Lines of results.json that are not met. */
function goldenDifferences(program: string): string[] {
  const lines = (JSON.parse(readResults()) as Golden[]).filter(({ policy }) =>
    NAMES.includes(policy as Name),
  );
  assert.ok(lines.length >= 4 * 2 * 7, `${lines.length} golden lines`);
  const replies = say(
    program,
    lines.flatMap(({ trace, policy, options, costs }) => [
      `trace ${join(FOLDER, `${trace}.belaytrace`)}`,
      cost(costs),
      `run ${spec(policy as Name, options as Options)}`,
    ]),
  );
  assert.is(replies.length, lines.length);
  return lines.flatMap((line, i) =>
    summary(line) === summary(replies[i]!)
      ? []
      : [`${line.trace} ${spec(line.policy as Name, line.options as Options)}: ${summary(replies[i]!)}`],
  );
}

/** A whole number, often one of the bounds or near them. */
function drawn(random: Random, least: number, most: number): number {
  return [least, most, least + 1][random.below(12)] ?? least + random.below(most - least + 1);
}

/** A number with up to nine digits after the point, often one of the bounds. */
function fraction(random: Random, most: number): number {
  const digits = random.below(10);
  const part = Math.floor((random.next() / 2 ** 32) * 10 ** digits) / 10 ** digits;
  return [0, most, 0.5, 1 / 8][random.below(12)] ?? Math.min(most, random.below(most) + part);
}

const pick = <T>(random: Random, ...values: T[]): T => values[random.below(values.length)]!;

const OPTIONS: Record<Name, (random: Random) => Options> = {
  none: () => ({}),
  'active-cks': (random) => ({ misses: drawn(random, 0, 9) }),
  'active-rnd': (random) => ({
    interval: drawn(random, 1, 12),
    samples: drawn(random, 1, 8),
    factor: Math.max(0.001, fraction(random, 3)),
    initialSize: drawn(random, 1, 24),
    count: pick(random, 'all', 'listed'),
    seed: drawn(random, 0, 2 ** 20),
  }),
  gspec: (random) => ({
    population: drawn(random, 1, 20),
    mutation: fraction(random, 1),
    newPage: fraction(random, 1),
    parents: pick(random, 'tournament', 'roulette'),
    crossover: pick(random, 'single-point', 'uniform'),
    bestIsParent: pick(random, true, false),
    missCost: fraction(random, pick(random, 1, 20, 4000)),
    seed: drawn(random, 0, 2 ** 20),
  }),
};

/** Some of a policy's options, the others at their defaults. */
function someOptions(random: Random, policy: Name): Options {
  const all = Object.entries(OPTIONS[policy](random));
  return Object.fromEntries(all.filter(() => random.below(4) > 0));
}

/** Traces of all kinds, among them some whose memory shrinks and grows from epoch to epoch. */
function someTrace(random: Random): Trace {
  const make = pick(random, randomTrace, phaseTrace, periodicTrace, hotTrace, wildTrace, wildTrace);
  return make(1 + random.below(2 ** 20), 20 + random.below(200));
}

function wildTrace(seed: number, epochs: number): Trace {
  const random = new Random(seed);
  const most = 1 + random.below(200);
  const kinds = ['', 'a'];
  const sets = range(0, 3).map(() => range(0, random.below(60)).map(() => random.below(most)));
  return {
    ...traceOf([]),
    kinds,
    epochs: range(0, epochs).map(() => {
      const pages = random.below(3) > 0 ? most : random.below(most + 1);
      const set = pick(random, ...sets).filter((page) => page < pages && random.below(8) > 0);
      return { pages, kind: random.below(2), written: Uint32Array.from(new Set(set)).sort() };
    }),
  };
}

/** As large as doubles can weigh exactly: a roulette multiplies by 2^16. */
function someCosts(random: Random, { parents }: Options): Costs {
  const dear = parents === 'roulette' ? 2 ** 20 : 2 ** 24 + random.below(4);
  const fault = pick(random, 1 + random.below(100), 1 + random.below(2 ** 20), dear);
  return { copy: 1 + random.below(9), fault, compare: 1 + random.below(9) };
}

function someCases(seed: number, count: number): Case[] {
  const random = new Random(seed);
  return range(0, count).map((n) => {
    const policy = NAMES[1 + (n % 3)]!;
    const options = someOptions(random, policy);
    return caseOf(policy, options, someCosts(random, options), someTrace(random));
  });
}

/** Cases in which C does not do what TypeScript does, with the first checkpoint at which it does not. */
function differences(program: string, cases: readonly Case[]): string[] {
  const replies = say(
    program,
    cases.flatMap(({ policy, options, commands }) => [...commands, `run ${spec(policy, options)}`]),
  );
  assert.is(replies.length, cases.length);
  return cases.flatMap((one, i) =>
    one.expected === summary(replies[i]!)
      ? []
      : [`case ${i}, ${spec(one.policy, one.options)}, ${cost(one.costs)}: ${firstDifference(program, one)}`],
  );
}

function firstDifference(program: string, { policy, options, costs, trace, commands }: Case): string {
  const expected: number[][] = [];
  replay(trace, policyNamed(policy, options as never), costs, (_, chosen) => expected.push([...chosen]));
  const [reply] = say(program, [...commands, `choices ${spec(policy, options)}`]) as [Reply];
  const n = expected.findIndex((chosen, i) => chosen.join() !== (reply.chosen as number[][])?.[i]?.join());
  if (n < 0) return `the same choices, but ${summary(reply)}`;
  return `at checkpoint ${n + 1} it chooses ${JSON.stringify(reply.chosen[n])}, not ${JSON.stringify(expected[n])}`;
}

testUnless(test, why, 'every line of the golden results', () => {
  assert.equal(goldenDifferences(plain().program), []);
  assert.equal(goldenDifferences(checked().program), []);
});

testUnless(test, why, `random options, costs and traces (seed ${SEED})`, () => {
  const cases = someCases(SEED, 600);
  const found = differences(plain().program, cases);
  assert.equal(found, [], `seed ${SEED}`);
  const outcomes = new Set(cases.map(({ expected }) => expected)).size;
  assert.ok(outcomes > 0.9 * cases.length, `only ${outcomes} different outcomes`);
  assert.equal(differences(checked().program, cases.slice(0, 60)), [], `seed ${SEED}`);
});

// -- step by step -----------------------------------------------------------------------------------------------------

/** One checkpoint: what faulted before it, and of which pages the content changed. */
type Step = readonly number[] | { faults: readonly number[]; changed: readonly number[] };

interface Walk {
  policy: Name;
  options?: Options;
  steps: readonly Step[];
}

const MANY = 1024;

/** What is chosen at each checkpoint of each walk, in C and in TypeScript alike. */
function walkAll(walks: readonly Walk[], program = plain().program): number[][][] {
  const full = (step: Step) => ('faults' in step ? step : { faults: step, changed: [] });
  const replies = say(
    program,
    walks.flatMap(({ policy, options, steps }) => [
      `policy ${spec(policy, options)}`,
      ...steps.map(full).map(({ faults, changed }) => `at ${faults.join(' ')} / ${changed.join(' ')}`),
    ]),
  );
  return walks.map(({ policy, options, steps }) => {
    replies.shift();
    const driver = new Driver(policyNamed(policy, (options ?? {}) as never)(COSTS), MANY);
    return steps.map(full).map(({ faults, changed }) => {
      const { chosen, asked } = replies.shift()!;
      assert.equal(chosen, driver.at(faults, changed), spec(policy, options));
      assert.equal(asked, driver.asked);
      return chosen as number[];
    });
  });
}

const walk = (policy: Name, options: Options, steps: readonly Step[]) =>
  walkAll([{ policy, options, steps }])[0]!;
const nothing = (times: number): Step[] => Array.from({ length: times }, () => []);
const lengths = (chosen: readonly number[][]) => chosen.map((pages) => pages.length);

/** What pages faulted, were changed and went away; a page that went away and faults again is another one. */
interface Life {
  policy: Name;
  options: Options;
  /** By epoch. Pages are forgotten at the end of the epoch, some of those that faulted in it. */
  epochs: { faults: number[]; changed: number[]; forgotten: number[] }[];
  /** What TypeScript chooses at each checkpoint. */
  expected: number[][];
}

function someLife(random: Random): Life {
  const policy = NAMES[1 + random.below(3)]!;
  const pages = 1 + random.below(70);
  const epochs = range(0, 10 + random.below(80)).map(() => {
    // In no order at all.
    const faults = new Set(range(0, random.below(30)).map(() => random.below(pages)));
    const changed = range(0, pages).filter(() => random.below(3) === 0);
    const most = pick(random, 0, 0, 3, pages);
    const forgotten = new Set(range(0, most).map(() => random.below(pages)));
    return { faults: [...faults], changed, forgotten: [...forgotten] };
  });
  const options = someOptions(random, policy);
  return { policy, options, epochs, expected: livedThrough({ policy, options, epochs }) };
}

function someLives(seed: number, count: number): Life[] {
  const random = new Random(seed);
  return range(0, count).map(() => someLife(random));
}

/**
 * What the policy in TypeScript chooses in a life. It only knows of memory that shrinks, so each page gets a number for
 * each of its lives, and those that end first get the highest numbers: then what ended is what memory lost.
 */
function livedThrough({ policy, options, epochs }: Omit<Life, 'expected'>): number[][] {
  const lives: { page: number; ends: number }[] = [];
  const living = new Map<number, number>();
  const faults = epochs.map(({ faults, forgotten }, n) => {
    for (const page of faults) {
      if (living.has(page)) continue;
      living.set(page, lives.push({ page, ends: Number.POSITIVE_INFINITY }) - 1);
    }
    const faulted = faults.map((page) => living.get(page)!);
    for (const page of forgotten) {
      if (living.has(page)) lives[living.get(page)!]!.ends = n;
      living.delete(page);
    }
    return faulted;
  });
  const byEnd = [...lives.keys()].sort((a, b) => lives[b]!.ends - lives[a]!.ends || a - b);
  const numbers = new Map(byEnd.map((life, number) => [life, number]));
  const policyOfLives = policyNamed(policy, options as never)(COSTS);
  const out = new Uint32Array(lives.length);
  return epochs.map(({ changed }, n) => {
    const pages = lives.filter(({ ends }) => ends > n).length;
    const faulted = Uint32Array.from(faults[n]!, (life) => numbers.get(life)!);
    const count = policyOfLives.choose(
      {
        pages,
        kind: 0,
        faults: faulted,
        faultCount: faulted.length,
        changed: (number) => changed.includes(lives[byEnd[number]!]!.page),
      },
      out,
    );
    return [...out.subarray(0, count)].map((number) => lives[byEnd[number]!]!.page);
  });
}

function lifeDifferences(program: string, all: readonly Life[]): string[] {
  const replies = say(
    program,
    all.flatMap(({ policy, options, epochs }) => [
      `policy ${spec(policy, options)}`,
      ...epochs.flatMap(({ faults, changed, forgotten }) => [
        `fault ${faults.join(' ')}`,
        `forget ${forgotten.join(' ')}`,
        `at / ${changed.join(' ')}`,
      ]),
    ]),
  );
  return all.flatMap((life, i) => {
    replies.shift();
    const { expected } = life;
    const chosen = expected.map(() => replies.shift()!.chosen);
    const n = expected.findIndex((pages, epoch) => pages.join() !== chosen[epoch]!.join());
    if (n < 0) return [];
    return [
      `life ${i}, ${spec(life.policy, life.options)}: differs at checkpoint ${n + 1} of ${expected.length}`,
    ];
  });
}

testUnless(test, why, `pages that fault in any order and go away one by one (seed ${SEED})`, () => {
  assert.equal(lifeDifferences(plain().program, someLives(SEED, 300)), [], `seed ${SEED}`);
  assert.equal(lifeDifferences(checked().program, someLives(SEED + 1, 60)), [], `seed ${SEED + 1}`);
});

// -- what each option says --------------------------------------------------------------------------------------------

testUnless(test, why, 'none chooses nothing', () => {
  assert.equal(walk('none', {}, [[1, 2], [3], []]), [[], [], []]);
  const [unnamed] = say(plain().program, [`trace ${stored(hotTrace(1))}`, 'run']);
  assert.is(unnamed!.copies, 0);
});

testUnless(test, why, 'active-rnd: interval says when nothing is copied', () => {
  for (const interval of [1, 2, 3, 7, 50]) {
    const chosen = walk('active-rnd', { interval }, new Array(110).fill([1, 2]));
    assert.equal(
      lengths(chosen),
      range(1, 110).map((n) => (n % interval === 0 ? 0 : 2)),
    );
  }
  const byDefault = lengths(walk('active-rnd', {}, new Array(110).fill([1, 2])));
  assert.equal(
    range(1, 110).filter((n) => byDefault[n - 1] === 0),
    [50, 100],
  );
});

testUnless(test, why, 'active-rnd: factor, samples, count and initialSize are the size of the list', () => {
  const sized = (options: Options) =>
    walk('active-rnd', { interval: 2, ...options }, [
      [],
      [],
      range(0, 20),
      [],
      range(20, 8),
      [],
      range(40, 12),
    ]).at(-1)!.length;
  assert.is(sized({}), 13); // of 8, 12, 20: 12 * 1.125 = 13.5
  assert.is(sized({ factor: 2 }), 24);
  assert.is(sized({ factor: 0.5 }), 6);
  assert.is(sized({ factor: 0.001 }), 1);
  // 1109.4 / 1024 and 1109.8 / 1024: 12 * 1109 / 1024 is below 13.
  assert.equal([sized({ factor: 1.0834 }), sized({ factor: 1.0838 })], [12, 13]);
  assert.is(sized({ samples: 1 }), 13); // 12
  assert.is(sized({ samples: 2 }), 11); // of 8, 12: 10 * 1.125
  assert.is(sized({ count: 'listed' }), 1); // no page in the list faulted
  const first = (initialSize: number) =>
    walk('active-rnd', { initialSize }, [[], range(0, 30)]).at(-1)!.length;
  assert.equal([1, 3, 12, 40].map(first), [1, 3, 12, 30]);
});

testUnless(test, why, 'active-rnd: seed says who is evicted, and every page is as often', () => {
  const evicted = new Array(5).fill(0);
  const seeds = range(1, 1000).map((n) => n * 7919);
  const walks = seeds.map(
    (seed): Walk => ({
      policy: 'active-rnd',
      options: { initialSize: 4, seed },
      steps: [range(0, 5)],
    }),
  );
  for (const [chosen] of walkAll(walks)) evicted[range(0, 5).find((page) => !chosen!.includes(page))!]++;
  for (const count of evicted) assert.ok(count > 140 && count < 260, evicted.join(' '));
  const of = (seed: number) => walk('active-rnd', { initialSize: 4, seed }, [range(0, 64)]);
  assert.equal(of(0), of(0x9e3779b9));
  assert.equal(of(2 ** 32 - 1), of(2 ** 32 - 1));
  assert.not.equal(of(1), of(2));
});

testUnless(test, why, 'active-cks: misses are the checkpoints without a change that a page stays', () => {
  for (const misses of [0, 1, 3, 5, 10]) {
    const chosen = lengths(walk('active-cks', { misses }, [[9], ...nothing(20)]));
    assert.equal(
      chosen,
      range(0, 21).map((n) => (n <= misses ? 1 : 0)),
    );
    // A change begins the count anew.
    const changed = { faults: [], changed: [9] };
    const longer = lengths(
      walk('active-cks', { misses }, [[9], ...nothing(misses), changed, ...nothing(20)]),
    );
    assert.equal(
      longer,
      range(0, misses + 22).map((n) => (n <= 2 * misses + 1 ? 1 : 0)),
    );
  }
  const byDefault = [[9], ...nothing(20)];
  assert.equal(walk('active-cks', {}, byDefault), walk('active-cks', { misses: 5 }, byDefault));
});

testUnless(test, why, 'gspec: newPage is how often a new page has its bit', () => {
  const share = (newPage: number) =>
    walk('gspec', { newPage, mutation: 0 }, [range(0, 1000)])[0]!.length / 1000;
  assert.equal([share(0), share(1)], [0, 1]);
  for (const newPage of [0.1, 0.25, 0.9]) {
    assert.ok(Math.abs(share(newPage) - newPage) < 0.05, `${newPage}: ${share(newPage)}`);
  }
  assert.equal(walk('gspec', { newPage: 1, mutation: 0 }, [[], [4, 2], ...nothing(20)]), [
    [],
    ...new Array(21).fill([4, 2]),
  ]);
});

testUnless(test, why, 'gspec: mutation is how many bits flip', () => {
  const share = (mutation: number) =>
    walk('gspec', { newPage: 0, mutation }, [range(0, 1000)])[0]!.length / 1000;
  assert.equal([share(0), share(1)], [0, 1]);
  for (const mutation of [0.01, 0.1, 0.5]) {
    assert.ok(Math.abs(share(mutation) - mutation) < 0.05, `${mutation}: ${share(mutation)}`);
  }
  assert.ok(share(0.01) > 0);
});

testUnless(test, why, 'gspec: population is how many take turns', () => {
  // Every individual has bit 0, and flips it when its turn comes; children inherit 1, and flip it back.
  for (const population of [1, 2, 5, 9, 20]) {
    const chosen = walk('gspec', { population, newPage: 0, mutation: 1 }, [[5], ...nothing(60)]);
    assert.equal(
      lengths(chosen),
      range(0, 61).map((n) => (n < population ? 1 : 0)),
    );
  }
});

/** Two individuals over 64 pages, the second of them dear: both, and the first child. */
function families(options: Options): { first: Set<number>; second: Set<number>; child: Set<number> }[] {
  const pages = range(0, 64);
  const given = (seed: number) => ({
    population: 2,
    mutation: 0,
    newPage: 0.5,
    missCost: 1e6,
    ...options,
    seed,
  });
  const seeds = range(1, 200).map((n) => n * 7919);
  const begin = (seed: number, ...more: Step[]): Walk => ({
    policy: 'gspec',
    options: given(seed),
    steps: [pages, [], ...more],
  });
  const parents = walkAll(seeds.map((seed) => begin(seed)));
  // In the second one's epoch, all pages fault that it did not choose.
  const missed = parents.map(([, second]) => pages.filter((page) => !second!.includes(page)));
  return walkAll(seeds.map((seed, i) => begin(seed, missed[i]!))).map(([first, second, child]) => ({
    first: new Set(first),
    second: new Set(second),
    child: new Set(child),
  }));
}

const same = (a: Set<number>, b: Set<number>, pages = range(0, 64)) =>
  pages.every((page) => a.has(page) === b.has(page));

testUnless(test, why, 'gspec: in a roulette the dear have no children, in tournaments they have', () => {
  const ofTheCheap = (parents: string) =>
    families({ parents, bestIsParent: false }).filter(({ first, child }) => same(first, child)).length;
  assert.ok(ofTheCheap('roulette') >= 198, `${ofTheCheap('roulette')} of 200`);
  // Both parents are the cheap one with a chance of 9 in 16.
  const tournament = ofTheCheap('tournament');
  assert.ok(tournament > 80 && tournament < 150, `${tournament} of 200`);
});

testUnless(
  test,
  why,
  'gspec: single-point crossover changes parents once, uniform any number of times',
  () => {
    const changesOnce = ({ first, second, child }: ReturnType<typeof families>[number]) =>
      range(0, 65).some((k) => same(first, child, range(0, k)) && same(second, child, range(k, 64 - k)));
    const [single, uniform] = ['single-point', 'uniform'].map((crossover) => families({ crossover }));
    assert.is(single!.filter(changesOnce).length, 200);
    // The second parent is the dear one with a chance of 1 in 4.
    const more = uniform!.filter((family) => !changesOnce(family)).length;
    assert.ok(more > 30 && more < 70, `${more} of 200`);
  },
);

testUnless(test, why, 'gspec: bestIsParent gives every child something of the cheapest', () => {
  const without = (bestIsParent: boolean) =>
    families({ bestIsParent, crossover: 'uniform' }).filter(({ first, second, child }) => {
      const differ = range(0, 64).filter((page) => first.has(page) !== second.has(page));
      return !differ.some((page) => first.has(page) === child.has(page));
    }).length;
  assert.is(without(true), 0);
  // Both parents are the dear one with a chance of 1 in 16.
  assert.ok(without(false) >= 4, `${without(false)} of 200`);
});

testUnless(test, why, 'gspec: missCost, or what a fault costs, says how much is copied', () => {
  const trace = traceOf(new Array(500).fill(range(1, 8)));
  const runs = (costs: Costs, options: Options = {}) =>
    say(plain().program, [
      `trace ${stored(trace)}`,
      cost(costs),
      `run ${spec('gspec', { seed: 3, ...options })}`,
    ])[0]!;
  const copied = (missCost: number) => runs(COSTS, { missCost }).copies / 500;
  assert.ok(copied(8) > 7, `${copied(8)} of 8`);
  assert.ok(copied(0) < 5, `${copied(0)} of 8`);
  const dear = { ...COSTS, fault: 80 };
  assert.is(runs(dear).hash, runs(COSTS, { missCost: 80 }).hash);
  assert.is(runs({ ...dear, copy: 10 }).hash, runs(COSTS).hash);
  assert.not.equal(runs({ ...COSTS, fault: 1 }).hash, runs(dear).hash);
  // 0.5 of a copy is not 0.
  assert.not.equal(runs(COSTS, { missCost: 0.5 }).hash, runs(COSTS, { missCost: 0 }).hash);
});

testUnless(test, why, 'gspec: seed decides all draws', () => {
  const of = (seed: number) => walk('gspec', { seed }, new Array(40).fill(range(0, 40)));
  assert.equal(of(1), walk('gspec', {}, new Array(40).fill(range(0, 40))));
  assert.equal(of(0), of(0x9e3779b9));
  assert.is(new Set(range(1, 20).map((seed) => of(seed).join())).size, 20);
});

// -- reading options --------------------------------------------------------------------------------------------------

/** Of each option: its default, values at its limits, and values that are just not allowed. */
const LIMITS: Record<Name, Record<string, { initial: string; good: string[]; bad: string[] }>> = {
  none: {},
  'active-rnd': {
    interval: { initial: '50', good: ['1', '1048576'], bad: ['0', '1048577', '4294967296'] },
    samples: { initial: '10', good: ['1', '1000'], bad: ['0', '1001'] },
    factor: {
      initial: '1.125',
      good: ['0.001', '1000', '1000.0', '1', '0.001000000'],
      bad: ['0', '0.000999999', '1000.000000001', '4294967296', '99999999999999999999999'],
    },
    initialSize: { initial: '10', good: ['1', '1048576'], bad: ['0', '1048577'] },
    count: { initial: 'all', good: ['listed'], bad: ['al', 'alll', 'true', '0', 'listed=all'] },
    seed: {
      initial: '1',
      good: ['0', '4294967295', '0000000000007'],
      bad: ['4294967296', '18446744073709551617'],
    },
  },
  'active-cks': { misses: { initial: '5', good: ['0', '1048576'], bad: ['1048577'] } },
  gspec: {
    population: { initial: '5', good: ['1', '20'], bad: ['0', '21'] },
    mutation: { initial: '0.01', good: ['0', '1', '1.0', '0.000000001'], bad: ['1.000000001', '2'] },
    newPage: { initial: '0.125', good: ['0', '1'], bad: ['1.1'] },
    parents: { initial: 'tournament', good: ['roulette'], bad: ['best', 'Roulette', ''] },
    crossover: { initial: 'single-point', good: ['uniform'], bad: ['two-point'] },
    bestIsParent: { initial: 'true', good: ['false'], bad: ['1', 'yes'] },
    missCost: { initial: '8', good: ['0', '1048576', '0.003906250'], bad: ['1048576.000000001', '1048577'] },
    seed: { initial: '1', good: ['0', '4294967295'], bad: ['4294967296'] },
  },
};

const meant = (word: string) =>
  word === 'true' || word === 'false'
    ? word === 'true'
    : word !== '' && !Number.isNaN(Number(word))
      ? Number(word)
      : word;

/** Whether TypeScript takes an option. */
function takes(policy: Name, option: string, value: string): boolean {
  try {
    policyNamed(policy, { [option]: meant(value) } as never);
    return true;
  } catch {
    return false;
  }
}

testUnless(test, why, 'options have the names, limits and defaults that they have in TypeScript', () => {
  const path = stored(hotTrace(5));
  const run = (spec: string) => say(plain().program, [`trace ${path}`, `run ${spec}`])[0]!;
  for (const policy of NAMES) {
    for (const [option, { initial, good, bad }] of Object.entries(LIMITS[policy])) {
      assert.is(run(`${policy}:${option}=${initial}`).hash, run(policy).hash, `${policy}: ${option}`);
      for (const value of [initial, ...good]) {
        assert.is(run(`${policy}:${option}=${value}`).error, undefined, `${policy}: ${option}=${value}`);
        assert.ok(takes(policy, option, value), `${policy}: ${option}=${value}`);
      }
      for (const value of bad) {
        const { error, column } = run(`${policy}:${option}=${value}`);
        assert.equal(
          [error, column],
          ['EINVAL', policy.length + option.length + 3],
          `${policy}: ${option}=${value}`,
        );
        if (!value.includes('='))
          assert.not.ok(takes(policy, option, value), `${policy}: ${option}=${value}`);
      }
    }
    try {
      policyNamed(policy, { knob: 1 } as never);
    } catch (error) {
      const listed = / it has (.*)$/.exec((error as Error).message)![1]!;
      assert.is(listed, Object.keys(LIMITS[policy]).join(', ') || 'none');
    }
  }
});

testUnless(test, why, 'the column of a mistake', () => {
  const mistakes: [spec: string, column: number][] = [
    ['lru', 1],
    ['gspe', 1],
    ['gspecs', 1],
    ['Gspec', 1],
    [' gspec', 1],
    ['gspec ', 1],
    ['adaptive', 1],
    ['oracle', 1],
    ['gspec:', 7],
    ['none:', 6],
    [':', 2],
    [':seed=1', 2],
    ['none:seed=1', 6],
    ['active-cks:seed=1', 12],
    ['gspec:seed', 11],
    ['gspec:seed,mutation=1', 11],
    ['gspec:seed=', 12],
    ['gspec:seed=1,', 14],
    ['gspec:,seed=1', 7],
    ['gspec:seed=1,,mutation=1', 14],
    ['gspec:seed=1,seed=2', 14],
    ['gspec:seed=1,seeds=2', 14],
    ['gspec:see=1', 7],
    ['gspec: seed=1', 7],
    ['gspec:seed =1', 7],
    ['gspec:seed=-1', 12],
    ['gspec:seed=+1', 12],
    ['gspec:seed= 1', 12],
    ['gspec:seed=1 ', 13],
    ['gspec:seed=1x,mutation=1', 13],
    ['gspec:seed=1.0', 13],
    ['gspec:seed=0x10', 13],
    ['gspec:seed=1=2', 13],
    ['gspec:seed=1:mutation=1', 13],
    ['gspec:mutation=.5', 16],
    ['gspec:mutation=0.', 18],
    ['gspec:mutation=0.,seed=1', 18],
    ['gspec:mutation=0..5', 18],
    ['gspec:mutation=0.5.5', 19],
    ['gspec:mutation=1e-3', 17],
    ['gspec:mutation=0.1234567891', 27],
    ['gspec:mutation=0.5,population=21', 31],
    ['gspec:mutation=0.5,parents=random,seed=x', 28],
  ];
  const replies = say(
    plain().program,
    mistakes.map(([spec]) => `policy ${spec}`),
  );
  const found = replies.map(({ error, column }, i) => [mistakes[i]![0], error, column]);
  assert.equal(
    found,
    mistakes.map(([spec, column]) => [spec, 'EINVAL', column]),
  );
  const free = ['costs 0 8 1', 'policy gspec', 'costs 1 0 1', 'policy none'];
  assert.equal(say(plain().program, free), new Array(2).fill({ error: 'EINVAL', column: 0 }));
});

/** Numbers of which the last digits, or the highest bits, have to count. */
function fractionCases(seed: number): Case[] {
  const random = new Random(seed);
  const large = traceOf(new Array(9).fill(range(0, 500)), 500);
  const small = traceOf(range(0, 99).map(() => range(0, 3).filter(() => random.below(2) === 0)));
  const sized = range(0, 50).map(() => {
    const factor = 0.01 + (random.next() % 10 ** 9) / 10 ** 9;
    return caseOf('active-rnd', { interval: 2, factor }, COSTS, large);
  });
  // Of 1/256 of a copy: a little less than a whole number, which costs as much as so many copies do.
  const priced = range(0, 50).map((seed) => {
    const missCost = pick(random, 0.999999999, 0.999, 0.499999999, 0.998, 1.000000001, 1.999999999);
    return caseOf('gspec', { missCost, seed, population: 2, newPage: 0.5 }, COSTS, small);
  });
  // Times 256, that has more than 32 bits.
  const dear = range(0, 10).map((seed) =>
    caseOf('gspec', { seed, newPage: 0.5 }, { ...COSTS, fault: 2 ** 24 + seed }, small),
  );
  return [...sized, ...priced, ...dear];
}

/** The seed whose first number is this one. */
function seedOf(number: number): number {
  const undo = (y: number, shift: (x: number) => number) => {
    let x = y;
    for (let bits = 0; bits < 32; bits++) x = y ^ shift(x);
    return x;
  };
  const x = undo(number, (x) => x << 5);
  return (
    undo(
      undo(x, (x) => x >>> 17),
      (x) => x << 13,
    ) >>> 0
  );
}

/** Whether a draw of this number is below a chance: of a page to be known with its bit set. */
const happens = (newPage: number, number: number): Walk => ({
  policy: 'gspec',
  options: { newPage, mutation: 0, population: 1, seed: seedOf(number) },
  steps: [[1]],
});

testUnless(test, why, `fractions are what doubles make of them (seed ${SEED})`, () => {
  assert.equal(differences(plain().program, fractionCases(SEED)), [], `seed ${SEED}`);
  const random = new Random(SEED);
  const chances = range(0, 200).map(() => {
    const digits = 10 ** (6 + random.below(4));
    return (1 + (random.next() % (digits - 1))) / digits;
  });
  // The chance is a whole number of 2^-32: of the two draws on each side of it, one happens.
  const bounds = [...chances, 1 / 8, 0.25, 0.000000001, 0.999999999].map((p) => [p, Math.floor(p * 2 ** 32)]);
  const chosen = walkAll(bounds.flatMap(([p, v]) => [happens(p!, v! - 1), happens(p!, v!)]));
  assert.equal(
    chosen,
    bounds.flatMap(() => [[[1]], [[]]]),
  );
});

// -- memory that is refused -------------------------------------------------------------------------------------------

const HUNGRY = [
  'none',
  'active-rnd:interval=7,initialSize=300',
  'active-rnd:interval=3,samples=1000,count=listed',
  'active-cks',
  'active-cks:misses=1',
  'gspec:newPage=1,mutation=0',
  'gspec:seed=4,population=20,parents=roulette,crossover=uniform',
];

/** Refuses each allocation, alone and with all that follow: what is not as it must be. */
function refusalFindings(program: string): string[] {
  const found: string[] = [];
  for (const trace of [hotTrace(31, 120), randomTrace(32, 120), wildTrace(33, 120)]) {
    const path = stored(trace);
    const written = trace.epochs.reduce((sum, epoch) => sum + epoch.written.length, 0);
    for (const spec of HUNGRY) {
      const [whole] = say(program, [`trace ${path}`, `run ${spec}`]);
      const nths = range(1, whole!.allocations);
      const lines = nths.flatMap((n) => [`refuse ${n}`, `run ${spec}`, `refuse ${n}+`, `choices ${spec}`]);
      const replies = say(program, [`trace ${path}`, ...lines]);
      const made = spec.startsWith('active-rnd') ? 2 : 1;
      for (const [i, reply] of replies.entries()) {
        const [n, onwards] = [nths[i >> 1]!, i % 2 === 1];
        const where = `${spec}, allocation ${n}${onwards ? ' and all that follow' : ''}`;
        if (n <= made !== (reply.error === 'ENOMEM')) found.push(`${where}: ${JSON.stringify(reply)}`);
        if (n <= made) continue;
        const { copies, faults, wasted } = reply;
        // Whatever was chosen, each written page was saved.
        if (copies - wasted + faults !== written) found.push(`${where}: ${copies} - ${wasted} + ${faults}`);
        if (!onwards && whole!.copies > 0 && copies === 0) found.push(`${where}: it never recovers`);
        // The nth allocation would have been the first room for a page, or twice the room.
        const most = Math.max(...(onwards ? (reply.chosen as number[][]).map((pages) => pages.length) : [0]));
        const doublings = spec.startsWith('gspec') ? Math.floor((n - made - 1) / 2) : n - made - 1;
        const room = doublings === 0 ? 0 : 8 * 2 ** doublings;
        if (most > room) found.push(`${where}: it chose ${most} pages, and has room for ${room}`);
      }
    }
  }
  return found;
}

testUnless(test, why, 'where memory is refused, a policy chooses less and stays whole', () => {
  assert.equal(refusalFindings(checked().program), []);
});

testUnless(test, why, 'what was refused once is learned later', () => {
  // The room for the first page, and for the seventeenth, is refused when they fault, and had when they fault again.
  const refused = (spec: string, nth: number, steps: number[][]) =>
    say(checked().program, [
      `refuse ${nth}`,
      `policy ${spec}`,
      ...steps.map((faults) => `at ${faults.join(' ')}`),
    ])
      .slice(1)
      .map((reply) => reply.chosen);
  for (const [spec, nth] of [
    ['active-cks', 2],
    ['active-rnd:initialSize=100', 3],
    ['gspec:newPage=1,mutation=0', 2],
    ['gspec:newPage=1,mutation=0', 3],
  ] as const) {
    assert.equal(refused(spec, nth, [[7], [7, 8], []]), [[], [7, 8], [7, 8]], `${spec}, ${nth}`);
    const sixteen = range(0, 16);
    const twice = nth + (spec.startsWith('gspec') ? 2 : 1);
    assert.equal(
      refused(spec, twice, [sixteen, [16], [17, 16]]),
      [sixteen, sixteen, [...sixteen, 17, 16]],
      `${spec}, ${twice}`,
    );
  }
});

// -- the sources ------------------------------------------------------------------------------------------------------

testUnless(
  test,
  why,
  'every symbol begins with smc_, no frame is large, and there is no floating point',
  () => {
    for (const source of sources.filter((path) => !path.includes(join('policy', 'test')))) {
      const object = join(folder, 'strict.o');
      // The kernel has no floating point: without its registers a double does not compile.
      const kernel = ['-O2', '-mgeneral-regs-only', '-Wframe-larger-than=200', '-Wstack-usage=256'];
      compile(...STRICT, ...(process.arch === 'x64' ? kernel : ['-O2']), '-c', source, '-o', object);
      const { stdout } = spawnSync('nm', ['--defined-only', '--extern-only', object], { encoding: 'utf8' });
      for (const line of (stdout ?? '').trim().split('\n').filter(Boolean)) {
        assert.match(line, / smc_\w+$/, basename(source));
      }
    }
  },
);

/** Each is put into a copy of one file, and has to be found by what is above. */
const FAULTS: { what: string; file: string; from: string; to: string }[] = [
  {
    what: 'of equal individuals the last is the best',
    file: 'gspec.c',
    from: 'gspec->costs[who] < gspec->costs[best]',
    to: 'gspec->costs[who] <= gspec->costs[best]',
  },
  {
    what: 'the second draw of a tournament wins ties',
    file: 'gspec.c',
    from: 'costs[other] < costs[one]',
    to: 'costs[other] <= costs[one]',
  },
  {
    what: 'the point of crossover is drawn before the second parent',
    file: 'gspec.c',
    from: 'u32 second = gspec_parent(gspec, best);\n\tu32 point = 0, i;\n\n\tif (!uniform)\n\t\tpoint =',
    to: 'u32 point = uniform ? 0 : smc_random_below(&gspec->random, gspec->list.length + 1);\n\tu32 second = gspec_parent(gspec, best), i;\n\n\tif (0)\n\t\tpoint =',
  },
  {
    what: 'new pages draw for the last individual first',
    file: 'gspec.c',
    from: 'page->word |= 1u << who;',
    to: 'page->word |= 1u << (gspec->options.population - 1 - who);',
  },
  {
    what: 'bits flip after they are used',
    file: 'gspec.c',
    from: 'if (page->word & bit)',
    to: 'if ((page->word ^ (gspec->random.x < gspec->options.mutation ? bit : 0)) & bit)',
  },
  {
    what: 'a page that becomes known is charged for',
    file: 'gspec.c',
    from: 'page->word = 0;\n\t\tfor',
    to: 'page->word = 0;\n\t\tgspec_pay(gspec, gspec->miss);\n\t\tfor',
  },
  {
    what: 'costs of the last generation stay',
    file: 'gspec.c',
    from: 'memset(gspec->costs, 0, sizeof(gspec->costs));',
    to: '',
  },
  {
    what: 'the price of a miss has 32 bits',
    file: 'gspec.c',
    from: '(u64)COPY * costs->fault / costs->copy',
    to: 'COPY * costs->fault / costs->copy',
  },
  {
    what: 'a page for which there is no scratch is known',
    file: 'gspec.c',
    from: 'smc_list_remove_at(list, list->length - 1);\n\t\treturn false;',
    to: 'return true;',
  },
  {
    what: 'a sampling epoch comes one checkpoint late',
    file: 'active_rnd.c',
    from: '++rnd->since == rnd->options.interval',
    to: 'rnd->since++ == rnd->options.interval',
  },
  {
    what: 'the median is the upper middle sample',
    file: 'active_rnd.c',
    from: 'rnd->sorted[(rnd->nsamples - 1) / 2]',
    to: 'rnd->sorted[rnd->nsamples / 2]',
  },
  {
    what: 'the first sample is replaced, not the oldest',
    file: 'active_rnd.c',
    from: 'rnd->oldest = (rnd->oldest + 1) % rnd->nsamples;',
    to: '',
  },
  {
    what: 'samples are not sorted downwards',
    file: 'active_rnd.c',
    from: 'at > 0 && sorted[at - 1] > sample',
    to: 'at > 1 && sorted[at - 1] > sample',
  },
  {
    what: 'the list is one page too short',
    file: 'active_rnd.c',
    from: 'list->length > rnd->size',
    to: 'list->length > 1 && list->length >= rnd->size',
  },
  {
    what: 'pages that went away are not sampled',
    file: 'active_rnd.c',
    from: '(u64)epoch->nfaults + epoch->gone',
    to: '(u64)epoch->nfaults',
  },
  {
    what: 'holes are evicted',
    file: 'active_rnd.c',
    from: 'smc_list_close_holes(&rnd->list);',
    to: '',
  },
  {
    what: 'a page is dropped one miss early',
    file: 'active_cks.c',
    from: 'page->word <= question->most',
    to: 'page->word < question->most',
  },
  {
    what: 'a page that comes back has its old misses',
    file: 'active_cks.c',
    from: 'page->word = 0;\n',
    to: '',
  },
  {
    what: 'faults enter before the list is compared',
    file: 'active_cks.c',
    from: 'page->word = 0;\n\t\tsmc_list_add(&cks->list, page);',
    to: 'page->word = 0;\n\t\tif (smc_list_add(&cks->list, page))\n\t\t\tcks_keep(page, 0, &question);',
  },
  {
    what: 'the page that takes a place is not told',
    file: 'page_list.c',
    from: 'last->place = index + 1;',
    to: '',
  },
  {
    what: 'a forgotten page stays in the list',
    file: 'page_list.c',
    from: 'list->pages[page->place - 1] = NULL;\n\t\tlist->holes++;',
    to: '',
  },
  {
    what: 'holes are closed with the last page',
    file: 'page_list.c',
    from: 'if (!page)\n\t\t\tcontinue;',
    to: 'if (!page) {\n\t\t\tpage = list->pages[--list->length];\n\t\t\tlist->pages[from] = page;\n\t\t}\n\t\tif (!page)\n\t\t\tcontinue;',
  },
  {
    what: 'a list that grows is empty',
    file: 'page_list.c',
    from: 'memcpy(pages, list->pages, list->length * sizeof(*pages));',
    to: '{}',
  },
  {
    what: 'what is refused is used',
    file: 'page_list.c',
    from: 'if (!pages)\n\t\treturn false;',
    to: '',
  },
  {
    what: 'the old list is not freed',
    file: 'page_list.c',
    from: 'smc_free(list->pages);\n\tlist->pages = pages;',
    to: 'list->pages = pages;',
  },
  {
    what: 'fractions are rounded down where the nearest is meant',
    file: 'options.c',
    from: 'option->nearest ?',
    to: '!option ?',
  },
  {
    what: 'fractions are rounded to the nearest where they are to be rounded down',
    file: 'options.c',
    from: 'option->nearest ?',
    to: 'option ?',
  },
  {
    what: 'the ninth digit counts a hundred times',
    file: 'options.c',
    from: '*number += unit *',
    to: '*number += (unit == 1 ? 100 : unit) *',
  },
];

/** The first thing that is found wrong with a program. */
function finding(program: string, cases: readonly Case[], lives: readonly Life[]): string | undefined {
  const looks = [
    () => goldenDifferences(program),
    () => differences(program, cases),
    () => lifeDifferences(program, lives),
    () => refusalFindings(program),
  ];
  for (const look of looks) {
    try {
      const [first] = look();
      if (first) return first;
    } catch (error) {
      return (error as Error).message;
    }
  }
  return undefined;
}

testUnless(test, why, 'deliberate faults are found', () => {
  const { program, objects } = checked();
  const cases = [...someCases(SEED, 90), ...fractionCases(SEED)];
  const lives = someLives(SEED, 60);
  assert.is(finding(program, cases, lives), undefined);
  const unnoticed = FAULTS.filter(({ file, from, to }, i) => {
    const parts = readFileSync(join(POLICY, file), 'utf8').split(from);
    assert.is(parts.length, 2, `${file}: "${from}" is there ${parts.length - 1} times`);
    const source = join(folder, `broken-${i}.c`);
    writeFileSync(source, parts.join(to));
    compile('-w', '-std=gnu11', ...CHECKED, `-I${POLICY}`, '-c', source, '-o', `${source}.o`);
    const broken = new Map(objects).set(file, `${source}.o`);
    compile(...CHECKED, ...broken.values(), '-o', `${source}.out`);
    const found = finding(`${source}.out`, cases, lives);
    if (process.env.BELAY_POLICY_VERBOSE) console.log(`${FAULTS[i]!.what}\n    ${found?.slice(0, 300)}`);
    return found === undefined;
  });
  assert.equal(
    unnoticed.map(({ what }) => what),
    [],
  );
});

test.run();
