/** How proc_exit ends a run: an error that no guest code can catch, carrying the exit code. */
import { BelayError } from '../../contract/errors.js';

/** Thrown through the guest when it calls proc_exit; `code` is ERR_BELAY_WASI. */
export class WasiExit extends BelayError {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('ERR_BELAY_WASI', message(exitCode));
    this.name = 'WasiExit';
    this.exitCode = exitCode;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof BelayError && typeof (value as { exitCode?: unknown }).exitCode === 'number';
  }
}

function message(exitCode: number): string {
  return `the program ended with exit code ${exitCode}; roll back before it is used again`;
}

// (module (func (export "trap") unreachable))
const TRAP = [
  0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0x01, 4, 1, 0x60, 0, 0, 0x03, 2, 1, 0, 0x07, 8, 1, 4, 0x74, 0x72, 0x61,
  0x70, 0, 0, 0x0a, 5, 1, 3, 0, 0x00, 0x0b,
];
let trap: (() => never) | null | undefined;

/**
 * Ends the guest's run.
 *
 * An ordinary exception would be caught by the guest's own `catch_all` (C++ with `catch (...)`), which then
 * runs on after exit(). Engines let no guest code catch the error of a trap, so one is made and thrown on
 * as a WasiExit. Where code may not be generated at run time, the exit is an ordinary exception.
 *
 * @throws WasiExit always.
 */
export function exit(exitCode: number): never {
  if (trap === undefined) {
    try {
      const module = new WebAssembly.Module(new Uint8Array(TRAP));
      trap = new WebAssembly.Instance(module).exports.trap as () => never;
    } catch {
      trap = null;
    }
  }
  if (trap) {
    try {
      trap();
    } catch (error) {
      // The trap is unlike other errors only inside the engine, so it must be this very object.
      throw Object.assign(error as Error, {
        name: 'WasiExit',
        code: 'ERR_BELAY_WASI' as const,
        message: message(exitCode),
        exitCode,
      });
    }
  }
  throw new WasiExit(exitCode);
}
