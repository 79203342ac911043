/** The examples of docs/service.md run as they stand. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Handler } from '../../../runtime/service/handler.js';
import { assemble, plainReactor } from './guests.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const blocks = [
  ...readFileSync(join(ROOT, 'docs/service.md'), 'utf8').matchAll(/^```js\n([\s\S]*?)^```$/gm),
].map((match) => match[1]!);

const test = suite('docs/service.md');
const cwd = process.cwd();
let folder = '';
const log = console.log;

// Inside the package, so that its own name resolves.
test.before(async () => {
  const here = dirname(fileURLToPath(import.meta.url));
  mkdirSync(here, { recursive: true });
  folder = mkdtempSync(join(here, 'docs-'));
  writeFileSync(join(folder, 'app.wasm'), await plainReactor());
  writeFileSync(
    join(folder, 'counter.wasm'),
    await assemble(`(module (global $n (mut i32) (i32.const 0)) (memory 1)
      (func (export "hit") (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))`),
  );
  process.chdir(folder);
  console.log = () => {};
});
test.after(() => {
  console.log = log;
  process.chdir(cwd);
  rmSync(folder, { recursive: true, force: true });
});

async function example(number: number): Promise<Handler> {
  const file = join(folder, `example${number}.mjs`);
  writeFileSync(file, blocks[number]!);
  return ((await import(pathToFileURL(file).href)) as { handler: Handler }).handler;
}
const get = async (handler: Handler, path: string) => {
  const response = await handler(new Request(`http://localhost${path}`));
  return [response.status, await response.text()];
};

test('a WASI program', async () => {
  const handler = await example(0);
  assert.equal(await get(handler, '/c'), [200, '0104']);
  assert.is((await get(handler, '/t'))[0], 500);
  assert.is((await get(handler, '/l'))[0], 504);
  assert.equal(await get(handler, '/c'), [200, '0106']);
});

test('a function of your own', async () => {
  const handler = await example(1);
  assert.equal(await get(handler, '/'), [200, '1\n']);
  assert.is((await get(handler, '/bad'))[0], 500);
  assert.equal(await get(handler, '/'), [200, '2\n']);
});

test.run();
