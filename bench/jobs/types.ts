/** What the processes that measure are asked, and what they answer: plain data, sent as JSON. */
import type { Compared, Effort } from '../compare.js';

/** Ways to answer requests. All but `plain`, `copy` and `fresh` need an instrumented module. */
export type Mode = 'instrumented' | 'checkpoint' | 'rollback' | 'copy' | 'fresh';

/** A real module, plain and otherwise. */
export interface SubjectJob {
  kind: 'subject';
  subject: string;
  /** Files: the original, and the instrumented module. */
  plain: string;
  instrumented: string;
  modes: Mode[];
  effort: Effort;
}

export interface SubjectResult {
  /** Nanoseconds of a plain request. */
  plain: number;
  modes: Partial<Record<Mode, Compared>>;
  /** With `checkpoint`: regions saved in a request, on average. */
  regions?: number;
  memoryBytes: number;
  supportBytes: number;
  steady: boolean;
}

/** checkpoint() + dirty regions + rollback(). */
export interface MicroJob {
  kind: 'micro';
  /** Points to measure: module, bytes of memory, regions made dirty. */
  points: MicroPoint[];
  effort: Effort;
}

export interface MicroPoint {
  /** File of the instrumented module; absent for a full copy by the host. */
  file?: string;
  layout: string;
  memoryBytes: number;
  dirty: number;
  region: number;
}

export interface MicroResult {
  points: (MicroPoint & {
    /** Nanoseconds of it all. */
    nanoseconds: number;
  })[];
}

/** The notes service behind createHandler. */
export interface ServiceJob {
  kind: 'service';
  plain: string;
  instrumented: string;
  /** The same without steps. */
  stepless: string;
  effort: Effort;
}

export interface Throughput {
  /** Nanoseconds of a request of the uninstrumented service. */
  plain: number;
  others: Compared[];
  steady: boolean;
}

/** Without a socket, and over HTTP. */
export interface ServiceResult extends Throughput {
  http: Throughput;
}

/** instrument() itself. */
export interface RewriterJob {
  kind: 'rewriter';
  file: string;
  /** Times to do it; the fastest counts. */
  times: number;
}

export interface RewriterResult {
  seconds: number;
  /** Most memory that the process ever had. */
  peakBytes: number;
  bytesBefore: number;
  bytesAfter: number;
  stores: number;
  inserted: number;
  removed: number;
  merged: number;
  stack: number;
}

export type Job = SubjectJob | MicroJob | ServiceJob | RewriterJob;
export type ResultOf<J extends Job> = J extends SubjectJob
  ? SubjectResult
  : J extends MicroJob
    ? MicroResult
    : J extends ServiceJob
      ? ServiceResult
      : RewriterResult;
