/** From nothing to judged machines: fetches, builds, and runs the suite with each number of processors. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildModule, buildPrograms } from './build.js';
import { CACHE, type Say, scratchFolder, Unavailable } from './cache.js';
import type { Entry } from './cpio.js';
import { initramfs } from './initramfs.js';
import { Judge, type Judgement } from './judge.js';
import { bootMachine } from './machine.js';
import { fetchPackages } from './packages.js';
import { type GuestProgram, SUITE, type SuiteOptions } from './suite.js';

/** What to run, and how. */
export interface RunOptions extends SuiteOptions {
  /** Numbers of processors: one machine for each, all at the same time. */
  cpus: readonly number[];
  /** Part of the names of the programs to run; all where empty. */
  only: string;
  /** Keeps the initramfs of each machine, and what it said, in `<cache>/kept`. */
  keep?: boolean;
  /** Seconds that a machine may take. Default: 240, and `seconds` for each program. */
  timeoutSeconds?: number;
  /** More words for the kernel's command line. Default: `CHECKS`. */
  append?: string;
  /** Time in the guest counts instructions. */
  icount?: boolean;
  /** The programs. Default: the suite. */
  programs?: readonly GuestProgram[];
  /** Sources of another module named smc. Default: kernel-shim/module. */
  module?: { sources: string; name: string };
  /** More files for the guest, by their path there (no slash in front). */
  files?: ReadonlyMap<string, Entry>;
}

/** What became of one machine. */
export interface MachineReport extends Judgement {
  cpus: number;
  seconds: number;
  /** All that the guest said; the kernel's lines begin with `kernel| `. */
  transcript: string[];
}

/** All that machines are made of. */
export interface Parts {
  kernel: string;
  qemu: string;
  module: string;
  programs: string;
  /** Absent where they were not asked for, or cannot be had. */
  servers?: string;
  /** Why servers that were asked for are absent. */
  noServers?: string;
}

/**
 * The kernel checks its heap: freed objects are poisoned, and bytes around objects are watched. Only of kinds that
 * the module allocates, or that it handles: for all of them everything takes 1.7 times as many instructions.
 */
export const CHECKS = 'slub_debug=FZP,smc*,kmalloc-*,vm_area_struct,anon_vma*';

/** Seconds that a machine may need to boot and to end. */
const BOOT_SECONDS = 30;
/** Seconds that a machine may take. */
const MOST_SECONDS = 240;
const LIMIT = 120;

/**
 * Fetches and builds what machines are made of.
 *
 * @throws {Unavailable} where this machine can have none.
 */
export async function prepare(
  servers: boolean,
  say: Say,
  { module, some = false }: { module?: RunOptions['module']; some?: boolean } = {},
): Promise<Parts> {
  const [kernel, qemu] = await allOf([fetchPackages('kernel', say), fetchPackages('qemu', say)]);
  const parts: Parts = {
    kernel: kernel!,
    qemu: qemu!,
    module: await buildModule(kernel!, say, module?.sources, module?.name),
    programs: await buildPrograms(say, some),
  };
  if (!servers) return parts;
  try {
    return { ...parts, servers: await fetchPackages('servers', say) };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { ...parts, noServers: error.message };
  }
}

/**
 * Runs the suite.
 *
 * @throws {Unavailable} where this machine can have no virtual machine, with the reason.
 * @throws {Error} where a build fails, or no program is chosen.
 */
export async function runSuite(options: RunOptions, say: Say): Promise<MachineReport[]> {
  const programs = chosen(options.programs ?? SUITE, options.only);
  const parts = await prepare(
    programs.some((program) => program.needs?.includes('servers')),
    say,
    { module: options.module, some: options.only !== '' },
  );
  return allOf(options.cpus.map((cpus) => runOne(parts, programs, cpus, options, say)));
}

/** The lines that one program of a machine printed. */
export function linesOf({ transcript }: MachineReport, program: string): string[] {
  const begin = transcript.indexOf(`@@begin ${program}`);
  const end = transcript.findIndex((line) => line.startsWith(`@@end ${program} `));
  const lines = begin < 0 ? [] : transcript.slice(begin + 1, end < 0 ? undefined : end);
  return lines.filter((line) => !line.startsWith('kernel| '));
}

async function runOne(
  parts: Parts,
  programs: readonly GuestProgram[],
  cpus: number,
  options: RunOptions,
  say: Say,
): Promise<MachineReport> {
  const forThese = programs.filter((program) => program.cpus?.includes(cpus) ?? true);
  const cannot = (program: GuestProgram) =>
    program.needs?.includes('servers') && parts.noServers !== undefined;
  const runs = forThese.filter((program) => !cannot(program));
  const judge = new Judge(runs.map((program) => program.name));
  const transcript: string[] = [];
  const folder = scratch(cpus, options.keep === true);
  try {
    const image = join(folder, 'initramfs.cpio');
    const suite = { file: Buffer.from(script(runs, options)) };
    const files = new Map<string, Entry>([...(options.files ?? []), ['suite', suite]]);
    writeFileSync(image, await initramfs({ ...parts, files }));
    say(`booting a machine with ${cpus === 1 ? 'one processor' : `${cpus} processors`}`);
    let began = performance.now();
    const end = await bootMachine({
      kernel: parts.kernel,
      qemu: parts.qemu,
      initramfs: image,
      cpus,
      icount: options.icount ?? false,
      append: options.append ?? CHECKS,
      timeoutSeconds: options.timeoutSeconds ?? MOST_SECONDS + options.seconds * runs.length,
      silenceSeconds: BOOT_SECONDS + options.seconds + Math.max(LIMIT, ...runs.map((p) => p.limit ?? 0)),
      onLine(line, from) {
        transcript.push(from === 'kernel' ? `kernel| ${line}` : line);
        judge.hear(line, from);
        if (line.startsWith('@@begin ')) began = performance.now();
        const name = /^@@end (\S+) /.exec(line)?.[1];
        if (name) say(`cpus=${cpus} ${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
      },
    });
    const judgement = judge.end(end);
    for (const program of forThese.filter(cannot)) {
      const why = parts.noServers!;
      judgement.tests.push({ program: program.name, name: 'all', outcome: 'skipped', why });
    }
    return { cpus, seconds: end.seconds, transcript, ...judgement };
  } finally {
    if (options.keep) writeFileSync(join(folder, 'transcript.txt'), `${transcript.join('\n')}\n`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

function chosen(programs: readonly GuestProgram[], only: string): readonly GuestProgram[] {
  const named = programs.filter((program) => program.name.includes(only));
  if (named.length === 0) {
    const names = programs.map((program) => program.name).join(', ');
    throw new Error(`no program has "${only}" in its name; there are ${names}`);
  }
  return programs.filter((program) => program.always || named.includes(program));
}

/** The suite as guest/init reads it. */
function script(programs: readonly GuestProgram[], options: SuiteOptions): string {
  const lines = programs.flatMap((program) => {
    const limit = (program.limit ?? LIMIT) + options.seconds;
    const check = ['check', program.name, String(limit), ...program.command(options)].map(quoted).join(' ');
    return program.needs?.includes('swap') ? ['swap_on', check, 'swap_off'] : [check];
  });
  return `${lines.join('\n')}\n`;
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

function scratch(cpus: number, keep: boolean): string {
  if (!keep) return scratchFolder();
  const folder = join(CACHE, 'kept', `cpus-${cpus}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Like Promise.all, but leaves nothing running behind when one fails. */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
