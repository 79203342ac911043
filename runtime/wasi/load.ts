/** Finds the instrumented file-system module that the build puts beside this file. */
import { BelayError } from '../../contract/errors.js';
import { importBuiltin } from './builtin.js';

// (module (memory 0) (memory 0)): validates where the engine has several memories.
const TWO_MEMORIES = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0]);

let loading: Promise<WebAssembly.Module> | undefined;

/**
 * The module in the layout that fits this engine; compiled once for all WASI objects.
 * @throws ERR_BELAY_WASI when it is not there: bundles must pass it as the option `module`.
 */
export function loadFileSystem(): Promise<WebAssembly.Module> {
  loading ??= load().catch((cause) => {
    loading = undefined;
    throw new BelayError(
      'ERR_BELAY_WASI',
      'the file-system module could not be loaded: run the build, or give it as the option `module`',
      { cause },
    );
  });
  return loading;
}

async function load(): Promise<WebAssembly.Module> {
  const layout = WebAssembly.validate(TWO_MEMORIES) ? 'separate' : 'inline';
  const url = new URL(`./wasmer.${layout}.wasm`, import.meta.url);
  if (url.protocol === 'file:') {
    const { readFile } = await importBuiltin<typeof import('node:fs/promises')>('node:fs/promises');
    return WebAssembly.compile(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return WebAssembly.compile(await response.arrayBuffer());
}
