/**
 * What imports write into guest memory. Three layers: WASI's own table, Emscripten's library by name, and for
 * names that say nothing (minified ones, wasm-bindgen's, a user's) a guess from the arguments that is meant to
 * be too large rather than too small.
 */
import { NAMESPACES, spansOf, WASI_FUNCTIONS } from '../wasi/preview1.js';
import type { Ledger } from './ledger.js';
import { LOWEST } from './ledger.js';
import type { AdapterOptions, Announcer, Touch } from './types.js';

/** Bytes before a pointer that are announced with it: Emscripten keeps an exception's header there. */
const BEFORE = 64;
/** Some stacks and some data do lie low: an import's argument counts as a pointer from here on. */
const LOWEST_ARGUMENT = 16;
/** Longest array of (pointer, length) pairs that is followed. */
const IOVECS = 1024;
/** Words at an unknown pointer that are followed once more: variable arguments arrive that way. */
const FOLLOWED = 2;
/** Announced where a pointer was only found by following another. */
const FOLLOWED_WINDOW = 128;

const at = (args: readonly unknown[], index: number): number =>
  typeof args[index] === 'number' ? (args[index] as number) >>> 0 : 0;

/** Fixed windows: (argument, bytes), again and again. */
const fixed =
  (...pairs: number[]): Announcer =>
  (args, touch) => {
    for (let i = 0; i < pairs.length; i += 2) touch(at(args, pairs[i]!), pairs[i + 1]!);
  };
/** A buffer whose length is another argument, and `extra` bytes more. */
const buffer =
  (pointer: number, length: number, extra = 0): Announcer =>
  (args, touch) =>
    touch(at(args, pointer), at(args, length) + extra);
const nothing: Announcer = () => {};
/** Windows at the last `count` arguments: 64-bit arguments before them may arrive split in two. */
const last =
  (...bytes: number[]): Announcer =>
  (args, touch) => {
    for (let i = 0; i < bytes.length; i++) touch(at(args, args.length - bytes.length + i), bytes[i]!);
  };
/** A pointer to variable arguments: what the first of them points at. */
const variable =
  (index: number): Announcer =>
  (args, touch, view) => {
    const pointer = at(args, index);
    if (pointer + 4 <= view().byteLength) touch(view().getUint32(pointer, true), FOLLOWED_WINDOW);
  };

const STAT = 128;
const TIME = 64;

/** Emscripten's JavaScript library, by name without leading underscores. */
const EMSCRIPTEN: Readonly<Record<string, Announcer>> = {
  abort: nothing,
  exit: nothing,
  emscripten_date_now: nothing,
  emscripten_get_now: nothing,
  emscripten_get_now_res: nothing,
  emscripten_get_now_is_monotonic: nothing,
  emscripten_get_heap_max: nothing,
  emscripten_resize_heap: nothing,
  emscripten_runtime_keepalive_clear: nothing,
  emscripten_throw_longjmp: nothing,
  setTempRet0: nothing,
  getTempRet0: nothing,
  setitimer_js: nothing,
  abort_js: nothing,
  emscripten_memcpy_js: buffer(0, 2),
  emscripten_memcpy_big: buffer(0, 2),
  getentropy: buffer(0, 1),
  localtime_js: last(TIME),
  gmtime_js: last(TIME),
  mktime_js: fixed(0, TIME),
  timegm_js: fixed(0, TIME),
  tzset_js: fixed(0, 8, 1, 8, 2, TIME, 3, TIME),
  mmap_js: last(8, 8),
  munmap_js: nothing,
  strftime: buffer(0, 1),
  strftime_l: buffer(0, 1),
  emscripten_get_callstack_js: buffer(1, 2),
  syscall_stat64: fixed(1, STAT),
  syscall_lstat64: fixed(1, STAT),
  syscall_fstat64: fixed(1, STAT),
  syscall_newfstatat: fixed(2, STAT),
  syscall_getcwd: buffer(0, 1, 1),
  syscall_readlinkat: buffer(2, 3, 1),
  syscall_readlink: buffer(1, 2, 1),
  syscall_getdents64: buffer(1, 2),
  syscall_pipe: fixed(0, 8),
  syscall_poll: (args, touch) => touch(at(args, 0), at(args, 1) * 8),
  syscall_uname: fixed(0, 512),
  syscall_statfs64: fixed(2, STAT),
  syscall_fstatfs64: fixed(2, STAT),
  syscall_fcntl64: variable(2),
  syscall_ioctl: variable(2),
  syscall_openat: nothing,
  syscall_dup: nothing,
  syscall_dup3: nothing,
  syscall_faccessat: nothing,
  syscall_unlinkat: nothing,
  syscall_rmdir: nothing,
  syscall_renameat: nothing,
  syscall_mkdirat: nothing,
  syscall_fchmod: nothing,
  syscall_chmod: nothing,
  syscall_fchown32: nothing,
  syscall_ftruncate64: nothing,
  syscall_truncate64: nothing,
  syscall_fdatasync: nothing,
  syscall_utimensat: nothing,
};

/** Compiles what is known of one import into a function to call before it. */
export function announcerOf(
  module: string,
  name: string,
  ledger: Ledger,
  view: () => DataView,
  options: AdapterOptions,
): (args: readonly unknown[]) => void {
  const own = options.announce?.[`${module}.${name}`] ?? options.announce?.[name];
  if (own) return (args) => own(args, ledger.touch, view);
  const guess = generic(ledger, view, options);
  if ((NAMESPACES as readonly string[]).includes(module) && Object.hasOwn(WASI_FUNCTIONS, name)) {
    return wasi(name, module === 'wasi_unstable', ledger, view, guess);
  }
  // Calls through the table on behalf of the guest: what they do to memory, the guest does.
  if (name.startsWith('invoke_')) return () => {};
  const key = name.replace(/^_+/, '');
  const known = module === 'env' && Object.hasOwn(EMSCRIPTEN, key) ? EMSCRIPTEN[key]! : undefined;
  return known ? (args) => known(args, ledger.touch, view) : guess;
}

function wasi(
  name: string,
  unstable: boolean,
  ledger: Ledger,
  view: () => DataView,
  otherwise: (args: readonly unknown[]) => void,
): (args: readonly unknown[]) => void {
  const known = WASI_FUNCTIONS[name]!;
  const exact = known.writes.filter((range) => range.kind !== 'strings');
  const strings = known.writes.filter((range) => range.kind === 'strings');
  return (args) => {
    // Without BigInt at the boundary a 64-bit argument arrives as two, and positions no longer tell.
    if (args.length !== known.params.length) return otherwise(args);
    const { spans } = spansOf(exact, args as (number | bigint)[], view(), unstable);
    for (const [start, end] of spans) ledger.touch(start, end - start);
    for (const range of strings) {
      ledger.touch(at(args, range.pointer), 65536);
      ledger.touch(at(args, range.buffer), 65536);
    }
  };
}

function generic(
  ledger: Ledger,
  view: () => DataView,
  options: AdapterOptions,
): (args: readonly unknown[]) => void {
  const window = options.window ?? 512;
  const pair = options.pair ?? 65536;
  const { touch } = ledger;
  return (args) => {
    let memory: DataView | undefined;
    for (let i = 0; i < args.length; i++) {
      if (!ledger.isPointer(args[i], LOWEST_ARGUMENT)) continue;
      memory ??= view();
      const pointer = at(args, i);
      touch(Math.max(0, pointer - BEFORE), window + BEFORE);
      const next = args[i + 1];
      if (typeof next === 'number' && Number.isInteger(next) && next > 0) {
        if (next <= pair) touch(pointer, next);
        if (next <= IOVECS) vector(pointer, next, memory, touch);
      }
      follow(pointer, memory, ledger, touch);
    }
  };
}

/** If that reads like an array of (pointer, length) pairs, announces what they span. */
function vector(pointer: number, count: number, memory: DataView, touch: Touch): void {
  const limit = memory.byteLength;
  if (pointer % 4 !== 0 || pointer + count * 8 > limit) return;
  for (let i = 0; i < count; i++) {
    const start = memory.getUint32(pointer + 8 * i, true);
    const length = memory.getUint32(pointer + 8 * i + 4, true);
    if (length > 0 && (start < LOWEST || start + length > limit)) return;
  }
  for (let i = 0; i < count; i++) {
    touch(memory.getUint32(pointer + 8 * i, true), memory.getUint32(pointer + 8 * i + 4, true));
  }
}

function follow(pointer: number, memory: DataView, ledger: Ledger, touch: Touch): void {
  if (pointer % 4 !== 0) return;
  for (let i = 0; i < FOLLOWED && pointer + 4 * i + 4 <= memory.byteLength; i++) {
    const word = memory.getUint32(pointer + 4 * i, true);
    if (ledger.isPointer(word)) touch(word, FOLLOWED_WINDOW);
  }
}
