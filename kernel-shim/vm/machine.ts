/**
 * A virtual machine without KVM, for seconds: QEMU's translator, its `microvm` board, Debian's kernel.
 *
 * The guest has two serial lines, so that what programs say and what the kernel says cannot mix within a line:
 * programs have ttyS0, the kernel's console is ttyS1.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { kernelRelease } from './packages.js';

/** Who wrote a line. */
export type Source = 'program' | 'kernel';

/** Where the unpacked packages are (see packages.ts). */
export interface Unpacked {
  kernel: string;
  qemu: string;
}

/** Options of a boot. */
export interface Boot extends Unpacked {
  /** Path of an uncompressed cpio archive that has /init. */
  initramfs: string;
  /** Processors. Default: 1. */
  cpus?: number;
  /** Memory. Default: 1024. */
  memoryMiB?: number;
  /** More words for the kernel's command line. */
  append?: string;
  /** Time in the guest counts instructions, one a nanosecond, so that figures repeat. Default: false. */
  icount?: boolean;
  /** Seconds after which the machine is ended. */
  timeoutSeconds: number;
  /** Seconds without a line after which the machine is ended. Default: `timeoutSeconds`. */
  silenceSeconds?: number;
  /** Hears each line, without its end, as it comes. */
  onLine(line: string, from: Source): void;
}

/** How a machine ended: by itself, or why it did not. */
export interface MachineEnd {
  /** Absent where the guest powered the machine off. */
  problem?: string;
  seconds: number;
}

/**
 * Without KVM the kernel measures the time stamp counter against timers that QEMU may serve late, and half the
 * boots of a microvm hang in that: it is told the frequency instead.
 */
const TSC_KHZ = 2_600_000;
/** With `-icount shift=0` an instruction takes a nanosecond. */
const ICOUNT_KHZ = 1_000_000;

/** Boots a machine, and resolves when it has ended. */
export function bootMachine(boot: Boot): Promise<MachineEnd> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = start(boot, 'ttyS1', [
      ...['-serial', 'stdio'],
      ...['-chardev', 'socket,id=kernel,fd=3', '-device', 'isa-serial,chardev=kernel,iobase=0x2f8,irq=3'],
    ]);
    let problem: string | undefined;
    const end = (why: string) => {
      problem ??= why;
      child.kill('SIGKILL');
    };
    const { timeoutSeconds, silenceSeconds = timeoutSeconds } = boot;
    const timeout = setTimeout(() => end(`not done after ${timeoutSeconds} s`), timeoutSeconds * 1000);
    const silence = setTimeout(() => end(`nothing heard for ${silenceSeconds} s`), silenceSeconds * 1000);
    const endWithUs = () => child.kill('SIGKILL');
    process.once('exit', endWithUs);

    let errors = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-4000);
    });
    const hear = (from: Source) => (line: string) => {
      silence.refresh();
      boot.onLine(line, from);
    };
    const streams = [
      eachLine(child.stdout!, hear('program')),
      eachLine(child.stdio[3] as Readable, hear('kernel')),
    ];
    child.once('error', (error) => end(`QEMU cannot be run: ${error.message}`));
    child.once('close', async (code, signal) => {
      clearTimeout(timeout);
      clearTimeout(silence);
      process.removeListener('exit', endWithUs);
      await Promise.all(streams);
      if (code !== 0) problem ??= `QEMU ended with ${signal ?? `exit code ${code}`}: ${errors.trim()}`;
      resolve({ ...(problem && { problem }), seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** Boots a machine whose one serial line is this process's terminal; resolves when it has ended. */
export function bootOnTerminal(boot: Omit<Boot, 'onLine' | 'timeoutSeconds'>): Promise<void> {
  const child = start(boot, 'ttyS0', ['-serial', 'mon:stdio'], 'inherit');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
}

function start(
  boot: Omit<Boot, 'onLine' | 'timeoutSeconds'>,
  console: string,
  devices: string[],
  stdio?: 'inherit',
): ChildProcess {
  const { kernel, qemu, initramfs, cpus = 1, memoryMiB = 1024, append = '', icount = false } = boot;
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(qemu, path));
  const words = [
    `console=${console}`,
    // An oops ends the machine at once, with its trace printed; `-no-reboot` makes the reboot an end.
    ...['panic=-1', 'oops=panic', 'reboot=t', 'quiet'],
    `tsc_early_khz=${icount ? ICOUNT_KHZ : TSC_KHZ}`,
    append,
  ];
  const args = [
    ...['-L', join(qemu, 'usr/share/qemu'), '-L', join(qemu, 'usr/share/seabios')],
    ...['-accel', `tcg,thread=${icount ? 'single' : 'multi'}`, ...(icount ? ['-icount', 'shift=0'] : [])],
    ...['-M', 'microvm', '-cpu', 'qemu64', '-m', String(memoryMiB), '-smp', String(cpus)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...devices,
    ...['-kernel', join(kernel, 'boot', `vmlinuz-${kernelRelease(kernel)}`), '-initrd', initramfs],
    ...['-append', words.join(' ')],
  ];
  return spawn(join(qemu, 'usr/bin/qemu-system-x86_64'), args, {
    stdio: stdio ?? ['ignore', 'pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      LD_LIBRARY_PATH: libraries.join(':'),
      QEMU_MODULE_DIR: join(libraries[0]!, 'qemu'),
    },
  });
}

/** Calls `hear` with each line; what has no end counts as a line when the stream ends. */
function eachLine(stream: Readable, hear: (line: string) => void): Promise<void> {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    // The terminal driver in the guest ends lines with a carriage return, too.
    for (const line of lines) hear(line.replace(/\r+$/, ''));
  });
  return new Promise((resolve) => {
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      if (rest) hear(rest);
      resolve();
    };
    stream.once('end', end).once('close', end).once('error', end);
  });
}
