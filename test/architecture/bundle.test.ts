/** What an edge worker carries when it imports the runtime: little, and nothing that rewrites. */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

/** Bytes, minified. */
const LIMIT = 28_000;

const entry = fileURLToPath(new URL('../../runtime/index.js', import.meta.url));
const { outputFiles, metafile } = await build({
  entryPoints: [entry],
  bundle: true,
  minify: true,
  format: 'esm',
  // Neutral: an import of a Node module is an error here.
  platform: 'neutral',
  mainFields: ['module', 'main'],
  write: false,
  metafile: true,
  logLevel: 'silent',
});
const code = outputFiles[0]!.text;

test(`the runtime entry is under ${LIMIT} bytes minified`, () => {
  console.log(`\nedge bundle: ${code.length} bytes`);
  assert.ok(code.length > 1000, `${code.length} bytes cannot be the runtime`);
  assert.ok(Buffer.byteLength(code) < LIMIT, `${Buffer.byteLength(code)} bytes`);
});

test('it holds runtime and contract alone', () => {
  const foreign = Object.keys(metafile.inputs).filter(
    (path) => !/(^|\/)dist\/(runtime|contract)\//.test(path),
  );
  assert.equal(foreign, []);
  // (A message of the runtime names the rewriter's package entry.)
  assert.not.match(code, /binaryen|wabt/i);
});

test('it generates no code at run time', () => {
  assert.not.match(code, /\beval\(|new Function\(/);
});

test.run();
