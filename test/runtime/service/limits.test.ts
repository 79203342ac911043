/** What is turned away before a guest sees it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandlerFor, type Executor } from '../../../runtime/service/handler.js';
import type { AdmissionOptions, GuestRequest, Outcome } from '../../../runtime/service/types.js';
import { deferred, outcome, recorder, request, until } from './support.js';

function service(
  options: AdmissionOptions = {},
  run: (r: GuestRequest) => Outcome | Promise<Outcome> = () => outcome('ok'),
) {
  const seen = recorder();
  const ran: GuestRequest[] = [];
  const executor: Executor = {
    kind: 'function',
    rollback: 'on-failure',
    concurrency: 1,
    blocking: false,
    run(r) {
      ran.push(r);
      return run(r);
    },
  };
  return { handler: createHandlerFor(executor, { ...options, observer: seen }), ran, reports: seen.reports };
}

/** A body of `chunks` chunks of 10 bytes, without a length. */
function stream(chunks: number, end: 'close' | 'error' = 'close') {
  let left = chunks;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(10));
      else if (end === 'close') controller.close();
      else controller.error(new Error('reset'));
    },
    cancel() {
      cancelled = true;
    },
  });
  return { init: { method: 'POST', body, duplex: 'half' } as RequestInit, cancelled: () => cancelled };
}

test('413: a body whose announced length is past the limit', async () => {
  const { handler, ran } = service({ maxBody: 10 });
  const long = await handler(
    request('/', { method: 'POST', headers: { 'content-length': '11' }, body: 'x'.repeat(11) }),
  );
  assert.is(long.status, 413);
  assert.is(long.headers.get('connection'), 'close');
  assert.is((await handler(request('/', { method: 'POST', body: 'x'.repeat(10) }))).status, 200);
  assert.is(ran.length, 1);
  assert.is(ran[0]!.body.length, 10);
});

test('413: a body that turns out to be past the limit is not read further', async () => {
  const { handler, ran } = service({ maxBody: 35 });
  const endless = stream(Number.POSITIVE_INFINITY);
  assert.is((await handler(request('/', endless.init))).status, 413);
  assert.ok(endless.cancelled());
  assert.is((await handler(request('/', stream(3).init))).status, 200);
  assert.is(ran.length, 1);
  assert.is(ran[0]!.body.length, 30);
});

test('400: a body that breaks off', async () => {
  const { handler, ran } = service();
  assert.is((await handler(request('/', stream(2, 'error').init))).status, 400);
  assert.is(ran.length, 0);
});

test('431: a head past the limit', async () => {
  const { handler, ran } = service({ maxHeader: 200 });
  assert.is((await handler(request('/', { headers: { 'x-long': 'x'.repeat(200) } }))).status, 431);
  assert.is((await handler(request(`/${'x'.repeat(200)}`))).status, 431);
  assert.is((await handler(request('/'))).status, 200);
  assert.is(ran.length, 1);
});

test('503 with Retry-After: a full queue', async () => {
  const gate = deferred<Outcome>();
  const { handler, ran, reports } = service({ queue: 1 }, () => gate.promise);
  const first = handler(request('/1'));
  const second = handler(request('/2'));
  await until('one runs, one waits', () => handler.running === 1 && handler.waiting === 1);
  const third = await handler(request('/3'));
  assert.is(third.status, 503);
  assert.is(third.headers.get('retry-after'), '1');
  gate.resolve(outcome('ok'));
  assert.is((await first).status, 200);
  assert.is((await second).status, 200);
  assert.is(ran.length, 2);
  assert.equal(
    reports.map((r) => [r.target, r.status]),
    [
      ['/3', 503],
      ['/1', 200],
      ['/2', 200],
    ],
  );
});

test('a client that hangs up while it waits is dropped; one that is being served is served', async () => {
  const gate = deferred<Outcome>();
  const { handler, ran, reports } = service({}, () => gate.promise);
  const hangUp = new AbortController();
  const first = handler(request('/1', { signal: hangUp.signal }));
  const second = handler(request('/2', { signal: hangUp.signal }));
  const third = handler(request('/3'));
  await until('one runs, two wait', () => handler.running === 1 && handler.waiting === 2);
  hangUp.abort();
  assert.is((await second).status, 499);
  gate.resolve(outcome('ok'));
  assert.is((await first).status, 200);
  assert.is((await third).status, 200);
  assert.equal(
    ran.map((r) => r.target),
    ['/1', '/3'],
  );
  assert.is(reports.find((r) => r.target === '/2')!.outcome, undefined);
});

test('drain: what was admitted is finished, what comes later is turned away', async () => {
  const gate = deferred<Outcome>();
  const { handler } = service({}, () => gate.promise);
  const first = handler(request('/1'));
  const second = handler(request('/2'));
  await until('one waits', () => handler.waiting === 1);
  let drained = false;
  const drain = handler.drain().then(() => {
    drained = true;
  });
  assert.is((await handler(request('/3'))).status, 503);
  assert.not(drained);
  gate.resolve(outcome('ok'));
  assert.is((await first).status, 200);
  assert.is((await second).status, 200);
  await drain;
});

test('an executor that breaks is a 500 without details, and the next request is served', async () => {
  let times = 0;
  const { handler, reports } = service({}, () => {
    if (times++ === 0) throw new Error('worker thread died at /secret/path');
    return outcome('ok');
  });
  const response = await handler(request('/'));
  assert.is(response.status, 500);
  assert.is(await response.text(), '500 Internal Server Error\n');
  assert.match(reports[0]!.error!.message, 'secret');
  assert.is((await handler(request('/'))).status, 200);
});

test.run();
