/**
 * The notes service, once over HTTP with the client in another thread, and once as it is embedded: requests go
 * through createHandler, no socket. What is timed is this thread. The baseline is the same
 * handler and the same WASI with the original module, and checkpoints that do nothing.
 */
import { readFileSync } from 'node:fs';
import { createHandler, type Handler, type HandlerOptions } from '../../runtime/service/index.js';
import { listen } from '../../runtime/service/node.js';
import { now } from '../clock.js';
import { type Contender, compare } from '../compare.js';
import { loadNotes, notesAfter, notesBefore, notesRequest, notesUndo } from '../subjects/notes.js';
import { HttpClient, type Requests } from './http-client.js';
import type { ServiceJob, ServiceResult } from './types.js';

/** Requests of a batch. */
const MOST = 400;

export async function measureService(job: ServiceJob): Promise<ServiceResult> {
  const client = new HttpClient();
  const measure = async (over: HttpClient | undefined) => {
    const base = await contender('plain', job.plain, false, {}, over);
    const others = [
      await contender('rollback on failure', job.stepless, true, { rollback: 'on-failure' }, over),
      await contender(
        'rollback on failure, deadline',
        job.instrumented,
        true,
        { rollback: 'on-failure', deadline: 10_000 },
        over,
      ),
      await contender('rollback always', job.stepless, true, { rollback: 'always' }, over),
    ];
    const result = await compare(base, others, job.effort);
    return { plain: result.base.nanoseconds, others: result.others, steady: result.steady };
  };
  try {
    return { ...(await measure(undefined)), http: await measure(client) };
  } finally {
    await client.close();
  }
}

async function contender(
  name: string,
  file: string,
  instrumented: boolean,
  options: Pick<HandlerOptions, 'rollback' | 'deadline'>,
  client: HttpClient | undefined,
): Promise<Contender> {
  const module = new WebAssembly.Module(readFileSync(file));
  const { guest, wasi } = await loadNotes({ module, instrumented });
  // What is there before has to be so for every policy.
  await send(createHandler(guest, { wasi, rollback: 'on-failure' }), notesBefore());
  const handler = createHandler(guest, { wasi, ...options });
  const server = client && (await listen(handler, { port: 0, keepAlive: 600_000 }));
  return {
    name,
    most: MOST,
    async batch(count) {
      const requests = Array.from({ length: count }, (_, n) => notesRequest(n));
      const start = now();
      if (client) await client.send(server!.port, requests);
      else await send(handler, requests);
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
