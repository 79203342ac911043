/** What `npm run bench:mechanisms` measures: sections of tasks, a process for each task. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { toBinary } from '../../rewriter/index.js';
import type { Effort } from '../compare.js';
import type { EngineKey } from '../engines.js';
import type { Files } from '../prepare.js';
import { ROOT } from '../subjects/host.js';
import { subjectNamed, subjects } from '../subjects/index.js';
import type { TaskOf } from '../suite.js';
import type { Contestant, GuestSpec, Job } from './jobs/types.js';
import { copyingText, pagesText } from './pages-text.js';
import {
  INSIDE,
  INSIDE_INLINE,
  instrumentOptions,
  OUTSIDE,
  plainVariants,
  speculating,
  uffdWith,
  type Variant,
} from './variants.js';

export const SECTIONS = ['pages', 'reach', 'size', 'frequency', 'memory', 'policies', 'live'] as const;
export type Section = (typeof SECTIONS)[number];

/** What names a task, and its result. */
export interface Label {
  section: Section;
  engine: EngineKey;
  /** Which module, or which variant where a task measures one alone. */
  subject?: string;
  variant?: string;
  /** Pages that an epoch writes, of a memory of so many bytes, and whether it ends with a rollback. */
  dirty?: number;
  memoryBytes?: number;
  sets?: 'changing' | 'steady';
  rollback?: boolean;
}

export type Task = TaskOf<Label, Job>;

const MIB = 2 ** 20;
export const PAGES = [1, 4, 16, 64, 256, 1024, 4096];
export const PAGES_MEMORY = 64 * MIB;
export const SIZES = [1, 16, 64, 256, 1024].map((n) => n * MIB);
export const SIZE_PAGES = 16;
/** Pages at which copying ahead is held against copying alone. */
export const REACH_PAGES = 256;
/** Memory from which on a process holds one guest alone. */
const ALONE = 512 * MIB;
/** Requests from one checkpoint to the next; 0: none. */
export const EVERY = [1, 4, 16, 64, 256, 0];
export const FREQUENCY_SUBJECTS = [
  'sql.js inserts',
  'quickjs calls',
  'wasmoon calls',
  'notes requests',
  'wasmboy frames',
  'brotli-wasm',
];
export const LIVE_SUBJECTS = ['sql.js inserts', 'notes requests'];
/** Policies that need to know nothing beforehand. */
export const LIVE_POLICIES = ['none', 'active-rnd', 'active-cks', 'gspec', 'adaptive'] as const;

export const NOTHING = 'nothing';
export const COPYING = 'copying alone';

export const describe = (l: Label): string =>
  [
    l.section,
    l.engine,
    l.subject,
    l.variant,
    l.memoryBytes && `${l.memoryBytes / MIB} MiB`,
    l.dirty && `K ${l.dirty}`,
    l.sets,
    l.rollback !== undefined && (l.rollback ? 'rollback' : 'no rollback'),
  ]
    .filter(Boolean)
    .join(' / ');

/** Every task, in the order in which they are carried out. */
export function plan(effort: Effort, quick: boolean): Task[] {
  const half = Math.ceil(effort.rounds / 2);
  const [least, most] = effort.warm;
  // Small loops are optimised soon; many of them take turns.
  const small: Effort = { rounds: half, batch: effort.batch / 2, warm: [least / 6, most / 6] };
  const brief: Effort = { ...effort, rounds: half, warm: [least / 3, most / 3] };
  return [
    ...pages(small, quick),
    ...reach({ ...small, rounds: effort.rounds, warm: [least / 3, most / 3] }, quick),
    ...sizes(small, quick),
    ...frequency(brief, quick),
    ...memory(quick),
    ...policies(quick),
    ...live(brief),
  ];
}

const guest = async (files: Files, variant: Variant, memoryBytes: number): Promise<Contestant> => ({
  way: 'guest',
  name: variant.name,
  mechanism: variant.mechanism,
  ...(variant.policy && { policy: variant.policy }),
  file: await files.module(
    `pages ${memoryBytes}`,
    () => toBinary(new TextEncoder().encode(pagesText(memoryBytes))),
    instrumentOptions(variant, memoryBytes),
  ),
});

const text = (files: Files, name: string, source: string): Promise<string> =>
  files.module(name, () => toBinary(new TextEncoder().encode(source)));

const plainContestant = async (files: Files, memoryBytes: number): Promise<Contestant> => ({
  way: 'plain',
  name: NOTHING,
  file: await text(files, `plain ${memoryBytes}`, pagesText(memoryBytes)),
});

const copyingContestant = async (files: Files, memoryBytes: number, dirty: number): Promise<Contestant> => ({
  way: 'copying',
  name: COPYING,
  file: await text(files, `copying ${memoryBytes} ${dirty}`, copyingText(memoryBytes, dirty)),
});

/** Draws of random pages, before they come again. */
const setsOf = (quick: boolean): number => (quick ? 8 : 64);

function pages(effort: Effort, quick: boolean): Task[] {
  const memoryBytes = PAGES_MEMORY;
  const task = (dirty: number, rollback: boolean, engine: EngineKey): Task => ({
    section: 'pages',
    engine,
    memoryBytes,
    dirty,
    rollback,
    async job(files) {
      const separate = engine !== 'node20';
      const variants = separate
        ? [...plainVariants(), ...INSIDE_INLINE, ...speculating('oracle', 'adaptive')]
        : INSIDE_INLINE;
      const guests = await Promise.all(variants.map((variant) => guest(files, variant, memoryBytes)));
      return {
        kind: 'pages',
        memoryBytes,
        dirty,
        rollback,
        sets: setsOf(quick),
        base: await plainContestant(files, memoryBytes),
        contestants: separate ? [await copyingContestant(files, memoryBytes, dirty), ...guests] : guests,
        effort,
      };
    },
  });
  const counts = quick ? PAGES.filter((_, i) => i % 2 === 0) : PAGES;
  return [
    ...counts.map((dirty) => task(dirty, true, 'node24')),
    ...counts.map((dirty) => task(dirty, false, 'node24')),
    ...counts.map((dirty) => task(dirty, true, 'node20')),
  ];
}

function reach(effort: Effort, quick: boolean): Task[] {
  const memoryBytes = PAGES_MEMORY;
  const dirty = REACH_PAGES;
  const native = ['uffd', 'mprotect'] as const;
  return (['steady', 'changing'] as const).flatMap((sets) =>
    [true, false].map(
      (rollback): Task => ({
        section: 'reach',
        engine: 'node24',
        memoryBytes,
        dirty,
        sets,
        rollback,
        async job(files) {
          const file = await text(files, `plain ${memoryBytes}`, pagesText(memoryBytes));
          const variants = speculating('oracle');
          const found = native.filter((name) => variants.some(({ mechanism }) => mechanism === name));
          return {
            kind: 'pages',
            memoryBytes,
            dirty,
            rollback,
            sets: sets === 'steady' ? 1 : setsOf(quick),
            base: await copyingContestant(files, memoryBytes, dirty),
            contestants: [
              await plainContestant(files, memoryBytes),
              ...(await Promise.all(variants.map((variant) => guest(files, variant, memoryBytes)))),
              ...found.map(
                (mechanism): Contestant => ({
                  way: 'addon',
                  name: `${mechanism}, addon alone`,
                  mechanism,
                  file,
                }),
              ),
            ],
            effort,
          };
        },
      }),
    ),
  );
}

function sizes(effort: Effort, quick: boolean): Task[] {
  const variants = [...plainVariants(), ...speculating('oracle', 'adaptive')];
  const task = (memoryBytes: number, few: Variant[], variant?: string): Task => ({
    section: 'size',
    engine: 'node24',
    memoryBytes,
    dirty: SIZE_PAGES,
    ...(variant !== undefined && { variant }),
    async job(files) {
      const guests = await Promise.all(few.map((one) => guest(files, one, memoryBytes)));
      return {
        kind: 'pages',
        memoryBytes,
        dirty: SIZE_PAGES,
        rollback: true,
        sets: setsOf(quick),
        base: await plainContestant(files, memoryBytes),
        contestants: guests,
        effort,
      };
    },
  });
  return SIZES.filter((size) => !quick || size < ALONE).flatMap((size) =>
    size < ALONE ? [task(size, variants)] : variants.map((one) => task(size, [one], one.name)),
  );
}

async function guestOf(files: Files, subject: string, variant: Variant): Promise<GuestSpec> {
  const found = subjectNamed(subject);
  const { name, mechanism, policy } = variant;
  const options = instrumentOptions(variant, found.reserve);
  const file = await files.module(subject, () => found.bytes(), options);
  return { name, mechanism, file, ...(policy && { policy }) };
}

const plainOf = (files: Files, subject: string): Promise<string> =>
  files.module(subject, () => subjectNamed(subject).bytes());

/** Those that are there: the sample may not be built. */
const present = (names: readonly string[]): string[] =>
  names.filter((name) => subjects.some((subject) => subject.name === name));

function frequency(effort: Effort, quick: boolean): Task[] {
  const variants = [...plainVariants(), ...speculating('adaptive')];
  const names = present(FREQUENCY_SUBJECTS);
  return names.flatMap((subject) =>
    variants.map(
      (variant): Task => ({
        section: 'frequency',
        engine: 'node24',
        subject,
        variant: variant.name,
        job: async (files) => ({
          kind: 'epochs',
          subject,
          plain: await plainOf(files, subject),
          guests: [await guestOf(files, subject, variant)],
          every: quick ? EVERY.filter((every) => every < 64) : EVERY,
          effort,
        }),
      }),
    ),
  );
}

function memory(quick: boolean): Task[] {
  const subject = 'sql.js inserts';
  return [
    {
      section: 'memory',
      engine: 'node24',
      subject,
      job: async (files) => ({
        kind: 'memory',
        subject,
        guests: await Promise.all(INSIDE.map((variant) => guestOf(files, subject, variant))),
        requests: quick ? 2000 : 10_000,
        step: 100,
      }),
    },
  ];
}

const TRACES = join(ROOT, 'bench', 'traces', 'data');

function policies(quick: boolean): Task[] {
  const found = existsSync(TRACES) ? readdirSync(TRACES).filter((name) => name.endsWith('.trace')) : [];
  const traces = quick ? [] : found.sort().map((name) => join(TRACES, name));
  return [
    {
      section: 'policies',
      engine: 'node24',
      job: async () => ({ kind: 'policies', traces, epochs: quick ? 300 : 2000 }),
    },
  ];
}

function live(effort: Effort): Task[] {
  return present(LIVE_SUBJECTS).map((subject) => ({
    section: 'live',
    engine: 'node24',
    subject,
    job: async (files) => ({
      kind: 'epochs',
      subject,
      plain: await plainOf(files, subject),
      guests: await Promise.all(uffdWith(...LIVE_POLICIES).map((one) => guestOf(files, subject, one))),
      every: [1],
      effort,
    }),
  }));
}

/** The names of all variants, in the order of tables. */
export const variantNames = (): string[] =>
  [...INSIDE, ...OUTSIDE, ...speculating('oracle', 'adaptive')].map(({ name }) => name);
