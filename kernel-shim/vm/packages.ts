/**
 * Debian packages, downloaded and unpacked into the cache. Nothing is installed, and apt keeps its lists and its
 * idea of what is installed (nothing) in the cache too, so the system's own state stays as it was.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE, folderOf, hashOf, type Say, Unavailable, withLock } from './cache.js';

const run = promisify(execFile);

/** Packages that are unpacked together: `names` and what they depend on, as far as `wanted` agrees. */
interface Group {
  names: string[];
  wanted(name: string): boolean;
  /** Last touches to the unpacked files. */
  finish?(folder: string): void | Promise<void>;
}

/**
 * What is left out everywhere: the C library, since programs use the machine's own (the same release's: see
 * `refuseOtherSystems`), and what only the installation of a package needs.
 */
const LEFT_OUT =
  /^(libc6|gcc-12-base|adduser|passwd|debconf|dpkg|tar|libpam|libsemanage|libsepol|usrmerge|init-system|sysvinit|lsb-|iso-codes|perl-modules|libperl|perl$|iproute2)/;

const GROUPS = {
  /** The kernel and its modules, what modules are built with, and busybox. */
  kernel: {
    names: ['linux-image-cloud-amd64', 'linux-headers-cloud-amd64', 'busybox-static'],
    wanted: (name) => /^(linux-(image|headers|kbuild|compiler)-|busybox-static$)/.test(name),
    finish: pointHeadersHere,
  },
  /** qemu-system-x86_64 with its libraries and firmware. */
  qemu: { names: ['qemu-system-x86'], wanted: (name) => !LEFT_OUT.test(name) },
  /** Unmodified programs to test with. */
  servers: {
    names: ['redis-server', 'nginx-light', 'lighttpd', 'perl-base'],
    wanted: (name) => !LEFT_OUT.test(name),
  },
  /** The kernel's sources, for the scripts among them that no other package has. */
  source: { names: ['linux-source-6.1'], wanted: (name) => name === 'linux-source-6.1', finish: keepScripts },
} satisfies Record<string, Group> as Record<'kernel' | 'qemu' | 'servers' | 'source', Group>;

/** Name of a group of packages. */
export type GroupName = keyof typeof GROUPS;

/** Milliseconds after which apt's lists of packages are fetched again. */
const LISTS_LAST = 3_600_000;

/**
 * The folder where a group of packages is unpacked (its `usr`, `lib` and so on), fetched where needed.
 *
 * @throws {Unavailable} where the packages cannot be had, with the reason.
 */
export async function fetchPackages(group: GroupName, say: Say): Promise<string> {
  refuseOtherSystems();
  const { names, wanted, finish } = GROUPS[group];
  return folderOf(
    group,
    hashOf([...names, String(wanted), String(finish), String(LEFT_OUT)]),
    async (folder) => {
      const started = performance.now();
      const apt = await ownApt(say);
      const packages = (await closureOf(apt, names)).filter(wanted);
      say(`fetching ${packages.length} packages for ${group}`);
      const archives = join(folder, 'archives');
      mkdirSync(archives);
      await aptGet(apt, ['download', '-q', ...packages], archives);
      const files = readdirSync(archives).filter((name) => name.endsWith('.deb'));
      await eachOf(files, 2, (file) => run('dpkg-deb', ['-x', join(archives, file), folder]));
      rmSync(archives, { recursive: true });
      await finish?.(folder);
      say(`unpacked ${group} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    },
  );
}

/** Release of the kernel in an unpacked group `kernel`: `6.1.0-56-cloud-amd64`. */
export function kernelRelease(kernel: string): string {
  const found = readdirSync(join(kernel, 'lib/modules'));
  if (found.length !== 1) throw new Error(`${kernel}/lib/modules has ${found.length} kernels instead of one`);
  return found[0]!;
}

function refuseOtherSystems(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Unavailable(
      `the kernel's tests need Linux on x86-64; this is ${process.platform}-${process.arch}`,
    );
  }
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^VERSION_CODENAME="?bookworm"?$/m.test(release) || !/^ID="?debian"?$/m.test(release)) {
    throw new Unavailable(
      'the kernel and its compiler are those of Debian 12, and this machine runs another system',
    );
  }
}

/** Path of the configuration of an apt of our own, with fresh lists. */
async function ownApt(say: Say): Promise<string> {
  const folder = join(CACHE, 'apt');
  const config = join(folder, 'apt.conf');
  await withLock('apt', async () => {
    const lists = join(folder, 'state/lists');
    mkdirSync(join(lists, 'partial'), { recursive: true });
    mkdirSync(join(folder, 'cache/archives/partial'), { recursive: true });
    writeFileSync(join(folder, 'status'), '');
    // What hooks do (`docker-clean` is one) they would do to the system.
    writeFileSync(
      config,
      `#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "${folder}/state";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}/cache";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
`,
    );
    const fetched = join(folder, 'fetched');
    if (existsSync(fetched) && Date.now() - statSync(fetched).mtimeMs < LISTS_LAST) return;
    say("fetching Debian's lists of packages");
    await aptGet(config, ['update', '-q'], folder, 90_000);
    writeFileSync(fetched, '');
  });
  return config;
}

/** Names of packages and of all that they depend on. */
async function closureOf(apt: string, names: readonly string[]): Promise<string[]> {
  const options = ['install', '-y', '--no-install-recommends', '--print-uris'];
  const output = await aptGet(apt, [...options, ...names], CACHE);
  return [...output.matchAll(/^'[^']+' ([^_ ]+)_\S+\.deb \d+/gm)].map(([, name]) => name!).sort();
}

async function aptGet(
  config: string,
  args: readonly string[],
  cwd: string,
  timeout = 150_000,
): Promise<string> {
  try {
    const limits = { timeout, maxBuffer: 64 * 2 ** 20 };
    return (
      await run('apt-get', ['-c', config, ...args], { cwd, ...limits, env: { ...process.env, LC_ALL: 'C' } })
    ).stdout;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    // apt-get update succeeds where it reached nothing: then a package has no candidate.
    rmSync(join(CACHE, 'apt/fetched'), { force: true });
    const why = stderr?.split('\n').find((line) => line.startsWith('E:')) ?? message.split('\n')[0];
    throw new Unavailable(`apt-get ${args[0]} fails: ${why}`);
  }
}

/** The headers' makefile includes the one of all flavours by its place in an installed system. */
function pointHeadersHere(folder: string): void {
  const makefile = join(folder, 'usr/src', `linux-headers-${kernelRelease(folder)}`, 'Makefile');
  const here = '$(dir $(lastword $(MAKEFILE_LIST)))..';
  const text = readFileSync(makefile, 'utf8').replace(/^include \/usr\/src/m, `include ${here}`);
  writeFileSync(makefile, text);
}

/** Of the sources, keeps `scripts`: the rest takes more than a gigabyte. */
async function keepScripts(folder: string): Promise<void> {
  const archive = join(folder, 'usr/src/linux-source-6.1.tar.xz');
  await run('tar', ['-xJf', archive, '-C', folder, '--strip-components=1', 'linux-source-6.1/scripts']);
  rmSync(archive);
}

async function eachOf<T>(
  items: readonly T[],
  jobs: number,
  one: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await one(item);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}
