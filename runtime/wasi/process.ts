/**
 * The part of WASI that needs no file system, served here for every provider: arguments, environment, the
 * three standard streams, clocks, random numbers, sleep and exit. Its state is a handful of references, so
 * that a checkpoint of it costs nanoseconds, and the host can change it for every request.
 *
 * A guest may close a standard stream or renumber a descriptor onto it (as dup2 does). The provider is told
 * about every close and renumber too, so that its numbers and ours stay the same.
 */
import { BelayError } from '../../contract/errors.js';
import type { Companion, Guest } from '../types.js';
import { exit } from './exit.js';
import { memoryBytes } from './memory.js';
import { type HostFunction, SIZES, WASI_FUNCTIONS } from './preview1.js';
import type { WasiOptions } from './types.js';

/** The errno values used here (preview 1 and unstable agree on them). */
export const ERRNO = {
  success: 0,
  badf: 8,
  fault: 21,
  inval: 28,
  nospc: 51,
  nosys: 52,
  notdir: 54,
  notsock: 57,
  spipe: 70,
} as const;

// Rights of a standard stream: read, write, fdstat_set_flags, filestat_get, poll_fd_readwrite. Without seek and tell.
const STREAM_RIGHTS = (1n << 1n) | (1n << 3n) | (1n << 6n) | (1n << 21n) | (1n << 27n);
// What a pipe is for uvwasi, too. "Character device" would make C programs take it for a terminal.
const FILETYPE_SOCKET_STREAM = 6;
const MAX_CHUNK = 65536;

/** Strings as the guest wants them: all bytes, each string ending in NUL, and where each begins. */
interface Strings {
  bytes: Uint8Array;
  offsets: number[];
}

/** Output not yet taken: chunks are only ever added, so that a length tells a state. */
interface Output {
  chunks: Uint8Array[];
  bytes: number;
}

interface State {
  args: Strings;
  env: Strings;
  stdin: Uint8Array;
  stdinOffset: number;
  stdout: Output;
  stderr: Output;
  /** Descriptor → standard stream 0, 1 or 2. Never changed in place. */
  streams: ReadonlyMap<number, number>;
}

/** What a checkpoint keeps of an {@link Output}. */
interface OutputMark {
  output: Output;
  chunks: number;
  bytes: number;
}

const encoder = new TextEncoder();
const EMPTY = new Uint8Array(0);

/** Text as UTF-8; bytes as a copy, since the caller may go on to use them. */
export function toBytes(content: Uint8Array | string): Uint8Array {
  return typeof content === 'string' ? encoder.encode(content) : content.slice();
}

function pack(values: readonly string[], what: string): Strings {
  const offsets: number[] = [];
  const parts: string[] = [];
  for (const value of values) {
    if (typeof value !== 'string' || value.includes('\0')) {
      throw new BelayError('ERR_BELAY_OPTION', `${what} must be strings without NUL characters`);
    }
    parts.push(value, '\0');
  }
  const bytes = encoder.encode(parts.join(''));
  for (let at = 0; at < bytes.length; at = bytes.indexOf(0, at) + 1) offsets.push(at);
  return { bytes, offsets };
}

function packEnv(env: Readonly<Record<string, string>>): Strings {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || name.includes('=')) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `"${name}" is no name of an environment variable: it must not be empty nor contain "="`,
      );
    }
    pairs.push(`${name}=${value}`);
  }
  return pack(pairs, 'environment variables');
}

function mark(output: Output): OutputMark {
  return { output, chunks: output.chunks.length, bytes: output.bytes };
}

function unmark(saved: OutputMark): Output {
  saved.output.chunks.length = saved.chunks;
  saved.output.bytes = saved.bytes;
  return saved.output;
}

function join(output: Output): Uint8Array {
  if (output.chunks.length === 1) return output.chunks[0]!.slice();
  const all = new Uint8Array(output.bytes);
  let at = 0;
  for (const chunk of output.chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** The state that a WASI process has apart from its files. One for each guest. */
export class WasiProcess implements Companion {
  #state: State;
  #saved: { state: State; stdout: OutputMark; stderr: OutputMark } | undefined;
  readonly #limit: number;
  readonly #maxSleep: number;
  readonly #now: () => bigint;
  readonly #random: (bytes: Uint8Array) => void;

  constructor(options: WasiOptions) {
    this.#limit = options.outputLimit ?? 16 * 1024 * 1024;
    this.#maxSleep = options.maxSleep ?? Number.POSITIVE_INFINITY;
    for (const [name, value] of [
      ['outputLimit', this.#limit],
      ['maxSleep', this.#maxSleep],
    ] as const) {
      if (typeof value !== 'number' || !(value >= 0)) {
        throw new BelayError('ERR_BELAY_OPTION', `${name} must be a number of 0 or more`);
      }
    }
    this.#now = options.now ?? (() => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)));
    this.#random =
      options.random ??
      ((bytes) => {
        crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
      });
    this.#state = {
      args: pack(options.args ?? ['app'], 'arguments'),
      env: packEnv(options.env ?? {}),
      stdin: toBytes(options.stdin ?? EMPTY),
      stdinOffset: 0,
      stdout: { chunks: [], bytes: 0 },
      stderr: { chunks: [], bytes: 0 },
      streams: new Map([
        [0, 0],
        [1, 1],
        [2, 2],
      ]),
    };
  }

  checkpoint(): void {
    const { stdout, stderr } = this.#state;
    this.#saved = { state: { ...this.#state }, stdout: mark(stdout), stderr: mark(stderr) };
  }

  rollback(): void {
    const saved = this.#saved;
    if (!saved) return;
    this.#state = { ...saved.state, stdout: unmark(saved.stdout), stderr: unmark(saved.stderr) };
  }

  setArgs(args: readonly string[]): void {
    this.#state.args = pack(args, 'arguments');
  }

  setEnv(env: Readonly<Record<string, string>>): void {
    this.#state.env = packEnv(env);
  }

  setStdin(input: Uint8Array | string): void {
    this.#state.stdin = toBytes(input);
    this.#state.stdinOffset = 0;
  }

  takeStdout(): Uint8Array {
    const taken = join(this.#state.stdout);
    this.#state.stdout = { chunks: [], bytes: 0 };
    return taken;
  }

  takeStderr(): Uint8Array {
    const taken = join(this.#state.stderr);
    this.#state.stderr = { chunks: [], bytes: 0 };
    return taken;
  }

  /**
   * All functions of WASI for `guest`: those that concern this state are served here, and the others are
   * the provider's. What neither has answers ENOSYS, so that any module can be instantiated.
   */
  functions(
    guest: Guest,
    provider: Readonly<Record<string, HostFunction>>,
    unstable: boolean,
  ): Record<string, HostFunction> {
    const memory = new Access(guest);
    const all: Record<string, HostFunction> = {};
    for (const name of Object.keys(WASI_FUNCTIONS)) all[name] = provider[name] ?? (() => ERRNO.nosys);
    for (const [name, value] of Object.entries(this.#streamFunctions(memory))) {
      const forward = all[name]!;
      all[name] = (fd, ...rest) => {
        const stream = this.#state.streams.get(Number(fd) >>> 0);
        return stream === undefined ? forward(fd!, ...rest) : value(stream, ...rest);
      };
    }
    return Object.assign(all, this.#plainFunctions(memory, unstable), this.#descriptorFunctions(all));
  }

  /** Functions that concern no descriptor. */
  #plainFunctions(memory: Access, unstable: boolean): Record<string, HostFunction> {
    const get = (pick: () => Strings) => (pointers: number | bigint, buffer: number | bigint) =>
      memory.writeStrings(Number(pointers) >>> 0, Number(buffer) >>> 0, pick());
    const sizes = (pick: () => Strings) => (count: number | bigint, length: number | bigint) =>
      memory.writeU32(count, pick().offsets.length) || memory.writeU32(length, pick().bytes.length);
    const args = () => this.#state.args;
    const env = () => this.#state.env;
    return {
      args_get: get(args),
      args_sizes_get: sizes(args),
      environ_get: get(env),
      environ_sizes_get: sizes(env),
      clock_res_get: (id, result) =>
        Number(id) >>> 0 > 3 ? ERRNO.inval : memory.writeU64(result!, id === 0 ? 1_000_000n : 1_000n),
      clock_time_get: (id, _precision, result) =>
        Number(id) >>> 0 > 3 ? ERRNO.inval : memory.writeU64(result!, this.#clock(Number(id))),
      random_get: (pointer, length) => {
        const size = Number(length) >>> 0;
        const start = Number(pointer) >>> 0;
        if (!memory.has(start, size)) return ERRNO.fault;
        for (let at = 0; at < size; at += MAX_CHUNK) {
          const chunk = new Uint8Array(Math.min(MAX_CHUNK, size - at));
          this.#random(chunk);
          memory.write(start + at, chunk);
        }
        return ERRNO.success;
      },
      sched_yield: () => ERRNO.success,
      proc_exit: (code) => exit(Number(code) >>> 0),
      // Signals do not exist here; as a shell would report it.
      proc_raise: (signal) => exit(128 + (Number(signal) & 0x7f)),
      poll_oneoff: (...args) => this.#poll(memory, unstable, args.map((arg) => Number(arg) >>> 0)),
    };
  }

  /** Functions whose first argument is a standard stream (given as 0, 1 or 2, whatever its descriptor). */
  #streamFunctions(memory: Access): Record<string, (stream: number, ...rest: (number | bigint)[]) => number> {
    const answer = (errno: number) => () => errno;
    return {
      fd_read: (stream, iovs, count, result) =>
        stream === 0 ? this.#read(memory, iovs!, count!, result!) : ERRNO.badf,
      fd_write: (stream, iovs, count, result) =>
        stream === 0 ? ERRNO.badf : this.#write(memory, stream, iovs!, count!, result!),
      fd_fdstat_get: (_stream, pointer) => {
        const stat = new DataView(new ArrayBuffer(SIZES.fdstat));
        stat.setUint8(0, FILETYPE_SOCKET_STREAM);
        stat.setBigUint64(8, STREAM_RIGHTS, true);
        return memory.writeChecked(pointer!, new Uint8Array(stat.buffer));
      },
      fd_fdstat_set_flags: answer(ERRNO.success),
      fd_fdstat_set_rights: answer(ERRNO.success),
      fd_filestat_get: (_stream, pointer) => {
        const stat = new Uint8Array(memory.unstable ? SIZES.filestatUnstable : SIZES.filestat);
        stat[16] = FILETYPE_SOCKET_STREAM;
        return memory.writeChecked(pointer!, stat);
      },
      fd_sync: answer(ERRNO.success),
      fd_datasync: answer(ERRNO.success),
      fd_seek: answer(ERRNO.spipe),
      fd_tell: answer(ERRNO.spipe),
      fd_pread: answer(ERRNO.spipe),
      fd_pwrite: answer(ERRNO.spipe),
      fd_advise: answer(ERRNO.spipe),
      fd_allocate: answer(ERRNO.inval),
      fd_filestat_set_size: answer(ERRNO.inval),
      fd_filestat_set_times: answer(ERRNO.inval),
      fd_readdir: answer(ERRNO.notdir),
      fd_prestat_get: answer(ERRNO.badf),
      fd_prestat_dir_name: answer(ERRNO.badf),
      sock_accept: answer(ERRNO.notsock),
      sock_recv: answer(ERRNO.notsock),
      sock_send: answer(ERRNO.notsock),
      sock_shutdown: answer(ERRNO.notsock),
    };
  }

  /** Functions that change what a descriptor is. */
  #descriptorFunctions(all: Readonly<Record<string, HostFunction>>): Record<string, HostFunction> {
    const close = all.fd_close!;
    const renumber = all.fd_renumber!;
    return {
      fd_close: (fd) => {
        const number = Number(fd) >>> 0;
        const errno = close(fd!);
        if (!this.#state.streams.has(number)) return errno;
        const streams = new Map(this.#state.streams);
        streams.delete(number);
        this.#state.streams = streams;
        return ERRNO.success;
      },
      fd_renumber: (from, to) => {
        const [source, target] = [Number(from) >>> 0, Number(to) >>> 0];
        const errno = renumber(from!, to!);
        const stream = this.#state.streams.get(source);
        const changes = stream !== undefined || this.#state.streams.has(target);
        if (errno !== ERRNO.success || source === target || !changes) return errno;
        const streams = new Map(this.#state.streams);
        streams.delete(source);
        if (stream === undefined) streams.delete(target);
        else streams.set(target, stream);
        this.#state.streams = streams;
        return errno;
      },
    };
  }

  #clock(id: number): bigint {
    // Process and thread time (2, 3) have no better source than the monotonic clock.
    return id === 0 ? this.#now() : BigInt(Math.round(performance.now() * 1e6));
  }

  #read(
    memory: Access,
    iovs: number | bigint,
    count: number | bigint,
    result: number | bigint,
  ): number {
    const buffers = memory.buffers(Number(iovs) >>> 0, Number(count) >>> 0);
    if (!buffers || !memory.has(Number(result) >>> 0, 4)) return ERRNO.fault;
    const state = this.#state;
    let total = 0;
    for (const [pointer, length] of buffers) {
      const size = Math.min(length, state.stdin.length - state.stdinOffset);
      if (size === 0) continue;
      memory.write(pointer, state.stdin.subarray(state.stdinOffset, state.stdinOffset + size));
      state.stdinOffset += size;
      total += size;
    }
    return memory.writeU32(result, total);
  }

  #write(
    memory: Access,
    stream: number,
    iovs: number | bigint,
    count: number | bigint,
    result: number | bigint,
  ): number {
    const buffers = memory.buffers(Number(iovs) >>> 0, Number(count) >>> 0);
    if (!buffers || !memory.has(Number(result) >>> 0, 4)) return ERRNO.fault;
    const output = stream === 1 ? this.#state.stdout : this.#state.stderr;
    let total = 0;
    for (const [, length] of buffers) total += length;
    if (output.bytes + total > this.#limit) return ERRNO.nospc;
    for (const [pointer, length] of buffers) {
      if (length > 0) output.chunks.push(memory.read(pointer, length));
    }
    output.bytes += total;
    return memory.writeU32(result, total);
  }

  /**
   * Descriptors are always ready here: streams and files of memory never wait. So clocks count only where
   * nothing else is asked for, and then this thread sleeps.
   */
  #poll(memory: Access, unstable: boolean, [from, to, count, result]: number[]): number {
    const each = unstable ? SIZES.subscriptionUnstable : SIZES.subscription;
    if (count === 0) return ERRNO.inval;
    const fits =
      memory.has(from!, count! * each) && memory.has(to!, count! * SIZES.event) && memory.has(result!, 4);
    if (!fits) return ERRNO.fault;
    const subscriptions = new DataView(memory.read(from!, count! * each).buffer);
    const ready: number[] = [];
    const clocks: { at: number; until: bigint; id: number }[] = [];
    for (let i = 0; i < count!; i++) {
      const at = i * each;
      if (subscriptions.getUint8(at + 8) !== 0) {
        ready.push(at);
        continue;
      }
      const clock = at + (unstable ? 24 : 16);
      const id = subscriptions.getUint32(clock, true);
      const timeout = subscriptions.getBigUint64(clock + 8, true);
      const absolute = (subscriptions.getUint16(clock + 24, true) & 1) === 1;
      clocks.push({ at, id, until: absolute ? timeout : this.#clock(id) + timeout });
    }
    if (ready.length === 0) {
      let wait = this.#maxSleep;
      for (const { id, until } of clocks) wait = Math.min(wait, Number(until - this.#clock(id)) / 1e6);
      sleep(wait);
      const early = wait >= this.#maxSleep;
      for (const { at, id, until } of clocks) if (early || this.#clock(id) >= until) ready.push(at);
    }
    const events = new DataView(new ArrayBuffer(ready.length * SIZES.event));
    for (const [i, at] of ready.entries()) {
      const event = i * SIZES.event;
      const kind = subscriptions.getUint8(at + 8);
      events.setBigUint64(event, subscriptions.getBigUint64(at, true), true);
      if (kind > 2) events.setUint16(event + 8, ERRNO.inval, true);
      events.setUint8(event + 10, kind);
      if (kind === 0) continue;
      const stream = this.#state.streams.get(subscriptions.getUint32(at + 16, true));
      const left = this.#state.stdin.length - this.#state.stdinOffset;
      events.setBigUint64(event + 16, BigInt(kind === 1 && stream === 0 ? left : 1), true);
      // The other end hung up: nothing will follow.
      if (kind === 1 && stream === 0 && left === 0) events.setUint16(event + 24, 1, true);
    }
    memory.write(to!, new Uint8Array(events.buffer));
    return memory.writeU32(result!, ready.length);
  }
}

/** Blocks this thread: idle where the engine allows it, else busy. */
function sleep(milliseconds: number): void {
  if (!(milliseconds > 0)) return;
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  } catch {
    const end = performance.now() + milliseconds;
    while (performance.now() < end);
  }
}

/** Guest memory as host functions use it: bounds are the guest's, and every write is announced. */
class Access {
  readonly #guest: Guest;
  unstable = false;

  constructor(guest: Guest) {
    this.#guest = guest;
  }

  has(pointer: number, length: number): boolean {
    return pointer + length <= memoryBytes(this.#guest);
  }

  /** A copy of a range that is known to lie in memory. */
  read(pointer: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#guest.memory.buffer, pointer, length).slice() as Uint8Array<ArrayBuffer>;
  }

  /** Writes to a range that is known to lie in memory. */
  write(pointer: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#guest.write(pointer, bytes);
  }

  writeChecked(pointer: number | bigint, bytes: Uint8Array): number {
    const start = Number(pointer) >>> 0;
    if (!this.has(start, bytes.length)) return ERRNO.fault;
    this.write(start, bytes);
    return ERRNO.success;
  }

  writeU32(pointer: number | bigint, value: number): number {
    const start = Number(pointer) >>> 0;
    if (!this.has(start, 4)) return ERRNO.fault;
    this.#guest.touch(start, 4);
    new DataView(this.#guest.memory.buffer).setUint32(start, value, true);
    return ERRNO.success;
  }

  writeU64(pointer: number | bigint, value: bigint): number {
    const start = Number(pointer) >>> 0;
    if (!this.has(start, 8)) return ERRNO.fault;
    this.#guest.touch(start, 8);
    new DataView(this.#guest.memory.buffer).setBigUint64(start, value, true);
    return ERRNO.success;
  }

  writeStrings(pointers: number, buffer: number, strings: Strings): number {
    if (!this.has(pointers, strings.offsets.length * 4) || !this.has(buffer, strings.bytes.length)) {
      return ERRNO.fault;
    }
    const array = new DataView(new ArrayBuffer(strings.offsets.length * 4));
    for (const [i, offset] of strings.offsets.entries()) array.setUint32(i * 4, buffer + offset, true);
    this.write(pointers, new Uint8Array(array.buffer));
    this.write(buffer, strings.bytes);
    return ERRNO.success;
  }

  /** The (pointer, length) pairs of an iovec array, or undefined when any of it lies outside of memory. */
  buffers(iovs: number, count: number): [pointer: number, length: number][] | undefined {
    if (!this.has(iovs, count * SIZES.iovec)) return undefined;
    const view = new DataView(this.#guest.memory.buffer, iovs, count * SIZES.iovec);
    const pairs: [number, number][] = [];
    for (let i = 0; i < count; i++) {
      const pointer = view.getUint32(i * 8, true);
      const length = view.getUint32(i * 8 + 4, true);
      if (!this.has(pointer, length)) return undefined;
      pairs.push([pointer, length]);
    }
    return pairs;
  }
}
