/** Finds Chromium and runs portable tests in it: bundled, served on the loopback, reported back by the page. */
import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { endGroup, track } from './engines-children.js';

const run = promisify(execFile);

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];

/** A browser, installed from Debian where that is possible; else why there is none. */
export async function findChromium(): Promise<{ path: string; version: string } | string> {
  const path = installed() ?? (await fromDebian());
  if (!path.startsWith('/')) return path;
  try {
    const { stdout } = await run(path, ['--version', '--no-sandbox'], { timeout: 60_000 });
    return { path, version: stdout.trim() };
  } catch (error) {
    return `${path} --version fails: ${(error as Error).message.split('\n')[0]}`;
  }
}

function installed(): string | undefined {
  if (process.env.BELAY_CHROMIUM) return process.env.BELAY_CHROMIUM;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of the browser, or why it could not be installed. */
async function fromDebian(): Promise<string> {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get') || !existsSync('/etc/debian_version')) {
    return 'no Chromium on this machine (BELAY_CHROMIUM=/path/to/it names one; as root on Debian it is installed)';
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    console.log('installing chromium from Debian');
    const patience = ['-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=20'];
    await run('apt-get', ['update', '-q', ...patience], { env, timeout: 120_000 });
    await run('apt-get', ['install', '-q', '-y', ...patience, '--no-install-recommends', 'chromium'], {
      env,
      timeout: 300_000,
      maxBuffer: 64 * 2 ** 20,
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    const why = stderr?.split('\n').find((line) => line.startsWith('E:')) ?? message.split('\n')[0];
    return `apt-get install chromium fails: ${why}`;
  }
  return installed() ?? 'apt-get installed chromium, but no such program is on the PATH';
}

/** What a test file printed, and whether it came to its end. */
export interface BrowserRun {
  output: string;
  /** Why there may be no result: a crash, a timeout, a script that does not load. */
  problem?: string;
}

/**
 * The test file runs as a whole, then its suites: uvu alone would start as soon as the first suite is added,
 * which in a browser can be before a file that awaits something has added the others.
 */
const ENTRY = (file: string) => `
import ${JSON.stringify(file)};
import { exec } from 'uvu';
await exec();
`;

const PAGE = `<!doctype html><meta charset="utf-8"><title>belay</title><script type="module">
const lines = [];
const show = (value) => (value instanceof Error ? value.stack ?? value.message : String(value));
const report = (problem) =>
  fetch('/result', { method: 'POST', body: JSON.stringify({ output: lines.join('\\n'), problem }) });
for (const name of ['log', 'warn', 'error', 'info']) {
  console[name] = (...values) => lines.push(values.map(show).join(' '));
}
addEventListener('error', (event) => report('uncaught ' + show(event.error ?? event.message)));
addEventListener('unhandledrejection', (event) => report('unhandled ' + show(event.reason)));
globalThis.UVU_DEFER = 1;
globalThis.UVU_QUEUE = [[null]];
import('/test.js').then(() => report(), (error) => report('cannot load: ' + show(error)));
</script>`;

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
  '--disable-dev-shm-usage',
];

/** Runs one portable test file (compiled) in the browser, for at most `timeout` milliseconds. */
export async function runInChromium(
  browser: string,
  file: string,
  fixtures: string,
  timeout: number,
): Promise<BrowserRun> {
  const bundle = await build({
    stdin: { contents: ENTRY(file), resolveDir: dirname(file) },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['node:*'],
    write: false,
    logLevel: 'silent',
  });
  let finish: (run: BrowserRun) => void = () => {};
  const finished = new Promise<BrowserRun>((resolve) => {
    finish = resolve;
  });
  const server = await serve(bundle.outputFiles[0]!.contents, fixtures, finish);
  const profile = mkdtempSync(join(tmpdir(), 'belay-chromium-'));
  const { port } = server.address() as AddressInfo;
  const child = spawn(browser, [...FLAGS, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`], {
    stdio: 'ignore',
    detached: true,
  });
  track(child);
  child.on('error', (error) => finish({ output: '', problem: `cannot start: ${error.message}` }));
  child.on('exit', (code, signal) =>
    finish({ output: '', problem: `the browser ended (${signal ?? code})` }),
  );
  const timer = setTimeout(() => finish({ output: '', problem: `no result after ${timeout} ms` }), timeout);
  try {
    return await finished;
  } finally {
    clearTimeout(timer);
    await stop(child);
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

async function stop(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  endGroup(child);
  await ended;
}

async function serve(
  bundle: Uint8Array,
  fixtures: string,
  finish: (run: BrowserRun) => void,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
    if (pathname === '/test.js') return response.setHeader('content-type', 'text/javascript').end(bundle);
    if (pathname === '/result') {
      const { output, problem } = JSON.parse(await bodyOf(request)) as BrowserRun;
      response.end();
      return finish({ output, ...(problem && { problem }) });
    }
    try {
      const bytes = await readFile(join(fixtures, basename(pathname)));
      return response.setHeader('content-type', 'application/wasm').end(bytes);
    } catch {
      return response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
