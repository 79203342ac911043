/**
 * A queue with a limit in front of something that can do a few things at a time. A waiting job whose signal
 * aborts is dropped; one that runs is never disturbed.
 */

/** Why a job never ran. */
export type NotRun = 'full' | 'aborted';

interface Job {
  start(): void;
  drop(): void;
}

export interface Queue {
  /** Jobs that wait, and jobs that run. */
  readonly waiting: number;
  readonly running: number;
  /** Whether one more job would be refused. */
  readonly full: boolean;
  /** Runs the job when its turn comes. Rejects only with what the job rejects with. */
  run<T>(job: () => T | Promise<T>, signal?: AbortSignal): Promise<{ value: T } | { notRun: NotRun }>;
  /** Resolves when nothing runs and nothing waits. */
  idle(): Promise<void>;
}

export interface QueueOptions {
  /** Jobs that may run at a time. */
  concurrency: number;
  /** Jobs that may wait. */
  limit: number;
  /**
   * Jobs block this thread: after each, let the event loop turn once, so that sockets are read, requests
   * past the limit refused and hang-ups noticed between two of them.
   */
  blocking: boolean;
}

/** Calls back after the event loop has turned. */
const nextTurn: (callback: () => void) => void =
  typeof setImmediate === 'function'
    ? (callback) => void setImmediate(callback)
    : (callback) => void setTimeout(callback, 0);

export function createQueue({ concurrency, limit, blocking }: QueueOptions): Queue {
  const jobs = new Set<Job>();
  let running = 0;
  let idlers: (() => void)[] = [];

  const next = (): void => {
    running--;
    for (const job of jobs) {
      if (running >= concurrency) return;
      jobs.delete(job);
      job.start();
    }
    if (running === 0 && jobs.size === 0) {
      for (const resolve of idlers) resolve();
      idlers = [];
    }
  };
  const release = blocking ? () => nextTurn(next) : next;

  return {
    get waiting() {
      return jobs.size;
    },
    get running() {
      return running;
    },
    get full() {
      return running >= concurrency && jobs.size >= limit;
    },
    run(work, signal) {
      if (signal?.aborted) return Promise.resolve({ notRun: 'aborted' });
      if (this.full) return Promise.resolve({ notRun: 'full' });
      return new Promise((resolve, reject) => {
        const execute = async (): Promise<void> => {
          running++;
          try {
            resolve({ value: await work() });
          } catch (error) {
            reject(error);
          } finally {
            release();
          }
        };
        if (running < concurrency) {
          void execute();
          return;
        }
        const onAbort = (): void => {
          jobs.delete(job);
          job.drop();
        };
        const job: Job = {
          start() {
            signal?.removeEventListener('abort', onAbort);
            void execute();
          },
          drop: () => resolve({ notRun: 'aborted' }),
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        jobs.add(job);
      });
    },
    idle() {
      if (running === 0 && jobs.size === 0) return Promise.resolve();
      return new Promise((resolve) => idlers.push(resolve));
    },
  };
}
