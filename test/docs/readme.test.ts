/** The README's examples run, and print what it says they print. */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeBlocks, ROOT, readDoc } from './blocks.js';

const run = promisify(execFile);
const test = suite('README');
const readme = readDoc('README.md');
const belay = join(ROOT, 'dist/cli/main.js');

test('the example prints what its comments say', async () => {
  // Inside the package, so that its own name resolves.
  const here = dirname(fileURLToPath(import.meta.url));
  mkdirSync(here, { recursive: true });
  const folder = mkdtempSync(join(here, 'readme-'));
  try {
    const [code] = codeBlocks(readme, 'js');
    const file = join(folder, 'example.mjs');
    writeFileSync(file, code!);
    const { stdout } = await run(process.execPath, [file]);
    const promised = [...code!.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
    assert.ok(promised.length > 0);
    assert.equal(stdout.trim().split('\n'), promised);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the notes service answers as the curl lines say', async () => {
  const lines = codeBlocks(readme, 'sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => line.startsWith('curl '))
    .map((line) => line.split(/\s+# /) as [command: string, answer: string]);
  assert.ok(lines.length > 3);
  const service = spawn(process.execPath, [belay, 'serve', 'samples/notes/notes.wasm', '--port', '0'], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    let url = '';
    for await (const line of createInterface({ input: service.stderr })) {
      const found = /listens on (http:\S+)/.exec(line);
      if (found) {
        url = found[1]!;
        break;
      }
    }
    assert.ok(url, 'the service did not start');
    service.stderr.resume();
    for (const [command, answer] of lines) {
      const response = await curl(command.replace('http://127.0.0.1:8080', url));
      assert.ok(response.includes(answer), `${command}\nprints\n${response}\nand not\n${answer}`);
    }
  } finally {
    const ended = new Promise((resolve) => service.once('exit', resolve));
    service.kill('SIGTERM');
    await ended;
  }
});

/** As much of curl as the README uses, so that the test needs no program beside Node. */
async function curl(command: string): Promise<string> {
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
  const init: RequestInit & { headers: Record<string, string> } = { headers: {} };
  let url = '';
  let withHead = false;
  for (let i = 1; i < words.length; i++) {
    const word = words[i]!;
    if (word === '-i') withHead = true;
    else if (word === '-X') init.method = words[++i]!;
    else if (word === '-d') {
      init.method = 'POST';
      init.body = words[++i]!;
      init.headers['content-type'] = 'application/x-www-form-urlencoded';
    } else if (word.startsWith('http://')) url = word;
    else assert.unreachable(`the test knows no curl option ${word}`);
  }
  const response = await fetch(url, init);
  const body = await response.text();
  return withHead ? `HTTP/1.1 ${response.status} ${response.statusText}\n\n${body}` : body;
}

test('the commands that it names exist', async () => {
  const { scripts } = JSON.parse(readDoc('package.json'));
  for (const [, name] of readme.matchAll(/npm (?:run )?(start|test|build|bench)\b/g))
    assert.ok(scripts[name!], name);
  const { stdout } = await run(process.execPath, [belay, '--help']);
  for (const [, verb] of readme.matchAll(/belay (inspect|instrument|serve)\b/g))
    assert.match(stdout, `  ${verb} `);
});

test.run();
