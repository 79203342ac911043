// node samples/edge-js/main.mjs [handler.js] [port]
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { serve } from '@hono/node-server';
import { createEdge } from './edge.mjs';

const file = process.argv[2] ?? fileURLToPath(new URL('handler.js', import.meta.url));
const port = Number(process.argv[3] ?? 8080);

const { handler } = await createEdge(await readFile(file, 'utf8'));
const server = serve({ fetch: (request) => handler(request), port, hostname: '127.0.0.1' }, (address) => {
  console.log(`${file} on http://127.0.0.1:${address.port}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await handler.drain();
    server.close();
  });
}
