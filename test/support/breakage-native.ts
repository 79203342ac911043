/**
 * Deliberate breakage of the native addon's core: each fault is put into a copy of one source file, and the fuzz
 * program (kernel-shim/native/test/fuzz.cc) has to find it. The sources themselves know nothing of this.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { NativeMechanism } from '../../runtime/mechanisms/addon.js';
import { ROOT } from './engines.js';

const NATIVE = join(ROOT, 'kernel-shim', 'native');
const COMPILER = process.env.CXX || 'g++';
const OPERATIONS = 6000;

export interface Fault {
  what: string;
  file: string;
  /** Text that is in the file once, and what takes its place. */
  from: string;
  to: string;
  mechanisms: readonly NativeMechanism[];
}

const TRAPPING = ['mprotect', 'uffd'] as const;

export const FAULTS: readonly Fault[] = [
  {
    what: 'a fault opens the page and does not save it',
    file: 'trapping.cc',
    from: 'if (armed_ && !log_.has(page)) save(page);\n  return error == 0',
    to: 'return error == 0',
    mechanisms: TRAPPING,
  },
  {
    what: 'a checkpoint keeps the pre-images of the last epoch',
    file: 'trapping.cc',
    from: 'log_.forget();',
    to: '',
    mechanisms: TRAPPING,
  },
  {
    what: 'pages ahead are left writable and not copied',
    file: 'trapping.cc',
    from: 'if (error == 0) save(ahead[i]);',
    to: '',
    mechanisms: TRAPPING,
  },
  {
    what: 'a working set that stays as it is keeps its old pre-images',
    file: 'trapping.cc',
    from: 'log_.renew(i, at(ahead[i]));',
    to: '',
    mechanisms: TRAPPING,
  },
  {
    what: 'touch opens pages and does not save them',
    file: 'trapping.cc',
    from: 'for (size_t page = from; page < to; page++) save(page);\n    return openRun(from, to);',
    to: 'return openRun(from, to);',
    mechanisms: TRAPPING,
  },
  {
    what: 'after growth nothing is protected again',
    file: 'trapping.cc',
    from: 'if (protectUnsaved({kept ? oldPages : 0, newPages}) != 0) {',
    to: 'if (kept && !kept) {',
    mechanisms: ['mprotect'],
  },
  {
    what: 'new pages that were written already have no pre-image',
    file: 'trapping.cc',
    from: 'log_.saveZeros(page);',
    to: '',
    mechanisms: TRAPPING,
  },
  {
    what: 'a rollback forgets the first page',
    file: 'trapping.cc',
    from: 'for (size_t i = 0; i < count; i++) memcpy(',
    to: 'for (size_t i = 1; i < count; i++) memcpy(',
    mechanisms: TRAPPING,
  },
  {
    what: 'out of mappings, all of memory is opened and not saved',
    file: 'trapping.cc',
    from: 'if (!log_.has(page)) save(page);\n    }\n  }\n  stats_.openedWhole++;',
    to: '}\n  }\n  stats_.openedWhole++;',
    mechanisms: TRAPPING,
  },
  {
    what: 'written() names the pages ahead alone',
    file: 'trapping.cc',
    from: '*count = log_.count();',
    to: '*count = log_.faultedFirst();',
    mechanisms: TRAPPING,
  },
  {
    what: 'written() names no pages where the kernel refuses to say',
    file: 'uffd_async.cc',
    from: '*count = pages_;',
    to: '*count = 0;',
    mechanisms: ['uffd-async'],
  },
  {
    what: 'a rollback copies nothing back',
    file: 'uffd_async.cc',
    from: 'copyBack(first, end);\n    count += end - first;',
    to: 'count += end - first;',
    mechanisms: ['uffd-async'],
  },
  {
    what: 'a checkpoint does not bring the image up to date',
    file: 'uffd_async.cc',
    from: '[this](size_t first, size_t end) { copyToImage(first, end); });\n    if (error == 0) return {};',
    to: '[](size_t, size_t) {});\n    if (error == 0) return {};',
    mechanisms: ['uffd-async'],
  },
];

function compile(args: string[]): void {
  const flags = ['-std=c++17', '-O1', '-pthread'];
  const { status, stderr } = spawnSync(COMPILER, [...flags, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${COMPILER} ${args.join(' ')}: ${stderr}`);
}

/** Builds the fuzz program once, and then each of its broken versions. */
export class NativeBreakage {
  private readonly folder = mkdtempSync(join(tmpdir(), 'belay-broken-'));
  private readonly objects: Map<string, string>;

  constructor() {
    const sources = readdirSync(join(NATIVE, 'core'))
      .filter((name) => name.endsWith('.cc'))
      .map((name) => join(NATIVE, 'core', name));
    this.objects = new Map(
      [...sources, join(NATIVE, 'test', 'fuzz.cc')].map((source) => {
        const object = join(this.folder, `${basename(source)}.o`);
        compile(['-c', source, '-o', object]);
        return [basename(source), object];
      }),
    );
  }

  /** Mechanisms for which the fuzz program finds nothing: none, where all is well. */
  unnoticed(fault: Fault | undefined): NativeMechanism[] {
    const objects = new Map(this.objects);
    if (fault) {
      const parts = readFileSync(join(NATIVE, 'core', fault.file), 'utf8').split(fault.from);
      if (parts.length !== 2)
        throw new Error(`${fault.file}: "${fault.from}" is there ${parts.length - 1} times`);
      const source = join(this.folder, `broken-${fault.file}`);
      writeFileSync(source, parts.join(fault.to));
      objects.set(fault.file, `${source}.o`);
      compile(['-c', '-w', `-I${join(NATIVE, 'core')}`, source, '-o', `${source}.o`]);
    }
    const program = join(this.folder, 'fuzz');
    compile([...objects.values(), '-o', program, '-Wl,--wrap=mprotect,--wrap=ioctl']);
    return (fault?.mechanisms ?? (['mprotect', 'uffd', 'uffd-async'] as const)).filter(
      // With a kernel that refuses and without; 2 is for a mechanism that cannot be had here.
      (mechanism) =>
        [[], ['1', 'inject']].every((more) => {
          const args = [mechanism, String(OPERATIONS), '7', ...more];
          const { status } = spawnSync(program, args, { timeout: 60_000 });
          return status === 0;
        }),
    );
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
