/** When a guest goes back, with a function of the embedder's that calls it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandler, type HandlerOptions } from '../../../runtime/service/handler.js';
import { createRunner } from '../../../runtime/service/runner.js';
import { type FakeGuest, fakeGuest, plain, recorder, request, text } from './support.js';

/** Remembers each path, then answers with all of them, or fails as the path says. */
function remember(options: HandlerOptions = {}, guest: FakeGuest = fakeGuest()) {
  const seen = recorder();
  const handler = createHandler(guest, {
    observer: seen,
    handle({ target }) {
      guest.words.push(target);
      if (target === '/throw') throw new Error('a secret at /home/user/app.c:12');
      if (target === '/malformed') return { status: 200 } as never;
      return plain(guest.words.join(' '));
    },
    ...options,
  });
  const get = async (path: string) => {
    const response = await handler(request(path));
    return { status: response.status, headers: response.headers, body: await response.text() };
  };
  return { guest, handler, get, reports: seen.reports };
}

test('on-failure: state is kept, and a request that fails is undone', async () => {
  const { guest, get } = remember();
  assert.is((await get('/a')).body, '/a');
  assert.is((await get('/throw')).status, 500);
  assert.is((await get('/b')).body, '/a /b');
  assert.equal(guest.calls, ['checkpoint', 'checkpoint', 'rollback', 'checkpoint']);
});

test('always: every request starts from the same state', async () => {
  const { guest, get } = remember({ rollback: 'always' });
  assert.is((await get('/a')).body, '/a');
  assert.is((await get('/throw')).status, 500);
  assert.is((await get('/b')).body, '/b');
  assert.equal(guest.calls, ['checkpoint', 'rollback', 'rollback', 'rollback']);
});

test('recorded late: the checkpoint comes when it is settled, and the next request tells what went wrong', () => {
  const guest = fakeGuest();
  const about = () => ({ request: 1, digest: '0'.repeat(16) });
  const { run, settle } = createRunner(guest, {
    rollback: 'on-failure',
    handle: () => plain('yes'),
    recording: { late: true, about, takeTrouble: () => undefined },
  });
  const asked = { method: 'GET', target: '/', headers: [], body: new Uint8Array(0) };
  const ask = () => run({ ...asked, scheme: 'http', host: 'localhost', port: 80 });
  assert.is(ask().response?.status, 200);
  assert.equal(guest.calls, ['checkpoint']);
  settle();
  assert.equal(guest.calls, ['checkpoint', 'checkpoint']);
  const { checkpoint } = guest;
  guest.checkpoint = () => {
    throw Object.assign(new Error('somebody wrote'), { code: 'ERR_BELAY_UNTRACKED_WRITE' });
  };
  settle();
  guest.checkpoint = checkpoint;
  const { error, response } = ask();
  assert.equal([error?.message, error?.usable, response], ['somebody wrote', true, undefined]);
  assert.is(ask().response?.status, 200, 'it is told once');
});

test('a failure tells the client its id and nothing else; the observer is told all', async () => {
  const { get, reports } = remember();
  const { status, headers, body } = await get('/throw');
  assert.is(status, 500);
  assert.is(body, '500 Internal Server Error\n');
  const sent = JSON.stringify([...headers]) + body;
  assert.not.ok(/secret|home|app\.c|stack|Error:/.test(sent));
  const report = reports[0]!;
  assert.is(headers.get('x-request-id'), report.id);
  assert.is(report.outcome?.failure?.reason, 'trap');
  assert.match(report.outcome!.failure!.message, 'secret');
  assert.match(report.outcome!.failure!.stack!, 'policies');
  assert.ok(report.outcome!.rolledBack);
});

test('an answer that is none is malformed', async () => {
  const { guest, get, reports } = remember();
  assert.is((await get('/malformed')).status, 500);
  assert.is(reports[0]!.outcome!.failure!.reason, 'malformed');
  assert.equal(guest.words, []);
});

test('a guest cannot choose the request id, nor break the answer', async () => {
  const guest = fakeGuest();
  const answers: [string, string][][] = [[['X-Request-Id', 'mine']], [['bad name', 'x']]];
  const handler = createHandler(guest, { handle: () => ({ ...plain('x'), headers: answers.shift()! }) });
  const first = await handler(request('/'));
  assert.match(first.headers.get('x-request-id')!, /^[0-9a-f-]{36}$/);
  assert.is((await handler(request('/'))).status, 500);
});

test('the function gets the whole request', async () => {
  let seen: unknown;
  const guest = fakeGuest();
  const handler = createHandler(guest, {
    handle(r) {
      seen = {
        ...r,
        body: text(r.body),
        headers: r.headers.filter(([name]) => name === 'x-a' || name === 'content-length'),
      };
      return plain('');
    },
  });
  await handler(
    request('/p/../q?x=1', {
      method: 'POST',
      headers: { 'x-a': 'b', connection: 'close' },
      body: 'hi',
    }),
    {
      remoteAddress: '192.0.2.1',
    },
  );
  assert.equal(seen, {
    method: 'POST',
    target: '/q?x=1',
    headers: [
      ['x-a', 'b'],
      ['content-length', '2'],
    ],
    body: 'hi',
    scheme: 'http',
    host: 'example.org',
    port: 80,
    remoteAddress: '192.0.2.1',
  });
});

test('a host write that nobody announced is reported, and the guest goes on', async () => {
  const { get, reports } = remember(
    { rollback: 'always' },
    fakeGuest({ failRollback: 'ERR_BELAY_UNTRACKED_WRITE' }),
  );
  assert.is((await get('/a')).status, 200);
  assert.is(reports[0]!.outcome!.error!.code, 'ERR_BELAY_UNTRACKED_WRITE');
  assert.is((await get('/a')).status, 200);
});

test('a guest that cannot be rolled back answers nothing any more', async () => {
  const { get, reports } = remember({}, fakeGuest({ failRollback: 'ERR_BELAY_DISPOSED' }));
  assert.is((await get('/a')).status, 200);
  assert.is((await get('/throw')).status, 500);
  assert.is((await get('/a')).status, 500);
  assert.not.ok(reports[2]!.outcome!.error!.usable);
});

test('limits are set for each request and lifted after it', async () => {
  const { guest, get } = remember({ deadline: 1000, maxSteps: 5 }, fakeGuest({ steps: true }));
  await get('/a');
  await get('/throw');
  assert.equal(guest.limits, [
    { deadline: 1000, steps: 5 },
    undefined,
    { deadline: 1000, steps: 5 },
    undefined,
  ]);
});

test('the deadline is 10 s where the module counts steps, else none', async () => {
  const counting = remember({}, fakeGuest({ steps: true }));
  await counting.get('/a');
  assert.equal(counting.guest.limits[0], { deadline: 10_000 });
  const off = remember({ deadline: 0 }, fakeGuest({ steps: true }));
  await off.get('/a');
  assert.equal(off.guest.limits, []);
  const not = remember();
  await not.get('/a');
  assert.equal(not.guest.limits, []);
});

test.run();
