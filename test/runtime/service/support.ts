/** Helpers of the service's tests: a stand-in for a guest, raw sockets, and waiting without a clock. */
import { connect, type Socket } from 'node:net';
import type { GuestRequest, Outcome, RequestReport } from '../../../runtime/service/types.js';
import type { Guest, GuestStats, Limits } from '../../../runtime/types.js';

/** State that a test's function changes, and that goes back as a guest's memory would. */
export interface FakeGuest extends Guest {
  words: string[];
  calls: string[];
  limits: (Limits | undefined)[];
}

/** A guest without WebAssembly: `words` is what a rollback restores. */
export function fakeGuest(options: { steps?: boolean; failRollback?: string } = {}): FakeGuest {
  let saved: string[] | undefined;
  const stats: GuestStats = {
    mechanism: 'lmc',
    checkpoints: 0,
    rollbacks: 0,
    regionsSaved: 0,
    bytesSaved: 0,
    memoryBytes: 65536,
    supportBytes: 4096,
  };
  const guest = {
    words: [] as string[],
    calls: [] as string[],
    limits: [] as (Limits | undefined)[],
    module: new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
    exports: {},
    contract: { steps: options.steps ?? false },
    running: false,
    overrun: false,
    checkpoint() {
      guest.calls.push('checkpoint');
      stats.checkpoints++;
      saved = [...guest.words];
    },
    rollback() {
      guest.calls.push('rollback');
      if (options.failRollback) throw Object.assign(new Error('a secret'), { code: options.failRollback });
      stats.rollbacks++;
      guest.words = [...(saved ?? [])];
    },
    limit(limits?: Limits) {
      guest.limits.push(limits);
    },
    stats: () => ({ ...stats }),
  };
  return guest as unknown as FakeGuest;
}

/** An answer of text. */
export function plain(
  body: string,
  status = 200,
): { status: number; headers: [string, string][]; body: Uint8Array } {
  return { status, headers: [['content-type', 'text/plain']], body: new TextEncoder().encode(body) };
}

/** An outcome of text, as an executor gives it. */
export function outcome(body: string): Outcome {
  return {
    response: plain(body),
    stderr: '',
    rolledBack: false,
    seconds: { run: 0 },
    bytesSaved: 0,
    memoryBytes: 0,
    supportBytes: 0,
  };
}

export function request(path: string, init?: RequestInit): Request {
  return new Request(`http://example.org${path}`, init);
}

/** A request as a guest gets it. */
export function guestRequest(over: Partial<GuestRequest> = {}): GuestRequest {
  return {
    method: 'GET',
    target: '/',
    headers: [],
    body: new Uint8Array(0),
    scheme: 'http',
    host: 'example.org',
    port: 80,
    ...over,
  };
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);

/** Collects what an observer is told. */
export function recorder(): { reports: RequestReport[]; requestDone(report: RequestReport): void } {
  const reports: RequestReport[] = [];
  return { reports, requestDone: (report) => void reports.push(report) };
}

/** A promise and its ends. */
export function deferred<T = void>(): {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Waits until `condition` holds; only a hang makes it fail, after a minute. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited a minute in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface RawClient {
  socket: Socket;
  send(text: string): void;
  /** All that came until the server ended the connection. */
  closed: Promise<string>;
  /** What has come so far. */
  received(): string;
}

/** A client that speaks bytes, however wrong. */
export async function rawClient(port: number, host = '127.0.0.1'): Promise<RawClient> {
  const socket = connect(port, host);
  let received = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    received += chunk as unknown as string;
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(received)));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return { socket, send: (data) => void socket.write(data, 'latin1'), closed, received: () => received };
}
