/**
 * Imports for a module whose host is not there: memories and tables as it declares them, functions that say what is
 * missing.
 */
import { ByteReader } from './bytes.js';
import { historyError } from './errors.js';

/** Limits of a memory or table, in pages or elements. */
interface Limits {
  initial: number;
  maximum?: number;
  is64: boolean;
}

const IMPORT_SECTION = 2;
const HEAD = 8;
const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;

/** Limits of the memories and tables that a module imports, by `module name`, a NUL between the two. */
function importedLimits(module: Uint8Array): Map<string, Limits> {
  const found = new Map<string, Limits>();
  const r = new ByteReader(module);
  const text = (): string => new TextDecoder().decode(r.take(r.varint()));
  const limits = (): Limits => {
    const flags = r.byte();
    return { is64: (flags & 4) !== 0, initial: r.varint(), ...(flags & 1 && { maximum: r.varint() }) };
  };
  const type = (): void => {
    // A reference to a type has that type's number behind it.
    const first = r.byte();
    if (first === 0x63 || first === 0x64) r.varint();
  };
  r.take(HEAD);
  while (r.at < module.length) {
    const id = r.byte();
    const end = r.varint() + r.at;
    if (id === IMPORT_SECTION) {
      for (let count = r.varint(); count > 0; count--) {
        const name = `${text()}\0${text()}`;
        const kind = r.byte();
        if (kind === KIND.function) r.varint();
        else if (kind === KIND.table) {
          type();
          found.set(name, limits());
        } else if (kind === KIND.memory) found.set(name, limits());
        else if (kind === KIND.global) {
          type();
          r.byte();
        } else {
          r.byte();
          r.varint();
        }
      }
      return found;
    }
    r.at = end;
  }
  return found;
}

/** What is given, and for all else that a module imports a stand-in. */
export function standIns(
  bytes: Uint8Array,
  module: WebAssembly.Module,
  given: WebAssembly.Imports,
): WebAssembly.Imports {
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  const limits = importedLimits(bytes);
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    const value = given[from]?.[name] ?? standIn(from, name, kind, limits.get(`${from}\0${name}`));
    if (value !== undefined) imports[from][name] = value;
  }
  return imports;
}

function standIn(
  from: string,
  name: string,
  kind: WebAssembly.ImportExportKind,
  limits: Limits | undefined,
): WebAssembly.ImportValue | undefined {
  if (kind === 'function') {
    return () => {
      throw historyError(
        'ERR_BELAY_HISTORY',
        `the function calls the import '${from}' '${name}', which is not there in the past: give it (imports)`,
      );
    };
  }
  if (!limits) return undefined;
  const { initial, maximum, is64 } = limits;
  // 64-bit ones are described by bigints, which the types do not know of.
  const size = (value: number) => (is64 ? BigInt(value) : value) as number;
  const described = {
    initial: size(initial),
    ...(maximum !== undefined && { maximum: size(maximum) }),
    ...(is64 && { address: 'i64' as const }),
  };
  return kind === 'memory'
    ? new WebAssembly.Memory(described)
    : kind === 'table'
      ? new WebAssembly.Table({ element: 'anyfunc', ...described })
      : undefined;
}
