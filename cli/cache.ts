/**
 * Instrumented modules, kept by content: the same input and options give the same output, so the second time
 * it is read from the user's cache directory instead. Nothing here can make an instrumentation fail: an
 * entry that is damaged is made anew, a directory that cannot be read or written is left alone.
 *
 * An entry is one file, named by the hash of everything that decides its content:
 *
 *     "BELAYC01"  SHA-256 of the rest  length of meta (u32, little-endian)  meta (JSON)  module
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { CONTRACT_VERSION, type Contract } from '../contract/contract.js';
import type { Instrumented, InstrumentOptions, Report } from '../rewriter/types.js';
import { packageVersion } from './version.js';
import { replaceFile } from './write.js';

export interface CacheOptions {
  /** Whether to use the cache. Default true. */
  cache?: boolean;
  /** Called with the share of work done, 0 to 1; not at all when the result comes from the cache. */
  onProgress?: (done: number) => void;
}

/** Whether a result came from the cache goes with it. */
export type CachedInstrumented = Instrumented & { cached: boolean };

/** Bytes that the cache may hold; what was unused the longest goes first. */
export const CACHE_LIMIT = 512 * 2 ** 20;

/**
 * instrument() with its results kept in the user's cache directory (`BELAY_CACHE_DIR` names another one).
 * The rewriter is loaded only when it has to work.
 * @throws what instrument() throws; never because of the cache.
 */
export async function instrumentCached(
  bytes: Uint8Array,
  options: InstrumentOptions = {},
  { cache = true, onProgress }: CacheOptions = {},
): Promise<CachedInstrumented> {
  const file = cache ? await entryFile(bytes, options) : undefined;
  const hit = file === undefined ? undefined : readEntry(file);
  if (hit) return { ...hit, cached: true };
  const { instrument } = await import('../rewriter/index.js');
  const result = instrument(bytes, onProgress ? { ...options, onProgress } : options);
  if (file !== undefined) writeEntry(file, result);
  return { ...result, cached: false };
}

/** The directory that holds the entries. @throws where the user has no home directory. */
export async function cacheDirectory(): Promise<string> {
  const named = process.env.BELAY_CACHE_DIR;
  if (named) return named;
  const { default: envPaths } = await import('env-paths');
  return join(envPaths('belay', { suffix: '' }).cache, 'modules');
}

async function entryFile(bytes: Uint8Array, options: InstrumentOptions): Promise<string | undefined> {
  try {
    return join(await cacheDirectory(), `${cacheKey(bytes, options)}.belay`);
  } catch {
    return undefined;
  }
}

/** The hash of all that decides the output: input, options, the rewriter's own code, what this engine can do. */
export function cacheKey(bytes: Uint8Array, options: InstrumentOptions): string {
  const { onProgress: _, ...given } = options;
  const canonical = Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([CONTRACT_VERSION, rewriterFingerprint(), engineHasMemories(), canonical]))
    .update('\0')
    .update(bytes)
    .digest('hex');
}

let fingerprint: string | undefined;

/** Version and content of the rewriter: a result of another build is not taken for one of this build. */
function rewriterFingerprint(): string {
  if (fingerprint === undefined) {
    const hash = createHash('sha256').update(packageVersion()).update(binaryenVersion());
    for (const folder of ['rewriter', 'contract']) {
      const url = new URL(`../${folder}/`, import.meta.url);
      const names = readdirSync(url, { recursive: true }) as string[];
      for (const name of names.filter((n) => n.endsWith('.js')).sort()) {
        hash.update(`${name}\0`).update(readFileSync(new URL(name, url)));
      }
    }
    fingerprint = hash.digest('hex');
  }
  return fingerprint;
}

function binaryenVersion(): string {
  try {
    return (createRequire(import.meta.url)('binaryen/package.json') as { version: string }).version;
  } catch {
    return '';
  }
}

/** Whether this engine takes two memories: `layout: 'auto'` looks at it. */
function engineHasMemories(): boolean {
  // (module (memory 0) (memory 0))
  return WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0]));
}

const MAGIC = Buffer.from('BELAYC01');
const HEADER = MAGIC.length + 32 + 4;

function readEntry(file: string): Instrumented | undefined {
  try {
    const entry = readFileSync(file);
    const rest = entry.subarray(MAGIC.length + 32);
    const sum = createHash('sha256').update(rest).digest();
    if (!entry.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
    if (!entry.subarray(MAGIC.length, MAGIC.length + 32).equals(sum)) return undefined;
    const metaEnd = HEADER + entry.readUInt32LE(HEADER - 4);
    const meta = JSON.parse(entry.toString('utf8', HEADER, metaEnd)) as {
      report: Report;
      contract: Contract;
    };
    const now = new Date();
    // Says when it was last of use, for prune(); a read-only cache does without.
    ignoreFailure(() => utimesSync(file, now, now));
    return { ...meta, wasm: new Uint8Array(entry.subarray(metaEnd)) };
  } catch {
    return undefined;
  }
}

function writeEntry(file: string, { wasm, report, contract }: Instrumented): void {
  const meta = Buffer.from(JSON.stringify({ report, contract }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(meta.length);
  const sum = createHash('sha256').update(length).update(meta).update(wasm).digest();
  const directory = join(file, '..');
  ignoreFailure(() => {
    mkdirSync(directory, { recursive: true });
    replaceFile(file, [MAGIC, sum, length, meta, wasm], { sync: false });
  });
  ignoreFailure(() => prune(directory, file));
}

/** Removes entries from the one unused the longest until the rest is within `limit` bytes; never `keep`. */
export function prune(directory: string, keep?: string, limit = CACHE_LIMIT): void {
  const entries: { path: string; size: number; used: number }[] = [];
  for (const name of readdirSync(directory)) {
    // Also what an interrupted write left behind: `.<hash>.belay.<random>.tmp`.
    if (!/^\.?[0-9a-f]{64}\.belay(\.[0-9a-f]+\.tmp)?$/.test(name)) continue;
    const path = join(directory, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat) continue;
    const age = Date.now() - stat.mtimeMs;
    if (name.startsWith('.')) {
      if (age > 3_600_000) rmSync(path, { force: true });
      continue;
    }
    entries.push({ path, size: stat.size, used: stat.mtimeMs });
  }
  let total = entries.reduce((bytes, entry) => bytes + entry.size, 0);
  for (const entry of entries.sort((a, b) => a.used - b.used)) {
    if (total <= limit) return;
    if (entry.path === keep) continue;
    rmSync(entry.path, { force: true });
    total -= entry.size;
  }
}

function ignoreFailure(action: () => void): void {
  try {
    action();
  } catch {
    // The cache only saves time: read-only, full or gone, the work goes on without it.
  }
}
