/**
 * Records the traces in bench/traces/data from real programs, and makes the two synthetic ones.
 *
 *     node dist/bench/traces/record.js [--only NAME] [--to FOLDER]
 *
 * Programs run under page-cow with a policy that chooses nothing (runtime/speculation/record.ts). A trace is of one
 * run: another run of the same program gives nearly the same.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { instrument } from '../../rewriter/index.js';
import { recorder } from '../../runtime/speculation/index.js';
import { TraceWriter, writeTrace } from '../../runtime/speculation/trace.js';
import type { Guest } from '../../runtime/types.js';
import { ROOT } from '../subjects/host.js';
import { type Running, type Subject, subjectNamed } from '../subjects/index.js';
import { ruby } from '../subjects/ruby.js';
import { chances, phases } from './synthetic.js';

interface Program {
  subject: Subject;
  requests: number;
  /** Requests after which the program concludes and tidies up, in an epoch of its own. */
  batch: number;
}

const PROGRAMS: Record<string, Program> = {
  'sqljs-inserts': { subject: subjectNamed('sql.js inserts'), requests: 4000, batch: 500 },
  'sqljs-queries': { subject: subjectNamed('sql.js queries'), requests: 1000, batch: 1000 },
  quickjs: { subject: subjectNamed('quickjs calls'), requests: 2000, batch: 2000 },
  wasmoon: { subject: subjectNamed('wasmoon calls'), requests: 2000, batch: 2000 },
  wasmboy: { subject: subjectNamed('wasmboy frames'), requests: 1000, batch: 1000 },
  brotli: { subject: subjectNamed('brotli-wasm'), requests: 1000, batch: 1000 },
  ruby: { subject: ruby, requests: 1000, batch: 1000 },
  notes: { subject: subjectNamed('notes requests'), requests: 4000, batch: 400 },
};

async function record(name: string, { subject, requests, batch }: Program): Promise<Uint8Array> {
  const writer = new TraceWriter({
    name,
    description: `${subject.name}: ${subject.request}; ${requests} requests, an epoch each`,
  });
  const { wasm } = instrument(await subject.bytes(), {
    mechanism: 'page-cow',
    layout: 'inline',
    reserve: subject.reserve,
  });
  const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
  let running: Running | undefined;
  const guest = (): Guest => running!.guest!;
  const policy = recorder(writer, () => guest().kinds);
  running = await subject.start({ module, instrumented: true, options: { policy } });
  const { info } = running;
  for (let n = 0; n < requests; n++) {
    const nth = n % batch;
    guest().checkpoint(info?.(nth));
    running.request(nth);
    if (nth < batch - 1) continue;
    guest().checkpoint({ kind: 'end of a batch' });
    running.conclude?.();
    running.tidy();
  }
  guest().checkpoint();
  return writer.bytes();
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    to: { type: 'string', default: join(ROOT, 'bench', 'traces', 'data') },
  },
});

const makers: Record<string, () => Promise<Uint8Array>> = {
  ...Object.fromEntries(
    Object.entries(PROGRAMS).map(([name, program]) => [name, () => record(name, program)]),
  ),
  phases: async () => writeTrace(phases()),
  chances: async () => writeTrace(chances(1, 1000)),
};
mkdirSync(values.to, { recursive: true });
for (const [name, make] of Object.entries(makers)) {
  if (!name.includes(values.only)) continue;
  const bytes = await make();
  const file = join(values.to, `${name}.trace`);
  writeFileSync(file, bytes);
  console.log(`${file}: ${bytes.length} bytes`);
}
