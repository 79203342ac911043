/** The whole service: guests in threads, HTTP in front, metrics beside. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ServeOptions, type Service, serve } from '../../../runtime/service/serve.js';
import { command, plainReactor, reactor } from './guests.js';
import { rawClient, until } from './support.js';

async function started(wasm: Promise<BufferSource>, options: ServeOptions = {}): Promise<Service> {
  return serve(await wasm, { port: 0, metricsPort: 0, ...options });
}

async function get(
  service: Service,
  path: string,
  init?: RequestInit,
): Promise<{ status: number; body: string }> {
  const response = await fetch(service.url + path, init);
  return { status: response.status, body: await response.text() };
}

async function metric(service: Service, series: string): Promise<number> {
  const lines = (await (await fetch(service.metricsUrl!)).text()).split('\n');
  return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1));
}

async function refused(action: () => Promise<unknown>, code: string, pattern: RegExp): Promise<void> {
  try {
    await action();
  } catch (error) {
    assert.is((error as { code?: string }).code, code);
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`nothing was refused: ${pattern}`);
}

test('a reactor keeps its state, and what fails is undone', async () => {
  const service = await started(reactor());
  assert.is(service.kind, 'reactor');
  assert.is((await get(service, '/c')).body, '0102');
  for (const path of ['/t', '/x', '/s', '/m', '/b', '/o']) assert.is((await get(service, path)).status, 500);
  assert.is((await get(service, '/c')).body, '0104');
  await service.close();
});

test('metrics tell what happened', async () => {
  const service = await started(reactor(), { maxSteps: 1_000_000 });
  for (const path of ['/c', '/t', '/x', '/l', '/m', '/b']) await get(service, path);
  assert.is(await metric(service, 'belay_requests_total{status="2xx"}'), 1);
  assert.is(await metric(service, 'belay_requests_total{status="5xx"}'), 5);
  for (const reason of ['trap', 'exit', 'steps', 'memory', 'malformed']) {
    assert.is(await metric(service, `belay_rollbacks_total{reason="${reason}"}`), 1);
  }
  assert.ok((await metric(service, 'belay_saved_bytes_total')) > 0);
  assert.is(await metric(service, 'belay_checkpoint_duration_seconds_count'), 6);
  assert.is(await metric(service, 'belay_rollback_duration_seconds_count'), 5);
  assert.is(await metric(service, 'belay_guest_memory_bytes'), 65536);
  const base = new URL(service.metricsUrl!).origin;
  assert.is((await fetch(`${base}/health`)).status, 200);
  assert.is((await fetch(`${base}/other`)).status, 404);
  await service.close();
});

test('metrics are off unless asked for', async () => {
  const service = await serve(await reactor(), { port: 0 });
  assert.is(service.metricsUrl, undefined);
  await service.close();
});

test('while a guest is in an endless loop: 503, metrics, hang-ups; then it goes on', async () => {
  const service = await started(reactor(), { deadline: 6000, queue: 1 });
  const loop = get(service, '/l');
  await until('it loops', async () => (await metric(service, 'belay_requests_running')) === 1);
  const client = await rawClient(service.port);
  client.send('GET /c HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('one waits', async () => (await metric(service, 'belay_requests_waiting')) === 1);
  assert.is((await get(service, '/c')).status, 503);
  client.socket.destroy();
  await until(
    'it is dropped',
    async () => (await metric(service, 'belay_requests_total{status="dropped"}')) === 1,
  );
  const next = get(service, '/c');
  assert.is((await loop).status, 504);
  // The one that hung up was never counted, and the loop was undone.
  assert.is((await next).body, '0102');
  await service.close();
});

test('instances run commands side by side, each request from the same state', async () => {
  const service = await started(command(), { instances: 2, deadline: 60_000 });
  const answers = await Promise.all(Array.from({ length: 60 }, () => get(service, '/')));
  for (const { status, body } of answers) assert.equal([status, body], [200, '0002']);
  await service.close();
});

test('two instances run at the same time', async () => {
  const service = await started(command(), { instances: 2, deadline: 4000 });
  const loops = [1, 2].map(() => get(service, '/', { method: 'POST', body: 'l' }));
  await until('two run', async () => (await metric(service, 'belay_requests_running')) === 2);
  for (const { status } of await Promise.all(loops)) assert.is(status, 504);
  assert.is((await get(service, '/')).body, '0002');
  await service.close();
});

test('instances of a program that keeps state are refused', async () => {
  const wasm = await reactor();
  await refused(
    () => serve(wasm, { port: 0, instances: 2 }),
    'ERR_BELAY_OPTION',
    /several need rollback always/,
  );
  const service = await started(reactor(), { instances: 2, rollback: 'always' });
  assert.is((await get(service, '/c')).body, '0102');
  assert.is((await get(service, '/c')).body, '0102');
  await service.close();
});

test('a large answer and a large request cross threads', async () => {
  const service = await started(command(), { maxBody: 1 << 20 });
  const body = `p${'x'.repeat(16_000)}`;
  const post = await get(service, '/', { method: 'POST', body });
  assert.equal([post.status, post.body.length], [200, body.length]);
  await service.close();
});

test('the end: what was accepted is answered', async () => {
  const service = await started(reactor(), { deadline: 4000 });
  const loop = get(service, '/l');
  await until('it loops', async () => (await metric(service, 'belay_requests_running')) === 1);
  const waiting = get(service, '/c');
  await until('one waits', async () => (await metric(service, 'belay_requests_waiting')) === 1);
  const end = service.close();
  assert.is((await loop).status, 504);
  assert.is((await waiting).body, '0102');
  await end;
});

test('a module that is not instrumented is refused by name', async () => {
  const wasm = (await plainReactor()) as Uint8Array<ArrayBuffer>;
  await refused(() => serve(wasm, { port: 0 }), 'ERR_BELAY_NOT_INSTRUMENTED', /instrument/);
});

test('always with real directories is refused', async () => {
  const wasm = await reactor();
  const options: ServeOptions = { port: 0, wasi: 'node', dirs: { '/': '.' }, rollback: 'always' };
  await refused(() => serve(wasm, options), 'ERR_BELAY_OPTION', /cannot undo/);
});

test('real files work on-failure', async () => {
  const service = await started(reactor(), { wasi: 'node', dirs: { '/': '.' } });
  assert.is((await get(service, '/c')).body, '0102');
  assert.is((await get(service, '/t')).status, 500);
  assert.is((await get(service, '/x')).status, 500);
  assert.is((await get(service, '/c')).body, '0104');
  await service.close();
});

test('unknown options and taken ports are refused, and leave no thread behind', async () => {
  const wasm = await reactor();
  await refused(() => serve(wasm, { prot: 1 } as never), 'ERR_BELAY_OPTION', /no option prot/);
  const service = await started(reactor());
  await refused(() => serve(wasm, { port: service.port }), 'ERR_BELAY_SERVICE', /port is taken/);
  await service.close();
});

test.run();
