/** HTTP over real sockets: limits, slow clients, clients that hang up, and the end. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandlerFor, type Executor } from '../../../runtime/service/handler.js';
import { listen, type ServerOptions } from '../../../runtime/service/server.js';
import type { AdmissionOptions, GuestRequest, Outcome } from '../../../runtime/service/types.js';
import { deferred, outcome, plain, rawClient, recorder, text, until } from './support.js';

async function service(
  options: { server?: ServerOptions; admission?: AdmissionOptions } = {},
  run: (r: GuestRequest) => Outcome | Promise<Outcome> = (r) =>
    outcome(`${r.method} ${r.target} ${text(r.body)}`),
) {
  const seen = recorder();
  const executor: Executor = {
    kind: 'function',
    rollback: 'on-failure',
    concurrency: 1,
    blocking: false,
    run,
  };
  const handler = createHandlerFor(executor, { ...options.admission, observer: seen });
  const server = await listen(handler, { port: 0, ...options.server });
  return { ...server, handler, reports: seen.reports };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

test('requests and answers', async () => {
  const { url, close } = await service();
  const response = await fetch(`${url}/a?b`, { method: 'POST', body: 'body' });
  assert.is(response.status, 200);
  assert.is(response.headers.get('content-type'), 'text/plain');
  assert.is(response.headers.get('content-length'), '14');
  assert.is(await response.text(), 'POST /a?b body');
  await close(0);
});

test('HEAD, and bytes as they are', async () => {
  const body = Uint8Array.from({ length: 256 }, (_, i) => i);
  const { url, close } = await service({}, () => ({ ...outcome(''), response: { ...plain(''), body } }));
  assert.equal(new Uint8Array(await (await fetch(url)).arrayBuffer()), body);
  assert.is((await (await fetch(url, { method: 'HEAD' })).arrayBuffer()).byteLength, 0);
  await close(0);
});

test('several cookies stay several', async () => {
  const headers: [string, string][] = [
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
  ];
  const { url, close } = await service({}, () => ({ ...outcome(''), response: { ...plain('x'), headers } }));
  assert.equal((await fetch(url)).headers.getSetCookie(), ['a=1', 'b=2']);
  await close(0);
});

test('431: a head past the limit, which may have no end', async () => {
  const { port, close, reports } = await service({ server: { maxHeader: 2048 } });
  const client = await rawClient(port);
  client.send(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(4096)}`);
  assert.match(await client.closed, /^HTTP\/1\.1 431 /);
  assert.is(reports.length, 0);
  await close(0);
});

test('413: the client is told at once, and not read to the end', async () => {
  const { port, close } = await service({ admission: { maxBody: 10 } });
  const client = await rawClient(port);
  client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin');
  const answer = await client.closed;
  assert.match(answer, /^HTTP\/1\.1 413 /);
  assert.match(answer, /connection: close/i);
  await close(0);
});

for (const [what, data] of Object.entries({
  'not HTTP': 'hello\r\n\r\n',
  'two lengths': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
  'length and chunks':
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a bad chunk': 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  'no host': 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n',
  'a bad host': 'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
  'a NUL in a field': 'GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\nConnection: close\r\n\r\n',
})) {
  test(`400: ${what}, and the guest is not asked`, async () => {
    let ran = 0;
    const { port, close } = await service({}, () => {
      ran++;
      return outcome('');
    });
    const client = await rawClient(port);
    client.send(data);
    const answer = await client.closed;
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.not.ok(/at .*\.js/.test(answer));
    assert.is(ran, 0);
    await close(0);
  });
}

test('408: a head that does not come', async () => {
  const { port, close } = await service({ server: { headerTimeout: 100 } });
  const client = await rawClient(port);
  client.send('GET / HTTP/1.1\r\nHost: x\r\n');
  assert.match(await client.closed, /^HTTP\/1\.1 408 /);
  await close(0);
});

test('408: a body that does not come, and the guest is not asked', async () => {
  let ran = 0;
  const { port, close, reports } = await service({ server: { requestTimeout: 100 } }, () => {
    ran++;
    return outcome('');
  });
  const client = await rawClient(port);
  client.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
  assert.match(await client.closed, /^HTTP\/1\.1 408 |^$/);
  await until('the request is over', () => reports.length === 1);
  assert.is(ran, 0);
  await close(0);
});

test('an idle connection is closed', async () => {
  const { port, close } = await service({ server: { keepAlive: 50 } });
  const client = await rawClient(port);
  client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.match(await client.closed, /^HTTP\/1\.1 200 /);
  await close(0);
});

test('a client that takes nothing is cut off', async () => {
  const body = new Uint8Array(64 * 1024 * 1024);
  const { port, connections, close } = await service({ server: { responseTimeout: 100 } }, () => ({
    ...outcome(''),
    response: { ...plain(''), body },
  }));
  const client = await rawClient(port);
  client.socket.pause();
  await until('it is connected', async () => (await connections()) === 1);
  client.send(GET);
  await until('the server has given up', async () => (await connections()) === 0);
  client.socket.destroy();
  await close(0);
});

test('a client that hangs up while it waits is dropped, and nothing breaks', async () => {
  const gate = deferred<Outcome>();
  const ran: string[] = [];
  const { port, url, handler, close, reports } = await service({}, (r) => {
    ran.push(r.target);
    return gate.promise;
  });
  const first = fetch(`${url}/first`);
  await until('the first runs', () => handler.running === 1);
  const client = await rawClient(port);
  client.send('GET /gone HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('the second waits', () => handler.waiting === 1);
  client.socket.destroy();
  await until('the second is dropped', () => handler.waiting === 0);
  gate.resolve(outcome('ok'));
  assert.is((await first).status, 200);
  assert.is((await fetch(`${url}/last`)).status, 200);
  assert.equal(ran, ['/first', '/last']);
  assert.is(reports.find((r) => r.target === '/gone')!.status, 499);
  await close(0);
});

test('a client that hangs up while it is served, or while it sends, breaks nothing', async () => {
  const gate = deferred<Outcome>();
  const { port, url, handler, close, reports } = await service({}, () => gate.promise);
  const client = await rawClient(port);
  client.send('GET /served HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('it runs', () => handler.running === 1);
  client.socket.destroy();
  const sender = await rawClient(port);
  sender.send('POST /sending HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
  sender.socket.end();
  sender.socket.destroy();
  gate.resolve(outcome('ok'));
  await until('the first is over', () => reports.some((r) => r.target === '/served'));
  assert.is((await fetch(url)).status, 200);
  await close(0);
});

test('a connection too many is closed', async () => {
  const { port, connections, close } = await service({ server: { maxConnections: 1 } });
  const first = await rawClient(port);
  await until('it is connected', async () => (await connections()) === 1);
  const second = await rawClient(port);
  second.send(GET);
  assert.is(await second.closed, '');
  first.send(GET);
  assert.match(await first.closed, ' 200 ');
  await close(0);
});

test('the end: no new connections, and what is running is answered', async () => {
  const gate = deferred<Outcome>();
  const { port, url, handler, close } = await service({}, () => gate.promise);
  const idle = await rawClient(port);
  idle.send('GET / HTTP/1.1\r\nHost: x\r\n');
  idle.socket.end();
  const running = fetch(`${url}/running`);
  const waiting = fetch(`${url}/waiting`);
  await until('one runs and one waits', () => handler.running === 1 && handler.waiting === 1);
  let closed = false;
  const end = close(60_000).then(() => {
    closed = true;
  });
  let refused = false;
  await fetch(`${url}/late`).catch(() => {
    refused = true;
  });
  assert.ok(refused);
  assert.not(closed);
  gate.resolve(outcome('ok'));
  for (const response of [await running, await waiting]) {
    assert.is(response.status, 200);
    assert.is(response.headers.get('connection'), 'close');
  }
  await end;
});

test('the end: what does not finish in time is cut off', async () => {
  const { port, handler, close } = await service({}, () => new Promise(() => {}));
  const client = await rawClient(port);
  client.send(GET);
  await until('it runs', () => handler.running === 1);
  await close(20);
  assert.is(await client.closed, '');
});

test('a port that is taken is an error that says so', async () => {
  const { port, close } = await service();
  try {
    await service({ server: { port } });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'ERR_BELAY_SERVICE');
    assert.match((error as Error).message, /port is taken/);
  }
  await close(0);
});

test.run();
