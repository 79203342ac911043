/** What the processes that compare mechanisms are asked, and what they answer: plain data, sent as JSON. */
import type { MechanismName } from '../../../contract/contract.js';
import type { Costs, Outcome, PolicyName } from '../../../runtime/speculation/index.js';
import type { Compared, Effort } from '../../compare.js';

/** A guest: a module, instrumented for the mechanism. */
export interface GuestSpec {
  name: string;
  file: string;
  mechanism: MechanismName;
  policy?: PolicyName;
}

/**
 * Someone who takes part in `pages`. `plain` stores and does nothing else; `copying` copies the pages that will be
 * stored to, eagerly, in a module of its own (memory.copy of 4096 bytes a page); `addon` calls the native addon without
 * a guest around it, and tells it the pages; `guest` is a guest.
 */
export type Contestant =
  | { way: 'plain' | 'copying'; name: string; file: string }
  | { way: 'addon'; name: string; file: string; mechanism: 'mprotect' | 'uffd' }
  | ({ way: 'guest' } & GuestSpec);

/** Epochs over a memory: checkpoint, one store into each of `dirty` pages, and perhaps a rollback. */
export interface PagesJob {
  kind: 'pages';
  memoryBytes: number;
  dirty: number;
  /** Draws of pages, which epochs take by turns. 1: all store to the same pages. */
  sets: number;
  rollback: boolean;
  base: Contestant;
  contestants: Contestant[];
  effort: Effort;
}

/** What a mechanism of pages did in an epoch, on average. */
export interface PageCounts {
  faults: number;
  ahead: number;
}

export interface PagesResult {
  base: Compared;
  others: Compared[];
  counts: Record<string, PageCounts>;
  /** Nanoseconds of an epoch that the process spent in the kernel, warming included. */
  kernel: Record<string, number>;
}

/** A real module under several guests, with a checkpoint at every so many requests. */
export interface EpochsJob {
  kind: 'epochs';
  subject: string;
  plain: string;
  guests: GuestSpec[];
  /** 0: none. */
  every: number[];
  effort: Effort;
}

export interface EpochsResult {
  /** Nanoseconds of a plain request. */
  plain: number;
  points: { name: string; every: number; compared: Compared }[];
  guests: {
    name: string;
    memoryBytes: number;
    supportBytes: number;
    /** With a checkpoint at every request: pages that faulted and were copied ahead in a request. */
    pages?: PageCounts;
  }[];
  steady: boolean;
}

/** Memory over one long epoch. */
export interface MemoryJob {
  kind: 'memory';
  subject: string;
  guests: GuestSpec[];
  requests: number;
  /** Requests between two looks. */
  step: number;
}

export interface MemoryResult {
  series: {
    name: string;
    memoryBytes: number;
    points: { requests: number; held: number; setAside: number }[];
  }[];
}

/** Policies over traces. */
export interface PoliciesJob {
  kind: 'policies';
  /** Files; without any, synthetic ones of so many epochs. */
  traces: string[];
  epochs: number;
}

export interface PoliciesResult {
  /** Where the costs were measured → nanoseconds. */
  costs: Record<string, Costs>;
  traces: { name: string; description: string; epochs: number }[];
  outcomes: ({ costs: string; nanoseconds: number } & Omit<Outcome, 'hash'>)[];
}

export type Job = PagesJob | EpochsJob | MemoryJob | PoliciesJob;
export type Result = PagesResult | EpochsResult | MemoryResult | PoliciesResult;
