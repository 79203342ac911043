/**
 * Which guest memory each WASI function reads and writes, and a wrapper that announces the writes.
 *
 * A WASI provider writes into guest memory from outside: no instrumented store sees it. The table below says,
 * for every function of `wasi_snapshot_preview1` and of its predecessor `wasi_unstable`, where. Sizes are
 * those of the witx files (WebAssembly/WASI, legacy/preview1 and legacy/preview0). All pointers are 32-bit.
 */
import type { Guest } from '../types.js';
import { memoryBytes } from './memory.js';
import { SIZES } from './sizes.js';

/** A range of guest memory that a function reads or writes, in terms of its arguments (by position). */
export type Range =
  /** `bytes` bytes at the pointer; `unstable` is their number in wasi_unstable, where it differs. */
  | { kind: 'fixed'; pointer: number; bytes: number; unstable?: number }
  /** `count` elements of `each` bytes: buffers and arrays of records. */
  | { kind: 'array'; pointer: number; count: number; each: number; unstable?: number }
  /** The buffers named by an array of `count` (pointer, length) pairs; the array itself is read. */
  | { kind: 'iovec'; pointer: number; count: number }
  /** args_get and environ_get: an array of pointers and a buffer, whose sizes `sizes` tells. */
  | { kind: 'strings'; pointer: number; buffer: number; sizes: string };

/** A function of WASI: parameters by name and type, and the ranges it reads and writes. */
export interface WasiFunction {
  params: readonly { name: string; type: 'i32' | 'i64' }[];
  /** What it returns: an errno, or nothing. */
  result: 'errno' | 'none';
  reads: readonly Range[];
  writes: readonly Range[];
}

type Draft = (index: (name: string) => number) => Range;

const bytes =
  (pointer: string, size: number, unstable?: number): Draft =>
  (index) => ({ kind: 'fixed', pointer: index(pointer), bytes: size, ...(unstable && { unstable }) });
const array =
  (pointer: string, count: string, each = 1, unstable?: number): Draft =>
  (index) => ({
    kind: 'array',
    pointer: index(pointer),
    count: index(count),
    each,
    ...(unstable && { unstable }),
  });
const iovec =
  (pointer: string, count: string): Draft =>
  (index) => ({ kind: 'iovec', pointer: index(pointer), count: index(count) });
const strings =
  (pointer: string, buffer: string, sizes: string): Draft =>
  (index) => ({ kind: 'strings', pointer: index(pointer), buffer: index(buffer), sizes });

/** `signature`: names apart by spaces; `:` after a name means i64. */
function define(
  signature: string,
  ranges: { reads?: Draft[]; writes?: Draft[] } = {},
  result: 'errno' | 'none' = 'errno',
): WasiFunction {
  const params = signature
    .split(' ')
    .filter(Boolean)
    .map((word) => ({ name: word.replace(':', ''), type: word.endsWith(':') ? 'i64' : 'i32' }) as const);
  const index = (name: string) => {
    const found = params.findIndex((param) => param.name === name);
    if (found < 0) throw new Error(`no parameter ${name} in ${signature}`);
    return found;
  };
  const resolve = (drafts: Draft[] = []) => drafts.map((draft) => draft(index));
  return { params, result, reads: resolve(ranges.reads), writes: resolve(ranges.writes) };
}

const S = SIZES;
const filestat = (pointer: string) => bytes(pointer, S.filestat, S.filestatUnstable);
const path = array('path', 'path_len');

/** Every function of preview 1, by name. */
export const WASI_FUNCTIONS: Readonly<Record<string, WasiFunction>> = {
  args_get: define('argv argv_buf', { writes: [strings('argv', 'argv_buf', 'args_sizes_get')] }),
  args_sizes_get: define('argc size', { writes: [bytes('argc', S.size), bytes('size', S.size)] }),
  environ_get: define('environ environ_buf', {
    writes: [strings('environ', 'environ_buf', 'environ_sizes_get')],
  }),
  environ_sizes_get: define('count size', { writes: [bytes('count', S.size), bytes('size', S.size)] }),
  clock_res_get: define('id resolution', { writes: [bytes('resolution', S.timestamp)] }),
  clock_time_get: define('id precision: time', { writes: [bytes('time', S.timestamp)] }),
  fd_advise: define('fd offset: len: advice'),
  fd_allocate: define('fd offset: len:'),
  fd_close: define('fd'),
  fd_datasync: define('fd'),
  fd_fdstat_get: define('fd stat', { writes: [bytes('stat', S.fdstat)] }),
  fd_fdstat_set_flags: define('fd flags'),
  fd_fdstat_set_rights: define('fd base: inheriting:'),
  fd_filestat_get: define('fd stat', { writes: [filestat('stat')] }),
  fd_filestat_set_size: define('fd size:'),
  fd_filestat_set_times: define('fd atim: mtim: flags'),
  fd_pread: define('fd iovs count offset: nread', {
    writes: [iovec('iovs', 'count'), bytes('nread', S.size)],
  }),
  fd_prestat_get: define('fd prestat', { writes: [bytes('prestat', S.prestat)] }),
  fd_prestat_dir_name: define('fd path path_len', { writes: [path] }),
  fd_pwrite: define('fd iovs count offset: nwritten', {
    reads: [iovec('iovs', 'count')],
    writes: [bytes('nwritten', S.size)],
  }),
  fd_read: define('fd iovs count nread', { writes: [iovec('iovs', 'count'), bytes('nread', S.size)] }),
  fd_readdir: define('fd buf len cookie: used', { writes: [array('buf', 'len'), bytes('used', S.size)] }),
  fd_renumber: define('fd to'),
  fd_seek: define('fd offset: whence position', { writes: [bytes('position', S.filesize)] }),
  fd_sync: define('fd'),
  fd_tell: define('fd position', { writes: [bytes('position', S.filesize)] }),
  fd_write: define('fd iovs count nwritten', {
    reads: [iovec('iovs', 'count')],
    writes: [bytes('nwritten', S.size)],
  }),
  path_create_directory: define('fd path path_len', { reads: [path] }),
  path_filestat_get: define('fd flags path path_len stat', { reads: [path], writes: [filestat('stat')] }),
  path_filestat_set_times: define('fd flags path path_len atim: mtim: fst_flags', { reads: [path] }),
  path_link: define('fd flags path path_len to_fd to to_len', { reads: [path, array('to', 'to_len')] }),
  path_open: define('fd dirflags path path_len oflags base: inheriting: fdflags opened', {
    reads: [path],
    writes: [bytes('opened', S.fd)],
  }),
  path_readlink: define('fd path path_len buf len used', {
    reads: [path],
    writes: [array('buf', 'len'), bytes('used', S.size)],
  }),
  path_remove_directory: define('fd path path_len', { reads: [path] }),
  path_rename: define('fd path path_len to_fd to to_len', { reads: [path, array('to', 'to_len')] }),
  path_symlink: define('path path_len fd to to_len', { reads: [path, array('to', 'to_len')] }),
  path_unlink_file: define('fd path path_len', { reads: [path] }),
  poll_oneoff: define('subscriptions events count nevents', {
    reads: [array('subscriptions', 'count', S.subscription, S.subscriptionUnstable)],
    writes: [array('events', 'count', S.event), bytes('nevents', S.size)],
  }),
  proc_exit: define('code', {}, 'none'),
  proc_raise: define('signal'),
  random_get: define('buf len', { writes: [array('buf', 'len')] }),
  sched_yield: define(''),
  sock_accept: define('fd flags opened', { writes: [bytes('opened', S.fd)] }),
  sock_recv: define('fd iovs count flags nread ro_flags', {
    writes: [iovec('iovs', 'count'), bytes('nread', S.size), bytes('ro_flags', S.roflags)],
  }),
  sock_send: define('fd iovs count flags nwritten', {
    reads: [iovec('iovs', 'count')],
    writes: [bytes('nwritten', S.size)],
  }),
  sock_shutdown: define('fd how'),
};

/** The namespaces of WASI preview 1 and of its predecessor. */
export const NAMESPACES = ['wasi_snapshot_preview1', 'wasi_unstable'] as const;

// An array of more buffers than this is not walked: the whole memory is announced instead.
const MAX_IOVECS = 4096;

/** A host function as a WASI provider offers it. */
export type HostFunction = (...args: (number | bigint)[]) => number | undefined;

export interface TrackOptions {
  /**
   * The errno for a range outside of guest memory that the provider would nevertheless accept, because the
   * buffer it sees is larger than the guest's memory (inline layout; a grow that was undone). Default 21,
   * EFAULT.
   */
  fault?: number;
}

/** One (start, end) pair of guest memory. */
export type Span = readonly [start: number, end: number];

/**
 * The ranges of one call, in bytes, as far as guest memory can hold them. They may overlap.
 * @param memory the guest's memory, no longer than the guest believes it to be.
 * @returns the spans, clamped to memory, and whether any reached outside, or might.
 */
export function spansOf(
  ranges: readonly Range[],
  args: readonly (number | bigint)[],
  memory: DataView,
  unstable: boolean,
  sizes: (name: string) => readonly [count: number, bytes: number] = () => [0, 0],
): { spans: Span[]; outside: boolean } {
  const limit = memory.byteLength;
  const spans: Span[] = [];
  let outside = false;
  const add = (start: number, length: number) => {
    if (length === 0) return;
    const end = start + length;
    if (end > limit) outside = true;
    if (start < limit) spans.push([start, Math.min(end, limit)]);
  };
  const argument = (index: number) => Number(args[index] ?? 0) >>> 0;
  for (const range of ranges) {
    const pointer = argument(range.pointer);
    switch (range.kind) {
      case 'fixed':
        add(pointer, (unstable && range.unstable) || range.bytes);
        break;
      case 'array':
        add(pointer, argument(range.count) * ((unstable && range.unstable) || range.each));
        break;
      case 'iovec': {
        const count = argument(range.count);
        const end = pointer + count * SIZES.iovec;
        if (end > limit) outside = true;
        // Those pairs that do lie in memory count: a provider may serve them before it meets the end.
        const inside = Math.min(count, Math.max(0, Math.floor((limit - pointer) / SIZES.iovec)));
        if (inside > MAX_IOVECS) {
          spans.push([0, limit]);
          break;
        }
        for (let i = 0; i < inside; i++) {
          const at = pointer + i * SIZES.iovec;
          const start = memory.getUint32(at, true);
          const length = memory.getUint32(at + 4, true);
          add(start, length);
          // A buffer over the array itself may change the pairs that follow: they could point anywhere.
          if (length > 0 && start < end && start + length > pointer) {
            spans.push([0, limit]);
            outside = true;
          }
        }
        break;
      }
      case 'strings': {
        const [count, length] = sizes(range.sizes);
        add(pointer, count * 4);
        add(argument(range.buffer), length);
        break;
      }
    }
  }
  return { spans, outside };
}

/**
 * Wraps the import object of any WASI provider, so that each call first announces what it may write.
 * Works on every engine. Functions that no table knows announce the whole memory: slow, but nothing is lost.
 *
 * @param guest the guest that will call them; its memory must exist by the first call.
 * @param imports an import object; namespaces other than WASI's are passed on as they are.
 */
export function trackWasi(
  guest: Guest,
  imports: WebAssembly.Imports,
  options: TrackOptions = {},
): WebAssembly.Imports {
  const tracked: WebAssembly.Imports = {};
  for (const [namespace, functions] of Object.entries(imports)) {
    tracked[namespace] = (NAMESPACES as readonly string[]).includes(namespace)
      ? trackNamespace(guest, functions, namespace === 'wasi_unstable', options.fault ?? 21)
      : functions;
  }
  return tracked;
}

function trackNamespace(
  guest: Guest,
  functions: WebAssembly.ModuleImports,
  unstable: boolean,
  fault: number,
): WebAssembly.ModuleImports {
  const sizes = (name: string) => askSizes(guest, functions[name] as HostFunction | undefined);
  const tracked: WebAssembly.ModuleImports = {};
  for (const [name, value] of Object.entries(functions)) {
    if (typeof value !== 'function') {
      tracked[name] = value;
      continue;
    }
    const call = value as HostFunction;
    const known = Object.hasOwn(WASI_FUNCTIONS, name) ? WASI_FUNCTIONS[name] : undefined;
    if (!known) {
      tracked[name] = (...args: (number | bigint)[]) => {
        guest.touch(0, memoryBytes(guest));
        return call(...args);
      };
    } else if (known.writes.length === 0 && known.reads.length === 0) {
      tracked[name] = call;
    } else {
      tracked[name] = (...args: (number | bigint)[]) => {
        const limit = memoryBytes(guest);
        const { buffer } = guest.memory;
        const view = new DataView(buffer, 0, limit);
        const { spans, outside } = spansOf(known.writes, args, view, unstable, sizes);
        if (limit < buffer.byteLength && (outside || spansOf(known.reads, args, view, unstable).outside)) {
          return fault;
        }
        announce(guest, spans, limit);
        return call(...args);
      };
    }
  }
  return tracked;
}

function announce(guest: Guest, spans: readonly Span[], limit: number): void {
  // Many overlapping buffers must not cost more than all of memory does.
  let total = 0;
  for (const [start, end] of spans) total += end - start;
  if (total >= limit && spans.length > 1) guest.touch(0, limit);
  else for (const [start, end] of spans) guest.touch(start, end - start);
}

/**
 * Asks the provider how much args_get or environ_get will write. It answers into guest memory only, so the
 * first 8 bytes are lent to it and put back.
 */
function askSizes(guest: Guest, ask: HostFunction | undefined): readonly [number, number] {
  if (!ask || memoryBytes(guest) < 8) return [0, 0];
  guest.touch(0, 8);
  const view = new DataView(guest.memory.buffer, 0, 8);
  const kept = view.getBigUint64(0, true);
  try {
    return ask(0, 4) === 0 ? [view.getUint32(0, true), view.getUint32(4, true)] : [0, 0];
  } finally {
    view.setBigUint64(0, kept, true);
  }
}
