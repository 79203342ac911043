/**
 * One instance of the file-system module: its guest, its glue, and the host's way into it.
 *
 * Its state is the module's memory and stack pointer, the glue's heap, and what was taken out of that: the addresses of
 * the module's two objects, and the WASI functions that it made. All of it goes back in a rollback, and all of it can be
 * saved as data and loaded into another instance, in whichever layout and engine. Nothing of it depends on time or
 * chance, so that two instances made alike are alike to the byte.
 */
import { BelayError } from '../../contract/errors.js';
import { instantiateSync } from '../index.js';
import type { Companion, Guest } from '../types.js';
import { Glue, type GlueExports } from './glue.js';
import { assemble, type Base, baseOf, checksum, difference, wordsOf } from './image.js';
import { memoryBytes } from './memory.js';
import { type HostFunction, WASI_FUNCTIONS } from './preview1.js';
import {
  bytesOf,
  damaged,
  type Fields,
  fieldsOf,
  isIndex,
  isPair,
  listOf,
  saved,
  stateError,
} from './saved.js';
import type { Sources } from './sources.js';
import { StandInInstance, StandInMemory, StandInModule } from './stand-ins.js';
import { toBytes } from './strings.js';
import type { MemoryFiles } from './types.js';

/** The module, and what its instances work with. */
export interface Surroundings {
  module: WebAssembly.Module;
  /** The guest that is served. */
  served: () => Guest;
  sources: Sources;
  audit: boolean;
}

/** What a file system begins with. */
export interface Beginning {
  /** The guest's name of a directory → its path. */
  preopens: readonly (readonly [name: string, path: string])[];
  directories: readonly string[];
  /** Absolute path → content, which is not to be written into. */
  files: readonly (readonly [path: string, content: Uint8Array])[];
}

type Functions = Readonly<Record<string, HostFunction>>;

const PAGE = 65536;
/** The most that the module was given when it was instrumented. */
const MAX_PAGES = 4096;

/** Of each module, its memory before anything was called. */
const bases = new WeakMap<WebAssembly.Module, Base>();

const FIELDS = [
  'module',
  'checksum',
  'pages',
  'memory',
  'stack',
  'files',
  'system',
  'heap',
  'free',
  'functions',
  'objects',
];

/** A state that was understood, and the instance that it can be loaded into. */
export interface Loadable {
  instance: Instance;
  load(): void;
}

export class Instance implements MemoryFiles, Companion {
  readonly #guest: Guest;
  readonly #glue: Glue;
  readonly #exports: GlueExports;
  readonly #base: Base;
  readonly #served: () => Guest;
  /** The module's MemFS. */
  #files = 0;
  /** The module's WASI. */
  #wasi = 0;
  /** The module's functions of each WASI namespace, bound to the guest's memory. Never changed in place. */
  #functions: ReadonlyMap<string, Functions> = new Map();
  #kept = { files: 0, wasi: 0, functions: this.#functions };

  private constructor({ module, served, sources, audit }: Surroundings) {
    this.#served = served;
    this.#glue = new Glue(served, sources);
    const imports = this.#glue.imports() as unknown as WebAssembly.Imports;
    this.#guest = instantiateSync(module, imports, audit ? { audit: true } : {});
    this.#glue.bind(this.#guest);
    this.#exports = this.#glue.exports;
    let base = bases.get(module);
    if (!base) {
      base = baseOf(this.#memory());
      bases.set(module, base);
    }
    this.#base = base;
  }

  /** @throws ERR_BELAY_WASI, ERR_BELAY_OPTION where a file or directory cannot be made */
  static begin(surroundings: Surroundings, { preopens, directories, files }: Beginning): Instance {
    const made = new Instance(surroundings);
    [made.#files] = made.#call(3, 'memfs_new') as [number];
    for (const path of [...directories, ...preopens.map(([, path]) => path)]) made.makeDirectory(path);
    for (const [path, content] of files) {
      const parent = path.slice(0, path.lastIndexOf('/'));
      if (parent !== '') made.makeDirectory(parent);
      made.write(path, content);
    }
    made.#open(Object.fromEntries(preopens));
    return made;
  }

  /** Makes the module's WASI, with these directories open. */
  #open(preopens: Readonly<Record<string, string>>): void {
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

  /** The module's functions of a WASI namespace. */
  functions(namespace: string): Functions {
    const made = this.#functions.get(namespace);
    if (made) return made;
    const module = this.#glue.add(new StandInModule(namespace));
    const [imports] = this.#call(3, 'wasi_getImports', this.#wasi, module);
    const functions = (this.#glue.take(imports!) as Record<string, Functions>)[namespace]!;
    const standIn = this.#glue.add(new StandInInstance(new StandInMemory(this.#served())));
    const [instance] = this.#call(3, 'wasi_instantiate', this.#wasi, standIn, 0);
    this.#glue.drop(instance!);
    this.#functions = new Map([...this.#functions, [namespace, functions]]);
    return functions;
  }

  checkpoint(): void {
    this.#guest.checkpoint();
    this.#glue.checkpoint();
    this.#kept = { files: this.#files, wasi: this.#wasi, functions: this.#functions };
  }

  rollback(): void {
    this.#guest.rollback();
    this.#glue.rollback();
    ({ files: this.#files, wasi: this.#wasi, functions: this.#functions } = this.#kept);
  }

  /** @throws ERR_BELAY_STATE where the glue holds an object that cannot be said */
  save(): Fields {
    const functions = [...this.#functions].map(
      ([namespace, all]) => [namespace, Object.entries(all)] as const,
    );
    const { taken, ...heap } = this.#glue.save(functions.flatMap(([, all]) => all.map(([, value]) => value)));
    let next = 0;
    const fields: Fields = {
      module: this.#base.checksum,
      pages: memoryBytes(this.#guest) / PAGE,
      memory: difference(this.#memory(), this.#base),
      stack: this.#exports.__wbindgen_add_to_stack_pointer(0) >>> 0,
      files: this.#files,
      system: this.#wasi,
      ...heap,
      functions: functions.map(([namespace, all]) => [namespace, all.map(([name]) => [name, taken[next++]])]),
    };
    return saved('files', { ...fields, checksum: checksumOf(fields) });
  }

  /**
   * Understands a saved state, without changing anything.
   * @param present an instance that may be overwritten; another one is made where that does not do
   * @param namespaces whose functions the guest uses
   * @throws ERR_BELAY_STATE
   */
  static understand(
    state: unknown,
    surroundings: Surroundings,
    present: Instance | undefined,
    namespaces: readonly string[],
  ): Loadable {
    const fields = fieldsOf(state, 'files', FIELDS);
    const runs = bytesOf(fields, 'memory', 'files');
    if (fields.checksum !== checksumOf({ ...fields, memory: runs })) {
      throw damaged('files', 'its checksum is that of something else');
    }
    const numbers = ['pages', 'stack', 'files', 'system'].map((name) => fields[name]);
    if (!numbers.every(isNumber) || numbers[0]! > MAX_PAGES) throw damaged('files', 'a number of it is none');
    const [pages, stack, files, wasi] = numbers as [number, number, number, number];
    // A memory cannot be made smaller.
    const fits = present && present.#memory().length <= pages * PAGE;
    const instance = fits ? present : new Instance(surroundings);
    if (fields.module !== instance.#base.checksum) {
      throw stateError(
        'this state of files in memory is of another version of the file-system module: load it with the version of wasm-belay that saved it',
      );
    }
    const memory = assemble(runs, instance.#base, pages * PAGE);
    if (!memory) throw damaged('files', 'its memory is of another size');
    const named = listOf(fields, 'functions', 'files', isNamespace);
    const [has, needs] = [named.map(([name]) => name).sort(), [...namespaces].sort()].map((all) =>
      all.join(', '),
    );
    if (has !== needs) {
      throw stateError(
        `this state of files in memory serves a guest that imports ${has || 'no functions of WASI'}, and this guest imports ${needs || 'none'}: load it for the same module`,
      );
    }
    const heap = instance.#glue.read({
      heap: listOf(fields, 'heap', 'files', isAnything),
      free: listOf(fields, 'free', 'files', isNumber),
      objects: listOf(fields, 'objects', 'files', isAnything),
      taken: named.flatMap(([, all]) => all.map(([, value]) => value)),
    });
    if (!heap.taken.every((value) => typeof value === 'function')) {
      throw damaged('files', 'a function of it is none');
    }
    let next = 0;
    const functions = new Map(
      named.map(([namespace, all]) => [
        namespace,
        Object.fromEntries(all.map(([name]) => [name, heap.taken[next++] as HostFunction])),
      ]),
    );
    return {
      instance,
      load() {
        instance.#become(memory);
        instance.#exports.__wbindgen_add_to_stack_pointer(
          stack - (instance.#exports.__wbindgen_add_to_stack_pointer(0) >>> 0),
        );
        instance.#glue.load(heap);
        instance.#files = files;
        instance.#wasi = wasi;
        instance.#functions = functions;
      },
    };
  }

  /** Makes the module's memory this one; what is so already is not written. */
  #become(wanted: Uint8Array): void {
    const more = (wanted.length - this.#memory().length) / PAGE;
    try {
      if (more > 0) this.#guest.memory.grow(more);
    } catch (cause) {
      throw stateError(`there is no memory for the files that were saved: ${wanted.length} bytes`, { cause });
    }
    const present = this.#memory();
    const [now, then] = [wordsOf(present), wordsOf(wanted)];
    const STEP = 64;
    for (let at = 0; at < then.length; at += STEP) {
      let same = true;
      for (let i = at; same && i < at + STEP; i++) same = now[i] === then[i];
      if (!same) this.#guest.write(at * 4, wanted.subarray(at * 4, (at + STEP) * 4));
    }
  }

  /** The module's memory; a view that holds until it runs. */
  #memory(): Uint8Array {
    return new Uint8Array(this.#guest.memory.buffer, 0, memoryBytes(this.#guest));
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

/** @throws ERR_BELAY_OPTION */
function absolute(path: string): string {
  if (typeof path === 'string' && path.startsWith('/') && !path.includes('\0')) return path;
  throw new BelayError(
    'ERR_BELAY_OPTION',
    `${String(path)} is no absolute path of the in-memory file system`,
  );
}

const isNumber = (value: unknown): value is number => isIndex(value);
const isAnything = (_value: unknown): _value is unknown => true;
const isFunction = (value: unknown): value is [string, unknown] =>
  isPair(value) && Object.hasOwn(WASI_FUNCTIONS, value[0]);
const isNamespace = (value: unknown): value is [string, [string, unknown][]] =>
  isPair(value) && Array.isArray(value[1]) && value[1].every(isFunction);

/** Of all fields but itself: damage of a memory could be seen in nothing else, and would send the module astray. */
function checksumOf(fields: Fields): number {
  const others = FIELDS.filter((name) => name !== 'memory' && name !== 'checksum').map(
    (name) => fields[name],
  );
  return checksum(0, fields.memory as Uint8Array, toBytes(JSON.stringify(others)));
}
