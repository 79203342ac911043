/** Helpers of the WASI tests: guests from text, and a guest's calls of WASI written as calls from here. */
import wabt from 'wabt';
import type { Layout } from '../../../contract/contract.js';
import { instrument } from '../../../rewriter/index.js';
import type { Guest } from '../../../runtime/types.js';
import { forwarders } from './witx.js';

const compiler = await wabt();

/** Wasm of a module given as text. */
export function parse(text: string): Uint8Array {
  const module = compiler.parseWat('test.wat', text, { exceptions: true, bulk_memory: true });
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

/** Layouts that this engine runs. */
export const LAYOUTS: readonly Layout[] = WebAssembly.validate(
  new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0]),
)
  ? ['separate', 'inline']
  : ['inline'];

/** Instrumented module of a text. */
export function guestOf(text: string, layout: Layout = LAYOUTS[0]!): Uint8Array {
  return instrument(parse(text), { layout, region: 64, ...(layout === 'inline' && { reserve: 1 << 22 }) })
    .wasm;
}

/** A guest that does nothing but call WASI, one function at a time, as the test says. */
export function callerOf(layout: Layout = LAYOUTS[0]!, namespace = 'wasi_snapshot_preview1'): Uint8Array {
  return guestOf(forwarders(namespace), layout);
}

export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A random number generator from a seed (mulberry32): whole numbers below `limit`. */
export function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

// read, seek, tell, write, allocate, readdir, filestat_get, filestat_set_size
const RIGHTS = [1, 2, 5, 6, 8, 14, 21, 22].reduce((all, bit) => all | (1n << BigInt(bit)), 0n);

export const CREATE = 1;
export const DIRECTORY = 2;
export const EXCLUSIVE = 4;
export const TRUNCATE = 8;
export const APPEND = 1;

/**
 * Calls WASI as a C library would, through a guest of {@link callerOf}; buffers lie at fixed places in its
 * memory. Each method returns what was asked for, or `errno N`.
 */
export class Caller {
  readonly guest: Guest;
  /** The descriptor of the preopened directory. */
  root: number;

  constructor(guest: Guest, root: number) {
    this.guest = guest;
    this.root = root;
  }

  call(name: string, ...args: (number | bigint)[]): number {
    return (this.guest.exports[name] as (...args: (number | bigint)[]) => number)(...args);
  }

  get #view(): DataView {
    return new DataView(this.guest.memory.buffer);
  }

  #put(at: number, content: string): [number, number] {
    const bytes = new TextEncoder().encode(content);
    this.guest.write(at, bytes);
    return [at, bytes.length];
  }

  #u32(at: number, ...values: number[]): void {
    this.guest.write(at, new Uint8Array(new Uint32Array(values).buffer));
  }

  open(path: string, oflags = 0, fdflags = 0): number | string {
    const opens = [this.root, 0, ...this.#put(1024, path), oflags, RIGHTS, RIGHTS, fdflags, 512];
    const errno = this.call('path_open', ...opens);
    return errno ? `errno ${errno}` : this.#view.getUint32(512, true);
  }

  write(fd: number, content: string): number | string {
    this.#u32(256, ...this.#put(8192, content));
    const errno = this.call('fd_write', fd, 256, 1, 512);
    return errno ? `errno ${errno}` : this.#view.getUint32(512, true);
  }

  read(fd: number, length = 4096): string {
    this.#u32(256, 16384, length);
    const errno = this.call('fd_read', fd, 256, 1, 512);
    if (errno) return `errno ${errno}`;
    return text(new Uint8Array(this.guest.memory.buffer, 16384, this.#view.getUint32(512, true)).slice());
  }

  seek(fd: number, offset: number, whence = 0): bigint | string {
    const errno = this.call('fd_seek', fd, BigInt(offset), whence, 512);
    return errno ? `errno ${errno}` : this.#view.getBigUint64(512, true);
  }

  tell(fd: number): bigint | string {
    const errno = this.call('fd_tell', fd, 512);
    return errno ? `errno ${errno}` : this.#view.getBigUint64(512, true);
  }

  size(fd: number): bigint | string {
    const errno = this.call('fd_filestat_get', fd, 512);
    return errno ? `errno ${errno}` : this.#view.getBigUint64(512 + 32, true);
  }

  close = (fd: number) => this.call('fd_close', fd);
  mkdir = (path: string) => this.call('path_create_directory', this.root, ...this.#put(1024, path));
  rmdir = (path: string) => this.call('path_remove_directory', this.root, ...this.#put(1024, path));
  unlink = (path: string) => this.call('path_unlink_file', this.root, ...this.#put(1024, path));
  rename = (from: string, to: string) =>
    this.call('path_rename', this.root, ...this.#put(1024, from), this.root, ...this.#put(2048, to));

  /** Names in the root directory. */
  list(): string[] | string {
    const errno = this.call('fd_readdir', this.root, 16384, 8192, 0n, 512);
    if (errno) return `errno ${errno}`;
    const used = this.#view.getUint32(512, true);
    const names: string[] = [];
    for (let at = 16384; at + 24 <= 16384 + used; ) {
      const length = this.#view.getUint32(at + 16, true);
      names.push(text(new Uint8Array(this.guest.memory.buffer, at + 24, length).slice()));
      at += 24 + length;
    }
    return names.filter((name) => name !== '.' && name !== '..').sort();
  }
}
