/**
 * Loads real modules for measurements: as they are, or instrumented, with as little JavaScript between the
 * loop that measures and the module as can be. The adapters of runtime/adapters follow what glue code writes;
 * here requests are chosen that write nothing from outside, or announce it, so that glue does not hide what the
 * module itself costs.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileFunction, constants } from 'node:vm';
import { instantiateSync, readContract } from '../../runtime/index.js';
import type { EpochInfo, Guest, InstantiateOptions } from '../../runtime/types.js';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** A compiled module, and whether it is instrumented. */
export interface Source {
  module: WebAssembly.Module;
  instrumented: boolean;
  /** For an instrumented one: its mechanism and policy. */
  options?: InstantiateOptions;
}

/** A module that answers requests. */
export interface Running {
  /** Absent where the module is not instrumented. */
  guest: Guest | undefined;
  memory: WebAssembly.Memory;
  /**
   * Answers the nth request of a batch, and returns a number that depends on what was computed. The same in
   * every copy that was sent the same requests.
   */
  request(n: number): number;
  /** What a service would know of the nth request beforehand. */
  info?(n: number): EpochInfo;
  /** Work that the requests of a batch have in common, and that counts: it is timed at the end of each. */
  conclude?(): void;
  /** After a batch: brings the program back to the size it had, so that the next batch finds the same. */
  tidy(): void;
}

export interface Subject {
  name: string;
  /** What one request is. */
  request: string;
  bytes(): Promise<Uint8Array>;
  /** Inline layout: bytes that its memory may grow to. */
  reserve: number;
  /** Most requests of a batch. */
  most?: number;
  /** @param empty without the data that is there before: only what an instance needs to answer at all */
  start(source: Source, empty?: boolean): Promise<Running>;
}

/** One instance to be made, by whatever glue. */
export class Host {
  guest: Guest | undefined;
  memory!: WebAssembly.Memory;
  instance!: WebAssembly.Instance;

  /** @param malloc export whose results are announced as written by the host, for glue that fills them */
  constructor(
    private readonly source: Source,
    private readonly malloc?: string,
  ) {}

  /** Returns what the glue should see. */
  instantiate(imports: WebAssembly.Imports): { exports: WebAssembly.Exports } {
    const { module, instrumented } = this.source;
    if (instrumented) {
      const guest = instantiateSync(module, imports, this.source.options);
      this.guest = guest;
      this.memory = guest.memory;
      this.instance = guest.instance;
      const { exports } = guest.instance;
      if (this.malloc === undefined) return { exports };
      const malloc = exports[this.malloc] as (bytes: number) => number;
      const announced = (bytes: number) => {
        const pointer = malloc(bytes);
        if (pointer) guest.touch(pointer, bytes);
        return pointer;
      };
      return { exports: { ...exports, [this.malloc]: announced } };
    }
    this.instance = new WebAssembly.Instance(module, imports);
    const values = [
      ...Object.values(this.instance.exports),
      ...Object.values(imports).flatMap((from) => Object.values(from)),
    ];
    this.memory = values.find((value) => value instanceof WebAssembly.Memory) as WebAssembly.Memory;
    return this.instance;
  }

  /** A host write. */
  write(pointer: number, bytes: Uint8Array): void {
    if (this.guest) this.guest.write(pointer, bytes);
    else new Uint8Array(this.memory.buffer).set(bytes, pointer);
  }

  /** For Emscripten's factories. */
  get emscripten() {
    return {
      instantiateWasm: (
        imports: WebAssembly.Imports,
        receive: (instance: { exports: WebAssembly.Exports }, module: WebAssembly.Module) => void,
      ) => {
        const instance = this.instantiate(imports);
        receive(instance, this.source.module);
        return instance.exports;
      },
    };
  }

  /** The memory to import, for modules that import theirs with this many pages. */
  importedMemory(initial: number, maximum: number): WebAssembly.Memory {
    const total = this.source.instrumented && readContract(this.source.module).memories[0]?.total;
    return new WebAssembly.Memory(total ? { initial: total, maximum: total } : { initial, maximum });
  }

  /** What a script sees as WebAssembly: the module that it loads is this host's; trampolines are its own. */
  get webAssembly(): object {
    const host = this;
    const value = (fn: unknown) => ({ value: fn });
    return Object.create(WebAssembly, {
      Module: value(function Module(bytes: Uint8Array) {
        return bytes.length < TRAMPOLINE ? new WebAssembly.Module(bytes as BufferSource) : {};
      }),
      Instance: value(function Instance(module: object, imports: WebAssembly.Imports) {
        if (module instanceof WebAssembly.Module) return new WebAssembly.Instance(module, imports);
        return host.instantiate(imports);
      }),
      instantiateStreaming: value(undefined),
      instantiate: value(async (_: unknown, imports: WebAssembly.Imports) => ({
        instance: host.instantiate(imports),
        module: host.source.module,
      })),
    }) as object;
  }
}

/** Bytes that a module has which glue makes up to turn a JavaScript function into one for a table. */
const TRAMPOLINE = 1024;

export const packageFile = (...path: string[]): string => join(ROOT, 'node_modules', ...path);

type Script = (...values: unknown[]) => void;
const scripts = new Map<string, Script>();

/**
 * Evaluates a CommonJS file of a package anew: most keep their instance, and a copy of the code for each
 * instance is also what lets the engine optimise each by itself. It is compiled once.
 */
export function evaluate<T>(path: string, host: Host): T {
  let script = scripts.get(path);
  if (!script) {
    const names = ['module', 'exports', 'require', '__filename', '__dirname', 'WebAssembly'];
    script = compileFunction(readFileSync(path, 'utf8'), names, {
      filename: path,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }) as Script;
    scripts.set(path, script);
  }
  const module = { exports: {} };
  script(module, module.exports, createRequire(path), path, dirname(path), host.webAssembly);
  return module.exports as T;
}
