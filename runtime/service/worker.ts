/** A worker thread of the pool: one guest, which runs what it is handed. See pool.ts. */
import { workerData } from 'node:worker_threads';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { Contract } from '../../contract/contract.js';
import '../node.js';
import { type Kept, keep } from './keep.js';
import { load } from './load.js';
import type { GuestConfig, Started, Task } from './pool.js';
import { createRunner, type Runner } from './runner.js';
import type { Outcome } from './types.js';

/** Bodies from this size on are handed over instead of copied. */
const MOVE_FROM = 64 * 1024;

type Working = Runner & { contract: Contract; kept: Kept };

let runner: Promise<Working> | undefined;

async function start(): Promise<Working> {
  const { module, load: options, run, keep: keeping = {} } = workerData as GuestConfig;
  const { guest, wasi } = await load(module, options);
  const kept = await keep(guest, keeping);
  const runner = createRunner(guest, { ...run, wasi, env: { ...options.env }, ...kept.runner });
  return { ...runner, contract: guest.contract, kept };
}

/** Runs one request, or makes sure that the guest is there, or that nothing is lost when it goes. */
export default async function work(task: Task): Promise<Outcome | Started> {
  runner ??= start();
  if (task === 'stop') {
    const { settle, kept } = await runner;
    settle();
    await kept.close();
    return {};
  }
  if (task === 'start') {
    try {
      return { contract: (await runner).contract };
    } catch (error) {
      // An error that crosses threads loses its code.
      const { message, code, stack } = error as Error & { code?: string };
      return {
        failed: { message, ...(code !== undefined && { code }), ...(stack !== undefined && { stack }) },
      };
    }
  }
  const { run, settle, kept } = await runner;
  const outcome = run(task);
  // When the answer has been sent.
  if (kept.runner.recording?.late) setImmediate(settle);
  const body = outcome.response?.body;
  if (!body || body.length < MOVE_FROM || body.byteLength !== body.buffer.byteLength) return outcome;
  const moved = { [transferableSymbol]: [body.buffer as ArrayBuffer], [valueSymbol]: outcome };
  return move(moved as never) as unknown as Outcome;
}
