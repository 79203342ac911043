// A JavaScript handler in QuickJS, as a fetch-style function: every request starts from the same state.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import variant from '@jitl/quickjs-wasmfile-release-sync';
import { newQuickJSWASMModuleFromVariant, newVariant } from 'quickjs-emscripten-core';
import { emscripten } from 'wasm-belay/adapters';
import { instrument } from 'wasm-belay/rewriter';
import { createHandler } from 'wasm-belay/service';

const QUICKJS = new URL(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm'));
const PRELUDE = new URL('prelude.js', import.meta.url);

/**
 * Loads a program into a sandbox of its own.
 *
 * @param {string} source a program that sets `globalThis.handle`
 * @param {object} [options]
 * @param {number} [options.deadline] milliseconds that a request may take; default 1,000
 * @param {number} [options.memory] bytes that engine and program may have together; default 48 MiB, 16 MiB at least
 * @param {'auto' | 'separate' | 'inline'} [options.layout]
 * @param {boolean} [options.audit] check at every rollback that no host write was missed: slow
 * @param {(line: string) => void} [options.log] is given what the program logs; default: console.log
 */
export async function createEdge(source, options = {}) {
  const { deadline = 1000, memory = 48 << 20, layout = 'auto', audit = false, log = console.log } = options;

  // Where code may not be generated at run time, do this ahead of time: `belay instrument --steps`.
  const { wasm } = instrument(await readFile(fileURLToPath(QUICKJS)), {
    layout,
    steps: true,
    ...(layout !== 'separate' && { reserve: memory }),
  });
  const adapter = emscripten(wasm, { audit });
  // In the inline layout the adapter brings the memory, and `reserve` is its limit; in the other it is here.
  // (QuickJS has a limit of its own, memoryLimitBytes, but this build of it does not count.)
  const { wasmMemory = new WebAssembly.Memory({ initial: 256, maximum: memory >> 16 }) } = adapter.module;
  const quickjs = await newQuickJSWASMModuleFromVariant(
    newVariant(variant, { wasmMemory, emscriptenModule: adapter.module }),
  );
  const runtime = quickjs.newRuntime({ maxStackSizeBytes: 512 << 10 });
  const vm = runtime.newContext();

  // All handles that outlive a request are made here. One that is made later belongs to a state that the
  // rollback takes back, and must not be used after it.
  const prelude = vm.unwrapResult(vm.evalCode(await readFile(PRELUDE, 'utf8'), 'prelude.js'));
  const begin = vm.getProp(prelude, 'begin');
  const end = vm.getProp(prelude, 'end');
  vm.unwrapResult(vm.evalCode(source, 'handler.js')).dispose();
  runtime.executePendingJobs();

  /** Runs inside of a request; what it throws undoes the request and is answered with 500. */
  function handle({ method, target, headers, body, scheme, host }) {
    const text = vm.newString(
      JSON.stringify({
        method,
        url: `${scheme}://${host}${target}`,
        path: target.split('?')[0],
        headers: Object.fromEntries(headers),
        body: new TextDecoder().decode(body),
        seed: crypto.getRandomValues(new Int32Array(1))[0],
      }),
    );
    vm.unwrapResult(vm.callFunction(begin, vm.undefined, text));
    vm.unwrapResult(runtime.executePendingJobs());
    const answer = vm.dump(vm.unwrapResult(vm.callFunction(end, vm.undefined)));
    if (typeof answer !== 'string') throw new Error('handle() waits for something that will never happen');
    const { response, error, lines } = JSON.parse(answer);
    for (const line of lines) log(line);
    if (error) throw new Error(error);
    return { ...response, body: new TextEncoder().encode(response.body) };
  }

  const guest = await adapter.guest;
  return { guest, handler: createHandler(guest, { rollback: 'always', deadline, handle }) };
}
