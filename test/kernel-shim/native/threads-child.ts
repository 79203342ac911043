/** Its main thread never loads the addon; a worker does, and ends. The signal handlers must outlive it. */
import { isMainThread, Worker } from 'node:worker_threads';
import { toBinary } from '../../../rewriter/text.js';

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
  const text =
    '(module (memory 1) (func (export "poke") (param i32) (i32.store (local.get 0) (i32.const 1))))';
  const { exports } = new WebAssembly.Instance(
    new WebAssembly.Module((await toBinary(new TextEncoder().encode(text))) as BufferSource),
  );
  try {
    (exports.poke as (address: number) => void)(1 << 24);
    console.log('no trap');
  } catch (error) {
    console.log(`${(error as Error).constructor.name} after the worker`);
  }
} else {
  const { addon, NATIVE_MECHANISMS } = await import('./support.js');
  for (const mechanism of NATIVE_MECHANISMS) {
    if (addon.unavailable(mechanism)) continue;
    const memory = new WebAssembly.Memory({ initial: 1 });
    addon.attach(memory.buffer, mechanism).checkpoint();
    new Uint8Array(memory.buffer)[0] = 1;
  }
}
