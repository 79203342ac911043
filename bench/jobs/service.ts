/**
 * The notes service as it is embedded: requests go through createHandler, no socket. The baseline is the same
 * handler and the same WASI with the original module, and checkpoints that do nothing.
 */
import { readFileSync } from 'node:fs';
import { createHandler, type Handler, type HandlerOptions } from '../../runtime/service/index.js';
import { now } from '../clock.js';
import { type Contender, compare } from '../compare.js';
import { loadNotes, notesAfter, notesBefore, notesRequest, notesUndo } from '../subjects/notes.js';
import type { ServiceJob, ServiceResult } from './types.js';

/** Requests of a batch. */
const MOST = 400;

type Requests = readonly (readonly [method: string, target: string, body?: string])[];

export async function measureService(job: ServiceJob): Promise<ServiceResult> {
  const base = await contender('plain', job.plain, false, {});
  const others = [
    await contender('rollback on failure', job.stepless, true, { rollback: 'on-failure' }),
    await contender('rollback on failure, deadline', job.instrumented, true, {
      rollback: 'on-failure',
      deadline: 10_000,
    }),
    await contender('rollback always', job.stepless, true, { rollback: 'always' }),
  ];
  const result = await compare(base, others, job.effort);
  return { plain: result.base.nanoseconds, others: result.others, steady: result.steady };
}

async function contender(
  name: string,
  file: string,
  instrumented: boolean,
  options: Pick<HandlerOptions, 'rollback' | 'deadline'>,
): Promise<Contender> {
  const module = new WebAssembly.Module(readFileSync(file));
  const { guest, wasi } = await loadNotes({ module, instrumented });
  // What is there before has to be so for every policy.
  await send(createHandler(guest, { wasi, rollback: 'on-failure' }), notesBefore());
  const handler = createHandler(guest, { wasi, ...options });
  return {
    name,
    most: MOST,
    async batch(count) {
      const requests = Array.from({ length: count }, (_, n) => notesRequest(n));
      const start = now();
      await send(handler, requests);
      const time = now() - start;
      if (options.rollback !== 'always') {
        const list = await handler(new Request(`http://localhost${notesAfter}`));
        await send(handler, notesUndo(await list.text()));
      }
      return time;
    },
  };
}

async function send(handler: Handler, requests: Requests): Promise<void> {
  for (const [method, target, body] of requests) {
    const response = await handler(
      new Request(`http://localhost${target}`, { method, ...(body !== undefined && { body }) }),
    );
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${target}: ${response.status} ${text}`);
  }
}
