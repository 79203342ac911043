/**
 * WASI preview 1 as its witx files say it, written down apart from the runtime's table so that one can be
 * held against the other: typed signatures, record layouts, and how witx lowers both to Wasm.
 * https://github.com/WebAssembly/WASI/tree/wasi-0.1/preview1/witx
 */

/** `name(types) -> results`; `bytes` is a buffer to fill: (@witx pointer u8) and its $size. */
const SIGNATURES = `
args_get(pointers, strings)
args_sizes_get() -> size, size
environ_get(pointers, strings)
environ_sizes_get() -> size, size
clock_res_get(clockid) -> timestamp
clock_time_get(clockid, timestamp) -> timestamp
fd_advise(fd, filesize, filesize, advice)
fd_allocate(fd, filesize, filesize)
fd_close(fd)
fd_datasync(fd)
fd_fdstat_get(fd) -> fdstat
fd_fdstat_set_flags(fd, fdflags)
fd_fdstat_set_rights(fd, rights, rights)
fd_filestat_get(fd) -> filestat
fd_filestat_set_size(fd, filesize)
fd_filestat_set_times(fd, timestamp, timestamp, fstflags)
fd_pread(fd, iovec_array, filesize) -> size
fd_prestat_get(fd) -> prestat
fd_prestat_dir_name(fd, bytes)
fd_pwrite(fd, ciovec_array, filesize) -> size
fd_read(fd, iovec_array) -> size
fd_readdir(fd, bytes, dircookie) -> size
fd_renumber(fd, fd)
fd_seek(fd, filedelta, whence) -> filesize
fd_sync(fd)
fd_tell(fd) -> filesize
fd_write(fd, ciovec_array) -> size
path_create_directory(fd, string)
path_filestat_get(fd, lookupflags, string) -> filestat
path_filestat_set_times(fd, lookupflags, string, timestamp, timestamp, fstflags)
path_link(fd, lookupflags, string, fd, string)
path_open(fd, lookupflags, string, oflags, rights, rights, fdflags) -> fd
path_readlink(fd, string, bytes) -> size
path_remove_directory(fd, string)
path_rename(fd, string, fd, string)
path_symlink(string, fd, string)
path_unlink_file(fd, string)
poll_oneoff(subscriptions, events, size) -> size
proc_exit(exitcode)
proc_raise(signal)
sched_yield()
random_get(bytes)
sock_accept(fd, fdflags) -> fd
sock_recv(fd, iovec_array, riflags) -> size, roflags
sock_send(fd, ciovec_array, siflags) -> size
sock_shutdown(fd, sdflags)`;

/** Sizes of scalar types; what is not named is lowered to an i32. */
const SCALARS: Record<string, number> = {
  size: 4,
  fd: 4,
  roflags: 2,
  timestamp: 8,
  filesize: 8,
  filedelta: 8,
  rights: 8,
  dircookie: 8,
};

/** Records as the sizes of their fields, an inner list being a record or the arm of a union. */
type Fields = readonly (number | Fields)[];
const RECORDS: Record<string, Fields> = {
  fdstat: [1, 2, 8, 8],
  filestat: [8, 8, 1, 8, 8, 8, 8, 8],
  prestat: [1, [4]],
  event: [8, 2, 1, [8, 2]],
  subscription: [8, [1, [4, 8, 8, 2]]],
};
const UNSTABLE: Record<string, Fields> = {
  ...RECORDS,
  filestat: [8, 8, 1, 4, 8, 8, 8, 8],
  subscription: [8, [1, [8, 4, 8, 8, 2]]],
};

function layout(fields: Fields): { size: number; align: number } {
  let size = 0;
  let align = 1;
  const place = (bytes: number, to: number) => {
    size = Math.ceil(size / to) * to + bytes;
    align = Math.max(align, to);
  };
  for (const field of fields) {
    if (typeof field === 'number') place(field, field);
    else {
      const inner = layout(field);
      place(inner.size, inner.align);
    }
  }
  return { size: Math.ceil(size / align) * align, align };
}

export function sizeOf(type: string, unstable: boolean): number {
  const record = (unstable ? UNSTABLE : RECORDS)[type];
  return record ? layout(record).size : SCALARS[type]!;
}

/** What a parameter of the lowered function is. */
export interface Parameter {
  type: 'i32' | 'i64';
  /** witx's type, of which this is the part: a pointer, a length, or the value. */
  of: string;
  part: 'value' | 'pointer' | 'length' | 'result';
}

export interface Lowered {
  name: string;
  parameters: Parameter[];
  result: boolean;
}

const PAIRS = ['string', 'bytes', 'iovec_array', 'ciovec_array'];
const POINTERS = ['pointers', 'strings', 'subscriptions', 'events'];

function lower(line: string): Lowered {
  const [, name, types, results] = /^(\w+)\((.*?)\)(?: -> (.*))?$/.exec(line)!;
  const parameters: Parameter[] = [];
  for (const of of types!.split(', ').filter(Boolean)) {
    if (PAIRS.includes(of)) {
      parameters.push({ type: 'i32', of, part: 'pointer' }, { type: 'i32', of, part: 'length' });
    } else if (POINTERS.includes(of)) parameters.push({ type: 'i32', of, part: 'pointer' });
    else parameters.push({ type: SCALARS[of] === 8 ? 'i64' : 'i32', of, part: 'value' });
  }
  for (const of of (results ?? '').split(', ').filter(Boolean)) {
    parameters.push({ type: 'i32', of, part: 'result' });
  }
  return { name: name!, parameters, result: name !== 'proc_exit' };
}

/** Every function, lowered. */
export const WITX: readonly Lowered[] = SIGNATURES.trim().split('\n').map(lower);

/** Text of a module that imports every function and exports each under its name. */
export function forwarders(namespace: string, body = '(memory (export "memory") 1 16)'): string {
  const functions = WITX.filter(({ name }) => namespace !== 'wasi_unstable' || name !== 'sock_accept');
  const imports = functions.map(({ name, parameters, result }) => {
    const types = parameters.map(({ type }) => type).join(' ');
    return `(import "${namespace}" "${name}" (func $${name} (param ${types})${result ? ' (result i32)' : ''}))`;
  });
  const exports = functions.map(({ name, parameters, result }) => {
    const types = parameters.map(({ type }) => type).join(' ');
    const args = parameters.map((_, i) => `(local.get ${i})`).join(' ');
    return `(func (export "${name}") (param ${types})${result ? ' (result i32)' : ''} (call $${name} ${args}))`;
  });
  return `(module\n${imports.join('\n')}\n${body}\n${exports.join('\n')})`;
}
