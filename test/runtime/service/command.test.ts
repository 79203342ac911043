/** A command behind a handler: CGI, each request from the same state, never a fresh instance. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHandler, type HandlerOptions } from '../../../runtime/service/handler.js';
import { load } from '../../../runtime/service/load.js';
import { command } from './guests.js';
import { recorder, request } from './support.js';

async function service(options: HandlerOptions = {}) {
  const seen = recorder();
  const env = { MODE: 'test' };
  const { guest, wasi } = await load(await command(), { env });
  const handler = createHandler(guest, { wasi, env, observer: seen, ...options });
  const post = async (body: string, path = '/') => {
    const init = body === '' ? {} : { method: 'POST', body };
    const response = await handler(request(path, init), { remoteAddress: '192.0.2.1' });
    return { status: response.status, headers: response.headers, body: await response.text() };
  };
  return { guest, handler, post, last: () => seen.reports.at(-1)!.outcome! };
}

test('every request starts from the same state, in the same instance', async () => {
  const { post, handler, guest } = await service();
  assert.is(handler.kind, 'command');
  assert.is(handler.rollback, 'always');
  const { instance } = guest;
  for (let i = 0; i < 20; i++) assert.is((await post('')).body, '0002');
  assert.is(guest.instance, instance);
  assert.is(guest.stats().checkpoints, 1);
  assert.is(guest.stats().rollbacks, 20);
});

test('the request is in the environment, beside the variables of the service', async () => {
  const { post } = await service();
  const { body } = await post('e', '/a%20b?c=d');
  const env = Object.fromEntries(
    body
      .split('\0')
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  assert.is(env.MODE, 'test');
  assert.is(env.REQUEST_METHOD, 'POST');
  assert.is(env.PATH_INFO, '/a b');
  assert.is(env.QUERY_STRING, 'c=d');
  assert.is(env.CONTENT_LENGTH, '1');
  assert.is(env.REMOTE_ADDR, '192.0.2.1');
  assert.is(env.GATEWAY_INTERFACE, 'CGI/1.1');
});

test('nothing of one environment is seen by the next request', async () => {
  const { post } = await service();
  await post('e', '/secret');
  assert.not.match((await post('e', '/')).body, 'secret');
});

test('the body is on standard input', async () => {
  const { post } = await service();
  const body = `p${'x'.repeat(10_000)}`;
  assert.is((await post(body)).body, body);
  assert.is((await post('p')).body, 'p');
});

test('a status', async () => {
  const { post } = await service();
  const { status, body } = await post('n');
  assert.is(status, 404);
  assert.is(body, 'no');
});

test('a local redirect is answered by the program itself, from the same state', async () => {
  const { post } = await service();
  const { status, body } = await post('r');
  assert.is(status, 200);
  assert.is(body, '0002');
});

for (const [how, status, reason] of [
  ['t', 500, 'trap'],
  ['x', 500, 'exit'],
  ['z', 500, 'malformed'],
  ['b', 500, 'malformed'],
  ['s', 500, 'trap'],
  ['m', 500, 'memory'],
  ['o', 500, 'trap'],
] as const) {
  test(`${how} is ${reason}, and the next request starts clean`, async () => {
    const { post, last } = await service({ deadline: 60_000 });
    assert.is((await post(how)).status, status);
    assert.is(last().failure!.reason, reason);
    assert.is((await post('')).body, '0002');
  });
}

test('an endless loop is ended, and the next request starts clean', async () => {
  const { post, last } = await service({ deadline: 50 });
  assert.is((await post('l')).status, 504);
  assert.is(last().failure!.reason, 'deadline');
  assert.is((await post('')).body, '0002');
});

test.run();
