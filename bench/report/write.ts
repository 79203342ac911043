/** What reports have in common: their head, and how they become files. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Results } from '../results.js';
import type { Part } from './section.js';

/** Collects the paths of what is written into a folder. */
export class Folder {
  readonly written: string[] = [];
  constructor(private readonly folder: string) {}

  write(name: string, content: string): void {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    this.written.push(path);
  }

  /** The parts' pictures, and the parts behind a head. @param pictures the folder of the pictures */
  report(name: string, pictures: string, head: string, parts: readonly Part[]): void {
    for (const part of parts) {
      for (const [picture, svg] of Object.entries(part.pictures ?? {})) {
        this.write(join(pictures, `${picture}.svg`), svg);
      }
    }
    const body = parts.map(({ title, text }) => `## ${title}\n\n${text}\n`).join('\n');
    this.write(name, `${head}\n${body}`);
  }
}

/** Lines on what was measured with; `rounds` says how often. */
export function circumstances<M>(results: Results<M>, rounds: string): string {
  const { machine, engines, seconds, clock, quick } = results;
  const warning = quick ? '\n**Made with `--quick`: none of these figures means anything.**\n' : '';
  const list = Object.values(engines)
    .map(({ title, node, v8 }) => `${title}: ${node}, V8 ${v8}`)
    .join('; ');
  return `${warning}
Machine: ${machine.processor}, ${machine.cores} processors, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.system}.
Engines: ${list}.
Time: ${clock}. ${rounds}; ${Math.round(seconds / 60)} minutes in all.`;
}
