/**
 * Compiles what runs in the guest: the kernel module, against the unpacked headers, and the C programs beside
 * it. Both are built again only when a source, the kernel or the compiler changed.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { copyFolder, folderOf, hashOf, ROOT, type Say, Unavailable } from './cache.js';
import { kernelRelease } from './packages.js';

const run = promisify(execFile);

const NATIVE = join(ROOT, 'kernel-shim');

/** Folders below kernel-shim/ with C programs for the guest; each has a Makefile that writes to `OUT`. */
const PROGRAMS = ['lib', 'test', 'compare'] as const;

/**
 * Builds a kernel module out of its tree.
 *
 * @param kernel the unpacked packages `kernel`.
 * @param sources a folder with a Kbuild file; the module takes its name from that file.
 * @returns the folder that has the `.ko` file.
 */
export async function buildModule(
  kernel: string,
  say: Say,
  sources: string = join(NATIVE, 'module'),
  name = 'module',
): Promise<string> {
  const release = kernelRelease(kernel);
  const stamp = hashOf([release, await compiler()], [sources]);
  return folderOf(name, stamp, async (folder) => {
    say(`building the kernel module for ${release}`);
    copyFolder(sources, folder);
    const headers = join(kernel, 'usr/src', `linux-headers-${release}`);
    // Messages name the copies: point them at the originals.
    const original = (text: string) => text.replaceAll(folder, sources);
    const warnings = await make(['-C', headers, `M=${folder}`, '-j2', 'modules'], original);
    const ours = warnings.replace(/^Skipping BTF.*\n/gm, '').trimEnd();
    if (ours) say(ours);
  });
}

/**
 * Builds the C programs for the guest: `make -C kernel-shim/<part> OUT=<folder>/<part> LIB=<folder>/lib`.
 *
 * @param some whether a program that does not compile is only told of: it is missing in the guest then, which is
 *   well when others are asked for.
 * @returns a folder with one folder for each part that exists.
 */
export async function buildPrograms(say: Say, some = false): Promise<string> {
  const parts = PROGRAMS.filter((part) => existsSync(join(NATIVE, part, 'Makefile')));
  const folders = ['module', ...parts].map((part) => join(NATIVE, part));
  const stamp = hashOf([await compiler(), ...parts], folders);
  return folderOf(some ? 'programs-some' : 'programs', stamp, async (folder) => {
    for (const part of parts) {
      say(`building the guest's programs: ${part}`);
      const out = join(folder, part);
      mkdirSync(out);
      const where = ['-C', join(NATIVE, part), `OUT=${out}`, `LIB=${join(folder, 'lib')}`];
      try {
        const warnings = await make([...where, '-j2', ...(some ? ['-k'] : [])]);
        if (warnings) say(warnings.trimEnd());
      } catch (error) {
        if (!some) throw error;
        say((error as Error).message);
      }
    }
  });
}

/** Runs make; resolves to what it complained about. */
async function make(args: readonly string[], edit = (text: string) => text): Promise<string> {
  try {
    // Whatever flags this process was called with are not meant for the guest.
    const { MAKEFLAGS: _, MFLAGS: __, CFLAGS: ___, ...env } = process.env;
    return edit((await run('make', ['-s', ...args], { maxBuffer: 64 * 2 ** 20, env })).stderr);
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(edit(`make ${args.join(' ')} fails:\n${stdout ?? ''}${stderr ?? message}`));
  }
}

/** Version of the compiler; without one there is no machine. */
async function compiler(): Promise<string> {
  try {
    await run('make', ['--version']);
    return (await run('gcc', ['--version'])).stdout.split('\n')[0]!;
  } catch (error) {
    throw new Unavailable(`gcc and make are needed: ${(error as Error).message.split('\n')[0]}`);
  }
}
