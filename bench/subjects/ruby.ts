/**
 * ruby.wasm as a program that answers requests: 30 MB of CRuby with its standard library. A request evaluates a line
 * of Ruby. The package is fetched by npm when it is first needed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { instantiate } from '../../runtime/index.js';
import { createWasi } from '../../runtime/wasi/index.js';
import { ROOT, type Running, type Subject } from './host.js';

const PACKAGE = '@ruby/3.4-wasm-wasi@2.10.1';
const MEMBER = 'package/dist/ruby+stdlib.wasm';

/** Work of five kinds. */
const SETUP = `
require 'json'
$store = {}
$work = {
  'json' => ->(n) { JSON.generate(JSON.parse('{"a":[' + (1..50).map { |i| i * n }.join(',') + ']}')).size },
  'sort' => ->(n) { (0..200).map { |i| (i * 7919 + n) % 1009 }.sort_by { |i| -i }.first },
  'text' => ->(n) { ("lorem ipsum " * 40).scan(/\\w+/).tally.map { |w, c| w + c.to_s }.join(' ').size },
  'store' => ->(n) { $store[n % 500] = { id: n, text: "note #{n}" }; $store.size },
  'find' => ->(n) { $store.values.select { |v| v[:text].include?('9') }.size },
}`;
const KINDS = ['json', 'sort', 'text', 'store', 'find'];
const kindOf = (n: number): string => KINDS[((n * 7919) % 13) % KINDS.length]!;

const INIT = 'ruby-init: func(args: list<string>) -> ()';
const EVAL = 'rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>';

const path = join(ROOT, '.cache', 'modules', 'ruby', 'ruby+stdlib.wasm');

/** Whether it is here already. */
export const hasRuby = (): boolean => existsSync(path);

function file(): string {
  if (hasRuby()) return path;
  mkdirSync(dirname(path), { recursive: true });
  const out = execFileSync('npm', ['pack', PACKAGE, '--json', '--pack-destination', dirname(path)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [archive] = JSON.parse(out) as [{ filename: string }];
  const content = execFileSync('tar', ['-xzf', archive.filename, '-O', MEMBER], {
    cwd: dirname(path),
    maxBuffer: 1 << 28,
  });
  writeFileSync(`${path}.part`, content);
  renameSync(`${path}.part`, path);
  return path;
}

export const ruby: Subject = {
  name: 'ruby',
  request: 'a line of Ruby: JSON, sorting, text, or a hash that keeps notes',
  reserve: 256 << 20,
  bytes: async () => readFileSync(file()),
  async start({ module, options }): Promise<Running> {
    const wasi = await createWasi({ args: ['ruby'] });
    const guest = await instantiate(
      module,
      (g) => {
        const imports = { ...wasi.imports(g) } as Record<string, Record<string, unknown>>;
        // Handles of Ruby's values. What would let Ruby call JavaScript is not called.
        const handles: number[] = [];
        for (const { module: from, name } of WebAssembly.Module.imports(module)) {
          imports[from] = { ...imports[from] };
          imports[from][name] ??= (value: number) =>
            name.startsWith('resource_new') ? handles.push(value) - 1 : (handles[value] ?? 0);
        }
        return imports as WebAssembly.Imports;
      },
      options,
    );
    wasi.initialize(guest);
    const exports = guest.exports as unknown as Record<string, (...values: number[]) => number>;
    const { memory } = guest;
    const text = (content: string): [pointer: number, length: number] => {
      const bytes = new TextEncoder().encode(content);
      const pointer = exports.cabi_realloc!(0, 0, 1, bytes.length);
      guest.write(pointer, bytes);
      return [pointer, bytes.length];
    };
    const evaluate = (code: string): void => {
      const result = exports[EVAL]!(...text(code));
      if (new DataView(memory.buffer).getInt32(result + 4, true)) throw new Error(`Ruby failed: ${code}`);
    };
    const args = ['ruby.wasm\0', '-EUTF-8\0', '-e_=0\0'].flatMap(text);
    const list = exports.cabi_realloc!(0, 0, 4, args.length * 4);
    guest.write(list, new Uint8Array(Uint32Array.from(args).buffer));
    exports[INIT]!(list, args.length / 2);
    evaluate(SETUP);
    return {
      guest,
      memory,
      info: (n) => ({ kind: kindOf(n) }),
      request(n) {
        evaluate(`$work['${kindOf(n)}'].call(${n})`);
        return n;
      },
      tidy() {},
    };
  },
};
