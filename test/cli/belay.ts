/** Runs the built command as a user would. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

export interface Run {
  code: number | null;
  stdout: Buffer;
  out: string;
  err: string;
}

/** Runs `belay ...args` to its end. */
export function belay(
  args: string[],
  options: { input?: string | Uint8Array; env?: NodeJS.ProcessEnv } = {},
): Run {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    input: options.input ?? '',
    env: { ...process.env, NO_COLOR: '1', ...options.env },
    maxBuffer: 64 * 2 ** 20,
  });
  return { code: status, stdout, out: stdout.toString(), err: stderr.toString() };
}

/** Runs `sh -c script` with `$BELAY` standing for the command. */
export function shell(script: string): Run {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], {
    env: { ...process.env, NO_COLOR: '1', BELAY: `${process.execPath} ${MAIN}` },
  });
  return { code: status, stdout, out: stdout.toString(), err: stderr.toString() };
}

/** A folder for one test, removed when `use` ends. */
export async function inFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'belay-cli-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Asserts a failure as users should see it: the exit code, nothing on standard output, one line of this form. */
export function assertFails(run: Run, code: number, error: string, ...says: RegExp[]): void {
  assert.is(run.code, code, run.err || run.out);
  assert.is(run.out, '');
  const lines = run.err.split('\n');
  assert.equal(lines.slice(1), [''], `one line, not:\n${run.err}`);
  assert.match(lines[0]!, /^belay: /);
  assert.ok(lines[0]!.endsWith(` (${error})`), lines[0]);
  for (const say of says) assert.match(lines[0]!, say);
}

/** A small module with a memory, some stores and a global, as text. */
export const SMALL = `(module
  (memory (export "memory") 1)
  (global $g (export "g") (mut i32) (i32.const 5))
  (func $bump (export "bump") (param i32)
    (i32.store (local.get 0) (i32.add (i32.load (local.get 0)) (i32.const 1)))
    (i32.store offset=4 (local.get 0) (i32.const 9))
    (i32.store (local.get 0) (i32.add (i32.load (local.get 0)) (i32.const 1)))
    (global.set $g (i32.load (local.get 0)))))`;

/** A module with a memory that threads share: it must be refused. */
export const SHARED = `(module
  (memory (export "memory") 1 2 shared)
  (func $race (export "race") (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))))`;

/**
 * A module that changes Wasm GC objects, in two functions, $foo and $bar: it must be refused. Its text:
 *
 *     (type $s (struct (field (mut i32))))
 *     (func $foo (struct.set $s 0 (struct.new $s (i32.const 1)) (i32.const 2)))
 */
export const MUTATED_OBJECTS: Uint8Array = Buffer.from(
  '0061736d010000000108025f017f01600000030302010105030100010a1d020d004101fb00004102fb0500000b0d004101fb00004102fb0500000b0018046e616d65010b020003666f6f0103626172040401000173',
  'hex',
);
