/** Everything that one run of the bench found: what `--json` writes and the report is made of. */
import os from 'node:os';
import type { EngineKey } from './engines.js';
import type { MicroResult, RewriterResult, ServiceResult, SubjectResult } from './jobs/types.js';
import type { Label, Section } from './plan.js';

/** What each section's tasks answer. */
interface Answers {
  modules: SubjectResult;
  regions: SubjectResult;
  options: SubjectResult;
  micro: MicroResult;
  service: ServiceResult;
  rewriter: RewriterResult;
}
export type Finding<S extends Section> = Label & { section: S; result: Answers[S] };
export type Measured = { [S in Section]: Finding<S> }[Section];

/** @typeParam M what the suite's tasks answer, with their labels */
export interface Results<M = Measured> {
  machine: { processor: string; cores: number; memoryBytes: number; system: string };
  /** Rounds of the tables of modules; others take half. */
  rounds: number;
  /** Figures that are good for nothing but trying the bench out. */
  quick: boolean;
  clock: string;
  engines: Partial<Record<EngineKey, { title: string; node: string; v8: string }>>;
  seconds: number;
  measured: M[];
}

export function emptyResults<M = Measured>(rounds: number, quick: boolean): Results<M> {
  const [cpu] = os.cpus();
  return {
    machine: {
      processor: cpu?.model.trim() || os.arch(),
      cores: os.cpus().length,
      memoryBytes: os.totalmem(),
      system: `${os.type()} ${os.release()}`,
    },
    rounds,
    quick,
    clock: '',
    engines: {},
    seconds: 0,
    measured: [],
  };
}

/** The results of one section, in the order in which they were measured. */
export function inSection<S extends Section>(results: Results, section: S): Finding<S>[] {
  return (results.measured as Finding<S>[]).filter((measured) => measured.section === section);
}
