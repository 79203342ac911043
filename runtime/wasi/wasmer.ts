/**
 * WASI with a file system in memory: @wasmer/wasi's, whose state is the linear memory of a Wasm module of its
 * own. That module is instrumented like any guest (when this package is built, see scripts/prepare.ts), and
 * is checkpointed and rolled back when the guest is: files, directories, open descriptors and offsets are
 * restored by the same mechanism as the guest itself, at the same cost.
 *
 * Works in every engine that runs guests. Loading compiles 0.6 MB of Wasm once; each WASI object has an
 * instance of its own, so that guests do not share files. It is made when it is first needed: a guest that uses no
 * files costs none.
 */
import { readContract } from '../guest/section.js';
import type { Companion, Guest } from '../types.js';
import { BaseWasi } from './base.js';
import { ERRNO } from './errno.js';
import { type Beginning, Instance, type Surroundings } from './instance.js';
import { loadFileSystem } from './load.js';
import { type HostFunction, WASI_FUNCTIONS } from './preview1.js';
import { damaged, type Fields, fieldsOf, isPair, kindOf, listOf, saved } from './saved.js';
import { sourcesOf } from './sources.js';
import { toBytes } from './strings.js';
import type { MemoryFiles, MemoryWasiOptions, Wasi } from './types.js';

const OPTIONS = ['preopens', 'files', 'directories', 'module', 'audit'] as const;

/**
 * WASI for one guest, with files in memory that go back with it.
 * @throws ERR_BELAY_OPTION; ERR_BELAY_WASI when a file cannot be made or the module cannot be loaded.
 */
export async function createWasi(options: MemoryWasiOptions = {}): Promise<Wasi & { files: MemoryFiles }> {
  const module = options.module ?? (await loadFileSystem());
  return new MemoryWasi(module, options);
}

class MemoryWasi extends BaseWasi implements Wasi {
  readonly reversible = true;
  readonly irreversible: readonly string[] = [];
  readonly files: MemoryFiles;
  readonly #system: FileSystem;

  constructor(module: WebAssembly.Module, options: MemoryWasiOptions) {
    super(options, OPTIONS);
    readContract(module);
    this.#system = new FileSystem(
      { module, served: () => this.boundGuest, sources: sourcesOf(options), audit: options.audit ?? false },
      {
        preopens: Object.entries(options.preopens ?? { '/': '/' }),
        directories: [...(options.directories ?? [])],
        files: Object.entries(options.files ?? {}).map(([path, content]) => [path, toBytes(content)]),
      },
    );
    this.files = this.#system;
  }

  protected override provide(_guest: Guest, namespace: string): Record<string, HostFunction> {
    return this.#system.functions(namespace);
  }

  protected override get companions(): readonly Companion[] {
    return [this.#system];
  }
}

/**
 * The file system: an instance of the module, or what it will begin with.
 *
 * As long as nothing was done to it, its state is what it begins with, and this is what is saved. That stays so when a
 * rollback returns to such a time.
 */
class FileSystem implements MemoryFiles, Companion {
  readonly #surroundings: Surroundings;
  readonly #namespaces: string[] = [];
  /** What it begins with; undefined when a checkpoint was taken after something was done to it. */
  #beginning: Beginning | undefined;
  #instance: Instance | undefined;
  /** What the instance was made of, if it was not loaded. */
  #madeOf: Beginning | undefined;
  /** Whether anything was done to the instance, beyond making it. */
  #used = false;
  /** Whether it may have changed since the last checkpoint; nothing is to be done for it where not. */
  #entered = true;
  /** What was saved of the instance, until something is done to it: the recorder may ask for it at every request. */
  #saved: Fields | undefined;
  #kept: { beginning: Beginning | undefined; instance: Instance | undefined; used: boolean } | undefined;

  constructor(surroundings: Surroundings, beginning: Beginning) {
    this.#surroundings = surroundings;
    this.#begin(beginning);
  }

  /** @throws ERR_BELAY_WASI, ERR_BELAY_OPTION */
  #begin(beginning: Beginning): void {
    // What may be refused has to be tried.
    const instance = cannotFail(beginning) ? undefined : Instance.begin(this.#surroundings, beginning);
    this.#beginning = beginning;
    this.#instance = instance;
    this.#madeOf = instance && beginning;
    this.#used = false;
    this.#prepare();
  }

  /** Makes what a new instance needs before anything is done to it; a rollback may come back to this. */
  #prepare(): void {
    const instance = this.#instance;
    if (!instance || this.#used) return;
    for (const namespace of this.#namespaces) instance.functions(namespace);
    instance.checkpoint();
  }

  /** The instance, with something about to be done to it. */
  #use(): Instance {
    this.#entered = true;
    this.#saved = undefined;
    if (!this.#instance) {
      this.#madeOf = this.#beginning;
      this.#instance = Instance.begin(this.#surroundings, this.#beginning!);
      this.#prepare();
    }
    this.#used = true;
    return this.#instance;
  }

  /** The functions of one WASI namespace. */
  functions(namespace: string): Record<string, HostFunction> {
    this.#namespaces.push(namespace);
    this.#entered = true;
    this.#saved = undefined;
    if (this.#used) this.#instance!.functions(namespace);
    else this.#prepare();
    const entering: Record<string, HostFunction> = {};
    for (const name of Object.keys(WASI_FUNCTIONS)) {
      entering[name] = (...args) => {
        const made = this.#use().functions(namespace)[name];
        return made ? made(...args) : ERRNO.nosys;
      };
    }
    // The module makes symbolic links, and panics when it follows one.
    entering.path_symlink = () => ERRNO.notsup;
    return entering;
  }

  checkpoint(): void {
    if (!this.#entered) return;
    if (this.#used) {
      this.#beginning = undefined;
      this.#madeOf = undefined;
    }
    this.#instance?.checkpoint();
    this.#kept = { beginning: this.#beginning, instance: this.#instance, used: this.#used };
    this.#entered = false;
  }

  rollback(): void {
    if (!this.#entered || !this.#kept) return;
    this.#saved = undefined;
    const { beginning, instance, used } = this.#kept;
    // An instance that was made since of what there was to begin with is as it was made, and need not be made again.
    if (instance) this.#instance = instance;
    else if (this.#madeOf !== beginning) this.#instance = undefined;
    this.#instance?.rollback();
    this.#madeOf = this.#instance && beginning;
    this.#beginning = beginning;
    this.#used = used;
    this.#entered = false;
  }

  get changed(): boolean {
    return this.#entered;
  }

  save(): Fields {
    if (this.#used) {
      this.#saved ??= this.#instance!.save();
      return this.#saved;
    }
    const { preopens, directories, files } = this.#beginning!;
    return saved('new files', {
      preopens,
      directories: directories.length ? directories : undefined,
      files: files.length ? files : undefined,
    });
  }

  load(state: unknown): void {
    // Where this fails, nothing has changed but that it will be saved anew.
    this.#saved = undefined;
    if (kindOf(state) === 'new files') {
      const beginning = beginningOf(state);
      try {
        this.#begin(beginning);
      } catch (cause) {
        throw damaged('new files', 'they cannot be made', { cause });
      }
    } else {
      const read = Instance.understand(state, this.#surroundings, this.#instance, this.#namespaces);
      read.load();
      if (read.instance !== this.#instance) this.#madeOf = undefined;
      this.#instance = read.instance;
      this.#used = true;
    }
    this.#entered = true;
  }

  read = (path: string) => this.#use().read(path);
  write = (path: string, content: Uint8Array | string) => this.#use().write(path, content);
  makeDirectory = (path: string) => this.#use().makeDirectory(path);
  list = (path: string) => this.#use().list(path);
  remove = (path: string) => this.#use().remove(path);
  removeDirectory = (path: string) => this.#use().removeDirectory(path);
  rename = (from: string, to: string) => this.#use().rename(from, to);
  exists = (path: string) => this.#use().exists(path);
}

/** Bytes of files that fit into the module without a doubt. */
const MODEST = 1 << 26;

/** Whether the module is sure to make all of it: plain absolute paths, and none below a file. */
function cannotFail({ preopens, directories, files }: Beginning): boolean {
  const folders = [...directories, ...preopens.map(([, path]) => path)];
  const names = new Set(files.map(([path]) => path));
  const paths = [...folders, ...names];
  if (!paths.every((path) => typeof path === 'string' && /^(\/|(\/(?!\.{1,2}(\/|$))[^/\0]+)+)$/.test(path))) {
    return false;
  }
  if (names.has('/') || folders.some((path) => names.has(path))) return false;
  for (const path of paths) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      if (names.has(path.slice(0, end))) return false;
    }
  }
  return files.reduce((sum, [, content]) => sum + content.length, 0) < MODEST;
}

/** @throws ERR_BELAY_STATE */
function beginningOf(state: unknown): Beginning {
  const fields = fieldsOf(state, 'new files', ['preopens', 'directories', 'files']);
  return {
    preopens: listOf(fields, 'preopens', 'new files', isPreopen),
    directories: listOf(fields, 'directories', 'new files', isPath),
    // A copy: what was given may be a view of something that will be used again.
    files: listOf(fields, 'files', 'new files', isFile).map(([path, content]) => [
      path,
      new Uint8Array(content),
    ]),
  };
}

const isPath = (value: unknown): value is string => typeof value === 'string' && value.startsWith('/');
const isPreopen = (value: unknown): value is [string, string] => isPair(value) && isPath(value[1]);
const isFile = (value: unknown): value is [string, Uint8Array] =>
  isPair(value) && isPath(value[0]) && value[1] instanceof Uint8Array;
