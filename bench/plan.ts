/** What is measured: sections of tasks, a process for each task. */
import type { Layout } from '../contract/contract.js';
import { type InstrumentOptions, toBinary } from '../rewriter/index.js';
import type { Effort } from './compare.js';
import type { EngineKey } from './engines.js';
import type { Job, MicroPoint, Mode } from './jobs/types.js';
import type { Files } from './prepare.js';
import { type Subject, subjectNamed, subjects } from './subjects/index.js';
import { microText } from './subjects/micro-text.js';
import { hasRuby, ruby } from './subjects/ruby.js';

export const SECTIONS = ['modules', 'regions', 'options', 'micro', 'service', 'rewriter'] as const;
export type Section = (typeof SECTIONS)[number];

/** What names a task, and its result. */
export interface Label {
  section: Section;
  engine: EngineKey;
  /** Which module; absent where there is none. */
  subject?: string;
  layout?: Layout;
  region?: number;
  /** Which options, in the section `options`. */
  variant?: string;
}

export interface Task extends Label {
  job(files: Files): Promise<Job>;
}

const MODES: Mode[] = ['instrumented', 'checkpoint', 'rollback'];
export const REGIONS = [1, 16, 32, 64, 128, 256, 512, 1024, 4096];
/** Programs that stand for the others where there are many variants. */
export const SAMPLE = ['sql.js inserts', 'wasmoon calls', 'quickjs calls'];
const MIB = 2 ** 20;
export const MICRO_MEMORY = [1, 16, 64, 256, 1024].map((n) => n * MIB);
export const MICRO_DIRTY = [1, 4, 16, 64, 256, 1024, 4096];
/** Memory of the points that vary in dirty regions. */
export const MICRO_BASE = 64 * MIB;
export const MICRO_REGION = 64;

/** Options whose effect is shown; the first is the default. */
export const VARIANTS: Record<string, InstrumentOptions> = {
  default: {},
  'hints: false': { hints: false },
  'optimize: false': { optimize: false },
  'steps: true': { steps: true },
};

const optionsFor = (subject: Subject, layout: Layout, more: InstrumentOptions = {}): InstrumentOptions => ({
  layout,
  ...(layout === 'inline' && { reserve: subject.reserve }),
  ...more,
});

/** Every task, in the order in which they are carried out. */
export function plan(effort: Effort): Task[] {
  const half = Math.ceil(effort.rounds / 2);
  const [least, most] = effort.warm;
  const brief: Effort = { ...effort, rounds: half, warm: [(least * 2) / 3, (most * 2) / 3] };
  return [
    ...modules(effort),
    ...regions(brief),
    ...variants(brief),
    ...micro({ ...effort, rounds: half }),
    // Requests and responses leave garbage: a batch has to see its share of collections.
    ...service({ ...effort, batch: effort.batch * 2.5 }),
    ...rewriter(),
  ];
}

function subjectTask(
  label: Label & { subject: string; layout: Layout },
  modes: Mode[],
  effort: Effort,
  more: InstrumentOptions = {},
): Task {
  const subject = subjectNamed(label.subject);
  const bytes = () => subject.bytes();
  return {
    ...label,
    job: async (files) => ({
      kind: 'subject',
      subject: subject.name,
      plain: await files.module(subject.name, bytes),
      instrumented: await files.module(subject.name, bytes, optionsFor(subject, label.layout, more)),
      modes,
      effort,
    }),
  };
}

function modules(effort: Effort): Task[] {
  const section = 'modules';
  return subjects.flatMap(({ name: subject }) => [
    subjectTask(
      { section, engine: 'node24', subject, layout: 'separate' },
      [...MODES, 'copy', 'fresh'],
      effort,
    ),
    subjectTask({ section, engine: 'node24', subject, layout: 'inline' }, MODES, effort),
    subjectTask({ section, engine: 'node24-hints', subject, layout: 'separate' }, MODES, effort),
    subjectTask({ section, engine: 'node24-hints', subject, layout: 'inline' }, MODES, effort),
    subjectTask({ section, engine: 'node20', subject, layout: 'inline' }, MODES, effort),
  ]);
}

function regions(effort: Effort): Task[] {
  return SAMPLE.flatMap((subject) =>
    REGIONS.map((region) =>
      subjectTask(
        { section: 'regions', engine: 'node24', subject, layout: 'separate', region },
        ['instrumented', 'checkpoint'],
        effort,
        { region },
      ),
    ),
  );
}

function variants(effort: Effort): Task[] {
  const engines: EngineKey[] = ['node24', 'node24-hints'];
  return engines.flatMap((engine) =>
    SAMPLE.flatMap((subject) =>
      Object.entries(VARIANTS)
        // Without the engine's flag the hints do nothing.
        .filter(([variant]) => engine === 'node24-hints' || variant !== 'hints: false')
        .map(([variant, options]) =>
          subjectTask(
            { section: 'options', engine, subject, layout: 'separate', variant },
            ['instrumented', 'checkpoint'],
            effort,
            options,
          ),
        ),
    ),
  );
}

function micro(effort: Effort): Task[] {
  const task = (engine: EngineKey, layouts: readonly (Layout | 'copy')[]): Task => ({
    section: 'micro',
    engine,
    async job(files) {
      const points: MicroPoint[] = [];
      const shapes = [
        ...MICRO_MEMORY.map((memoryBytes) => ({ memoryBytes, dirty: 1 })),
        ...MICRO_DIRTY.slice(1).map((dirty) => ({ memoryBytes: MICRO_BASE, dirty })),
      ];
      for (const layout of layouts) {
        for (const { memoryBytes, dirty } of shapes) {
          const point = { layout, memoryBytes, dirty, region: MICRO_REGION };
          if (layout === 'copy') {
            // A copy is a copy, whatever was written.
            if (dirty === 1) points.push(point);
            continue;
          }
          const text = new TextEncoder().encode(microText(memoryBytes / 65536));
          const options = {
            layout,
            region: MICRO_REGION,
            ...(layout === 'inline' && { reserve: memoryBytes }),
          };
          points.push({
            ...point,
            file: await files.module(`micro ${memoryBytes}`, () => toBinary(text), options),
          });
        }
      }
      return { kind: 'micro', points, effort };
    },
  });
  return [task('node24', ['separate', 'inline', 'copy']), task('node20', ['inline'])];
}

function service(effort: Effort): Task[] {
  const notes = subjects.find(({ name }) => name.startsWith('notes'));
  if (!notes) return [];
  const bytes = () => notes.bytes();
  const task = (engine: EngineKey, layout: Layout): Task => ({
    section: 'service',
    engine,
    layout,
    job: async (files) => ({
      kind: 'service',
      plain: await files.module(notes.name, bytes),
      stepless: await files.module(notes.name, bytes, optionsFor(notes, layout)),
      instrumented: await files.module(notes.name, bytes, optionsFor(notes, layout, { steps: true })),
      effort,
    }),
  });
  // `belay serve` turns branch hints on.
  return [
    task('node24-hints', 'separate'),
    task('node24', 'separate'),
    task('node24-hints', 'inline'),
    task('node20', 'inline'),
  ];
}

function rewriter(): Task[] {
  const task = (subject: string, bytes: () => Uint8Array | Promise<Uint8Array>, times: number): Task => ({
    section: 'rewriter',
    engine: 'node20',
    subject,
    job: async (files) => ({ kind: 'rewriter', file: await files.module(subject, bytes), times }),
  });
  const own: [string, string][] = [
    ['argon2', 'argon2'],
    ['wasmboy frames', 'wasmboy'],
    ['wasmoon calls', 'wasmoon'],
    ['quickjs calls', 'quickjs'],
    ['sql.js queries', 'sql.js'],
    ['brotli-wasm', 'brotli-wasm'],
    ['notes requests', 'notes'],
  ];
  const tasks = own
    .filter(([name]) => subjects.some((subject) => subject.name === name))
    .map(([name, title]) => task(title, () => subjectNamed(name).bytes(), 3));
  // 30 MB; bench/traces/record.ts fetches it.
  if (hasRuby()) tasks.push(task('ruby', () => ruby.bytes(), 1));
  return tasks;
}
