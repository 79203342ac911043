/** HTTP/1.1 to and from a reactor. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatRequest, MalformedResponse, parseResponse } from '../../../runtime/service/wire.js';
import { bytes, guestRequest, text } from './support.js';

const parse = (answer: string, method = 'GET') => parseResponse(bytes(answer), method);

test('a request is a request line, fields and a body', () => {
  const formatted = formatRequest(
    guestRequest({
      method: 'POST',
      target: '/notes?x=1',
      headers: [
        ['host', 'example.org'],
        ['content-length', '2'],
      ],
      body: bytes('hi'),
    }),
  );
  assert.is(text(formatted), 'POST /notes?x=1 HTTP/1.1\r\nhost: example.org\r\ncontent-length: 2\r\n\r\nhi');
});

test('header characters above 127 stay one byte each', () => {
  const formatted = formatRequest(guestRequest({ headers: [['x', '\u00e9']] }));
  assert.ok(formatted.includes(0xe9));
  assert.not.ok(formatted.includes(0xc3));
});

test('a response is parsed, whether its lines end in CRLF or LF', () => {
  for (const end of ['\r\n', '\n']) {
    const response = parse(
      `HTTP/1.1 201 Created${end}Content-Type: text/plain${end}X-A:  b c ${end}${end}body\n`,
    );
    assert.is(response.status, 201);
    assert.equal(response.headers, [
      ['content-type', 'text/plain'],
      ['x-a', 'b c'],
    ]);
    assert.is(text(response.body), 'body\n');
  }
});

test('a status line needs no reason', () => {
  assert.is(parse('HTTP/1.0 204\r\n\r\n').status, 204);
});

test('a matching content-length is taken, and left to the server', () => {
  assert.equal(parse('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody').headers, []);
});

test('fields of the connection are not passed on', () => {
  assert.equal(parse('HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: x\r\nA: b\r\n\r\n').headers, [
    ['a', 'b'],
  ]);
});

test('an answer to HEAD keeps its length and loses its body', () => {
  for (const body of ['', 'body']) {
    const response = parse(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${body}`, 'HEAD');
    assert.equal(response.headers, [['content-length', '4']]);
    assert.is(response.body.length, 0);
  }
});

const MALFORMED: Record<string, string> = {
  'nothing at all': '',
  'no empty line': 'HTTP/1.1 200 OK\r\nA: b\r\n',
  'no status line': 'Content-Type: text/plain\r\n\r\nbody',
  'a status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
  'an interim status': 'HTTP/1.1 100 Continue\r\n\r\n',
  'a status of 600': 'HTTP/1.1 600 X\r\n\r\n',
  'a field without a colon': 'HTTP/1.1 200 OK\r\nnothing\r\n\r\n',
  'a field without a name': 'HTTP/1.1 200 OK\r\n: b\r\n\r\n',
  'a space in a name': 'HTTP/1.1 200 OK\r\na b: c\r\n\r\n',
  'a folded line': 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n',
  'a control character': 'HTTP/1.1 200 OK\r\nA: b\x01c\r\n\r\n',
  'a carriage return inside': 'HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n',
  'a body that is too short': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody',
  'a body that is too long': 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbody',
  'a length that is no number': 'HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nbody',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody',
  chunks: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a body where there is none': 'HTTP/1.1 204 No Content\r\n\r\nbody',
  'a head without end': `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(300_000)}\r\n\r\n`,
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
