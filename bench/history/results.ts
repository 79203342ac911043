/** What `npm run bench:history` found: docs/history/results.json, of which the report is made. */
import os from 'node:os';
import type { Table } from '../../runtime/history/store.js';
import type { Compared } from '../compare.js';
import type { EngineKey } from '../engines.js';

/** Sizes of a history when it had so many entries. */
export interface Growth {
  entries: number;
  /** Bytes. */
  raw: number;
  stored: number;
}

/** A history as it was recorded, and how large it is. Sizes are in bytes. */
export interface Size {
  workload: string;
  request: string;
  entries: number;
  /** Requests that were wanted; less were recorded where time was short. */
  asked: number;
  /** Seconds that were allowed; absent where there was no limit. */
  limit?: number;
  /** Changed pages, whole. */
  raw: number;
  /** What changed in them, as the journal had it. */
  journaled: number;
  stored: number;
  disk: number;
  contents: number;
  chunks: number;
  /** Keys and values of each table; what `stored` has beyond is free space in the store's pages. */
  tables: Record<Table, { pairs: number; bytes: number }>;
  /** Of the guest's memories. */
  memoryBytes: number;
  growth: Growth[];
  /** Nanoseconds of a request with its checkpoint: before recording began, and while it was recorded, at full speed. */
  plain: number;
  recorded: number;
  /** Most that packing lagged by; and milliseconds until all was packed, in the end. */
  lag: number;
  drain: number;
  /** As the recorder says; and by how much the process grew. */
  recorderBytes: number;
  rssBefore: number;
  rssAfter: number;
  /** Written by the process to files. */
  written: number;
}

/** Median and slowest of so many, in milliseconds. */
export interface Timed {
  median: number;
  most: number;
  times: number;
}

export interface Question {
  question: string;
  /** What was asked. */
  detail: string;
  /** What was found, how much was looked at. */
  found: string;
  time: Timed;
  /** Milliseconds. */
  target?: number;
}

export interface Questions {
  workload: string;
  entries: number;
  questions: Question[];
}

export interface Materialisation {
  workload: string;
  memoryBytes: number;
  /** Pages that the expression reads. */
  pages: number;
  expression: string;
  /** Milliseconds at a random checkpoint, and of a bisection. */
  partial: Timed;
  full: Timed;
  partialBisection: Timed;
  fullBisection: Timed;
}

/** A way to run the notes, not recorded and recorded. */
export interface Slowdown {
  way: string;
  /** Whose time is compared. */
  clock: string;
  /** Nanoseconds of a request that is not recorded. */
  plain: number;
  recorded: Compared;
  steady: boolean;
}

/** On a request's path. Nanoseconds and amounts of one, on average. */
export interface Path {
  request: number;
  checkpoint: number;
  capture: number;
  record: number;
  write: number;
  regions: number;
  compared: number;
  pages: number;
  runs: number;
  journaled: number;
}

/** Requests that come at so many a second. */
export interface Rate {
  perSecond: number;
  seconds: number;
  entries: number;
  /** Bytes by which the store grew, and that were written to files. */
  stored: number;
  written: number;
  /** Share of a processor that the process took, recording and not. */
  cpu: number;
  cpuPlain: number;
}

export interface Recording {
  engine: EngineKey;
  slowdowns: Slowdown[];
  path: Path;
  /** Nanoseconds of a processor that a request over HTTP takes: client, server, guest and packer. */
  processor: { plain: number; recorded: number };
  rate?: Rate;
}

export interface Compression {
  codec: string;
  what: 'chunks' | 'contents';
  values: number;
  bytes: number;
  compressed: number;
  /** Bytes that the store would have: what does not become smaller is kept as it is. */
  kept: number;
  /** Bytes a second, of what is not compressed. */
  compress: number;
  decompress: number;
}

export interface Results {
  machine: { processor: string; cores: number; memoryBytes: number; system: string };
  engines: Partial<Record<EngineKey, { title: string; node: string; v8: string }>>;
  quick: boolean;
  seconds: number;
  /** Most processes that wanted a processor, on average over a minute, when a job began. */
  load: number;
  size: Size[];
  questions: Questions[];
  partial: Materialisation[];
  recording: Recording[];
  compression: Compression[];
  /** Why something was not measured. */
  missing: { what: string; why: string }[];
}

export function emptyResults(quick: boolean): Results {
  const [cpu] = os.cpus();
  return {
    machine: {
      processor: cpu?.model.trim() || os.arch(),
      cores: os.cpus().length,
      memoryBytes: os.totalmem(),
      system: `${os.type()} ${os.release()}`,
    },
    engines: {},
    quick,
    seconds: 0,
    load: 0,
    size: [],
    questions: [],
    partial: [],
    recording: [],
    compression: [],
    missing: [],
  };
}
