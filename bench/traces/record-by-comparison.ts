/**
 * Records traces from real programs without any mechanism: memory is compared with a copy after each request, page by
 * page. It sees what changed, not what was written with the value it had.
 *
 *     node dist/bench/traces/record-by-comparison.js [--requests 2000] [--only name] [--to folder]
 *
 * Writes one file for each subject of bench/subjects that answers small requests. The kinds are what a service would know: for
 * the notes service method and route.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TraceWriter } from '../../runtime/speculation/trace.js';
import { type Running, type Subject, subjects } from '../subjects/index.js';
import { notesRequest } from '../subjects/notes.js';

const PAGE = 4096;

/** Compares memory with what it was. */
class Comparison {
  private before = new BigUint64Array(0);

  constructor(private readonly memory: WebAssembly.Memory) {}

  /** Pages that memory has. */
  get pages(): number {
    return this.memory.buffer.byteLength / PAGE;
  }

  begin(): void {
    const now = new BigUint64Array(this.memory.buffer);
    if (this.before.length !== now.length) this.before = new BigUint64Array(now.length);
    this.before.set(now);
  }

  /** Pages that changed since; what memory gained in between is left out. The next comparison is with now. */
  changed(): Uint32Array {
    const { before } = this;
    const now = new BigUint64Array(this.memory.buffer);
    const words = PAGE / 8;
    const pages: number[] = [];
    for (let from = 0; from < before.length; from += words) {
      let at = from;
      while (at < from + words && before[at] === now[at]) at++;
      if (at === from + words) continue;
      pages.push(from / words);
      before.set(now.subarray(from, from + words), from);
    }
    return Uint32Array.from(pages);
  }
}

function kindOf(subject: Subject, n: number): string {
  if (subject.name !== 'notes requests') return '';
  const [method, target] = notesRequest(n);
  return `${method} ${target.replace(/\?.*/, '').replace(/\d+/, ':id')}`;
}

function record(subject: Subject, running: Running, requests: number): Uint8Array {
  const writer = new TraceWriter({
    name: subject.name,
    description: `${subject.request}; ${requests} requests, recorded by comparison`,
  });
  const comparison = new Comparison(running.memory);
  const most = subject.most ?? requests;
  comparison.begin();
  for (let n = 0; n < requests; n++) {
    if (n > 0 && n % most === 0) running.tidy();
    const pages = comparison.pages;
    const kind = writer.kindNamed(kindOf(subject, n));
    running.request(n % most);
    writer.add({ pages, kind, written: comparison.changed() });
    if (comparison.pages !== pages) comparison.begin();
  }
  return writer.bytes();
}

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    only: { type: 'string', default: '' },
    to: { type: 'string', default: 'traces' },
  },
});
mkdirSync(values.to, { recursive: true });
for (const subject of subjects) {
  if (!subject.name.includes(values.only)) continue;
  const module = new WebAssembly.Module((await subject.bytes()) as BufferSource);
  const running = await subject.start({ module, instrumented: false });
  const bytes = record(subject, running, Number(values.requests));
  const file = join(values.to, `${subject.name.replace(/\W+/g, '-')}.belaytrace`);
  writeFileSync(file, bytes);
  console.log(`${file}: ${bytes.length} bytes`);
}
