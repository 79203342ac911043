/** `belay serve`: its start, its end, its options. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { command, plainCommand, plainReactor } from './guests.js';
import { rawClient, until } from './support.js';

const MAIN = fileURLToPath(new URL('../../../cli/main.js', import.meta.url));

const test = suite('belay serve');
let folder = '';
const children = new Set<ChildProcess>();

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'belay-serve-'));
  writeFileSync(join(folder, 'reactor.wasm'), await plainReactor());
  writeFileSync(join(folder, 'command.wasm'), await plainCommand());
  writeFileSync(join(folder, 'instrumented.wasm'), await command({ steps: false }));
  writeFileSync(join(folder, 'library.wat'), '(module (func (export "main")))');
  writeFileSync(join(folder, 'reactor.try'), 'curl {url}/c\n');
});
test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function belay(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, 'serve', ...args], {
    cwd: folder,
    env: { ...process.env, BELAY_CACHE_DIR: join(folder, 'cache') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  let closed = false;
  const ended = new Promise<number | null>((resolve) =>
    child.on('close', (code) => {
      closed = true;
      resolve(code);
    }),
  );
  const lines = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, string>);
  return { child, ended, lines, out: () => out, err: () => err, closed: () => closed };
}

/** Waits until a run has said something; that it ended without is an error with all that it said. */
async function said(run: ReturnType<typeof belay>, pattern: RegExp): Promise<void> {
  const all = () => run.err() + run.out();
  await until(`it says ${pattern}`, () => pattern.test(all()) || run.closed());
  if (!pattern.test(all())) throw new Error(`it ended with ${await run.ended} and said: ${all()}`);
}

/** Starts a service on any free port and waits until it says where. */
async function listening(...args: string[]) {
  const run = belay(...args, '--port', '0', '--log-format', 'json');
  await said(run, /"listening"/);
  const line = run.lines().find((l) => l.msg === 'listening')!;
  return { ...run, line: line as Record<string, unknown>, url: line.url!, metricsUrl: line.metricsUrl };
}

async function metricsOf(service: { metricsUrl?: string | undefined }): Promise<string> {
  return (await fetch(service.metricsUrl!)).text();
}

/** Entries of the cache. */
function cached(): number {
  try {
    return readdirSync(join(folder, 'cache')).length;
  } catch {
    return 0;
  }
}

test('a module is instrumented and served; the end is orderly', async () => {
  const service = await listening('reactor.wasm', '--metrics-port', '0', '--log-level', 'info');
  assert.is(await (await fetch(`${service.url}/c`)).text(), '0102');
  assert.is((await fetch(`${service.url}/t`)).status, 500);
  assert.is(await (await fetch(`${service.url}/c`)).text(), '0104');
  assert.match(await (await fetch(service.metricsUrl!)).text(), 'belay_rollbacks_total{reason="trap"} 1');
  service.child.kill('SIGTERM');
  assert.is(await service.ended, 0);
  const undone = service.lines().find((line) => line.msg === 'rolled back')!;
  assert.is(undone.reason, 'trap');
  assert.match(undone.error!, 'unreachable');
  assert.is(service.lines().at(-1)!.msg, 'closed');
});

test('what to try is read from the file beside the module', async () => {
  const service = await listening('reactor.wasm');
  await said(service, /curl/);
  assert.match(service.err(), `curl ${service.url}/c`);
  assert.match(service.err(), 'reactor, rollback on-failure');
  service.child.kill('SIGINT');
  assert.is(await service.ended, 0);
});

test('SIGTERM: what runs is finished and answered, exit code 0', async () => {
  const service = await listening('reactor.wasm', '--deadline', '4000', '--metrics-port', '0');
  const running = fetch(`${service.url}/l`);
  await until('it runs', async () => (await metricsOf(service)).includes('belay_requests_running 1'));
  service.child.kill('SIGTERM');
  assert.is((await running).status, 504);
  assert.is(await service.ended, 0);
});

test('a second signal ends it at once', async () => {
  const service = await listening('reactor.wasm', '--deadline', '0', '--metrics-port', '0');
  const running = fetch(`${service.url}/l`).catch(() => 'cut off');
  await until('it runs', async () => (await metricsOf(service)).includes('belay_requests_running 1'));
  service.child.kill('SIGTERM');
  await until('the end began', () => service.out().includes('closing'));
  service.child.kill('SIGTERM');
  assert.is(await service.ended, 143);
  assert.is(await running, 'cut off');
});

test('a command, its environment, its instances, and WebAssembly text', async () => {
  const service = await listening('command.wasm', '--instances', '2', '--env', 'A=b=c', '--env', 'D=');
  const env = await (await fetch(service.url, { method: 'POST', body: 'e' })).text();
  assert.ok(env.split('\0').includes('A=b=c'));
  assert.ok(env.split('\0').includes('D='));
  service.child.kill('SIGTERM');
  assert.is(await service.ended, 0);
});

test('limits on the command line are those of the service', async () => {
  const service = await listening(
    'command.wasm',
    '--max-body',
    '1k',
    '--max-header',
    '2k',
    '--max-steps',
    '100000',
  );
  assert.is((await fetch(service.url, { method: 'POST', body: 'x'.repeat(1025) })).status, 413);
  assert.is((await fetch(service.url, { headers: { a: 'x'.repeat(3000) } })).status, 431);
  assert.is((await fetch(service.url, { method: 'POST', body: 'l' })).status, 504);
  const client = await rawClient(Number(new URL(service.url).port));
  client.send('nonsense\r\n\r\n');
  assert.match(await client.closed, '400 Bad Request');
  service.child.kill('SIGTERM');
  assert.is(await service.ended, 0);
});

test('every other option does what it says', async () => {
  const before = cached();
  const service = await listening(
    ...['reactor.wasm', '--rollback', 'always', '--region', '8', '--layout', 'inline', '--no-cache'],
    ...['--queue', '0', '--max-response', '1k', '--deadline', '0', '--host', '0.0.0.0', '--keep-alive', '50'],
    ...['--header-timeout', '100', '--request-timeout', '150', '--max-connections', '50'],
    ...['--metrics-port', '0'],
  );
  const { line } = service;
  const url = service.url.replace('0.0.0.0', '127.0.0.1');
  assert.equal([line.rollback, line.region, line.layout, line.steps], ['always', 8, 'inline', false]);
  assert.match(service.url, '//0.0.0.0:');
  assert.is(cached(), before);
  for (let i = 0; i < 2; i++) assert.is(await (await fetch(`${url}/c`)).text(), '0102');
  assert.is((await fetch(`${url}/p`, { method: 'POST', body: 'x'.repeat(2000) })).status, 500);
  const port = Number(new URL(url).port);
  const silent = await rawClient(port);
  silent.send('GET / HTTP/1.1\r\nHost: x\r\n');
  assert.match(await silent.closed, ' 408 ');
  const halting = await rawClient(port);
  halting.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx');
  await halting.closed;
  const idle = await rawClient(port);
  idle.send('GET /c HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.match(await idle.closed, '0102');
  // Without a deadline the loop has no end, and without a queue nothing waits for it.
  const looping = await rawClient(port);
  looping.send('GET /l HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('it runs', async () => (await metricsOf(service)).includes('belay_requests_running 1'));
  assert.is((await fetch(`${url}/c`)).status, 503);
  service.child.kill('SIGKILL');
  await service.ended;
});

test('--log-level silent logs nothing; where it listens is still said', async () => {
  const run = belay('reactor.wasm', '--port', '0', '--log-level', 'silent');
  await said(run, /listens on http:/);
  run.child.kill('SIGTERM');
  assert.is(await run.ended, 0);
  assert.is(run.out(), '');
});

test('--log-format text is for people', async () => {
  const run = belay('reactor.wasm', '--port', '0', '--log-format', 'text');
  await said(run, /info {2}listening url=http:/);
  run.child.kill('SIGTERM');
  assert.is(await run.ended, 0);
});

test('--grace cuts off what does not finish', async () => {
  const service = await listening('reactor.wasm', '--deadline', '0', '--metrics-port', '0', '--grace', '20');
  const running = fetch(`${service.url}/l`).catch(() => 'cut off');
  await until('it runs', async () => (await metricsOf(service)).includes('belay_requests_running 1'));
  service.child.kill('SIGTERM');
  assert.is(await running, 'cut off');
  assert.is(await service.ended, 0);
});

test('a module that was instrumented before is served as it is', async () => {
  const service = await listening('instrumented.wasm');
  assert.is(await (await fetch(service.url)).text(), '0002');
  service.child.kill('SIGTERM');
  assert.is(await service.ended, 0);
});

const USAGE: [pattern: RegExp, ...args: string[]][] = [
  [/several need --rollback always/, 'reactor.wasm', '--instances', '2', '--rollback', 'on-failure'],
  [/several need rollback always/, 'reactor.wasm', '--instances', '2'],
  [/real files/, 'reactor.wasm', '--wasi', 'node', '--rollback', 'always'],
  [/real files/, 'command.wasm', '--wasi', 'node'],
  [/_start of a command runs only once/, 'command.wasm', '--rollback', 'on-failure'],
  [/--dir .* needs --wasi node/, 'reactor.wasm', '--dir', '.'],
  [/deadline needs/, 'instrumented.wasm', '--deadline', '5'],
  [/--region .* instrumented already/, 'instrumented.wasm', '--region', '64'],
  [/port/, 'reactor.wasm', '--port', '70000'],
  [/NAME=VALUE/, 'reactor.wasm', '--env', 'nothing'],
  [/power of two/, 'reactor.wasm', '--region', '3'],
  [/whole number/, 'reactor.wasm', '--deadline', 'soon'],
  [/unknown option/, 'reactor.wasm', '--prot', '1'],
  [/--metrics-port and --port/, 'reactor.wasm', '--port', '7777', '--metrics-port', '7777'],
  [/missing required argument/],
];
for (const [pattern, ...args] of USAGE) {
  test(`exit code 2: ${args.join(' ')}`, async () => {
    const { ended, err, out } = belay(...args);
    assert.is(await ended, 2);
    assert.match(err(), pattern);
    assert.is(err().split('\n').length, 2, `one line: ${err()}`);
    assert.is(out(), '');
  });
}

const FAILED: [pattern: RegExp, ...args: string[]][] = [
  [/cannot read nowhere\.wasm/, 'nowhere.wasm'],
  [/library\.wat: .*cannot be served: export _start/, 'library.wat'],
];
for (const [pattern, ...args] of FAILED) {
  test(`exit code 1: ${args.join(' ')}`, async () => {
    const { ended, err } = belay(...args);
    assert.is(await ended, 1);
    assert.match(err(), pattern);
    assert.is(err().split('\n').length, 2, `one line: ${err()}`);
  });
}

test('a port that is taken: exit code 1', async () => {
  const service = await listening('reactor.wasm');
  const { ended, err } = belay('reactor.wasm', '--port', new URL(service.url).port);
  assert.is(await ended, 1);
  assert.match(err(), 'the port is taken');
  service.child.kill('SIGTERM');
  await service.ended;
});

test('--help shows examples and defaults', async () => {
  const { ended, out } = belay('--help');
  assert.is(await ended, 0);
  for (const word of ['Examples:', '--max-steps', '--instances', 'default']) assert.match(out(), word);
});

test.run();
