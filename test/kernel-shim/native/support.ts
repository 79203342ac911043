/** The addon as it was built, and a guest to watch with it. */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { toBinary } from '../../../rewriter/text.js';
import {
  NATIVE_MECHANISMS,
  type NativeAddon,
  type NativeMechanism,
  PAGE_BYTES,
} from '../../../runtime/mechanisms/addon.js';

export { NATIVE_MECHANISMS, type NativeMechanism, PAGE_BYTES };

/** The folder of the native code, in the sources. */
export const NATIVE = fileURLToPath(new URL('../../../../kernel-shim/native/', import.meta.url));
export const ADDON_PATH = `${NATIVE}build/Release/belay.node`;

/** Why there is no addon, where there is none. */
function whyMissing(): string | undefined {
  if (existsSync(ADDON_PATH)) return undefined;
  const note = `${NATIVE}build/unbuilt.json`;
  return existsSync(note) ? JSON.parse(readFileSync(note, 'utf8')).reason : 'the native addon was not built';
}

export const MISSING: string | undefined = whyMissing();

/** Only where {@link MISSING} is undefined. */
export const addon: NativeAddon =
  MISSING === undefined ? createRequire(import.meta.url)(ADDON_PATH) : undefined!;

/** Why tests of a mechanism cannot run here. */
export function unavailable(mechanism: NativeMechanism): string | undefined {
  return MISSING ?? addon.unavailable(mechanism);
}

export interface GuestExports {
  poke(address: number, value: number): void;
  peek(address: number): number;
  fill(address: number, value: number, length: number): void;
  copy(to: number, from: number, length: number): void;
  /** Writes one byte into each of `count` pages from `first`, `step` pages apart. */
  dirty(first: number, step: number, count: number): void;
  grow(pages: number): number;
  growThenPoke(pages: number, address: number, value: number): void;
  /** Never returns: it runs out of stack. */
  deep(): void;
}

const text = (initial: number, maximum: number) => `(module
  (memory (export "memory") ${initial} ${maximum})
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "dirty") (param $first i32) (param $step i32) (param $count i32)
    (loop $next
      (i32.store8 (i32.mul (local.get $first) (i32.const ${PAGE_BYTES})) (i32.const 255))
      (local.set $first (i32.add (local.get $first) (local.get $step)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "growThenPoke") (param i32 i32 i32)
    (drop (memory.grow (local.get 0)))
    (i32.store8 (local.get 1) (local.get 2)))
  (func $deep (export "deep") (call $deep) (call $deep)))`;

const modules = new Map<string, Promise<WebAssembly.Module>>();

export class Guest {
  readonly exports: GuestExports;
  readonly memory: WebAssembly.Memory;

  private constructor(module: WebAssembly.Module) {
    const { exports } = new WebAssembly.Instance(module);
    this.exports = exports as unknown as GuestExports;
    this.memory = exports.memory as WebAssembly.Memory;
  }

  static module(initial: number, maximum: number): Promise<WebAssembly.Module> {
    const key = `${initial} ${maximum}`;
    const made =
      modules.get(key) ??
      toBinary(new TextEncoder().encode(text(initial, maximum))).then(
        (binary) => new WebAssembly.Module(binary as BufferSource),
      );
    modules.set(key, made);
    return made;
  }

  /** A guest of Wasm pages (64 KiB). Its first byte of every page (4 KiB) is the page's number plus one. */
  static async make(initial = 16, maximum = 64): Promise<Guest> {
    return Guest.of(await Guest.module(initial, maximum));
  }

  static of(module: WebAssembly.Module): Guest {
    const guest = new Guest(module);
    const bytes = guest.bytes;
    for (let at = 0; at < bytes.length; at += PAGE_BYTES) bytes[at] = at / PAGE_BYTES + 1;
    return guest;
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.memory.buffer);
  }

  copy(): Buffer {
    return Buffer.from(this.bytes);
  }

  /** The first byte that differs, or -1. What lies beyond `before` must be zeros. */
  differs(before: Uint8Array): number {
    const now = Buffer.from(this.memory.buffer);
    if (now.subarray(0, before.length).equals(before) && now.subarray(before.length).every((b) => b === 0)) {
      return -1;
    }
    return now.findIndex((byte, at) => byte !== (before[at] ?? 0));
  }
}

/** Numbers from 0 up to `end`, the same for the same seed. */
export function randomFrom(seed: number): (end: number) => number {
  let state = seed >>> 0;
  return (end) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

/**
 * Runs a test file again, as a child with `role`: it finds that in `process.env.BELAY_ROLE`.
 * @param under a program that starts it, with its arguments
 */
export function runAs(
  role: string,
  file: string,
  { flags = [], under = [], ...options }: SpawnSyncOptions & { flags?: string[]; under?: string[] } = {},
): { status: number | null; signal: string | null; output: string } {
  const [program, ...rest] = [...under, process.execPath, ...flags, fileURLToPath(file)] as [string];
  const child = spawnSync(program, rest, {
    timeout: 120_000,
    ...options,
    env: { ...process.env, ...options.env, BELAY_ROLE: role },
    encoding: 'utf8',
  });
  return { status: child.status, signal: child.signal, output: `${child.stdout}${child.stderr}` };
}
