/**
 * Random valid modules from random bytes, by wasm-opt's own fuzzer (--translate-to-fuzz): all kinds of
 * instructions, types and module structure that engines take, in no sensible order.
 */
import { type Module, parseModule } from '../../rewriter/wasm/module.js';
import type { Generated, Tape } from './generate.js';
import { WasmOpt } from './wasm-opt.js';

const BASE = [
  ...['simd', 'bulk-memory', 'bulk-memory-opt', 'reference-types', 'multivalue', 'sign-ext'],
  ...['nontrapping-float-to-int', 'mutable-globals', 'tail-call', 'extended-const'],
];

let tool: WasmOpt | undefined;

/** What an import of a type is given, or a function returns. */
function zero(type: Uint8Array): unknown {
  switch (type[0]) {
    case 0x7e:
      return 0n;
    case 0x7f:
    case 0x7d:
    case 0x7c:
      return 0;
    default:
      return null;
  }
}

const VALUE_TYPES: Record<number, WebAssembly.ValueType> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  112: 'anyfunc',
  111: 'externref',
};
const valueType = (type: Uint8Array): WebAssembly.ValueType => {
  const name = VALUE_TYPES[type[0]!];
  if (!name) throw new TypeError(`no import of type 0x${type[0]!.toString(16)}`);
  return name;
};

/** Stands in for whatever a module imports. */
export function anyImports(module: Module, log: (what: string) => void): WebAssembly.Imports {
  const imports: Record<string, WebAssembly.ModuleImports> = {};
  const counts = [0, 0, 0, 0, 0];
  for (const { names, kind } of module.imports) {
    imports[names.module] ??= {};
    const into = imports[names.module]!;
    const index = counts[kind]!++;
    if (kind === 0) {
      const { results } = module.types[module.functions[index]!.type]!;
      into[names.name] = (...args: unknown[]) => {
        log(`${names.name}(${args.map((a) => (typeof a === 'function' ? a.name : String(a)))})`);
        return results.length > 1 ? results.map(zero) : results.length ? zero(results[0]!) : undefined;
      };
    } else if (kind === 1) {
      const { minimum, maximum, type } = module.tables[index]!;
      const element = valueType(type) as WebAssembly.TableKind;
      into[names.name] = new WebAssembly.Table({ initial: minimum, maximum, element });
    } else if (kind === 2) {
      const { minimum, maximum } = module.memories[index]!;
      into[names.name] = new WebAssembly.Memory({ initial: minimum, maximum });
    } else if (kind === 3) {
      const { type, mutable } = module.globals[index]!;
      into[names.name] = new WebAssembly.Global({ value: valueType(type), mutable }, zero(type));
    } else {
      const { params } = module.types[module.tags[index]!]!;
      // TypeScript's library does not know tags.
      const { Tag } = WebAssembly as unknown as { Tag: new (type: object) => WebAssembly.ExportValue };
      into[names.name] = new Tag({ parameters: params.map(valueType) });
    }
  }
  return imports;
}

const NUMBERS = [0, 1, -1, 7, 100, 65535, 65528, 0x7fffffff, -0x80000000];

export interface TtfFeatures {
  exceptions?: boolean;
  atomics?: boolean;
  memories?: boolean;
}

/** @throws where wasm-opt does not take the bytes */
export async function generateTtf(tape: Tape, features: TtfFeatures): Promise<Generated> {
  tool ??= new WasmOpt();
  const flags = tape.byte();
  const enabled = [...BASE];
  if (features.exceptions && flags & 1) enabled.push('exception-handling');
  if (features.memories && (flags & 6) === 6) enabled.push('multimemory');
  if (features.memories && (flags & 24) === 24) enabled.push('memory64');
  const rest = tape.bytes.subarray(tape.at);
  const wasm = await tool.run(rest.length ? rest : Uint8Array.of(0), [
    '-ttf',
    '--denan',
    ...(flags & 32 ? ['--no-fuzz-oob'] : []),
    ...enabled.map((name) => `--enable-${name}`),
  ]);
  const module = parseModule(wasm);
  const exports = module.exports
    .filter((e) => e.kind === 0)
    .map(({ name, index }) => {
      const { params } = module.types[module.functions[index]!.type]!;
      const value = (type: Uint8Array, i: number) => {
        const n = NUMBERS[i % NUMBERS.length]!;
        return type[0] === 0x7e ? BigInt(n) : zero(type) === null ? null : n;
      };
      return { name, args: [0, 3, 5].map((k) => params.map((type, i) => value(type, i * 2 + k))) };
    });
  return { wasm, exports, imports: (log) => anyImports(module, log) };
}
