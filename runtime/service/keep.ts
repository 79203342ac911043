/**
 * A guest that keeps more than its memory: it may go on from a checkpoint, and its own may be recorded into a history.
 * Node only.
 */
import { hash } from 'node:crypto';
import type { Recorder, RecordOptions } from '../history/recorder.js';
import type { Guest } from '../types.js';
import type { Recording } from './runner.js';
import type { GuestRequest } from './types.js';

/** Plain data, so that it can cross to a worker thread. */
export interface KeepOptions {
  /** Records each request into the history of a directory. */
  record?: {
    directory: string;
    /**
     * Answers first and records then, before the next request: a process that is killed in between loses the entry of a
     * request that was answered. Default: no.
     */
    late?: boolean;
  } & Omit<RecordOptions, 'onError' | 'worker'>;
  /** Goes on from a checkpoint: a history's directory, `DIR@N`, or a file that guest.save() filled. */
  restore?: string;
}

export interface Kept {
  recorder?: Recorder;
  /** For createRunner. */
  runner: { recording?: Recording };
  /** Ends the recording, all packed. */
  close(): Promise<void>;
}

/**
 * Restores and records, as the options say.
 * @throws what reading a checkpoint and opening a history throw
 */
export async function keep(guest: Guest, { record, restore }: KeepOptions): Promise<Kept> {
  const nothing: Kept = { runner: {}, close: async () => {} };
  if (!record && restore === undefined) return nothing;
  // Its database is not loaded before it is needed.
  const { createHistory, restoreFrom } = await import('../history/index.js');
  if (restore !== undefined) await restoreFrom(guest, restore);
  if (!record) return nothing;
  const { directory, late = false, ...options } = record;
  const history = await createHistory(directory);
  let trouble: string | undefined;
  let recorder: Recorder;
  try {
    recorder = history.record(guest, {
      ...options,
      // The service goes on without; the log says so.
      onError: (error) => {
        trouble = error.message;
      },
    });
  } catch (error) {
    await history.close();
    throw error;
  }
  let request = 0;
  return {
    recorder,
    runner: {
      recording: {
        late,
        about: (asked) => ({ request: ++request, digest: requestDigest(asked) }),
        takeTrouble() {
          const taken = trouble;
          trouble = undefined;
          return taken;
        },
      },
    },
    close: () => history.close(),
  };
}

/** 64 bits of the SHA-256 of method, target and body, in hexadecimal. */
export function requestDigest({ method, target, body }: GuestRequest): string {
  const head = Buffer.from(`${method} ${target}\n`);
  return hash('sha256', body.length > 0 ? Buffer.concat([head, body]) : head).slice(0, 16);
}
