/** Records the history of a workload at full speed, and says how large it is. */
import { readFileSync } from 'node:fs';
import { createHistory, type History, openHistory } from '../../../runtime/history/index.js';
import { openStore } from '../../../runtime/history/open.js';
import { TABLES, type Table } from '../../../runtime/history/store.js';
import type { RecordJob } from '../plan.js';
import type { Growth, Size } from '../results.js';
import { breathe, ownBytes, writtenBytes } from '../system.js';
import { type Running, workloadNamed } from '../workloads.js';

/** Requests between two looks at the clock. */
const SLICE = 200;
/** Requests before recording begins: warm, and then timed. */
const BEFORE = 4000;

export async function record(job: RecordJob, progress: (text: string) => void): Promise<Size> {
  const { directory, checkpoints, limit } = job;
  const workload = workloadNamed(job.workload);
  const wasm = readFileSync(job.module);
  const running = await workload.start({ module: new WebAssembly.Module(wasm), instrumented: true });
  const { guest } = running;
  const before = Math.min(BEFORE, checkpoints);
  requests(running, 0, before);
  const plain = requests(running, before, 2 * before);

  const rssBefore = ownBytes();
  const store = await createHistory(directory);
  const recorder = store.record(guest, { module: wasm });
  const growth: Growth[] = [];
  const written = writtenBytes();
  let [taken, lag, done] = [0, 0, 0];
  const offset = 2 * before;
  for (let next = 1000; done < checkpoints; ) {
    const to = Math.min(done + SLICE, checkpoints, next);
    taken += requests(running, offset + done, offset + to) * (to - done);
    done = to;
    lag = Math.max(lag, recorder.stats().unpacked);
    if (done === next && done < checkpoints) {
      await recorder.flush();
      growth.push(await sizes(directory));
      next = step(next);
      progress(`${done.toLocaleString('en-US')} checkpoints`);
    }
    if (limit !== undefined && taken > limit * 1e9) break;
    if (done % (SLICE * 50) === 0) await breathe();
  }
  guest.checkpoint();
  const { memoryBytes: recorderBytes, journaled } = recorder.stats();
  const rssAfter = ownBytes();
  const start = performance.now();
  await recorder.close();
  const drain = performance.now() - start;
  growth.push(await sizes(directory));
  const history = await openHistory(directory);
  check(history, running);
  const info = history.info();
  const tables = tablesOf(directory);
  await history.close();
  await store.close();
  return {
    workload: workload.name,
    request: workload.request,
    entries: info.entries,
    asked: checkpoints,
    ...(limit !== undefined && { limit }),
    raw: info.bytesRaw,
    journaled,
    stored: info.bytesStored,
    disk: info.bytesOnDisk,
    contents: info.contents,
    chunks: info.chunks,
    tables,
    memoryBytes: info.memoryBytes,
    growth,
    plain,
    recorded: taken / done,
    lag,
    drain,
    recorderBytes,
    rssBefore,
    rssAfter,
    written: writtenBytes() - written,
  };
}

/** Requests with a checkpoint before each. @returns nanoseconds of one */
function requests(running: Running, from: number, to: number): number {
  const start = performance.now();
  for (let n = from; n < to; n++) {
    running.guest.checkpoint(running.info(n));
    running.request(n);
  }
  return ((performance.now() - start) * 1e6) / (to - from);
}

/** 1, 2 and 5 in each decade. */
function step(n: number): number {
  const digit = Number(String(n)[0]);
  return digit === 2 ? n * 2.5 : n * 2;
}

/** Opened anew each time: a reader that stays keeps what it sees from being written over. */
async function sizes(directory: string): Promise<Growth> {
  const history = await openHistory(directory);
  const { entries, bytesRaw, bytesStored } = history.info();
  await history.close();
  return { entries, raw: bytesRaw, stored: bytesStored };
}

/** What was recorded last is what the guest has. */
function check(history: History, { guest }: Running): void {
  const size = guest.memory.buffer.byteLength;
  const now = new Uint8Array(guest.memory.buffer, 0, Math.min(size, history.memorySize(history.last)));
  const kept = history.read(history.last, 0, now.length);
  if (Buffer.compare(now, kept) !== 0) throw new Error('the last checkpoint is not what the guest has');
}

function tablesOf(directory: string): Size['tables'] {
  const store = openStore(directory);
  const snapshot = store.snapshot();
  const found = {} as Record<Table, { pairs: number; bytes: number }>;
  for (const table of TABLES) {
    const sum = { pairs: 0, bytes: 0 };
    for (const { key, value } of snapshot.from(table, new Uint8Array(1))) {
      sum.pairs++;
      sum.bytes += key.length + value.length;
    }
    found[table] = sum;
  }
  snapshot.done();
  void store.close();
  return found;
}
