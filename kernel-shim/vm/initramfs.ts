/**
 * What the guest finds when it boots: busybox, the init script, kernel modules, test programs, the servers where
 * asked for, and the shared libraries of all of them.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { filesIn, ROOT } from './cache.js';
import { cpio, type Entry } from './cpio.js';
import { kernelRelease } from './packages.js';

const run = promisify(execFile);

/** What goes into an initramfs. */
export interface Contents {
  /** The unpacked packages `kernel`. */
  kernel: string;
  /** Folder of the built module. */
  module: string;
  /** Folder of the built programs. */
  programs: string;
  /** The unpacked packages `servers`, where the guest needs them. */
  servers?: string | undefined;
  /** More files by their path in the guest (no slash in front). */
  files?: ReadonlyMap<string, Entry>;
}

/** Modules of the stock kernel that the init script may load: a compressed block device in memory, to swap to. */
const STOCK_MODULES = ['lzo_rle', 'zram'];

/** What of the servers' packages is wanted in the guest: programs and the modules that they load themselves. */
const SERVER_FILES =
  /^usr\/(s?bin\/(redis-(server|cli|benchmark)|redis-check-\w+|nginx|lighttpd|perl)$|lib\/(nginx\/|lighttpd\/|x86_64-linux-gnu\/perl-base\/))/;

/** Makes the archive. */
export async function initramfs(contents: Contents): Promise<Uint8Array> {
  const entries = new Map<string, Entry>();
  const executable = (path: string) => ({ file: readFileSync(path), mode: 0o755 });
  for (const folder of ['dev', 'proc', 'sys', 'tmp', 'root', 'run', 'var', 'sbin', 'usr/bin', 'usr/sbin']) {
    entries.set(folder, { folder: true });
  }
  entries.set('bin/busybox', executable(join(contents.kernel, 'bin/busybox')));
  entries.set('bin/sh', { link: 'busybox' });
  entries.set('init', executable(join(ROOT, 'kernel-shim/vm/guest/init')));
  entries.set('etc/passwd', {
    file: Buffer.from('root::0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n'),
  });
  entries.set('etc/group', { file: Buffer.from('root:x:0:\nnogroup:x:65534:\n') });
  entries.set('etc/hosts', { file: Buffer.from('127.0.0.1 localhost\n') });

  for (const [index, path] of stockModules(contents.kernel, STOCK_MODULES).entries()) {
    entries.set(`modules/${String(index).padStart(2, '0')}-${basename(path)}`, { file: readFileSync(path) });
  }
  for (const name of readdirSync(contents.module).filter((file) => file.endsWith('.ko'))) {
    entries.set(name, { file: readFileSync(join(contents.module, name)) });
  }

  const binaries: string[] = [];
  for (const name of filesIn(contents.programs)) {
    const path = join(contents.programs, name);
    if (!isLinked(path)) continue;
    const isLibrary = /\.so(\.|$)/.test(name);
    entries.set(`${isLibrary ? 'lib/x86_64-linux-gnu' : 'bin'}/${basename(name)}`, executable(path));
    binaries.push(path);
  }
  const searched = [join(contents.programs, 'lib')];
  if (contents.servers) {
    const servers = contents.servers;
    searched.push(...['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(servers, path)));
    for (const { path, link } of linksAndFiles(servers)) {
      if (!SERVER_FILES.test(path)) continue;
      if (link) entries.set(path, { link });
      else {
        const mode = statSync(join(servers, path)).mode & 0o777;
        entries.set(path, { file: readFileSync(join(servers, path)), mode });
        if (isLinked(join(servers, path))) binaries.push(join(servers, path));
      }
    }
  }
  for (const [name, path] of await librariesOf(binaries, searched)) entries.set(name, executable(path));
  for (const [path, entry] of contents.files ?? []) entries.set(path, entry);
  return cpio(entries);
}

/** Files of the kernel's modules and of those that they need, in the order in which they can be loaded. */
function stockModules(kernel: string, names: readonly string[]): string[] {
  const folder = join(kernel, 'lib/modules', kernelRelease(kernel), 'kernel');
  const paths = new Map(filesIn(folder).map((path) => [moduleName(path), join(folder, path)]));
  const order: string[] = [];
  const add = (name: string) => {
    const path = paths.get(name);
    if (!path) throw new Error(`the kernel has no module ${name}`);
    if (order.includes(path)) return;
    // The section .modinfo holds `key=value` texts that end with a zero byte.
    const depends = /\0depends=([^\0]*)\0/.exec(readFileSync(path, 'latin1'))?.[1] ?? '';
    for (const other of depends.split(',').filter(Boolean)) add(other);
    order.push(path);
  };
  for (const name of names) add(name);
  return order;
}

/** Modules are known by their file's name, in which `-` and `_` are the same. */
const moduleName = (path: string) => basename(path).replace('.ko', '').replaceAll('-', '_');

/** Shared libraries that programs are linked to, by their place in the guest. */
async function librariesOf(
  binaries: readonly string[],
  searched: readonly string[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  if (binaries.length === 0) return found;
  const env = { ...process.env, LD_LIBRARY_PATH: searched.join(':'), LC_ALL: 'C' };
  // ldd fails when one of them is not dynamically linked, and says so on its standard error.
  const { stdout } = await run('ldd', [...binaries], { env, maxBuffer: 64 * 2 ** 20 }).catch(
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  );
  for (const line of stdout.split('\n')) {
    const missing = /^\s+(\S+) => not found/.exec(line);
    if (missing) throw new Error(`a program for the guest needs ${missing[1]}, which is not on this machine`);
    const [, name, path] = /^\s+(?:(\S+) => )?(\/\S+) \(0x/.exec(line) ?? [];
    if (!path) continue;
    // The loader itself is named by its path.
    found.set(name ? `lib/x86_64-linux-gnu/${basename(name)}` : path.slice(1), path);
  }
  return found;
}

/** Whether a file is an ELF program or shared library (not an object file). */
function isLinked(path: string): boolean {
  const bytes = readFileSync(path);
  const isElf = bytes.length > 20 && bytes.readUInt32BE(0) === 0x7f454c46;
  return isElf && [2, 3].includes(bytes.readUInt16LE(16));
}

function linksAndFiles(folder: string): { path: string; link?: string }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const link = entry.isSymbolicLink() ? { link: readlinkSync(path) } : {};
      return { path: path.slice(folder.length + 1), ...link };
    });
}
