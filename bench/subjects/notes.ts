/** The sample service: WASI requests on stdin, answers on stdout. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { instantiate } from '../../runtime/index.js';
import { load } from '../../runtime/service/index.js';
import type { Guest } from '../../runtime/types.js';
import { createWasi, type Wasi } from '../../runtime/wasi/index.js';
import { ROOT, type Source, type Subject } from './host.js';
import { plainGuest } from './plain-guest.js';

const PATH = join(ROOT, 'samples', 'notes', 'notes.wasm');
/** Notes that are there before. */
const NOTES = 100;

/** Whether the sample is built. */
export const hasNotes = () => existsSync(PATH);

/** The guest and its WASI. Without instrumentation the host's part is the same: see plain-guest.ts. */
export async function loadNotes(source: Source): Promise<{ guest: Guest; wasi: Wasi }> {
  const { module, instrumented, options } = source;
  if (instrumented && !options) return load(module);
  const wasi = await createWasi();
  const imports = (g: Guest) => wasi.imports(g);
  const guest = instrumented ? await instantiate(module, imports, options) : plainGuest(module, imports);
  wasi.initialize(guest);
  return { guest, wasi };
}

/** [method, target, body] of the nth request: adds, reads, searches, lists. */
export function notesRequest(n: number): [method: string, target: string, body?: string] {
  switch (n % 4) {
    case 0:
      return ['POST', '/notes', `note ${n}: remember item${n % 37} and item${n % 41}`];
    case 1:
      return ['GET', `/notes/${1 + (n % NOTES)}`];
    case 2:
      return ['GET', `/search?q=item${n % 37}&limit=10`];
    default:
      return ['GET', `/notes?after=${NOTES - 10}`];
  }
}

/** Requests that bring a new service to where measuring starts. */
export const notesBefore = (): [method: string, target: string, body?: string][] =>
  Array.from({ length: NOTES }, (_, n) => ['POST', '/notes', `note ${n}: first item${n % 37}`]);

/** Requests that undo what was added, from the list of notes after {@link notesAfter}. */
export const notesUndo = (list: string): [method: string, target: string][] =>
  (JSON.parse(list) as { id: number }[]).map(({ id }) => ['DELETE', `/notes/${id}`]);
export const notesAfter = `/notes?after=${NOTES}`;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const encode = ([method, target, body = '']: readonly [string, string, string?]) =>
  encoder.encode(
    `${method} ${target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );

/** Method and route of {@link notesRequest}. */
const KINDS = ['POST /notes', 'GET /notes/:id', 'GET /search', 'GET /notes'].map((kind) => ({ kind }));
const requests = Array.from({ length: 400 }, (_, n) => encode(notesRequest(n)));
const list = encode(['GET', notesAfter]);

export const notes: Subject = {
  name: 'notes requests',
  request: 'add, read, search and list by turns, HTTP over WASI',
  bytes: async () => readFileSync(PATH),
  reserve: 64 << 20,
  most: 400,
  async start(source, empty) {
    const { guest, wasi } = await loadNotes(source);
    const handle = guest.exports.handle as () => void;
    const send = (request: Uint8Array) => {
      wasi.setStdin(request);
      handle();
      return wasi.takeStdout();
    };
    if (!empty) for (const request of notesBefore()) send(encode(request));
    return {
      guest: source.instrumented ? guest : undefined,
      memory: guest.memory,
      info: (n) => KINDS[n % KINDS.length]!,
      request: (n) => send(requests[n % requests.length]!).length,
      tidy() {
        const answer = decoder.decode(send(list));
        for (const request of notesUndo(answer.slice(answer.indexOf('\r\n\r\n') + 4))) send(encode(request));
      },
    };
  },
};
