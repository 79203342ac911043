/**
 * `npm run kernel:shell`: a shell in a virtual machine that has the kernel module loaded and the test programs on
 * its PATH. Ctrl-a x ends it.
 *
 *     npm run kernel:shell -- [--cpus 2] [--servers]
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { scratchFolder } from './cache.js';
import { initramfs } from './initramfs.js';
import { bootOnTerminal } from './machine.js';
import { prepare } from './run.js';

const { values } = parseArgs({
  options: { cpus: { type: 'string', default: '2' }, servers: { type: 'boolean', default: false } },
});
try {
  const parts = await prepare(values.servers, (line) => console.log(line));
  if (parts.noServers) console.log(`without servers: ${parts.noServers}`);
  const folder = scratchFolder();
  try {
    const image = join(folder, 'initramfs.cpio');
    writeFileSync(image, await initramfs(parts));
    await bootOnTerminal({ ...parts, initramfs: image, cpus: Number(values.cpus) });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
} catch (error) {
  console.error(`kernel:shell: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
