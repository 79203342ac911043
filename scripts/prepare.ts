/**
 * The build's step after the compiler: instruments the Wasm module inside @wasmer/wasi, once for each layout,
 * and puts the results beside the runtime that loads them. So the runtime never needs the rewriter, and
 * what is shipped works where no code may be generated.
 *
 * Does nothing when neither that package nor the rewriter changed since the last time.
 */
import { createHash } from 'node:crypto';
import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Layout } from '../contract/contract.js';
import { instrument } from '../rewriter/index.js';
import { Glue } from '../runtime/wasi/glue.js';

const DIST = fileURLToPath(new URL('..', import.meta.url));
const TARGET = join(DIST, 'runtime/wasi');
const LAYOUTS: readonly Layout[] = ['separate', 'inline'];
/** Pages that the files in memory of one guest may take: 256 MiB. */
const MAX_PAGES = 4096;
const PAGE = 65536;

const library = dirname(createRequire(import.meta.url).resolve('@wasmer/wasi/package.json'));
const original = limitMemory(await embeddedModule(join(library, 'dist/Library.esm.js')), MAX_PAGES);
checkImports(original);

const stampFile = join(TARGET, 'wasmer.stamp');
const stamp = await stampOf(original);
const current = await readFile(stampFile, 'utf8').catch(() => '');
if (current !== stamp) {
  for (const layout of LAYOUTS) {
    const { wasm } = instrument(original, {
      layout,
      ...(layout === 'inline' && { reserve: MAX_PAGES * PAGE }),
    });
    await writeFile(join(TARGET, `wasmer.${layout}.wasm`), wasm);
  }
  await copyFile(join(library, 'LICENSE'), join(TARGET, 'wasmer.LICENSE'));
  await writeFile(stampFile, stamp);
}

/** The package carries its module as a data: URL in its JavaScript. */
async function embeddedModule(file: string): Promise<Uint8Array> {
  const found = /data:application\/wasm;base64,([A-Za-z0-9+/=]+)/.exec(await readFile(file, 'utf8'));
  if (!found) throw new Error(`${file} holds no Wasm module: has the package changed?`);
  return Buffer.from(found[1]!, 'base64');
}

/** The glue in runtime/wasi/glue.ts is written for exactly these imports. */
function checkImports(wasm: Uint8Array): void {
  const known = new Glue(
    () => {
      throw new Error('no guest');
    },
    { now: () => 0n, random: () => {} },
  ).imports().wbg;
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(wasm as BufferSource));
  const missing = imports.filter((entry) => entry.module !== 'wbg' || !(entry.name in known));
  if (missing.length > 0) {
    const names = missing.map((entry) => entry.name).join(', ');
    throw new Error(`@wasmer/wasi has imports that runtime/wasi/glue.ts does not know: ${names}`);
  }
}

/**
 * Gives the module's memory a maximum: without one, a guest could fill 4 GiB with files.
 * The memory section is `5 <size> 1 <flags> <minimum> [<maximum>]`, numbers in LEB128.
 */
function limitMemory(wasm: Uint8Array, pages: number): Uint8Array {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  };
  while (at < wasm.length) {
    const start = at;
    const id = wasm[at++];
    const end = number() + at;
    if (id !== 5) {
      at = end;
      continue;
    }
    if (number() !== 1 || number() !== 0) throw new Error('@wasmer/wasi has another kind of memory');
    const content = [1, 1, ...leb(number()), ...leb(pages)];
    return Buffer.concat([
      wasm.subarray(0, start),
      Buffer.from([5, ...leb(content.length), ...content]),
      wasm.subarray(end),
    ]);
  }
  throw new Error('@wasmer/wasi has no memory');
}

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}

/** A hash of all that the result depends on. */
async function stampOf(wasm: Uint8Array): Promise<string> {
  const hash = createHash('sha256').update(wasm);
  for (const folder of ['contract', 'rewriter', 'scripts']) {
    const entries = await readdir(join(DIST, folder), { recursive: true });
    for (const name of entries.sort()) {
      if (name.endsWith('.js')) hash.update(name).update(await readFile(join(DIST, folder, name)));
    }
  }
  return hash.digest('hex');
}
