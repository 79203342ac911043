/** Guests whose every request is recorded: real programs, and a counter of which a request changes four bytes. */
import { toBinary } from '../../rewriter/index.js';
import type { EpochInfo, Guest } from '../../runtime/types.js';
import { Host, type Source, type Subject, type Running as SubjectRunning } from '../subjects/host.js';
import { loadNotes, notes, notesBefore, notesRequest } from '../subjects/notes.js';
import { quickjs } from '../subjects/quickjs.js';
import { wasmboy } from '../subjects/small.js';
import { inserts } from '../subjects/sqljs.js';

export interface Running {
  guest: Guest;
  /** Carries out the nth request, from 0 on. */
  request(n: number): void;
  /** What is said of the nth request. */
  info(n: number): EpochInfo;
}

export interface Workload {
  name: string;
  /** What one request is. */
  request: string;
  bytes(): Promise<Uint8Array>;
  /** Inline layout: bytes that its memory may grow to. */
  reserve: number;
  /** Whether as many checkpoints are recorded as are asked for, however long that takes. */
  whole: boolean;
  start(source: Source): Promise<Running>;
}

/** Of {@link CYCLE} requests to the notes, so many delete what those before added. */
const DELETES = 100;
const MIXED = 4 * DELETES;
export const CYCLE = MIXED + DELETES;

type NotesRequest = [method: string, target: string, body?: string];

/** The nth request of a load that goes on for ever: adds, reads, searches and lists by turns, then deletes. @param added ids of notes that were added and are there */
export function notesLoad(n: number, added: number[]): NotesRequest {
  const at = n % CYCLE;
  // Every request is another one, however many there are.
  if (at < MIXED) return notesRequest(Math.floor(n / CYCLE) * MIXED + at);
  const id = added.shift();
  return id === undefined ? ['GET', '/notes/1'] : ['DELETE', `/notes/${id}`];
}

/** The number of a note that was added, from the answer; undefined where the answer is to something else. */
export function addedId([method]: NotesRequest, answer: string): number | undefined {
  const id = method === 'POST' ? /"id":(\d+)/.exec(answer)?.[1] : undefined;
  return id === undefined ? undefined : Number(id);
}

const KINDS: Record<string, string> = { POST: 'POST /notes', DELETE: 'DELETE /notes/:id' };
const GETS = ['GET /notes', 'GET /notes/:id', 'GET /search'];

export const kindOf = ([method, target]: NotesRequest): string =>
  KINDS[method] ??
  (target.startsWith('/search') ? GETS[2]! : target.startsWith('/notes/') ? GETS[1]! : GETS[0]!);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A request as the guest reads it. */
export const httpOf = ([method, target, body = '']: NotesRequest): Uint8Array =>
  encoder.encode(
    `${method} ${target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );

const notesWorkload: Workload = {
  name: 'notes',
  request:
    'HTTP over WASI to samples/notes (SQLite): add, read, search, list by turns; then deletes of what was added',
  bytes: notes.bytes,
  reserve: notes.reserve,
  whole: true,
  async start(source) {
    const { guest, wasi } = await loadNotes(source);
    const handle = guest.exports.handle as () => void;
    const send = (request: NotesRequest): string => {
      wasi.setStdin(httpOf(request));
      handle();
      return decoder.decode(wasi.takeStdout());
    };
    for (const request of notesBefore()) send(request);
    const added: number[] = [];
    let next: NotesRequest = notesLoad(0, added);
    return {
      guest,
      request(n) {
        const answer = send(next);
        if (!/^HTTP\/1.1 20/.test(answer)) throw new Error(`${next[0]} ${next[1]}: ${answer.slice(0, 100)}`);
        const id = addedId(next, answer);
        if (id !== undefined) added.push(id);
        next = notesLoad(n + 1, added);
      },
      info: (n) => ({ request: n, kind: kindOf(next), digest: digestOf(n) }),
    };
  },
};

/** 64 bits that cannot be compressed, as a service says of a request (there, of its SHA-256). */
function digestOf(n: number): string {
  const mix = (x: number): number => {
    x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
    x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
    return (x ^ (x >>> 16)) >>> 0;
  };
  const hex = (x: number) => x.toString(16).padStart(8, '0');
  return hex(mix(n + 1)) + hex(mix(n + 0x9e3779b9));
}

/** Requests of a subject of the other bench; what its batches end with is a request of its own. */
const ofSubject = (name: string, subject: Subject, request = subject.request): Workload => ({
  name,
  request,
  bytes: subject.bytes,
  reserve: subject.reserve,
  whole: false,
  async start(source) {
    const running: SubjectRunning = await subject.start(source);
    const { most = Infinity } = subject;
    return {
      guest: running.guest!,
      request(n) {
        const at = n % (most + 1);
        if (at < most) running.request(Number.isFinite(most) ? at : n);
        else {
          running.conclude?.();
          running.tidy();
        }
      },
      info: (n) => ({ request: n }),
    };
  },
});

/** A service that does next to nothing: a request counts, and what it is told it adds up. */
const COUNTER = `(module
  (memory (export "memory") 16)
  (global $calls (export "calls") (mut i32) (i32.const 0))
  (func (export "count") (param $n i32) (result i32)
    (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
    (i64.store (i32.const 4104) (i64.add (i64.load (i32.const 4104)) (i64.extend_i32_u (local.get $n))))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.load (i32.const 4096)))
  (func (export "counted") (result i32) (i32.load (i32.const 4096))))`;

const counter: Workload = {
  name: 'counter',
  request: 'a request changes little: a counter, a sum and a global',
  bytes: async () => toBinary(encoder.encode(COUNTER)),
  reserve: 2 ** 20,
  whole: true,
  async start(source) {
    const host = new Host(source);
    host.instantiate({});
    const count = host.instance.exports.count as (n: number) => number;
    return {
      guest: host.guest!,
      request: (n) => void count((n * 7919) % 1000),
      info: (n) => ({ request: n }),
    };
  },
};

export const workloads: readonly Workload[] = [
  notesWorkload,
  counter,
  ofSubject(
    'sql.js',
    inserts,
    'a row by a prepared INSERT; after 8,000 COMMIT, a query over them, DELETE, as one',
  ),
  ofSubject('quickjs', quickjs),
  ofSubject('wasmboy', wasmboy),
];

export function workloadNamed(name: string): Workload {
  const found = workloads.find((workload) => workload.name === name);
  if (!found) throw new Error(`there is no workload '${name}'`);
  return found;
}
