/** What the tests of the adapters share. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { test as empty } from 'uvu';
import type { Layout } from '../../../contract/contract.js';
import { instrument, toBinary } from '../../../rewriter/index.js';
import type { InstrumentOptions } from '../../../rewriter/types.js';
import { HAS_MEMORIES, testUnless } from '../../support/engines-skip.js';

const require = createRequire(import.meta.url);

/** The folder of the package. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** A file of a package's CommonJS glue, evaluated anew: most keep their instance. */
export function freshGlue<T>(path: string): T {
  const file = `${ROOT}node_modules/${path}`;
  delete require.cache[require.resolve(file)];
  return require(file) as T;
}

const cache = new Map<string, Promise<WebAssembly.Module>>();

/** Instruments and compiles a package's module, once for each layout and reserve. */
export function compiled(
  path: string,
  layout: Layout,
  reserve = 64 << 20,
  options: InstrumentOptions = {},
): Promise<WebAssembly.Module> {
  const key = JSON.stringify([path, layout, reserve, options]);
  let module = cache.get(key);
  if (!module) {
    const bytes = readFileSync(`${ROOT}node_modules/${path}`);
    const { wasm } = instrument(bytes, { ...options, layout, ...(layout === 'inline' && { reserve }) });
    module = WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>);
    cache.set(key, module);
  }
  return module;
}

/** Instruments WebAssembly text. */
export async function fromText(text: string, layout: Layout): Promise<WebAssembly.Module> {
  const bytes = await toBinary(new TextEncoder().encode(text));
  const { wasm } = instrument(bytes, { layout, ...(layout === 'inline' && { reserve: 4 << 20 }) });
  return WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>);
}

/** The same test in both layouts; `separate` is skipped, and said to be, where the engine has one memory. */
export function inBothLayouts(
  test: typeof empty,
  name: string,
  body: (layout: Layout) => void | Promise<void>,
): void {
  for (const layout of ['inline', 'separate'] as const) {
    const why = layout === 'separate' && !HAS_MEMORIES ? 'this engine has one memory a module' : undefined;
    testUnless(test, why, `${layout}: ${name}`, () => body(layout));
  }
}

/** The code of the error that a promise rejects with, or that a function throws. */
export async function codeOf(failing: Promise<unknown> | (() => unknown)): Promise<string | undefined> {
  try {
    await (typeof failing === 'function' ? failing() : failing);
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return undefined;
}
