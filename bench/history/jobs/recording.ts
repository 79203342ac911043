/**
 * What recording costs the notes: with and without it by turns, in one process; and where on a request's path the time
 * goes.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Capture } from '../../../runtime/history/capture.js';
import { createHistory, openHistory } from '../../../runtime/history/index.js';
import { keep } from '../../../runtime/service/keep.js';
import { load } from '../../../runtime/service/load.js';
import { createRunner } from '../../../runtime/service/runner.js';
import { serve } from '../../../runtime/service/serve.js';
import type { GuestRequest } from '../../../runtime/service/types.js';
import type { EpochInfo } from '../../../runtime/types.js';
import { now } from '../../clock.js';
import { type Contender, compare, type Effort, FULL, QUICK } from '../../compare.js';
import { HttpClient } from '../../jobs/http-client.js';
import { notesAfter, notesBefore, notesRequest, notesUndo } from '../../subjects/notes.js';
import { HTTP, RATE, type RecordingJob } from '../plan.js';
import type { Path, Rate, Recording, Slowdown } from '../results.js';
import { writtenBytes } from '../system.js';
import { addedId, CYCLE, notesLoad, type Running, workloadNamed } from '../workloads.js';

const THREAD = 'time of the thread that serves';
const WALL = 'time that passes';

/** Carries out `count` requests; nanoseconds that it took, by a clock. */
type Batch = (count: number) => number | Promise<number>;

/** A service that can be sent batches. */
interface Served {
  batch: Batch;
  close(): Promise<void>;
}

export async function recording(job: RecordingJob, progress: (text: string) => void): Promise<Recording> {
  const wasm = new Uint8Array(readFileSync(job.module));
  // A batch is a whole cycle of requests at least, and sees its share of what packing does to a processor's caches.
  const { rounds } = job;
  const effort: Effort = job.quick ? { ...QUICK, rounds } : { ...FULL, batch: 5 * FULL.batch, rounds };
  let number = 0;
  const folder = () => join(job.directory, String(number++));
  const slowdowns: Slowdown[] = [];
  for (const [way, clock, open] of WAYS) {
    progress(`${way}, ${clock}`);
    const directory = folder();
    const plain = await open(wasm, undefined, clock);
    const recorded = await open(wasm, directory, clock);
    const contender = (name: string, { batch }: Served): Contender => ({ name, batch, multiple: CYCLE });
    const result = await compare(
      contender('not recorded', plain),
      [contender('recorded', recorded)],
      way.startsWith(HTTP) ? { ...effort, rounds: Math.ceil(rounds / 2) } : effort,
    );
    await plain.close();
    await recorded.close();
    rmSync(directory, { recursive: true, force: true });
    slowdowns.push({
      way,
      clock,
      plain: result.base.nanoseconds,
      recorded: result.others[0]!,
      steady: result.steady,
    });
  }
  progress('path of a request');
  const path = await pathOf(wasm, folder(), job.quick);
  progress('processor time of a request');
  const plain = await processorTime(wasm, undefined, job.quick);
  const recorded = await processorTime(wasm, folder(), job.quick);
  const found = { engine: job.engine, slowdowns, path, processor: { plain, recorded } };
  if (!job.rate) return found;
  progress(`${RATE} requests a second`);
  const rate = await atRate(wasm, folder(), job.quick ? 1 : 20);
  return { ...found, rate };
}

const ONE = `${HTTP}, one request at a time`;
const FOUR = `${HTTP}, four at a time`;
const LATE = '--record-late';
const WAYS: readonly [
  way: string,
  clock: string,
  (wasm: Uint8Array<ArrayBuffer>, directory: string | undefined, clock: string) => Promise<Served>,
][] = [
  ['the guest alone', THREAD, bare],
  ['the guest alone', WALL, bare],
  ["a service's requests, without HTTP", THREAD, service],
  ["a service's requests, without HTTP", WALL, service],
  [ONE, WALL, (wasm, directory) => overHttp(wasm, directory, 1)],
  [`${ONE}, ${LATE}`, WALL, (wasm, directory) => overHttp(wasm, directory, 1, true)],
  [FOUR, WALL, (wasm, directory) => overHttp(wasm, directory, 4)],
  [`${FOUR}, ${LATE}`, WALL, (wasm, directory) => overHttp(wasm, directory, 4, true)],
];

const clockOf = (clock: string): (() => number) => (clock === THREAD ? now : () => performance.now() * 1e6);

/** Calls of the export, with a checkpoint each. */
async function bare(
  wasm: Uint8Array<ArrayBuffer>,
  directory: string | undefined,
  clock: string,
): Promise<Served> {
  const running = await start(wasm);
  const store = directory === undefined ? undefined : await createHistory(directory);
  store?.record(running.guest, { module: wasm });
  const time = clockOf(clock);
  let n = 0;
  return {
    batch(count) {
      const begin = time();
      for (const end = n + count; n < end; n++) {
        running.guest.checkpoint(running.info(n));
        running.request(n);
      }
      return time() - begin;
    },
    close: async () => store?.close(),
  };
}

const start = (wasm: Uint8Array<ArrayBuffer>): Promise<Running> =>
  workloadNamed('notes').start({ module: new WebAssembly.Module(wasm), instrumented: true });

const encoder = new TextEncoder();
const guestRequest = ([method, target, body = '']: readonly [string, string, string?]): GuestRequest => ({
  method,
  target,
  headers: [['host', 'localhost']],
  body: encoder.encode(body),
  scheme: 'http',
  host: 'localhost',
  port: 80,
});

/** What `belay serve` does with a request once it is there. */
async function service(
  wasm: Uint8Array<ArrayBuffer>,
  directory: string | undefined,
  clock: string,
): Promise<Served> {
  const { guest, wasi } = await load(wasm);
  const kept = await keep(guest, directory === undefined ? {} : { record: { directory, module: wasm } });
  const { run } = createRunner(guest, {
    wasi,
    rollback: 'on-failure',
    deadline: 0,
    maxSteps: 0,
    ...kept.runner,
  });
  const added: number[] = [];
  const decoder = new TextDecoder();
  const send = (request: [string, string, string?]) => {
    const { response, failure, recording: trouble } = run(guestRequest(request));
    if (!response || response.status >= 300 || trouble !== undefined)
      throw new Error(
        `${request[0]} ${request[1]}: ${response?.status} ${failure?.message ?? trouble ?? ''}`,
      );
    const id = addedId(request, decoder.decode(response.body));
    if (id !== undefined) added.push(id);
  };
  for (const request of notesBefore()) send(request);
  // Those stay.
  added.length = 0;
  const time = clockOf(clock);
  let n = 0;
  return {
    batch(count) {
      const begin = time();
      for (const end = n + count; n < end; n++) send(notesLoad(n, added));
      return time() - begin;
    },
    close: () => kept.close(),
  };
}

/** The whole of it: the guest in a thread, HTTP in front, a client in a thread of its own. */
async function overHttp(
  wasm: Uint8Array<ArrayBuffer>,
  directory: string | undefined,
  connections: number,
  late = false,
): Promise<Served & { requests(): number }> {
  const served = await serve(wasm, {
    port: 0,
    deadline: 0,
    keepAlive: 600_000,
    ...(directory !== undefined && { record: { directory, module: wasm, late } }),
  });
  const client = new HttpClient(connections);
  await client.send(served.port, notesBefore());
  let n = 0;
  let sent = 0;
  return {
    requests: () => sent,
    async batch(count) {
      const requests = Array.from({ length: count }, () => notesRequest(n++));
      const begin = performance.now();
      await client.send(served.port, requests);
      const time = (performance.now() - begin) * 1e6;
      sent += count + (await tidy(served.url, client, served.port));
      return time;
    },
    async close() {
      await client.close();
      await served.close();
    },
  };
}

/** Milliseconds after which a recorder has packed what it has. */
const PACKED = 5000;

/** Nanoseconds that all threads of this process take for a request over HTTP; packing all of it counts. */
async function processorTime(
  wasm: Uint8Array<ArrayBuffer>,
  directory: string | undefined,
  quick: boolean,
): Promise<number> {
  const http = await overHttp(wasm, directory, 1);
  const some = async (batches: number) => {
    for (let i = 0; i < batches; i++) await http.batch(CYCLE);
  };
  await some(quick ? 1 : 10);
  await setTimeout(quick ? 0 : PACKED);
  const before = process.cpuUsage();
  const sent = http.requests();
  await some(quick ? 1 : 20);
  // What is left to be packed is packed at the end.
  await http.close();
  const { user, system } = process.cpuUsage(before);
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  return ((user + system) * 1000) / (http.requests() - sent);
}

/** Deletes what was added. @returns the number of requests that it took */
async function tidy(url: string, client: HttpClient, port: number): Promise<number> {
  const list = await (await fetch(`${url}${notesAfter}`)).text();
  const undo = notesUndo(list);
  await client.send(port, undo);
  return 1 + undo.length;
}

/** What a recorder does before an answer is sent, step by step. */
async function pathOf(wasm: Uint8Array<ArrayBuffer>, directory: string, quick: boolean): Promise<Path> {
  const running = await start(wasm);
  const { guest } = running;
  // As a recorder that leaves nothing out: it never comes to be asked.
  const capture = new Capture(guest.state, undefined, () => undefined);
  capture.changes();
  capture.record(0, { kind: 'start', time: 0 });
  const fd = openSync(`${directory}.log`, 'w');
  const sums: Path = {
    request: 0,
    checkpoint: 0,
    capture: 0,
    record: 0,
    write: 0,
    regions: 0,
    compared: 0,
    pages: 0,
    runs: 0,
    journaled: 0,
  };
  guest.checkpoint();
  let at = 0;
  let info: EpochInfo = {};
  /** Nanoseconds of the last checkpoint that are not its own. */
  let aside = 0;
  const beforeCheckpoint = (): void => {
    const t0 = now();
    capture.changes(true);
    const t1 = now();
    const { request, kind, digest } = info;
    const note = {
      kind: 'kept' as const,
      time: Date.now(),
      request: request!,
      route: kind!,
      digest: digest!,
    };
    const bytes = capture.record(request!, note);
    const t2 = now();
    writeSync(fd, bytes, 0, bytes.length, at);
    const t3 = now();
    at += bytes.length;
    tally(guest, bytes, sums);
    sums.capture += t1 - t0;
    sums.record += t2 - t1;
    sums.write += t3 - t2;
    sums.journaled += bytes.length;
    aside = now() - t0;
  };
  const stop = guest.observe({ beforeCheckpoint, beforeRollback() {} });
  const requests = (from: number, count: number) => {
    for (let n = from; n < from + count; n++) {
      info = running.info(n);
      const t0 = now();
      running.request(n);
      const t1 = now();
      guest.checkpoint();
      sums.request += t1 - t0;
      sums.checkpoint += now() - t1 - aside;
    }
  };
  const warm = quick ? CYCLE : 20 * CYCLE;
  requests(0, warm);
  for (const key of Object.keys(sums) as (keyof Path)[]) sums[key] = 0;
  requests(warm, warm);
  stop();
  closeSync(fd);
  rmSync(`${directory}.log`);
  for (const key of Object.keys(sums) as (keyof Path)[]) sums[key] /= warm;
  return sums;
}

/** What the mechanism said was written, and what the record has of it. */
function tally({ state }: Running['guest'], record: Uint8Array, sums: Path): void {
  state.written((_memory, _address, length) => {
    sums.regions++;
    sums.compared += length;
  });
  const words = new Uint32Array(record.buffer, record.byteOffset, record.length >> 2);
  let at = 5 + ((words[4]! + 3) >> 2);
  const pages = words[at++]!;
  sums.pages += pages;
  for (let i = 0; i < pages; i++) {
    const end = at + 3 + words[at + 2]!;
    for (at += 3; at < end; at += 1 + ((words[at]! & 0xffff) >> 2)) sums.runs++;
  }
}

/** A load that leaves the machine time: what is written then, and what it takes of a processor. */
async function atRate(wasm: Uint8Array<ArrayBuffer>, directory: string, seconds: number): Promise<Rate> {
  const running = await start(wasm);
  let n = 0;
  const run = async (): Promise<number> => {
    const begin = performance.now();
    const cpu = process.cpuUsage();
    for (let done = 0; done < seconds * RATE; ) {
      const due = Math.floor(((performance.now() - begin) / 1000) * RATE);
      for (; done < due && done < seconds * RATE; done++, n++) {
        running.guest.checkpoint(running.info(n));
        running.request(n);
      }
      await setTimeout(2);
    }
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / 1000 / (performance.now() - begin);
  };
  const cpuPlain = await run();
  const store = await createHistory(directory);
  const recorder = store.record(running.guest, { module: wasm });
  await recorder.flush();
  const history = await openHistory(directory);
  const before = history.info();
  const written = writtenBytes();
  const cpu = await run();
  await recorder.flush();
  const after = writtenBytes();
  history.refresh();
  const info = history.info();
  await history.close();
  await store.close();
  rmSync(directory, { recursive: true, force: true });
  return {
    perSecond: RATE,
    seconds,
    entries: info.entries - before.entries,
    stored: info.bytesStored - before.bytesStored,
    written: after - written,
    cpu,
    cpuPlain,
  };
}
