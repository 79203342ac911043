/**
 * WASI on real files, by node:wasi. Node only (it is imported when asked for).
 *
 * Standard streams, arguments, environment and clocks are served here, as with files in memory, and go back
 * with the guest. What happens to real files does not: the operating system keeps no pre-images. Nor are files
 * part of a saved state, which is refused while the guest has any open.
 */
import { BelayError } from '../../contract/errors.js';
import type { Companion, Guest } from '../types.js';
import { BaseWasi } from './base.js';
import { importBuiltin } from './builtin.js';
import { Descriptors } from './descriptors.js';
import { type HostFunction, trackWasi } from './preview1.js';
import type { NodeWasiOptions, Wasi } from './types.js';

const REASONS = [
  'writes to real files, and their creation, renaming and removal',
  'descriptors that the guest opened, closed or renumbered',
  'the offsets of open files',
] as const;

// What node:wasi answers to an address outside of memory: EOVERFLOW.
const FAULT = 61;

type NodeWasiClass = typeof import('node:wasi').WASI;

/**
 * WASI for one guest, on directories of this machine. Without `preopens` it reaches no files, and a rollback
 * undoes everything.
 * @throws ERR_BELAY_WASI outside of Node, or when a directory cannot be opened; ERR_BELAY_OPTION.
 */
export async function createNodeWasi(options: NodeWasiOptions = {}): Promise<Wasi> {
  // Deno and Bun have a module of this name; theirs cannot be bound to a guest, and takes what Node refuses.
  const { versions } = globalThis.process ?? {};
  if (!versions?.node || versions.bun || versions.deno) throw elsewhere();
  let node: typeof import('node:wasi');
  let fs: typeof import('node:fs');
  let os: typeof import('node:os');
  try {
    [node, fs, os] = await Promise.all([
      importBuiltin<typeof import('node:wasi')>('node:wasi'),
      importBuiltin<typeof import('node:fs')>('node:fs'),
      importBuiltin<typeof import('node:os')>('node:os'),
    ]);
  } catch (cause) {
    throw elsewhere(cause);
  }
  const wasi = new NodeWasi(options, node.WASI, () => fs.openSync(os.devNull, 'r+'));
  for (const path of Object.values(options.preopens ?? {})) {
    if (!fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      throw new BelayError('ERR_BELAY_WASI', `${path} is no directory: the guest cannot be given it`);
    }
  }
  return wasi;
}

function elsewhere(cause?: unknown): BelayError {
  return new BelayError('ERR_BELAY_WASI', 'real files need Node: use createWasi(), with files in memory', {
    cause,
  });
}

class NodeWasi extends BaseWasi implements Wasi {
  readonly reversible: boolean;
  readonly irreversible: readonly string[];
  readonly #class: NodeWasiClass;
  readonly #preopens: Record<string, string>;
  readonly #null: () => number;
  readonly #descriptors: Descriptors;

  constructor(options: NodeWasiOptions, wasi: NodeWasiClass, openNull: () => number) {
    super(options, ['preopens']);
    this.#preopens = { ...options.preopens };
    this.#descriptors = new Descriptors(Object.keys(this.#preopens));
    this.reversible = Object.keys(this.#preopens).length === 0;
    this.irreversible = this.reversible ? [] : REASONS;
    this.#class = wasi;
    this.#null = openNull;
  }

  protected override get companions(): readonly Companion[] {
    return [this.#descriptors];
  }

  protected override provide(guest: Guest, namespace: string): Record<string, HostFunction> {
    // A guest that closes descriptor 1 must not close this process's: each stream is a null device.
    const wasi = new this.#class({
      preopens: this.#preopens,
      version: namespace === 'wasi_unstable' ? 'unstable' : 'preview1',
      stdin: this.#null(),
      stdout: this.#null(),
      stderr: this.#null(),
    });
    const functions = wasi.wasiImport as Record<string, HostFunction>;
    let bound = false;
    // The memory exists only after instantiation, and node:wasi wants it before its first call.
    const bind = () => {
      bound = true;
      wasi.initialize({ exports: { memory: guest.memory } } as unknown as object);
    };
    const late: Record<string, HostFunction> = {};
    for (const [name, value] of Object.entries(functions)) {
      late[name] = (...args) => {
        if (!bound) bind();
        return value(...args);
      };
    }
    const watched = this.#descriptors.watch(guest, namespace, late);
    return trackWasi(guest, { [namespace]: watched }, { fault: FAULT })[namespace] as Record<
      string,
      HostFunction
    >;
  }
}
