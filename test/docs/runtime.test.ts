/** docs/runtime.md: its examples print what they say, its tables have everything. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type InstrumentOptions, instrument, toBinary } from '../../rewriter/index.js';
import { codeBlocks, codeNames, readDoc, tableBelow } from './blocks.js';

const test = suite('docs/runtime.md');
const doc = readDoc('docs/runtime.md');

const MODULES: Record<string, [text: string, options?: InstrumentOptions]> = {
  counter: [
    `(module (global $hits (export "hits") (mut i32) (i32.const 0))
      (func (export "hit") (global.set $hits (i32.add (global.get $hits) (i32.const 1)))))`,
  ],
  greeter: [
    `(module (import "env" "read_name" (func $read (param i32) (result i32))) (memory 1)
      (func (export "greet") (result i32) (call $read (i32.const 0))))`,
  ],
  outside: [
    `(module (memory 1) (global $hits (export "hits") (mut i32) (i32.const 0))
      (func (export "hit") (global.set $hits (i32.add (global.get $hits) (i32.const 1)))
        (i32.store (i32.const 0) (global.get $hits))))`,
    { mechanism: 'uffd' },
  ],
  spin: [`(module (func (export "spin") (loop $again (br $again))))`, { steps: true }],
};

test('the examples print what their comments say', async () => {
  // Inside the package, so that its own name resolves.
  const folder = mkdtempSync(join(dirname(fileURLToPath(import.meta.url)), 'runtime-'));
  try {
    for (const [name, [text, options]] of Object.entries(MODULES)) {
      const { wasm } = instrument(await toBinary(new TextEncoder().encode(text)), options);
      writeFileSync(join(folder, `${name}.belay.wasm`), wasm);
    }
    const blocks = codeBlocks(doc, 'js');
    assert.is(blocks.length, 6);
    for (const [i, code] of blocks.entries()) {
      writeFileSync(join(folder, `example${i}.mjs`), code);
      const { stdout } = await promisify(execFile)(process.execPath, [`example${i}.mjs`], { cwd: folder });
      const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, printed]) => printed);
      assert.equal(stdout.trim().split('\n'), promised, code);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('every error code is explained, and no other', () => {
  const codes = [...readDoc('contract/errors.ts').matchAll(/^ {2}\| '(ERR_BELAY_\w+)'/gm)].map(
    ([, code]) => code!,
  );
  assert.ok(codes.length > 10);
  assert.equal(
    tableBelow(doc, 'Errors').map(([cell]) => codeNames(cell!)[0]),
    codes,
  );
});

/** The members that an interface of runtime/types.ts declares. */
function membersOf(name: string): string[] {
  const body = new RegExp(`^export interface ${name}\\b[^\\n]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(
    readDoc('runtime/types.ts'),
  )![1]!;
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:<]/gm)].map(([, member]) => member!);
}

test('the tables have every member of the guest, of its limits and of its statistics', () => {
  const named = (heading: string) =>
    tableBelow(doc, heading)
      .flatMap(([cell]) => codeNames(cell!))
      .map((code) => /^\w+/.exec(code)?.[0])
      .filter((member) => member !== undefined);
  assert.equal(named('Guest').sort(), membersOf('Guest').sort());
  assert.equal(named('Limits').sort(), membersOf('Limits').sort());
  const stats = /^`stats\(\)`:[\s\S]*?\n\n/m.exec(doc)![0];
  for (const member of membersOf('GuestStats')) assert.ok(codeNames(stats).includes(member), member);
  for (const member of membersOf('InstantiateOptions')) assert.ok(named('Loading').includes(member), member);
});

test.run();
