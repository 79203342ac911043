/**
 * Builds the addon, when npm installs the package. It is optional: without it the native mechanisms are missing,
 * and nothing else. So this never fails; it says in one line what is missing, and leaves the reason in
 * build/unbuilt.json for the runtime to tell.
 *
 * Plain JavaScript, because it runs before anything is compiled.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SELF = fileURLToPath(import.meta.url);
const HERE = dirname(SELF);
/** Where Node is installed. */
const PREFIX = dirname(dirname(process.execPath));
const BUILD = join(HERE, 'build');
const ADDON = join(BUILD, 'Release', 'belay.node');
const NOTE = join(BUILD, 'unbuilt.json');

/** Milliseconds. It takes some seconds; more only where node-gyp fetches headers and the network is slow. */
const TIMEOUT = 180_000;

/** @returns {string | undefined} why it cannot be built, as far as can be known beforehand */
function obstacle() {
  if (process.env.BELAY_NO_NATIVE === '1') return 'BELAY_NO_NATIVE=1 was set when the package was installed';
  if (process.platform !== 'linux') return `it is for Linux, and this is ${process.platform}`;
  if (process.versions.bun !== undefined) return 'it is built by Node, and this is Bun';
  const compiler = process.env.CXX || 'c++';
  // CXX may hold arguments, too ("ccache g++").
  const { error, status } = spawnSync(`${compiler} --version`, { shell: true, stdio: 'ignore' });
  if (error || status !== 0)
    return `there is no C++ compiler (${compiler}); install g++ and make, then run ${SELF} again`;
  return undefined;
}

/** @returns {string[]} how to call node-gyp: npm's own, which it names to scripts, or one on the PATH */
function nodeGyp() {
  const beside = join(PREFIX, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js');
  const own = [process.env.npm_config_node_gyp, beside].find((path) => path && existsSync(path));
  return own ? [process.execPath, own] : ['node-gyp'];
}

/** @returns {string[]} Node's headers where they lie beside it, so that none are fetched */
function headers() {
  if (process.env.npm_config_nodedir) return [];
  return existsSync(join(PREFIX, 'include', 'node', 'node_api.h')) ? [`--nodedir=${PREFIX}`] : [];
}

/** @returns {string | undefined} why it was not built */
function build() {
  const [program, ...first] = nodeGyp();
  const result = spawnSync(program, [...first, 'rebuild', '--silent', ...headers()], {
    cwd: HERE,
    encoding: 'utf8',
    timeout: TIMEOUT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.error?.code === 'ENOENT') return 'there is no node-gyp; npm brings one';
  if (result.error?.code === 'ETIMEDOUT') return `node-gyp took longer than ${TIMEOUT / 1000} s`;
  if (result.error) return `node-gyp: ${result.error.message}`;
  if (result.status === 0 && existsSync(ADDON)) return undefined;
  const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.find((line) => /error[: ]|not found|ERR! stack/i.test(line)) ?? lines.at(-1);
  return `node-gyp failed: ${(telling ?? `exit code ${result.status}`).trim().slice(0, 300)}`;
}

try {
  const reason = obstacle() ?? build();
  if (reason === undefined) {
    rmSync(NOTE, { force: true });
  } else {
    // No stale binary beside a note that says there is none.
    rmSync(BUILD, { recursive: true, force: true });
    mkdirSync(BUILD, { recursive: true });
    writeFileSync(NOTE, `${JSON.stringify({ reason }, null, 2)}\n`);
    console.log(`wasm-belay: the native addon was not built: ${reason}. Everything else works.`);
  }
} catch (error) {
  console.log(`wasm-belay: the native addon was not built: ${error.message}. Everything else works.`);
}
