/** docs/bake.md: its example prints what it says, and the text before becomes the text after. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bake, instrument } from '../../rewriter/index.js';
import { instantiateSync } from '../../runtime/index.js';
import { codeBlocks, readDoc } from '../docs/blocks.js';
import { textOf } from './bake-support.js';
import { assemble } from './support.js';

const test = suite('docs/bake.md');
const doc = readDoc('docs/bake.md');

test('the example prints what its comments say', async () => {
  // Inside the package, so that its own name resolves.
  const folder = mkdtempSync(join(dirname(fileURLToPath(import.meta.url)), 'bake-'));
  try {
    const [code, ...more] = codeBlocks(doc, 'js');
    assert.is(more.length, 0);
    writeFileSync(join(folder, 'example.mjs'), code!);
    const { stdout } = await promisify(execFile)(process.execPath, ['example.mjs'], { cwd: folder });
    const promised = [...code!.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, printed]) => printed);
    assert.ok(promised.length > 1);
    assert.equal(stdout.trim().split('\n'), promised);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the text before becomes the text after', async () => {
  const [before, after] = codeBlocks(doc, 'wat');
  const original = await assemble(before!);
  const guest = instantiateSync(
    instrument(original, { mechanism: 'full-copy' }).wasm as Uint8Array<ArrayBuffer>,
  );
  const visit = guest.exports.visit as () => number;
  assert.is(visit() + visit(), 3);
  const { wasm } = bake(original, guest.contract, guest.state);
  assert.is(textOf(wasm), textOf(await assemble(after!)));
});

test.run();
