/** What `npm run bench:kernel` measures: programs of kernel-shim/compare with their arguments, in two machines. */
import type { GuestProgram } from '../../kernel-shim/vm/suite.js';

export const SECTIONS = ['costs', 'ratio', 'sweep', 'servers'] as const;
export type Section = (typeof SECTIONS)[number];

/** A program, and how long it takes, in any unit. */
export interface Task extends GuestProgram {
  section: Section;
  weight: number;
}

/** Pages of the small region, and of those an epoch writes: the experiment that the ratios were first seen in. */
export const SMALL = { pages: 256, writes: 64 };
/** Pages of the large region, and of those an epoch writes. */
export const LARGE = { pages: 8192, writes: [1, 4, 16, 64, 256, 1024, 4096] };

/** Those that know what to do from the start. */
export const PLAIN = ['none', 'eager', 'smc', 'smc-oracle'];
export const USER_LEVEL = ['full-copy', 'fork', 'mprotect', 'uffd-sigbus', 'uffd-thread', 'soft-dirty'];
/** Those that learn: they are given time to. */
export const POLICIES = ['smc-active-rnd', 'smc-active-cks', 'smc-gspec'];
/** What servers run with: of policies and mechanisms that is all of them; `none` is the library without a mechanism. */
export const WAYS = [
  'plain',
  'none',
  'eager',
  'smc',
  'smc-oracle',
  ...POLICIES,
  ...USER_LEVEL,
  'agent',
  'agent:gspec',
];
export const SERVERS = ['lighttpd', 'nginx', 'redis'] as const;
export const PATTERNS = ['hot', 'uniform', 'half'] as const;

/** Arguments of compare_bench between the region and the lists. */
interface Effort {
  warm: number;
  least: number;
  most: number;
  /** Instructions. */
  budget: number;
}

const MEGA = 1e6;
const PLAIN_EFFORT: Effort = { warm: 10, least: 16, most: 100, budget: 20 * MEGA };
const USER_EFFORT: Effort = { warm: 3, least: 4, most: 50, budget: 20 * MEGA };
/** Policies have settled after 150 epochs (50 of them are one sample of active-rnd). */
const LEARNING: Effort = { warm: 200, least: 100, most: 100, budget: 0 };
const QUICK: Effort = { warm: 2, least: 2, most: 2, budget: 0 };

/** At so many pages an epoch takes too long for as many epochs. */
const learningAt = (writes: number): Effort =>
  writes >= 4096
    ? { ...LEARNING, warm: 60, least: 20, most: 20 }
    : writes >= 1024
      ? { ...LEARNING, warm: 100, least: 50, most: 50 }
      : LEARNING;

function epochs(
  section: Section,
  pages: number,
  effort: Effort,
  mechanisms: readonly string[],
  patterns: readonly string[],
  writes: readonly number[],
  weight: number,
): Task {
  const lists = [mechanisms, patterns, writes].map((list) => list.join(','));
  const { warm, least, most, budget } = effort;
  return {
    section,
    name: [section, ...lists].join('/'),
    command: () => ['compare_bench', ...[pages, warm, least, most, budget].map(String), ...lists],
    limit: 600,
    weight,
  };
}

const serving = (server: string, ways: readonly string[], weight: number): Task => ({
  section: 'servers',
  name: `servers/${server}`,
  command: () => ['compare_server', server, ways.join(',')],
  needs: ['servers'],
  limit: 600,
  weight,
});

/** Runs first in each machine, whatever is chosen: policies are told there what a fault costs. */
export const COSTS: Task = {
  section: 'costs',
  name: 'costs',
  command: () => ['compare_costs', 'tune'],
  weight: 0,
};

/** Every task. @param quick few epochs, of few cells: to see that it runs */
export function plan(quick: boolean): Task[] {
  const { pages, writes } = SMALL;
  const small = (effort: Effort, mechanisms: readonly string[], weight: number) =>
    epochs('ratio', pages, quick ? QUICK : effort, mechanisms, PATTERNS, [writes], weight);
  const ratio = [
    small(PLAIN_EFFORT, PLAIN, 2),
    small(USER_EFFORT, USER_LEVEL, 4),
    small(LEARNING, POLICIES, 10),
  ];
  if (quick) {
    const few = [...PLAIN, ...USER_LEVEL, ...POLICIES];
    const servers = serving('lighttpd', ['none', 'smc', 'smc-oracle', 'eager'], 5);
    return [COSTS, ...ratio, epochs('sweep', LARGE.pages, QUICK, few, ['hot'], [4, 64], 5), servers];
  }
  const { pages: region, writes: sweep } = LARGE;
  return [
    COSTS,
    ...ratio,
    epochs('sweep', region, PLAIN_EFFORT, PLAIN, PATTERNS, sweep, 20),
    ...USER_LEVEL.map((mechanism) =>
      epochs('sweep', region, USER_EFFORT, [mechanism], ['hot', 'uniform'], sweep, 10),
    ),
    ...SERVERS.map((server) => serving(server, WAYS, server === 'redis' ? 40 : 15)),
    ...POLICIES.flatMap((policy) => [
      epochs(
        'sweep',
        region,
        LEARNING,
        [policy],
        PATTERNS,
        sweep.filter((k) => k < 1024),
        20,
      ),
      ...sweep
        .filter((k) => k >= 1024)
        .map((k) => epochs('sweep', region, learningAt(k), [policy], PATTERNS, [k], 15)),
    ]),
  ];
}

/** Shares tasks out among machines, the heaviest first to the one that has least. */
export function share(tasks: readonly Task[], machines: number): Task[][] {
  const lists = Array.from({ length: machines }, () => ({ weight: 0, tasks: [] as Task[] }));
  for (const task of [...tasks].sort((a, b) => b.weight - a.weight)) {
    const least = lists.reduce((a, b) => (b.weight < a.weight ? b : a));
    least.weight += task.weight;
    least.tasks.push(task);
  }
  return lists.map((list) => list.tasks).filter((list) => list.length > 0);
}
