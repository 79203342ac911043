/**
 * The programs that test the kernel module, in the order in which they run in the guest. Extend this table.
 *
 * A program prints TAP: `1..N`, then or before that `ok I - name` or `not ok I - name` with `# SKIP why` where a
 * test cannot run, and lines that begin with `#` for people. Whole lines, please.
 */

/** What the command line chose. */
export interface SuiteOptions {
  /** How long programs that test as long as they may should take. */
  seconds: number;
}

/** Things that a program may need in the guest. `servers`: redis, nginx, lighttpd, perl. */
export type Need = 'servers' | 'swap';

export interface GuestProgram {
  /** Unique; `--only` chooses by a part of it. */
  name: string;
  /** The command in the guest: a program of kernel-shim/, of busybox, or `load` and `unload` of guest/init. */
  command(options: SuiteOptions): string[];
  /** Numbers of processors with which it runs. Default: every number that was asked for. */
  cpus?: number[];
  needs?: Need[];
  /** Seconds that it may take in the guest, besides `SuiteOptions.seconds` for one that uses them. Default: 120. */
  limit?: number;
  /** Whether it runs even where `--only` does not name it: the module has to be there for the others. */
  always?: boolean;
}

export const SUITE: readonly GuestProgram[] = [
  { name: 'load', command: () => ['load'], always: true },
  { name: 'mem_basic', command: () => ['mem_basic'] },
  { name: 'mem_ops', command: () => ['mem_ops'] },
  { name: 'arguments', command: () => ['arguments'] },
  { name: 'permission', command: () => ['permission'] },
  { name: 'lifecycle', command: () => ['lifecycle'] },
  { name: 'bounds', command: () => ['bounds'] },
  { name: 'policies', command: () => ['policies'] },
  { name: 'crowd', command: () => ['crowd'] },
  { name: 'threads', command: () => ['threads'] },
  { name: 'swap', command: () => ['swap'], needs: ['swap'] },
  { name: 'lib_calls', command: () => ['lib_calls'] },
  { name: 'agent_crashes', command: () => ['agent_crashes'] },
  { name: 'agent_rescue', command: () => ['agent_rescue'], needs: ['servers'] },
  {
    name: 'server_lighttpd',
    command: () => ['server_lighttpd', 'policy=gspec'],
    cpus: [1],
    needs: ['servers'],
  },
  {
    name: 'server_nginx',
    command: () => ['server_nginx', 'policy=active-rnd'],
    cpus: [1],
    needs: ['servers'],
  },
  { name: 'server_redis', command: () => ['server_redis'], cpus: [2], needs: ['servers'] },
  { name: 'compare_test', command: () => ['compare_test'], cpus: [1] },
  { name: 'stress', command: ({ seconds }) => ['stress', String(seconds)], needs: ['swap'] },
  { name: 'unload', command: () => ['unload'], always: true },
];
