/** A real module: plain, and in the ways that the job names. One process for each of these. */
import { readFileSync } from 'node:fs';
import { now } from '../clock.js';
import { type Compared, type Contender, compare } from '../compare.js';
import { type Running, type Source, type Subject, subjectNamed } from '../subjects/index.js';
import type { Mode, SubjectJob, SubjectResult } from './types.js';

/** Requests of a batch in which copies are compared before anything is timed. */
const PROBE = 16;

export async function measureSubject(job: SubjectJob): Promise<SubjectResult> {
  const subject = subjectNamed(job.subject);
  const original: Source = { module: compile(job.plain), instrumented: false };
  const plain = await subject.start(original);
  const guest = await subject.start({ module: compile(job.instrumented), instrumented: true });
  check(subject, plain, guest);

  const most = subject.most === undefined ? {} : { most: subject.most };
  const make: Record<Mode, () => Contender> = {
    instrumented: () => ({ name: 'instrumented', ...most, batch: instrumented(guest) }),
    checkpoint: () => ({ name: 'checkpoint', ...most, batch: checkpointed(guest) }),
    rollback: () => ({ name: 'rollback', ...most, batch: rolledBack(guest) }),
    copy: () => ({ name: 'copy', rough: true, most: 20, batch: copied(plain) }),
    fresh: () => ({ name: 'fresh', rough: true, most: 20, batch: fresh(subject, original) }),
  };
  const base: Contender = { name: 'plain', ...most, batch: untouched(plain) };
  const modes = job.modes.map((mode) => make[mode]());
  const { base: measured, others, steady } = await compare(base, modes, job.effort);

  const { memoryBytes, supportBytes } = guest.guest!.stats();
  const result: SubjectResult = {
    plain: measured.nanoseconds,
    modes: Object.fromEntries(others.map((other): [string, Compared] => [other.name, other])),
    memoryBytes,
    supportBytes,
    steady,
  };
  if (job.modes.includes('checkpoint')) result.regions = regionsOf(guest);
  return result;
}

export const compile = (file: string) => new WebAssembly.Module(readFileSync(file));

/** Figures of programs that compute different things would mean nothing. */
export function check(subject: Subject, plain: Running, instrumented: Running): void {
  const results = (running: Running, before: () => void, after: () => void) =>
    Array.from({ length: PROBE }, (_, n) => {
      before();
      const result = running.request(n);
      after();
      return result;
    }).join();
  const nothing = () => {};
  const guest = instrumented.guest!;
  const expected = results(plain, nothing, nothing);
  plain.conclude?.();
  plain.tidy();
  const got = results(instrumented, () => guest.checkpoint(), nothing);
  instrumented.conclude?.();
  instrumented.tidy();
  if (got !== expected) throw new Error(`${subject.name}: results differ: ${expected} and ${got}`);
  guest.checkpoint();
  const first = instrumented.request(0);
  guest.rollback();
  for (let i = 0; i < PROBE; i++) {
    const again = instrumented.request(0);
    guest.rollback();
    if (again !== first) throw new Error(`${subject.name}: ${again} after a rollback, and ${first} before`);
  }
}

/** Keeps results from being optimised away. */
export let sink = 0;

// One loop for each way, so that each is optimised for what it does.

function untouched(running: Running) {
  return (count: number) => {
    const start = now();
    for (let n = 0; n < count; n++) sink += running.request(n);
    running.conclude?.();
    const time = now() - start;
    running.tidy();
    return time;
  };
}

function instrumented(running: Running) {
  const guest = running.guest!;
  return (count: number) => {
    guest.checkpoint();
    const start = now();
    for (let n = 0; n < count; n++) sink += running.request(n);
    running.conclude?.();
    const time = now() - start;
    running.tidy();
    return time;
  };
}

function checkpointed(running: Running) {
  const guest = running.guest!;
  return (count: number) => {
    const start = now();
    for (let n = 0; n < count; n++) {
      guest.checkpoint();
      sink += running.request(n);
    }
    running.conclude?.();
    const time = now() - start;
    running.tidy();
    return time;
  };
}

function rolledBack(running: Running) {
  const guest = running.guest!;
  return (count: number) => {
    guest.checkpoint();
    const start = now();
    for (let n = 0; n < count; n++) {
      sink += running.request(n);
      guest.rollback();
    }
    const time = now() - start;
    if (!running.conclude) return time;
    // What is concluded has to be there: the others' conclusion is timed over as many requests.
    for (let n = 0; n < count; n++) sink += running.request(n);
    const again = now();
    running.conclude();
    return time + now() - again;
  };
}

/** Copies all of memory before each request: what a host can do with any module. */
function copied(running: Running) {
  let copy = new Uint8Array(0);
  return (count: number) => {
    const start = now();
    for (let n = 0; n < count; n++) {
      const memory = new Uint8Array(running.memory.buffer);
      if (copy.length !== memory.length) copy = new Uint8Array(memory.length);
      copy.set(memory);
      sink += running.request(n);
    }
    running.conclude?.();
    const time = now() - start;
    running.tidy();
    return time;
  };
}

/** Makes a new instance for each request, and brings it to where it can answer. The module is compiled. */
function fresh(subject: Subject, source: Source) {
  return async (count: number) => {
    const start = now();
    for (let n = 0; n < count; n++) {
      const running = await subject.start(source, true);
      sink += running.request(n);
    }
    const time = now() - start;
    // Instances reserve gigabytes of addresses: let go of them before there are too many.
    (globalThis as { gc?: () => void }).gc?.();
    return time;
  };
}

function regionsOf(running: Running): number {
  const guest = running.guest!;
  guest.checkpoint();
  const before = guest.stats().regionsSaved;
  const count = 64;
  for (let n = 0; n < count; n++) {
    sink += running.request(n);
    guest.checkpoint();
  }
  const saved = guest.stats().regionsSaved - before;
  running.conclude?.();
  running.tidy();
  return saved / count;
}
