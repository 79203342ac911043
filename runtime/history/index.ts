/** Histories: recorded, kept small, and asked. Node; Bun where `lmdb` works. See docs/history.md. */
export type { Damage } from './check.js';
export type { DiffOptions } from './diff.js';
export type { Expression } from './expression/index.js';
export { type CallOptions, History, type HistoryOptions, openHistory } from './history.js';
export { createHistory, HistoryStore, Recorder, type RecorderStats, type RecordOptions } from './recorder.js';
export { type CallResult, Replica, type ReplicaOptions } from './replica.js';
export { type Checkpoint, readCheckpoint, restoreFrom } from './restore.js';
export type { SearchOptions } from './search.js';
export { parseSymbols } from './symbols.js';
export * from './types.js';
