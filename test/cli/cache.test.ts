/** The cache saves time and is never the reason for a failure or a wrong result. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cacheKey, instrumentCached, prune } from '../../cli/cache.js';
import { toBinary } from '../../rewriter/text.js';
import { testUnless } from '../support/engines-skip.js';
import { belay, inFolder, SMALL } from './belay.js';

const bytes = await toBinary(Buffer.from(SMALL), 'small.wat');
const options = { layout: 'inline', region: 64 } as const;

async function withCache(use: (folder: string) => Promise<void>): Promise<void> {
  const before = process.env.BELAY_CACHE_DIR;
  await inFolder(async (folder) => {
    process.env.BELAY_CACHE_DIR = join(folder, 'cache');
    try {
      await use(process.env.BELAY_CACHE_DIR);
    } finally {
      if (before === undefined) delete process.env.BELAY_CACHE_DIR;
      else process.env.BELAY_CACHE_DIR = before;
    }
  });
}

const entries = (folder: string) => readdirSync(folder).map((name) => join(folder, name));

test('the second time comes from the cache and is the same', () =>
  withCache(async (folder) => {
    const first = await instrumentCached(bytes, options);
    const second = await instrumentCached(bytes, options);
    assert.is(first.cached, false);
    assert.is(second.cached, true);
    assert.equal(second.wasm, first.wasm);
    assert.equal(second.report, first.report);
    assert.equal(second.contract, first.contract);
    assert.is(entries(folder).length, 1);
  }));

test('other bytes or options are another entry; progress and undefined are not', () =>
  withCache(async (folder) => {
    await instrumentCached(bytes, options);
    assert.is((await instrumentCached(bytes, { ...options, steps: true })).cached, false);
    assert.is((await instrumentCached(bytes, { ...options, region: 1 })).cached, false);
    const other = await toBinary(Buffer.from(SMALL.replace('offset=4', 'offset=8')), 'other.wat');
    assert.is((await instrumentCached(other, options)).cached, false);
    assert.is(entries(folder).length, 4);
    const same = { region: 64, steps: undefined, layout: 'inline', onProgress() {} } as const;
    assert.is(cacheKey(bytes, same as never), cacheKey(bytes, options));
  }));

test('cache: false neither reads nor writes', () =>
  withCache(async (folder) => {
    assert.is((await instrumentCached(bytes, options, { cache: false })).cached, false);
    assert.throws(() => readdirSync(folder), /ENOENT/);
  }));

test('a damaged entry is made anew: any byte, any length', () =>
  withCache(async (folder) => {
    const { wasm } = await instrumentCached(bytes, options);
    const file = entries(folder)[0]!;
    const good = readFileSync(file);
    const damaged = [
      ...[0, 9, 40, 45, 60, good.length - 1].map((at) => flip(good, at)),
      ...[0, 7, 39, 43, 100, good.length - 1].map((length) => good.subarray(0, length)),
      Buffer.concat([good, Buffer.from([0])]),
    ];
    for (const bad of damaged) {
      writeFileSync(file, bad);
      const again = await instrumentCached(bytes, options);
      assert.is(again.cached, false);
      assert.equal(again.wasm, wasm);
      assert.ok(readFileSync(file).equals(good), 'the entry is repaired');
    }
    assert.is((await instrumentCached(bytes, options)).cached, true);
  }));

test('a cache that is a file, or in one, is done without', () =>
  withCache(async (folder) => {
    writeFileSync(folder, 'not a directory');
    assert.is((await instrumentCached(bytes, options)).cached, false);
    assert.is(readFileSync(folder, 'utf8'), 'not a directory');
    process.env.BELAY_CACHE_DIR = join(folder, 'deeper');
    assert.is((await instrumentCached(bytes, options)).cached, false);
  }));

testUnless(test, process.getuid?.() === 0 && 'root may write everywhere', 'a read-only cache is read', () =>
  withCache(async (folder) => {
    await instrumentCached(bytes, options);
    chmodSync(folder, 0o555);
    assert.is((await instrumentCached(bytes, options)).cached, true);
    assert.is((await instrumentCached(bytes, { ...options, steps: true })).cached, false);
    chmodSync(folder, 0o755);
  }),
);

test('errors are not cached', () =>
  withCache(async () => {
    const garbage = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 99]);
    for (let i = 0; i < 2; i++) {
      try {
        await instrumentCached(garbage, options);
        assert.unreachable();
      } catch (error) {
        assert.is((error as { code: string }).code, 'ERR_BELAY_INVALID_MODULE');
      }
    }
  }));

test('what was unused the longest goes first, what an interrupted write left goes too', () =>
  inFolder((folder) => {
    mkdirSync(folder, { recursive: true });
    const name = (digit: string) => `${digit.repeat(64)}.belay`;
    const put = (file: string, age: number) => {
      writeFileSync(join(folder, file), Buffer.alloc(100));
      const time = new Date(Date.now() - age * 1000);
      utimesSync(join(folder, file), time, time);
    };
    put(name('a'), 30);
    put(name('b'), 20);
    put(name('c'), 10);
    put('unrelated.txt', 9_999);
    put(`.${name('d')}.0123456789ab.tmp`, 7_200);
    put(`.${name('e')}.0123456789ab.tmp`, 60);
    prune(folder, join(folder, name('a')), 250);
    assert.equal(
      readdirSync(folder).sort(),
      [`.${name('e')}.0123456789ab.tmp`, name('a'), name('c'), 'unrelated.txt'].sort(),
    );
  }));

test('a hit counts as use', () =>
  withCache(async (folder) => {
    await instrumentCached(bytes, options);
    const file = entries(folder)[0]!;
    utimesSync(file, new Date(0), new Date(0));
    await instrumentCached(bytes, options);
    assert.ok(Date.now() - statSync(file).mtimeMs < 60_000);
  }));

test('the command uses it, says so, and --no-cache turns it off', () =>
  withCache(async (folder) => {
    const run = (...flags: string[]) =>
      belay(['instrument', '-', '-o', '/dev/null', ...flags], { input: SMALL });
    assert.not.match(run('--no-cache').out, /from the cache/);
    assert.throws(() => readdirSync(folder), /ENOENT/);
    assert.not.match(run().out, /from the cache/);
    assert.match(run().out, /from the cache/);
    assert.not.match(run('--no-cache').out, /from the cache/);
  }));

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
}

test.run();
