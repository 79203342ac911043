/**
 * wasm-opt of binaryen's npm package, many times in one process: it is a script that compiles 10 MB and runs
 * once, so the script and its module are kept, and each run gets an instance of its own.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

interface EmscriptenModule {
  arguments: string[];
  instantiateWasm(
    imports: WebAssembly.Imports,
    receive: (instance: WebAssembly.Instance) => void,
  ): Record<string, never>;
  postRun(): void;
}
type Script = (
  module: EmscriptenModule,
  process: unknown,
  require: NodeJS.Require,
  file: string,
  folder: string,
) => () => Uint8Array;

export class WasmOpt {
  private readonly script: Script;
  private compiled: WebAssembly.Module | undefined;
  private readonly folder = mkdtempSync(join(tmpdir(), 'belay-wasm-opt-'));
  private readonly path: string;

  constructor() {
    this.path = join(dirname(require.resolve('binaryen/package.json')), 'bin', 'wasm-opt');
    const source = readFileSync(this.path, 'utf8').replace(/^#!.*\n/, '');
    this.script = new Function(
      ...['Module', 'process', 'require', '__filename', '__dirname', 'module'],
      `${source}\n;return findWasmBinary;`,
    ) as Script;
  }

  /**
   * Runs wasm-opt on `input` and returns what it wrote.
   * @throws where it failed; it prints why
   */
  run(input: Uint8Array, args: readonly string[]): Promise<Uint8Array> {
    const from = join(this.folder, 'in');
    const to = join(this.folder, 'out.wasm');
    writeFileSync(from, input);
    rmSync(to, { force: true });
    return new Promise((resolve, reject) => {
      let find: () => Uint8Array;
      // It sets the exit code of its process.
      const process_ = Object.create(process, { exitCode: { value: 0, writable: true } });
      find = this.script(
        {
          arguments: [from, '-o', to, '--quiet', ...args],
          instantiateWasm: (imports, receive) => {
            queueMicrotask(() => {
              try {
                this.compiled ??= new WebAssembly.Module(find() as Uint8Array<ArrayBuffer>);
                receive(new WebAssembly.Instance(this.compiled, imports));
              } catch (error) {
                reject(error);
              }
            });
            return {};
          },
          postRun: () => {
            if (existsSync(to)) resolve(readFileSync(to));
            else reject(new Error('wasm-opt failed'));
          },
        },
        process_,
        require,
        this.path,
        dirname(this.path),
      );
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
