/** `belay serve --record` and `--restore`: what a client has seen survives kill -9, and is gone on with. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openHistory } from '../../../runtime/history/index.js';
import { assertFails, belay } from '../../cli/belay.js';

const MAIN = fileURLToPath(new URL('../../../cli/main.js', import.meta.url));
// From dist/test/runtime/history.
const NOTES = fileURLToPath(new URL('../../../../samples/notes/notes.wasm', import.meta.url));

const test = suite('recorded services');
let folder = '';
const children = new Set<ChildProcess>();
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'belay-recorded-'));
});
test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

interface Served {
  url: string;
  /** Ends it, and waits. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

async function serve(...args: string[]): Promise<Served> {
  const child = spawn(
    process.execPath,
    [MAIN, 'serve', NOTES, '--port', '0', '--log-format', 'json', ...args],
    {
      env: { ...process.env, BELAY_CACHE_DIR: join(folder, 'cache') },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  children.add(child);
  const closed = new Promise<number | null>((done) => child.once('close', done));
  const url = await new Promise<string>((found, fail) => {
    let said = '';
    const hear = (text: Buffer) => {
      said += text;
      const line = said.split('\n').find((l) => l.includes('"listening"'));
      if (line) found((JSON.parse(line) as { url: string }).url);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', (text: Buffer) => {
      said += text;
    });
    child.once('close', (code) => fail(new Error(`it ended with ${code} and said ${said}`)));
  });
  return {
    url,
    async end(signal) {
      child.kill(signal);
      const code = await closed;
      children.delete(child);
      return code;
    },
  };
}

const add = async (url: string, text: string): Promise<number> =>
  (await fetch(`${url}/notes`, { method: 'POST', body: text })).status;
const texts = async (url: string): Promise<string[]> =>
  ((await (await fetch(`${url}/notes`)).json()) as { text: string }[]).map(({ text }) => text);

if (existsSync(NOTES)) {
  test('what was answered is in the history when the service is killed, and another one goes on from it', async () => {
    const history = join(folder, 'killed');
    const expected: string[] = [];
    for (let round = 0; round < 3; round++) {
      const service = await serve('--record', history, ...(round > 0 ? ['--restore', history] : []));
      assert.equal(await texts(service.url), expected, `what round ${round} begins with`);
      for (let i = 0; i < 5; i++) {
        const text = `round ${round}, note ${i}`;
        assert.is(await add(service.url, text), 201);
        expected.push(text);
        if (i === 2) assert.is((await fetch(`${service.url}/crash/null`, { method: 'POST' })).status, 500);
      }
      await service.end('SIGKILL');
    }
    const opened = await openHistory(history);
    try {
      const entries = [...opened.entries()];
      assert.is(entries.filter(({ kind }) => kind === 'rolled-back').length, 3);
      assert.equal(
        entries.filter(({ kind }) => kind === 'start').map(({ number }) => number),
        [0, 8, 16].slice(0, entries.filter(({ kind }) => kind === 'start').length),
      );
      const posts = entries.filter(({ route, kind }) => route === 'POST /notes' && kind === 'kept');
      assert.is(posts.length, 15);
      assert.ok(posts.every(({ digest }) => /^[\da-f]{16}$/.test(digest!)));
      assert.is(new Set(posts.map(({ digest }) => digest)).size, 15);
      const [crash] = entries.filter(({ kind }) => kind === 'rolled-back');
      assert.is(crash!.reason, 'trap');
      assert.is(crash!.route, 'POST /crash');
      // The past answers requests.
      await opened.prepareCalls();
      const asked = belay([
        'history',
        'call',
        history,
        'handle',
        '--request',
        'GET /notes',
        '--at',
        String(posts[6]!.number),
      ]);
      assert.is(asked.code, 0, asked.err);
      assert.equal(
        (JSON.parse(asked.out) as { text: string }[]).map(({ text }) => text),
        expected.slice(0, 7),
      );
    } finally {
      await opened.close();
    }
  });

  test('recorded late: what was answered is there soon, without another request', async () => {
    const history = join(folder, 'late');
    const service = await serve('--record', history, '--record-late');
    for (let i = 0; i < 5; i++) assert.is(await add(service.url, `note ${i}`), 201);
    for (const begin = Date.now(); ; await setTimeout(10)) {
      const opened = await openHistory(history);
      const { last } = opened;
      await opened.close();
      if (last === 5) break;
      assert.ok(Date.now() - begin < 10_000, `there are ${last} entries`);
    }
    assert.is((await fetch(`${service.url}/crash/null`, { method: 'POST' })).status, 500);
    assert.is(await service.end('SIGTERM'), 0);
    const opened = await openHistory(history);
    assert.is(opened.last, 6);
    assert.is(opened.entry(5).kind, 'kept');
    assert.is(opened.entry(6).reason, 'trap');
    await opened.close();
  });

  test('an end in order packs all of it', async () => {
    const history = join(folder, 'ended');
    const service = await serve('--record', history, '--keep', '10');
    for (let i = 0; i < 20; i++) await add(service.url, `note ${i}`);
    assert.is(await service.end('SIGTERM'), 0);
    const opened = await openHistory(history);
    assert.is(opened.info().unpacked, 0);
    assert.is(opened.last, 20);
    assert.is(opened.first, 11);
    await opened.close();
  });

  test('a checkpoint becomes a module that starts there', async () => {
    const requests = join(folder, 'requests.txt');
    const question = join(folder, 'question.txt');
    writeFileSync(requests, 'POST /notes one\nPOST /notes two\nPOST /notes three\n');
    writeFileSync(question, 'GET /notes\n');
    const history = join(folder, 'baked');
    const warm = join(folder, 'warm.wasm');
    assert.is(belay(['run', NOTES, '--requests', requests, '--record', history]).code, 0);
    const baked = belay(['bake', NOTES, '--restore', `${history}@2`, '-o', warm, '--json']);
    assert.is(baked.code, 0, baked.err);
    assert.is((JSON.parse(baked.out) as { entry: number }).entry, 2);
    const asked = belay(['run', warm, '--requests', question]);
    assert.match(asked.out, /"one".*"two"/);
    assert.not.match(asked.out, /three/);
    const restored = belay(['run', NOTES, '--restore', `${history}@1`, '--requests', question]);
    assert.match(restored.out, /"one"/);
    assert.not.match(restored.out, /two/);
  });

  test('what cannot be gone on with is said', () => {
    const requests = join(folder, 'none.txt');
    writeFileSync(requests, 'GET /notes\n');
    const small = join(folder, 'small.wat');
    writeFileSync(small, '(module (memory (export "memory") 1) (func (export "f")))');
    const history = join(folder, 'baked');
    const run = (...args: string[]) => belay(['run', ...args]);
    assertFails(
      run(NOTES, '--requests', requests, '--restore', join(folder, 'nowhere')),
      1,
      'ERR_BELAY_HISTORY',
      /there is no/,
    );
    assertFails(run(small, '--invoke', 'f', '--restore', history), 1, 'ERR_BELAY_STATE', /another module/);
    assertFails(run(small, '--invoke', 'f', '--record', history), 1, 'ERR_BELAY_HISTORY', /another module/);
    assertFails(
      run(NOTES, '--requests', requests, '--restore', `${history}@99`),
      1,
      'ERR_BELAY_HISTORY',
      /there is no checkpoint 99/,
    );
    assertFails(
      run(NOTES, '--requests', requests, '--record-every', '2'),
      2,
      'ERR_BELAY_OPTION',
      /needs --record/,
    );
    assertFails(
      run(NOTES, '--requests', requests, '--record', requests),
      1,
      'ERR_BELAY_HISTORY',
      /cannot be made/,
    );
    assertFails(belay(['bake', NOTES, '-o', 'x.wasm']), 2, 'ERR_BELAY_OPTION', /--restore/);
  });
}

test.run();
