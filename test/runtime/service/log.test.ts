/** Logs: all that the client is not told. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createLogger, type LogOptions, logObserver } from '../../../runtime/service/log.js';
import type { Outcome, RequestReport } from '../../../runtime/service/types.js';
import { outcome } from './support.js';

function logging(options: LogOptions = {}) {
  const lines: string[] = [];
  const log = createLogger({
    json: true,
    destination: { write: (line) => void lines.push(line) },
    ...options,
  });
  return { log, lines, json: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

function report(status: number, over: Partial<Outcome> = {}): RequestReport {
  return {
    id: 'the-id',
    method: 'GET',
    target: '/x?y',
    status,
    bytes: 7,
    seconds: 0.0125,
    outcome: { ...outcome(''), ...over },
  };
}

const TRAP = {
  reason: 'trap',
  message: 'unreachable',
  stack: 'RuntimeError: unreachable\n    at f',
} as const;

test('a request is a line of JSON', () => {
  const { log, json } = logging();
  logObserver(log).requestDone!(report(200, { bytesSaved: 64, seconds: { run: 0.002 } }));
  const { time, ...fields } = json()[0]!;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  assert.equal(fields, {
    level: 30,
    id: 'the-id',
    method: 'GET',
    target: '/x?y',
    status: 200,
    bytes: 7,
    ms: 12.5,
    runMs: 2,
    savedBytes: 64,
    msg: 'request',
  });
});

test('a failure is logged with reason, message, stack and what the guest said', () => {
  const { log, json } = logging();
  logObserver(log).requestDone!(report(500, { failure: TRAP, stderr: 'assertion failed\n' }));
  const line = json()[0]!;
  assert.is(line.level, 40);
  assert.is(line.msg, 'rolled back');
  assert.is(line.reason, 'trap');
  assert.is(line.error, 'unreachable');
  assert.match(String(line.stack), 'at f');
  assert.is(line.stderr, 'assertion failed\n');
});

test('an error of the service itself', () => {
  const { log, json } = logging();
  const { outcome: _, ...never } = report(500);
  logObserver(log).requestDone!({ ...never, error: new Error('a worker died') });
  assert.is(json()[0]!.level, 50);
  assert.is(json()[0]!.error, 'a worker died');
});

test('a guest that cannot be used any more is fatal', () => {
  const { log, json } = logging();
  logObserver(log).requestDone!(report(500, { error: { message: 'no', usable: false } }));
  assert.is(json()[0]!.level, 60);
});

test('a level leaves out what is below it', () => {
  const { log, lines } = logging({ level: 'warn' });
  logObserver(log).requestDone!(report(200));
  assert.is(lines.length, 0);
  logObserver(log).requestDone!(report(500, { failure: TRAP }));
  assert.is(lines.length, 1);
});

test('for people, a line is readable, and long texts are indented below it', () => {
  const { log, lines } = logging({ json: false });
  logObserver(log).requestDone!(report(500, { failure: TRAP }));
  const [head, ...rest] = lines.join('').split('\n');
  assert.match(head!, /^\d\d:\d\d:\d\d\.\d{3} warn {2}rolled back id=the-id method=GET target=\/x\?y /);
  assert.match(head!, /reason=trap error=unreachable/);
  assert.equal(rest, ['    stack:', '      RuntimeError: unreachable', '          at f', '']);
});

test('for people, control characters are shown and not sent', () => {
  const { log, lines } = logging({ json: false });
  logObserver(log).requestDone!(report(500, { failure: TRAP, stderr: '\x1b[2J\x07' }));
  assert.match(lines.join(''), 'stderr=\\x1b[2J\\x07');
});

test.run();
