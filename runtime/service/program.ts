/** The three kinds of program, behind one interface: a request in, an answer out, or an exception. */
import { BelayError } from '../../contract/errors.js';
import type { Guest } from '../types.js';
import { metaVariables, parseCgiResponse } from './cgi.js';
import type { GuestFunction, GuestRequest, GuestResponse, ProgramKind, ServiceWasi } from './types.js';
import { formatRequest, MalformedResponse, parseResponse } from './wire.js';

export interface Program {
  readonly kind: ProgramKind;
  /** Runs one request. Throws what the guest throws, {@link GuestExit} or {@link MalformedResponse}. */
  answer(request: GuestRequest): GuestResponse;
  /** What the guest wrote to its standard error since the last call. */
  takeStderr(): Uint8Array;
}

/** The guest ended itself where it should have answered. */
export class GuestExit extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the guest exited with code ${exitCode}`);
    this.name = 'GuestExit';
    this.exitCode = exitCode;
  }
}

/**
 * What kind of program a module is, by its exports: `handle` and not `_start` is a reactor, `_start` alone is
 * a command.
 * @throws ERR_BELAY_SERVICE for a module that is neither.
 */
export function kindOf(module: WebAssembly.Module): 'command' | 'reactor' {
  const functions = new Set(
    WebAssembly.Module.exports(module)
      .filter((e) => e.kind === 'function')
      .map((e) => e.name),
  );
  if (functions.has('handle') && !functions.has('_start')) return 'reactor';
  if (functions.has('_start')) {
    if (!functions.has('handle') && !functions.has('_initialize')) return 'command';
    throw new BelayError(
      'ERR_BELAY_SERVICE',
      'the module exports _start (a command) and also _initialize or handle (a reactor): export one kind',
    );
  }
  throw new BelayError(
    'ERR_BELAY_SERVICE',
    'the module cannot be served: export _start (a command that speaks CGI), or _initialize and handle ' +
      '(a reactor that reads a request from stdin and writes the response to stdout)',
  );
}

/** Local redirects that one request may go through. */
const MAX_REDIRECTS = 5;

function bounded(bytes: Uint8Array, limit: number): Uint8Array {
  if (bytes.length > limit) {
    throw new MalformedResponse(`the answer has ${bytes.length} bytes, more than the limit of ${limit}`);
  }
  return bytes;
}

/**
 * A command: `_start` runs once for each request, from the state after instantiation. `restart` brings that
 * state back; it is needed between the steps of a local redirect.
 */
export function commandProgram(
  guest: Guest,
  wasi: ServiceWasi,
  env: Record<string, string>,
  maxResponse: number,
  restart: () => void,
): Program {
  return {
    kind: 'command',
    answer(request) {
      let current = request;
      for (let redirects = 0; ; redirects++) {
        wasi.setEnv({ ...env, ...metaVariables(current) });
        wasi.setStdin(current.body);
        const code = wasi.start(guest);
        if (code !== 0) throw new GuestExit(code);
        const parsed = parseCgiResponse(bounded(wasi.takeStdout(), maxResponse), current.method);
        if ('response' in parsed) return parsed.response;
        if (redirects >= MAX_REDIRECTS) throw new MalformedResponse(`more than ${MAX_REDIRECTS} redirects`);
        restart();
        const headers = current.headers.filter(([name]) => !name.startsWith('content-'));
        const method = current.method === 'HEAD' ? 'HEAD' : 'GET';
        current = { ...current, method, target: parsed.redirect, headers, body: new Uint8Array(0) };
      }
    },
    takeStderr: () => wasi.takeStderr(),
  };
}

/** A reactor: `handle()` is called for each request. A result other than 0 counts as an exit with it. */
export function reactorProgram(guest: Guest, wasi: ServiceWasi, maxResponse: number): Program {
  const handle = guest.exports.handle;
  if (typeof handle !== 'function') {
    throw new BelayError('ERR_BELAY_SERVICE', 'the module exports no function handle');
  }
  return {
    kind: 'reactor',
    answer(request) {
      wasi.setStdin(formatRequest(request));
      const result: unknown = handle();
      if (typeof result === 'number' && result !== 0) throw new GuestExit(result);
      return parseResponse(bounded(wasi.takeStdout(), maxResponse), request.method);
    },
    takeStderr: () => wasi.takeStderr(),
  };
}

/** A guest that an embedder calls in its own way. */
export function functionProgram(guest: Guest, handle: GuestFunction): Program {
  return {
    kind: 'function',
    answer(request) {
      const response = handle(request, guest);
      if (typeof response !== 'object' || response === null || !(response.body instanceof Uint8Array)) {
        throw new MalformedResponse('the function returned no { status, headers, body }');
      }
      return response;
    },
    takeStderr: () => new Uint8Array(0),
  };
}
