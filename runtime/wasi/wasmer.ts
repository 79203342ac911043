/**
 * WASI with a file system in memory: @wasmer/wasi's, whose state is the linear memory of a Wasm module of its
 * own. That module is instrumented like any guest (when this package is built, see scripts/prepare.ts), and
 * is checkpointed and rolled back when the guest is: files, directories, open descriptors and offsets are
 * restored by the same mechanism as the guest itself, at the same cost.
 *
 * Works in every engine that runs guests. Loading compiles 0.6 MB of Wasm once; each WASI object has an
 * instance of its own, so that guests do not share files.
 */
import { BelayError } from '../../contract/errors.js';
import { instantiateSync } from '../index.js';
import type { Companion, Guest } from '../types.js';
import { BaseWasi } from './base.js';
import { ERRNO } from './errno.js';
import { Glue, type GlueExports, StandInInstance, StandInModule } from './glue.js';
import { loadFileSystem } from './load.js';
import type { HostFunction } from './preview1.js';
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
    this.#system = new FileSystem(module, options, () => this.boundGuest);
    const system = this.#system;
    this.files = system;
    const preopens = options.preopens ?? { '/': '/' };
    for (const path of [...(options.directories ?? []), ...Object.values(preopens)])
      system.makeDirectory(path);
    for (const [path, content] of Object.entries(options.files ?? {})) {
      const parent = path.slice(0, path.lastIndexOf('/'));
      if (parent !== '') system.makeDirectory(parent);
      system.write(path, content);
    }
    system.open(preopens);
  }

  protected override provide(_guest: Guest, namespace: string): Record<string, HostFunction> {
    return this.#system.functions(namespace);
  }

  protected override get companions(): readonly Companion[] {
    return [this.#system];
  }
}

/** The file-system module: one instance, its glue, and the host's way into it. */
class FileSystem implements MemoryFiles, Companion {
  readonly #guest: Guest;
  readonly #glue: Glue;
  readonly #exports: GlueExports;
  /** The module's MemFS. */
  #files: number;
  /** The module's WASI. */
  #wasi = 0;
  /** Whether it may have changed since the last checkpoint; nothing is to be done for it where not. */
  #entered = true;

  constructor(module: WebAssembly.Module, options: MemoryWasiOptions, served: () => Guest) {
    this.#glue = new Glue(served, sourcesOf(options));
    const imports = this.#glue.imports() as unknown as WebAssembly.Imports;
    this.#guest = instantiateSync(module, imports, options.audit ? { audit: true } : {});
    this.#glue.bind(this.#guest);
    this.#exports = this.#glue.exports;
    [this.#files] = this.#call(3, 'memfs_new') as [number];
    this.#standInInstance = () => new StandInInstance(served());
  }

  readonly #standInInstance: () => StandInInstance;

  /** Makes the module's WASI, with these directories open. */
  open(preopens: Readonly<Record<string, string>>): void {
    const { memfs___wbgd_downcast_token: token } = this.#exports as {
      memfs___wbgd_downcast_token?: () => number;
    };
    const glue = this.#glue;
    // What the module takes for one of its MemFS objects: it asks the class for a token, then reads `ptr`.
    class MemFS {
      static __wbgd_downcast_token(): unknown {
        return glue.take(token!());
      }
      ptr = 0;
    }
    const fs = new MemFS();
    fs.ptr = this.#files;
    const config = { args: [], env: {}, preopens, fs };
    [this.#wasi] = this.#call(3, 'wasi_new', this.#glue.add(config)) as [number];
    // Making it took the MemFS away; this is another handle of the same files.
    [this.#files] = this.#call(3, 'wasi_fs', this.#wasi) as [number];
  }

  /** The module's functions of one WASI namespace, bound to the guest's memory. */
  functions(namespace: string): Record<string, HostFunction> {
    const module = this.#glue.add(new StandInModule(namespace));
    const [imports] = this.#call(3, 'wasi_getImports', this.#wasi, module);
    const functions = (this.#glue.take(imports!) as Record<string, Record<string, HostFunction>>)[namespace]!;
    const [instance] = this.#call(
      3,
      'wasi_instantiate',
      this.#wasi,
      this.#glue.add(this.#standInInstance()),
      0,
    );
    this.#glue.drop(instance!);
    const entering: Record<string, HostFunction> = {};
    for (const [name, value] of Object.entries(functions)) {
      entering[name] = (...args) => {
        this.#entered = true;
        return value(...args);
      };
    }
    // The module makes symbolic links, and panics when it follows one.
    entering.path_symlink = () => ERRNO.notsup;
    return entering;
  }

  checkpoint(): void {
    if (!this.#entered) return;
    this.#guest.checkpoint();
    this.#glue.checkpoint();
    this.#entered = false;
  }

  rollback(): void {
    if (!this.#entered) return;
    this.#guest.rollback();
    this.#glue.rollback();
    this.#entered = false;
  }

  read(path: string): Uint8Array {
    return this.#withFile(path, { read: true }, (file) => {
      const [pointer, length] = this.#call(4, 'jsvirtualfile_read', file) as [number, number];
      const content = this.#glue.bytes(pointer, length);
      this.#exports.__wbindgen_free(pointer, length);
      return content;
    });
  }

  write(path: string, content: Uint8Array | string): void {
    const bytes = toBytes(content);
    this.#withFile(path, { read: true, write: true, create: true, truncate: true }, (file) => {
      for (let at = 0; at < bytes.length; ) {
        const [pointer, length] = this.#glue.passBytes(bytes.subarray(at));
        const [written] = this.#call(3, 'jsvirtualfile_write', file, pointer, length) as [number];
        this.#exports.__wbindgen_free(pointer, length);
        if (written === 0) throw new BelayError('ERR_BELAY_WASI', `${path} could not be written in full`);
        at += written;
      }
    });
  }

  makeDirectory(path: string): void {
    const parts = absolute(path).split('/').filter(Boolean);
    for (let i = 1; i <= parts.length; i++) {
      const prefix = `/${parts.slice(0, i).join('/')}`;
      if (!this.exists(prefix)) this.#path('memfs_createDir', prefix);
    }
  }

  list(path: string): string[] {
    const entries = this.#glue.take(this.#path('memfs_readDir', path, 3)!) as { path: string }[];
    return entries.map((entry) => entry.path.slice(entry.path.lastIndexOf('/') + 1)).sort();
  }

  remove(path: string): void {
    this.#path('memfs_removeFile', path);
  }

  removeDirectory(path: string): void {
    this.#path('memfs_removeDir', path);
  }

  rename(from: string, to: string): void {
    const arguments_ = [...this.#glue.passString(absolute(from)), ...this.#glue.passString(absolute(to))];
    this.#call(2, 'memfs_rename', this.#files, ...arguments_);
  }

  exists(path: string): boolean {
    try {
      this.#glue.take(this.#path('memfs_metadata', path, 3)!);
      return true;
    } catch (error) {
      if ((error as Error).cause instanceof WebAssembly.RuntimeError) throw error;
      return false;
    }
  }

  /** A function of MemFS with one path. */
  #path(name: string, path: string, words = 2): number | undefined {
    return this.#call(words, name, this.#files, ...this.#glue.passString(absolute(path)))[0];
  }

  #withFile<T>(path: string, options: object, use: (file: number) => T): T {
    const name = this.#glue.passString(absolute(path));
    const [file] = this.#call(3, 'memfs_open', this.#files, ...name, this.#glue.add(options)) as [number];
    try {
      return use(file);
    } finally {
      (this.#exports.__wbg_jsvirtualfile_free as (file: number) => void)(file);
    }
  }

  /** Calls an export that reports errors; see {@link Glue.call}. */
  #call(words: number, name: string, ...args: number[]): number[] {
    this.#entered = true;
    try {
      return this.#glue.call(words, (result) => {
        (this.#exports[name] as (...args: number[]) => void)(result, ...args);
      });
    } catch (error) {
      // The module's messages end in a stray backquote.
      const reason = (error instanceof Error ? error.message : String(error)).replace(/`$/, '');
      throw new BelayError('ERR_BELAY_WASI', `the file system refused: ${reason}`, { cause: error });
    }
  }
}

function absolute(path: string): string {
  if (typeof path === 'string' && path.startsWith('/') && !path.includes('\0')) return path;
  throw new BelayError(
    'ERR_BELAY_OPTION',
    `${String(path)} is no absolute path of the in-memory file system`,
  );
}
