/**
 * The sample service, end to end: notes are stored, the program is crashed in six ways and under load, and
 * nothing is lost. One thread, one instance: its state would be gone if there were another.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument } from '../../../rewriter/index.js';
import { type Service, serve } from '../../../runtime/service/serve.js';

// From dist/test/runtime/service.
const PATH = fileURLToPath(new URL('../../../../samples/notes/notes.wasm', import.meta.url));
const CRASHES: [name: string, status: number, reason: string][] = [
  ['null', 500, 'trap'],
  ['stack', 500, 'trap'],
  ['loop', 504, 'deadline'],
  ['scribble', 500, 'trap'],
  ['memory', 500, 'memory'],
  ['exit', 500, 'exit'],
];

type Note = { id: number; text: string };

async function add(service: Service, text: string): Promise<number> {
  const response = await fetch(`${service.url}/notes`, { method: 'POST', body: text });
  await response.arrayBuffer();
  return response.status;
}
async function list(service: Service): Promise<Note[]> {
  return (await (await fetch(`${service.url}/notes`)).json()) as Note[];
}
async function crash(
  service: Service,
  name: string,
): Promise<{ status: number; body: string; id: string | null }> {
  const response = await fetch(`${service.url}/crash/${name}`, { method: 'POST' });
  return { status: response.status, body: await response.text(), id: response.headers.get('x-request-id') };
}

const wasm = existsSync(PATH)
  ? new Uint8Array(instrument(readFileSync(PATH), { steps: true }).wasm)
  : undefined;

async function started(options: {
  deadline: number;
  queue?: number;
}): Promise<Service & { fail(): string[] }> {
  const lines: string[] = [];
  const { createLogger } = await import('../../../runtime/service/log.js');
  const log = createLogger({
    json: true,
    level: 'warn',
    destination: { write: (line) => void lines.push(line) },
  });
  const service = await serve(wasm!, { port: 0, log, ...options });
  return { ...service, fail: () => lines };
}

if (wasm) {
  test('six crashes, and nothing is lost', async () => {
    const service = await started({ deadline: 3000 });
    assert.is(await add(service, 'buy milk'), 201);
    assert.is(await add(service, 'feed the cat'), 201);
    let before = await list(service);
    assert.is(before.length, 2);
    for (const [name, status, reason] of CRASHES) {
      const failed = await crash(service, name);
      assert.is(failed.status, status, name);
      assert.match(failed.body, /^50\d [A-Z][A-Za-z ]+\n$/);
      assert.equal(await list(service), before, `after ${name}`);
      const line = service
        .fail()
        .map((l) => JSON.parse(l) as Record<string, unknown>)
        .find((l) => l.id === failed.id);
      assert.is(line?.reason, reason, name);
      assert.is(await add(service, `after ${name}`), 201);
      const after = await list(service);
      assert.is(after.length, before.length + 1);
      // Ids go on without a gap: the note that the crashing request stored was undone with it.
      assert.is(after.at(-1)!.id, before.at(-1)!.id + 1);
      before = after;
    }
    const found = (await (await fetch(`${service.url}/search?q=milk`)).json()) as Note[];
    assert.is(found.length, 1);
    await service.close();
  });

  test('under load, with crashes in between, every note that was accepted is there', async () => {
    const service = await started({ deadline: 60_000, queue: 1000 });
    const accepted: string[] = [];
    let failed = 0;
    const client = async (who: number): Promise<void> => {
      for (let i = 0; i < 25; i++) {
        const kind = (who * 25 + i) % 8;
        if (kind < 6) {
          const note = `note ${who} ${i}`;
          if ((await add(service, note)) === 201) accepted.push(note);
        } else if (kind === 6) {
          const name = ['null', 'stack', 'scribble', 'exit'][i % 4]!;
          if ((await crash(service, name)).status === 500) failed++;
        } else {
          await list(service);
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, who) => client(who)));
    assert.is(accepted.length, 300);
    assert.is(failed, 50);
    const stored = (await list(service)).map((note) => note.text);
    assert.equal(stored.sort(), accepted.sort());
    await service.close();
  });
} else {
  test.skip('samples/notes/notes.wasm is not built');
}

test.run();
