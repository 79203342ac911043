/** A reactor behind a handler: state is kept, and whatever fails costs one request. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandler, type HandlerOptions } from '../../../runtime/service/handler.js';
import { load } from '../../../runtime/service/load.js';
import { reactor } from './guests.js';
import { recorder, request } from './support.js';

async function service(options: HandlerOptions = {}, wasm = reactor()) {
  const seen = recorder();
  const { guest, wasi } = await load(await wasm);
  const handler = createHandler(guest, { wasi, observer: seen, ...options });
  const get = async (path: string, init?: RequestInit) => {
    const response = await handler(request(path, init));
    return { status: response.status, headers: response.headers, body: await response.text() };
  };
  return { guest, handler, get, last: () => seen.reports.at(-1)!.outcome! };
}

test('it is initialized once, and its state is kept', async () => {
  const { get, handler } = await service();
  assert.is(handler.kind, 'reactor');
  assert.is(handler.rollback, 'on-failure');
  assert.is((await get('/c')).body, '0102');
  assert.is((await get('/c')).body, '0104');
});

test('it gets the request as HTTP/1.1', async () => {
  const { get } = await service();
  const { body, headers } = await get('/p?a=b', {
    method: 'POST',
    headers: { 'X-A': 'b' },
    body: 'the body',
  });
  assert.is(headers.get('content-type'), 'text/plain');
  const [head, sent] = body.split('\r\n\r\n');
  const lines = head!.split('\r\n');
  assert.is(lines[0], 'POST /p?a=b HTTP/1.1');
  assert.ok(lines.includes('x-a: b'));
  assert.ok(lines.includes('content-length: 8'));
  assert.is(sent, 'the body');
});

const FAILURES: [path: string, status: number, reason: string][] = [
  ['/t', 500, 'trap'],
  ['/x', 500, 'exit'],
  ['/z', 500, 'exit'],
  ['/s', 500, 'trap'],
  ['/m', 500, 'memory'],
  ['/b', 500, 'malformed'],
];

for (const layout of ['auto', 'inline'] as const) {
  for (const [path, status, reason] of FAILURES) {
    test(`${path} is ${reason}, and undone (${layout})`, async () => {
      const { get, last, guest } = await service({}, reactor({ layout }));
      assert.is((await get('/c')).body, '0102');
      const { status: got, body } = await get(path);
      assert.is(got, status);
      assert.is(body, `${status} Internal Server Error\n`);
      assert.is(last().failure!.reason, reason);
      assert.ok(last().rolledBack);
      assert.is((await get('/c')).body, '0104');
      assert.is(guest.stats().memoryBytes, 65536);
    });
  }
}

test('an exit code is reported', async () => {
  const { get, last } = await service();
  await get('/x');
  assert.is(last().failure!.exitCode, 3);
});

test('a stack overflow is undone', async () => {
  const { get, last } = await service({ deadline: 60_000 });
  assert.is((await get('/o')).status, 500);
  assert.is(last().failure!.reason, 'trap');
  assert.is((await get('/c')).body, '0102');
});

test('--deadline: an endless loop is ended, and undone', async () => {
  const { get, last } = await service({ deadline: 50 });
  const { status, body } = await get('/l');
  assert.is(status, 504);
  assert.is(body, '504 Gateway Timeout\n');
  assert.is(last().failure!.reason, 'deadline');
  assert.is((await get('/c')).body, '0102');
});

test('--max-steps: an endless loop is ended, and undone', async () => {
  const { get, last } = await service({ maxSteps: 1_000_000 });
  assert.is((await get('/l')).status, 504);
  assert.is(last().failure!.reason, 'steps');
  assert.is((await get('/c')).body, '0102');
});

test('whatever fails, and however often, what was kept stays', async () => {
  const { get } = await service({ deadline: 20 });
  let expected = 100;
  for (let round = 0; round < 5; round++) {
    for (const path of ['/t', '/x', '/l', '/s', '/m', '/b']) {
      assert.is.not((await get(path)).status, 200);
      expected += 2;
      assert.is((await get('/c')).body, String(expected).padStart(4, '0'));
    }
  }
});

test('always: every request starts after _initialize', async () => {
  const { get } = await service({ rollback: 'always' });
  for (const path of ['/c', '/c', '/t', '/c', '/m', '/c']) {
    const { status, body } = await get(path);
    if (path === '/c') assert.is(body, '0102');
    else assert.is(status, 500);
  }
});

test('standard error is reported, also of a request that is undone', async () => {
  const { get, last } = await service();
  await get('/e');
  assert.is(last().stderr, 'a warning\n');
  await get('/c');
  assert.is(last().stderr, '');
});

test('an answer past the limit is malformed', async () => {
  const { get, last } = await service({ maxResponse: 1000 });
  assert.is((await get('/p', { method: 'POST', body: 'x'.repeat(2000) })).status, 500);
  assert.is(last().failure!.reason, 'malformed');
  assert.match(last().failure!.message, 'limit of 1000');
});

test('what was done is measured', async () => {
  const { get, last } = await service();
  await get('/c');
  const { seconds, bytesSaved, memoryBytes, supportBytes } = last();
  assert.ok(seconds.checkpoint! >= 0 && seconds.run > 0 && seconds.rollback === undefined);
  assert.ok(bytesSaved > 0);
  assert.is(memoryBytes, 65536);
  assert.ok(supportBytes > 0);
  await get('/t');
  assert.ok(last().seconds.rollback! >= 0);
});

test('many at a time: each is answered, none is lost', async () => {
  const { get } = await service({ queue: 1000 });
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => get(i % 3 === 0 ? '/t' : '/c')));
  const counts = answers.filter((a) => a.status === 200).map((a) => Number(a.body));
  assert.is(counts.length, 200);
  assert.equal(
    counts.sort((a, b) => a - b),
    Array.from({ length: 200 }, (_, i) => 102 + 2 * i),
  );
});

test('past the queue, 503', async () => {
  const { get } = await service({ queue: 2 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => get('/c')));
  assert.is(answers.filter((a) => a.status === 200).length, 3);
  assert.is(answers.filter((a) => a.status === 503).length, 7);
});

test.run();
