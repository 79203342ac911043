/** The sample edge-js: every request starts from the same state, whatever the one before did. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Guest } from '../../runtime/types.js';
import { HAS_MEMORIES, testUnless } from '../support/engines-skip.js';

const SAMPLE = fileURLToPath(new URL('../../../samples/edge-js/', import.meta.url));
const HANDLER = readFileSync(`${SAMPLE}handler.js`, 'utf8');

interface Edge {
  guest: Guest;
  handler: (request: Request) => Promise<Response>;
}
type CreateEdge = (source: string, options?: object) => Promise<Edge>;
const { createEdge } = (await import(pathToFileURL(`${SAMPLE}edge.mjs`).href)) as { createEdge: CreateEdge };

const get = async (edge: Edge, path: string, init?: RequestInit) => {
  const response = await edge.handler(new Request(`http://edge.test${path}`, init));
  return { status: response.status, text: await response.text(), headers: response.headers };
};

for (const layout of ['inline', 'separate'] as const) {
  const why = layout === 'separate' && !HAS_MEMORIES ? 'this engine has one memory a module' : undefined;

  testUnless(test, why, `${layout}: nothing that a request does outlasts it`, async () => {
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);
    const edge = await createEdge(HANDLER, { layout, audit: true, deadline: 3000, log });
    const count = async () => assert.equal((await get(edge, '/count')).text, '{"visits":1}\n');
    await count();
    await count();
    assert.is((await get(edge, '/poison')).status, 200);
    assert.is((await get(edge, '/leak')).text, '{"leak":"undefined"}\n');
    await count();
    for (const [path, status] of [
      ['/throw', 500],
      ['/recurse', 500],
      ['/loop', 504],
      ['/nowhere', 404],
      ['/later', 201],
    ] as const) {
      assert.is((await get(edge, path)).status, status, path);
      await count();
    }
    assert.equal(lines, ['logged on the server']);
    const { text, headers } = await get(edge, '/echo', { method: 'POST', body: 'größe' });
    assert.is(JSON.parse(text).body, 'größe');
    assert.is(headers.get('content-type'), 'application/json');
    const random = async () => JSON.parse((await get(edge, '/random')).text).random as number;
    assert.is.not(await random(), await random());
  });

  testUnless(test, why, `${layout}: memory is bounded, and given back`, async () => {
    const edge = await createEdge(HANDLER, { layout, deadline: 20_000 });
    const before = edge.guest.stats().memoryBytes;
    for (let i = 0; i < 2; i++) {
      assert.is((await get(edge, '/hog')).status, 500);
      assert.is(edge.guest.stats().memoryBytes, before);
      assert.is((await get(edge, '/count')).text, '{"visits":1}\n');
    }
  });
}

test('a handler that answers with nothing, or never', async () => {
  const nothing = await createEdge('globalThis.handle = () => {}');
  assert.is((await get(nothing, '/')).status, 500);
  const never = await createEdge('globalThis.handle = () => new Promise(() => {})');
  assert.is((await get(never, '/')).status, 500);
  const text = await createEdge('globalThis.handle = () => "just text"');
  assert.is((await get(text, '/')).text, 'just text');
});

test('a program that does not load is an error that says where', async () => {
  try {
    await createEdge('let x = ;');
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /SyntaxError|unexpected token/);
  }
});

test('the server answers over HTTP and ends when asked to', async () => {
  const child = spawn(process.execPath, [`${SAMPLE}main.mjs`, `${SAMPLE}handler.js`, '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await address(child);
    for (let i = 0; i < 2; i++) assert.equal(await (await fetch(`${url}/count`)).json(), { visits: 1 });
    assert.is((await fetch(`${url}/throw`)).status, 500);
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.once('exit', resolve));
    assert.is(code, 0);
  } finally {
    child.kill('SIGKILL');
  }
});

function address(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout!.on('data', (chunk) => {
      output += chunk;
      const found = /http:\S+/.exec(output);
      if (found) resolve(found[0]);
    });
    child.once('exit', () => reject(new Error(`the server ended: ${output}`)));
  });
}

test.run();
