/** Histories: recorded, kept small, and asked. Node; Bun where `lmdb` works. See docs/history.md. */
export type { Damage } from './check.js';
export type { DiffOptions } from './diff.js';
export type { Expression } from './expression/index.js';
export { History, openHistory } from './history.js';
export { createHistory, HistoryStore, Recorder, type RecorderStats, type RecordOptions } from './recorder.js';
export type { SearchOptions } from './search.js';
export * from './types.js';
