/**
 * Imports that notice that the guest is running: while an import is on the stack, so is the function of the
 * guest that called it, and neither checkpoint() nor rollback() may be called. Functions that are WebAssembly
 * exports themselves are passed on as they are, so that modules stay linked directly.
 */
import { BelayError } from '../../contract/errors.js';

export interface Depth {
  /** Imports on the stack. */
  depth: number;
}

type Function_ = (...args: unknown[]) => unknown;

/** Only exported WebAssembly functions can be elements of a table. */
function isWasmFunction(fn: Function_, probe: WebAssembly.Table): boolean {
  try {
    probe.set(0, fn);
    return true;
  } catch {
    return false;
  }
}

/**
 * Wraps the imports that `module` asks for.
 * @throws ERR_BELAY_IMPORT where one is missing, or suspends the guest (JavaScript promise integration)
 */
export function watchImports(
  module: WebAssembly.Module,
  imports: WebAssembly.Imports,
  guest: Depth,
): WebAssembly.Imports {
  const watched: Record<string, WebAssembly.ModuleImports> = {};
  let probe: WebAssembly.Table | undefined;
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    const value = (imports[from] as WebAssembly.ModuleImports | undefined)?.[name];
    if (value === undefined) {
      throw new BelayError('ERR_BELAY_IMPORT', `the import '${from}' '${name}' (${kind}) is missing`);
    }
    watched[from] ??= {};
    if (kind !== 'function' || typeof value !== 'function') {
      if (
        kind === 'function' &&
        Object.prototype.toString.call(value) === '[object WebAssembly.Suspending]'
      ) {
        throw new BelayError(
          'ERR_BELAY_IMPORT',
          `the import '${from}' '${name}' suspends the guest, which cannot be rolled back while it is suspended`,
        );
      }
      watched[from][name] = value;
      continue;
    }
    const fn = value as Function_;
    probe ??= new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
    watched[from][name] = isWasmFunction(fn, probe)
      ? fn
      : (...args: unknown[]) => {
          guest.depth++;
          try {
            return fn(...args);
          } finally {
            guest.depth--;
          }
        };
  }
  return watched;
}
