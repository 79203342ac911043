/** What both providers have in common: everything but the files. */
import { BelayError } from '../../contract/errors.js';
import type { Companion, Guest } from '../types.js';
import { WasiExit } from './exit.js';
import { type HostFunction, NAMESPACES } from './preview1.js';
import { WasiProcess } from './process.js';
import type { WasiOptions } from './types.js';

const OPTIONS = ['args', 'env', 'stdin', 'outputLimit', 'maxSleep', 'now', 'random'];

export abstract class BaseWasi {
  protected readonly process: WasiProcess;
  #guest: Guest | undefined;

  constructor(options: WasiOptions, own: readonly string[]) {
    for (const name of Object.keys(options)) {
      if (!OPTIONS.includes(name) && !own.includes(name)) {
        const known = [...OPTIONS, ...own].join(', ');
        throw new BelayError('ERR_BELAY_OPTION', `WASI has no option ${name}; it has ${known}`);
      }
    }
    this.process = new WasiProcess(options);
  }

  /** The provider's functions of a namespace; what they write must be announced by whoever makes them. */
  protected abstract provide(guest: Guest, namespace: string): Record<string, HostFunction>;

  /** State beside the process's own that goes back with the guest. */
  protected abstract get companions(): readonly Companion[];

  /** The guest that is served. */
  protected get boundGuest(): Guest {
    if (!this.#guest) {
      throw new BelayError(
        'ERR_BELAY_WASI',
        'this WASI serves no guest yet: instantiate one with its imports',
      );
    }
    return this.#guest;
  }

  imports(guest: Guest): WebAssembly.Imports {
    if (this.#guest) {
      throw new BelayError(
        'ERR_BELAY_WASI',
        'this WASI serves a guest already: create one for each guest, they share no state',
      );
    }
    this.#guest = guest;
    const imports: WebAssembly.Imports = {};
    for (const namespace of namespacesOf(guest)) {
      const functions = this.provide(guest, namespace);
      imports[namespace] = this.process.functions(guest, functions, namespace === 'wasi_unstable');
    }
    guest.join(this.process);
    for (const companion of this.companions) guest.join(companion);
    return imports;
  }

  setStdin(input: Uint8Array | string): void {
    this.process.setStdin(input);
  }

  setArgs(args: readonly string[]): void {
    this.process.setArgs(args);
  }

  setEnv(env: Readonly<Record<string, string>>): void {
    this.process.setEnv(env);
  }

  takeStdout(): Uint8Array {
    return this.process.takeStdout();
  }

  takeStderr(): Uint8Array {
    return this.process.takeStderr();
  }

  start(guest: Guest): number {
    const { _start: start } = guest.exports;
    if (typeof start !== 'function') {
      throw new BelayError(
        'ERR_BELAY_WASI',
        'the module has no _start: it is no command. For a reactor call initialize(), then its exports',
      );
    }
    try {
      start();
      return 0;
    } catch (error) {
      if (error instanceof WasiExit) return error.exitCode;
      throw error;
    }
  }

  initialize(guest: Guest): void {
    const { _initialize: initialize } = guest.exports;
    if (typeof initialize === 'function') initialize();
  }
}

/** The WASI namespaces that the guest imports from. */
function namespacesOf(guest: Guest): string[] {
  const imported = new Set(WebAssembly.Module.imports(guest.module).map((entry) => entry.module));
  return NAMESPACES.filter((namespace) => imported.has(namespace));
}
