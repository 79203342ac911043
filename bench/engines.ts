/** The engines that are measured: those of the test suite that say something different about speed. */
import { engines as testEngines } from '../test/support/engines.js';

export type EngineKey = 'node20' | 'node24' | 'node24-hints';

export interface BenchEngine {
  key: EngineKey;
  title: string;
  /** Program and arguments; the script comes after them. */
  command: string[];
}

const FLAGS = ['--no-warnings', '--expose-gc'];
const HINTS = '--experimental-wasm-branch-hinting';

/** Those that can be had; the reasons of the others go to `report`. */
export async function benchEngines(report: (line: string) => void): Promise<BenchEngine[]> {
  const found: BenchEngine[] = [];
  const mine = Number(process.versions.node.split('.')[0]);
  for (const major of [20, 24]) {
    const name = major === mine ? 'node' : `node${major}`;
    const engine = testEngines().find((e) => e.name === name);
    const ready = engine ? await engine.prepare() : 'run the bench with it';
    if (typeof ready === 'string' || !ready.command) {
      report(`Node ${major}: not measured (${ready as string})`);
      continue;
    }
    const [program] = ready.command as [string];
    const key = `node${major}` as EngineKey;
    found.push({ key, title: `Node ${major}`, command: [program, ...FLAGS] });
    if (major === 24) {
      found.push({
        key: 'node24-hints',
        title: 'Node 24 with branch hints',
        command: [program, ...FLAGS, HINTS],
      });
    }
  }
  return found;
}
