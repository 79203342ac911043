/**
 * Guests in worker threads, so that the thread that speaks HTTP is never blocked: it refuses, times out,
 * notices hang-ups and answers for its metrics while a guest is in an endless loop.
 *
 * The workers are piscina's; the queue is ours (queue.ts), because piscina's way to abort a running task is to
 * end its thread, and a reactor's state would go with it. Node only.
 */
import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Contract } from '../../contract/contract.js';
import { BelayError, type BelayErrorCode } from '../../contract/errors.js';
import type { Executor } from './handler.js';
import type { KeepOptions } from './keep.js';
import type { LoadOptions } from './load.js';
import { checkRollback, wholeNumber } from './options.js';
import { kindOf } from './program.js';
import type { GuestRequest, Outcome, RunOptions } from './types.js';

/** Milliseconds that the end of a recording may take. */
const PACKING = 10_000;

/** What a worker needs to make its guest. */
export interface GuestConfig {
  module: WebAssembly.Module;
  load: LoadOptions;
  run: RunOptions;
  keep?: KeepOptions;
}

/** What a worker is asked to do beside requests. */
export type Task = GuestRequest | 'start' | 'stop';

/** A worker's answer when it is asked to start. */
export interface Started {
  contract?: Contract;
  failed?: { message: string; code?: string; stack?: string };
}

export interface Pool extends Executor {
  /** What the module says of itself. */
  readonly contract: Contract;
  /** The threads, one a guest. */
  readonly threads: readonly Worker[];
  /** Ends the threads. */
  close(): Promise<void>;
}

/**
 * Starts `instances` guests in threads of their own. A thread that dies (the host's memory at its end, a bug in
 * the engine) is replaced, with a fresh guest; `onLost` is told where state was lost with it.
 * @throws ERR_BELAY_OPTION for several instances of a program that keeps state; and what a guest's start throws.
 */
export async function createPool(
  config: GuestConfig,
  instances?: number,
  onLost?: (error: Error) => void,
): Promise<Pool> {
  const kind = kindOf(config.module);
  const rollback = checkRollback(kind, config.run.rollback);
  const concurrency = wholeNumber('instances', instances, 1, 1);
  if (concurrency > 1 && rollback !== 'always') {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      'instances would each keep a state of their own: several need rollback always, or take 1',
    );
  }
  if (concurrency > 1 && config.keep?.record) {
    throw new BelayError('ERR_BELAY_OPTION', 'a history is that of one guest: record takes 1 instance');
  }
  if (concurrency > 1024) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `instances must be at most 1024; this machine runs ${availableParallelism()} threads at a time`,
    );
  }
  const pool = new Piscina<Task, Outcome | Started>({
    filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
    workerData: config,
    minThreads: concurrency,
    maxThreads: concurrency,
    concurrentTasksPerWorker: 1,
    recordTiming: false,
    // By atomics a thread waits for its next task at once, and does nothing behind its answer.
    atomics: config.keep?.record?.late ? 'disabled' : 'sync',
  });
  let closing = false;
  const lost = (cause: unknown): BelayError => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new BelayError('ERR_BELAY_SERVICE', `the guest's thread died: ${reason}`, { cause });
    if (rollback === 'on-failure' && !closing) onLost?.(error);
    return error;
  };
  // An idle thread that dies is reported here, a busy one through its request.
  pool.on('error', lost);

  const started = (await Promise.all(
    Array.from({ length: concurrency }, () => pool.run('start')),
  )) as Started[];
  const failed = started.find((s) => s.failed)?.failed;
  if (failed) {
    await pool.destroy();
    const cause = Object.assign(
      new Error(failed.message),
      failed.stack !== undefined && { stack: failed.stack },
    );
    if (failed.code?.startsWith('ERR_BELAY_')) {
      throw new BelayError(failed.code as BelayErrorCode, failed.message, { cause });
    }
    throw new BelayError('ERR_BELAY_SERVICE', `the program did not start: ${failed.message}`, { cause });
  }
  return {
    kind,
    rollback,
    concurrency,
    blocking: false,
    contract: started[0]!.contract!,
    get threads() {
      return pool.threads;
    },
    async run(request) {
      try {
        return (await pool.run(request)) as Outcome;
      } catch (error) {
        throw lost(error);
      }
    },
    async close() {
      // What still runs after the grace is cut off on purpose; what was recorded is in the journal then.
      closing = true;
      if (config.keep?.record) await Promise.race([pool.run('stop'), setTimeout(PACKING)]).catch(lost);
      await pool.destroy();
    },
  };
}
