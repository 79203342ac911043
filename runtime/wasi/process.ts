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
import { ERRNO } from './errno.js';
import { exit } from './exit.js';
import { Access } from './memory.js';
import { poll } from './poll.js';
import { type HostFunction, WASI_FUNCTIONS } from './preview1.js';
import { bytesOf, damaged, type Fields, fieldsOf, isIndex, listOf, saved } from './saved.js';
import { SIZES } from './sizes.js';
import { type Sources, sourcesOf } from './sources.js';
import { pack, packEnv, type Strings, toBytes } from './strings.js';
import type { WasiOptions } from './types.js';

// Rights of a standard stream: read, write, fdstat_set_flags, filestat_get, poll_fd_readwrite. Without seek and tell.
const STREAM_RIGHTS = (1n << 1n) | (1n << 3n) | (1n << 6n) | (1n << 21n) | (1n << 27n);
// What a pipe is for uvwasi, too. "Character device" would make C programs take it for a terminal.
const FILETYPE_SOCKET_STREAM = 6;

/** Output not yet taken: bytes are only ever added, so that a length tells a state. */
interface Output {
  buffer: Uint8Array;
  length: number;
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
  length: number;
}

const EMPTY = new Uint8Array(0);

/** Where the standard streams are until the guest closes or renumbers them. */
const STREAMS: ReadonlyMap<number, number> = new Map([
  [0, 0],
  [1, 1],
  [2, 2],
]);

const noOutput = (): Output => ({ buffer: EMPTY, length: 0 });

const mark = (output: Output): OutputMark => ({ output, length: output.length });

function unmark({ output, length }: OutputMark): Output {
  output.length = length;
  return output;
}

/** Whether an output is what it was when it was marked. */
const marked = (output: Output, { output: then, length }: OutputMark): boolean =>
  output.length === length && (output === then || length === 0);

/** Makes room for `bytes` more and returns where they go. */
function append(output: Output, bytes: number): Uint8Array {
  const end = output.length + bytes;
  if (end > output.buffer.length) {
    const larger = new Uint8Array(Math.max(1024, end, output.buffer.length * 2));
    larger.set(output.buffer.subarray(0, output.length));
    output.buffer = larger;
  }
  const room = output.buffer.subarray(output.length, end);
  output.length = end;
  return room;
}

const FIELDS = ['args', 'env', 'stdin', 'stdout', 'stderr', 'streams'];

const isText = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0');
const isVariable = (value: unknown): value is string => isText(value) && value.indexOf('=') > 0;
const isStream = (value: unknown): value is [number, number] =>
  Array.isArray(value) && value.length === 2 && isIndex(value[0]) && isIndex(value[1], 2);

/** The state that a WASI process has apart from its files. One for each guest. */
export class WasiProcess implements Companion {
  #state: State;
  #kept: { state: State; stdout: OutputMark; stderr: OutputMark } | undefined;
  readonly #limit: number;
  readonly #maxSleep: number;
  readonly #sources: Sources;

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
    this.#sources = sourcesOf(options);
    this.#state = {
      args: pack(options.args ?? ['app'], 'arguments'),
      env: packEnv(options.env ?? {}),
      stdin: toBytes(options.stdin ?? EMPTY),
      stdinOffset: 0,
      stdout: noOutput(),
      stderr: noOutput(),
      streams: STREAMS,
    };
  }

  checkpoint(): void {
    const { stdout, stderr } = this.#state;
    this.#kept = { state: { ...this.#state }, stdout: mark(stdout), stderr: mark(stderr) };
  }

  rollback(): void {
    const kept = this.#kept;
    if (!kept) return;
    this.#state = { ...kept.state, stdout: unmark(kept.stdout), stderr: unmark(kept.stderr) };
  }

  get changed(): boolean {
    const [now, kept] = [this.#state, this.#kept];
    if (!kept) return true;
    const { state } = kept;
    return !(
      now.args === state.args &&
      now.env === state.env &&
      now.stdin === state.stdin &&
      now.stdinOffset === state.stdinOffset &&
      now.streams === state.streams &&
      marked(now.stdout, kept.stdout) &&
      marked(now.stderr, kept.stderr)
    );
  }

  /** What is usual or empty is left out. Of the input only what was not read yet: the guest cannot go back in it. */
  save(): Fields {
    const { args, env, stdin, stdinOffset, stdout, stderr, streams } = this.#state;
    const pending = ({ buffer, length }: Output) => (length ? buffer.slice(0, length) : undefined);
    const listed = (strings: Strings) => (strings.values.length ? strings.values : undefined);
    return saved('process', {
      args: listed(args),
      env: listed(env),
      stdin: stdinOffset < stdin.length ? stdin.slice(stdinOffset) : undefined,
      stdout: pending(stdout),
      stderr: pending(stderr),
      streams: streams === STREAMS ? undefined : [...streams],
    });
  }

  load(state: unknown): void {
    const fields = fieldsOf(state, 'process', FIELDS);
    const output = (name: string): Output => {
      const buffer = bytesOf(fields, name, 'process');
      return { buffer, length: buffer.length };
    };
    const listed = listOf(fields, 'streams', 'process', isStream);
    const streams = fields.streams === undefined ? STREAMS : new Map(listed);
    if (streams !== STREAMS && streams.size !== listed.length) {
      throw damaged('process', 'a descriptor stands for two streams');
    }
    this.#state = {
      args: pack(listOf(fields, 'args', 'process', isText), 'arguments'),
      env: pack(listOf(fields, 'env', 'process', isVariable), 'environment variables'),
      stdin: bytesOf(fields, 'stdin', 'process'),
      stdinOffset: 0,
      stdout: output('stdout'),
      stderr: output('stderr'),
      streams,
    };
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
    const { buffer, length } = this.#state.stdout;
    this.#state.stdout = noOutput();
    return buffer.slice(0, length);
  }

  takeStderr(): Uint8Array {
    const { buffer, length } = this.#state.stderr;
    this.#state.stderr = noOutput();
    return buffer.slice(0, length);
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
    const memory = new Access(guest, unstable);
    const all: Record<string, HostFunction> = {};
    for (const name of Object.keys(WASI_FUNCTIONS)) all[name] = provider[name] ?? (() => ERRNO.nosys);
    for (const [name, value] of Object.entries(this.#streamFunctions(memory))) {
      const forward = all[name]!;
      all[name] = (fd, ...rest) => {
        const stream = this.#state.streams.get(Number(fd) >>> 0);
        return stream === undefined ? forward(fd!, ...rest) : value(stream, ...rest);
      };
    }
    return Object.assign(all, this.#plainFunctions(memory), this.#descriptorFunctions(all));
  }

  /** Functions that concern no descriptor. */
  #plainFunctions(memory: Access): Record<string, HostFunction> {
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
        memory.fill(start, size, this.#sources.random);
        return ERRNO.success;
      },
      sched_yield: () => ERRNO.success,
      proc_exit: (code) => exit(Number(code) >>> 0),
      // Signals do not exist here; as a shell would report it.
      proc_raise: (signal) => exit(128 + (Number(signal) & 0x7f)),
      poll_oneoff: (...args) =>
        poll(
          args.map((arg) => Number(arg) >>> 0),
          memory,
          {
            maxSleep: this.#maxSleep,
            clock: (id) => this.#clock(id),
            // Bytes that fd_read would give, where the descriptor is the input.
            input: (fd) =>
              this.#state.streams.get(fd) === 0
                ? this.#state.stdin.length - this.#state.stdinOffset
                : undefined,
          },
        ),
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
    return id === 0 ? this.#sources.now() : BigInt(Math.round(performance.now() * 1e6));
  }

  #read(memory: Access, iovs: number | bigint, count: number | bigint, result: number | bigint): number {
    const buffers = memory.buffers(Number(iovs) >>> 0, Number(count) >>> 0);
    if (typeof buffers === 'number') return buffers;
    if (!memory.has(Number(result) >>> 0, 4)) return ERRNO.fault;
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
    if (typeof buffers === 'number') return buffers;
    if (!memory.has(Number(result) >>> 0, 4)) return ERRNO.fault;
    const output = stream === 1 ? this.#state.stdout : this.#state.stderr;
    let total = 0;
    for (const [, length] of buffers) total += length;
    if (output.length + total > this.#limit) return ERRNO.nospc;
    for (const [pointer, length] of buffers) append(output, length).set(memory.view(pointer, length));
    return memory.writeU32(result, total);
  }
}
