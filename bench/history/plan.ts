/** What `npm run bench:history` measures: jobs, each a process of its own. */
import type { EngineKey } from '../engines.js';

export const SECTIONS = ['size', 'questions', 'partial', 'recording', 'compression'] as const;
export type Section = (typeof SECTIONS)[number];

/** Records the history of a workload, for the others to ask. */
export interface RecordJob {
  kind: 'record';
  workload: string;
  module: string;
  directory: string;
  checkpoints: number;
  /** Seconds it may take. */
  limit?: number;
}

export interface QuestionsJob {
  kind: 'questions';
  workload: string;
  directory: string;
  quick: boolean;
}

export interface PartialJob {
  kind: 'partial';
  workload: string;
  directory: string;
  quick: boolean;
}

export interface RecordingJob {
  kind: 'recording';
  engine: EngineKey;
  module: string;
  /** For the histories that it makes. */
  directory: string;
  rounds: number;
  /** Whether the load at a certain rate is measured, too. */
  rate: boolean;
  quick: boolean;
}

export interface CompressionJob {
  kind: 'compression';
  directory: string;
  quick: boolean;
}

export type Job = RecordJob | QuestionsJob | PartialJob | RecordingJob | CompressionJob;

/** The workload whose history answers where one has to stand for all. */
export const MAIN = 'notes';
/** The engine that all is measured with; and those that recording is measured with. */
export const ENGINE: EngineKey = 'node24';
export const RECORDING: readonly EngineKey[] = ['node24', 'node20'];
/** Requests a second, of the load that does not go at full speed. */
export const RATE = 100;
/** What the ways of recording a whole service begin with: the target is theirs. */
export const HTTP = 'belay serve, over HTTP';
