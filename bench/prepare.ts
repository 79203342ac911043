/** The files that jobs work on: original and instrumented modules, made once each, in a temporary folder. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type InstrumentOptions, instrument } from '../rewriter/index.js';

export class Files {
  private readonly folder = mkdtempSync(join(tmpdir(), 'belay-bench-'));
  private readonly made = new Map<string, string>();

  /** Path of the module, instrumented where there are options. `name` stands for the bytes. */
  async module(
    name: string,
    bytes: () => Uint8Array | Promise<Uint8Array>,
    options?: InstrumentOptions,
  ): Promise<string> {
    const key = JSON.stringify([name, options ?? null]);
    let path = this.made.get(key);
    if (path === undefined) {
      const original = await bytes();
      path = this.write('wasm', options ? instrument(original, options).wasm : original);
      this.made.set(key, path);
    }
    return path;
  }

  write(suffix: string, content: Uint8Array | string): string {
    const path = join(this.folder, `${this.made.size}-${Math.random().toString(36).slice(2)}.${suffix}`);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
