/** CGI/1.1 to and from a command. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { metaVariables, parseCgiResponse } from '../../../runtime/service/cgi.js';
import { MalformedResponse } from '../../../runtime/service/wire.js';
import { bytes, guestRequest, text } from './support.js';

const parse = (answer: string, method = 'GET') => parseCgiResponse(bytes(answer), method);
function response(answer: string, method = 'GET') {
  const parsed = parse(answer, method);
  if (!('response' in parsed)) throw new Error('a redirect');
  return parsed.response;
}

test('the meta-variables of a request', () => {
  const env = metaVariables(
    guestRequest({
      method: 'POST',
      target: '/a%20b/c?x=%20y&z',
      host: 'example.org',
      port: 8080,
      remoteAddress: '192.0.2.7',
      headers: [
        ['content-type', 'text/plain'],
        ['content-length', '5'],
        ['user-agent', 'test'],
        ['x-two-words', 'a, b'],
      ],
      body: bytes('hello'),
    }),
  );
  assert.equal(env, {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'belay',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: 'example.org',
    SERVER_PORT: '8080',
    REQUEST_METHOD: 'POST',
    REQUEST_SCHEME: 'http',
    REQUEST_URI: '/a%20b/c?x=%20y&z',
    SCRIPT_NAME: '',
    PATH_INFO: '/a b/c',
    QUERY_STRING: 'x=%20y&z',
    REMOTE_ADDR: '192.0.2.7',
    REMOTE_HOST: '192.0.2.7',
    CONTENT_LENGTH: '5',
    CONTENT_TYPE: 'text/plain',
    HTTP_USER_AGENT: 'test',
    HTTP_X_TWO_WORDS: 'a, b',
  });
});

test('credentials, Proxy and ambiguous names are not passed', () => {
  const env = metaVariables(
    guestRequest({
      headers: [
        ['authorization', 'Basic c2VjcmV0'],
        ['proxy', 'http://evil.example'],
        ['x_forwarded_for', '1'],
        ['x-forwarded-for', '2'],
      ],
    }),
  );
  assert.not('HTTP_AUTHORIZATION' in env);
  assert.not('HTTP_PROXY' in env);
  assert.is(env.HTTP_X_FORWARDED_FOR, '2');
});

test('no body, no CONTENT_LENGTH', () => {
  assert.not('CONTENT_LENGTH' in metaVariables(guestRequest()));
});

test('a path that cannot be decoded stays as it came', () => {
  assert.is(metaVariables(guestRequest({ target: '/%zz' })).PATH_INFO, '/%zz');
  assert.is(metaVariables(guestRequest({ target: '/a%00b' })).PATH_INFO, '/a%00b');
});

test('a document', () => {
  const { status, headers, body } = response('Content-Type: text/html\nX-A: b\n\n<p>');
  assert.is(status, 200);
  assert.equal(headers, [
    ['content-type', 'text/html'],
    ['x-a', 'b'],
  ]);
  assert.is(text(body), '<p>');
});

test('a Status field sets the status and is not passed on', () => {
  const { status, headers } = response('Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno');
  assert.is(status, 404);
  assert.equal(headers, [['content-type', 'text/plain']]);
});

test('a Location with an address is a redirect for the client', () => {
  const { status, headers } = response('Location: https://example.org/x\n\n');
  assert.is(status, 302);
  assert.equal(headers, [['location', 'https://example.org/x']]);
  assert.is(response('Status: 301\nLocation: https://example.org/x\n\n').status, 301);
});

test('a Location with a path, alone, is tried again by the server', () => {
  assert.equal(parse('Location: /other?x=1\n\n'), { redirect: '/other?x=1' });
});

test('a Location with a path and a status goes to the client', () => {
  assert.is(response('Status: 303 See Other\nLocation: /other\n\n').status, 303);
});

const MALFORMED: Record<string, string> = {
  'nothing at all': '',
  'no fields': '\n\nbody',
  'text without a head': 'Hello, world!\n',
  'no field of CGI': 'X-A: b\n\n',
  'a body without a type': 'Status: 200 OK\n\nbody',
  'a status that is none': 'Status: fine\nContent-Type: text/plain\n\nbody',
  'a status twice': 'Status: 200\nStatus: 404\nContent-Type: text/plain\n\n',
  'a status that is interim': 'Status: 101\nContent-Type: text/plain\n\n',
  'a wrong length': 'Content-Type: text/plain\nContent-Length: 9\n\nbody',
};
for (const [what, answer] of Object.entries(MALFORMED)) {
  test(`malformed: ${what}`, () => {
    assert.throws(
      () => parse(answer),
      (error: unknown) => error instanceof MalformedResponse,
    );
  });
}

test.run();
