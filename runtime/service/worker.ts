/** A worker thread of the pool: one guest, which runs what it is handed. See pool.ts. */
import { workerData } from 'node:worker_threads';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { Contract } from '../../contract/contract.js';
import '../node.js';
import { load } from './load.js';
import type { GuestConfig, Started } from './pool.js';
import { createRunner, type Runner } from './runner.js';
import type { GuestRequest, Outcome } from './types.js';

/** Bodies from this size on are handed over instead of copied. */
const MOVE_FROM = 64 * 1024;

let runner: Promise<Runner & { contract: Contract }> | undefined;

async function start(): Promise<Runner & { contract: Contract }> {
  const { module, load: options, run } = workerData as GuestConfig;
  const { guest, wasi } = await load(module, options);
  return { ...createRunner(guest, { ...run, wasi, env: { ...options.env } }), contract: guest.contract };
}

/** Runs one request; without one, only makes sure that the guest is there. */
export default async function work(request?: GuestRequest): Promise<Outcome | Started> {
  runner ??= start();
  if (!request) {
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
  const outcome = (await runner).run(request);
  const body = outcome.response?.body;
  if (!body || body.length < MOVE_FROM || body.byteLength !== body.buffer.byteLength) return outcome;
  const moved = { [transferableSymbol]: [body.buffer as ArrayBuffer], [valueSymbol]: outcome };
  return move(moved as never) as unknown as Outcome;
}
