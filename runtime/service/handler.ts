/**
 * The service as a function from Request to Response: admission, a queue, the guest, and answers that tell a
 * client nothing of what went on inside. Works in Node, Deno, Bun and workerd-like hosts.
 */
import type { Guest } from '../types.js';
import { Refused, readRequest } from './admission.js';
import { checkAdmission, onlyKnown } from './options.js';
import { createQueue } from './queue.js';
import { createRunner, type ProgramOptions } from './runner.js';
import type {
  AdmissionOptions,
  ClientInfo,
  GuestRequest,
  Outcome,
  ProgramKind,
  RequestReport,
  RollbackPolicy,
  RunOptions,
} from './types.js';

/** Something that carries requests out: a guest in this thread, or guests in workers. */
export interface Executor {
  readonly kind: ProgramKind;
  readonly rollback: RollbackPolicy;
  /** Requests that it can run at a time. */
  readonly concurrency: number;
  /** Whether run() blocks this thread. */
  readonly blocking: boolean;
  run(request: GuestRequest): Outcome | Promise<Outcome>;
}

/** A fetch-style handler. It never rejects. */
export interface Handler {
  (request: Request, client?: ClientInfo): Promise<Response>;
  readonly kind: ProgramKind;
  readonly rollback: RollbackPolicy;
  /** Requests that wait for a guest, and that run in one. */
  readonly waiting: number;
  readonly running: number;
  /** From now on answers 503; resolves when all that was admitted before is done. */
  drain(): Promise<void>;
}

export type HandlerOptions = RunOptions & ProgramOptions & AdmissionOptions;

const ADMISSION = ['queue', 'maxBody', 'maxHeader', 'observer'] as const;
const RUN = ['rollback', 'deadline', 'maxSteps', 'maxResponse', 'wasi', 'handle', 'env'] as const;

/**
 * Makes a guest a service: every request has a checkpoint, and one that fails is undone.
 *
 * Takes a checkpoint of the guest at once where the policy is `always`; do all common set-up before.
 * @throws ERR_BELAY_OPTION, ERR_BELAY_SERVICE
 */
export function createHandler(guest: Guest, options: HandlerOptions): Handler {
  onlyKnown('createHandler', options, [...RUN, ...ADMISSION]);
  const { queue, maxBody, maxHeader, observer, ...run } = options;
  const { kind, rollback, run: execute } = createRunner(guest, run);
  return createHandlerFor(
    { kind, rollback, concurrency: 1, blocking: true, run: execute },
    {
      ...(queue !== undefined && { queue }),
      ...(maxBody !== undefined && { maxBody }),
      ...(maxHeader !== undefined && { maxHeader }),
      ...(observer && { observer }),
    },
  );
}

/** What a client is told, and all of it. */
const PHRASES: Record<number, string> = {
  400: 'Bad Request',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** Seconds after which a client that was turned away may come again. */
const RETRY_AFTER = '1';

function refusal(status: number): { status: number; headers: [string, string][]; body: Uint8Array } {
  const headers: [string, string][] = [
    ['content-type', 'text/plain; charset=utf-8'],
    ['cache-control', 'no-store'],
  ];
  if (status === 503) headers.push(['retry-after', RETRY_AFTER]);
  // What is left of the request is not read, so the connection cannot serve another one.
  if (status === 413 || status === 400) headers.push(['connection', 'close']);
  return { status, headers, body: new TextEncoder().encode(`${status} ${PHRASES[status]}\n`) };
}

/** As {@link createHandler}, for anything that can carry requests out. */
export function createHandlerFor(executor: Executor, options: AdmissionOptions): Handler {
  onlyKnown('the handler', options, ADMISSION);
  const { queue: limit, maxBody, maxHeader } = checkAdmission(options);
  const { concurrency, blocking, kind, rollback } = executor;
  const queue = createQueue({ concurrency, blocking, limit });
  const { observer } = options;
  let draining = false;
  let admitted = 0;
  let drained: (() => void)[] = [];

  const handler = async (request: Request, client?: ClientInfo): Promise<Response> => {
    const arrived = performance.now();
    const report: RequestReport = {
      id: crypto.randomUUID(),
      method: request.method,
      target: '',
      status: 500,
      bytes: 0,
      seconds: 0,
    };
    admitted++;
    let answer = refusal(500);
    try {
      const url = request.url;
      const path = url.indexOf('/', url.indexOf('//') + 2);
      report.target = path < 0 ? '/' : url.slice(path);
      answer = await carryOut(request, client, report);
    } catch (error) {
      if (error instanceof Refused) answer = refusal(request.signal.aborted ? 499 : error.status);
      report.error = error instanceof Error ? error : new Error(String(error));
    }
    let response: Response;
    try {
      const empty = answer.body.length === 0;
      response = new Response(empty ? null : (answer.body as Uint8Array<ArrayBuffer>), {
        status: answer.status,
        headers: [...answer.headers, ['x-request-id', report.id]],
      });
    } catch (error) {
      // Only a function of the embedder's can get here: a guest's answer was checked when it was parsed.
      report.error = error instanceof Error ? error : new Error(String(error));
      answer = refusal(500);
      response = new Response(answer.body as Uint8Array<ArrayBuffer>, {
        status: 500,
        headers: [...answer.headers, ['x-request-id', report.id]],
      });
    }
    report.status = answer.status;
    report.bytes = answer.body.length;
    report.seconds = (performance.now() - arrived) / 1000;
    observer?.requestDone?.(report);
    if (--admitted === 0) {
      for (const resolve of drained) resolve();
      drained = [];
    }
    return response;
  };

  async function carryOut(
    request: Request,
    client: ClientInfo | undefined,
    report: RequestReport,
  ): Promise<{ status: number; headers: [string, string][]; body: Uint8Array }> {
    // Asked here as well as below, so that a body is not read only to be turned away.
    if (draining || queue.full) return refusal(503);
    const guestRequest = await readRequest(request, client, { maxBody, maxHeader });
    const result = await queue.run(() => executor.run(guestRequest), request.signal);
    if ('notRun' in result) return refusal(result.notRun === 'full' ? 503 : 499);
    const outcome = result.value;
    report.outcome = outcome;
    if (outcome.response && !(outcome.error && !outcome.error.usable)) {
      // The id in the log and the one that the client sees are the same, whatever the guest says.
      const headers = outcome.response.headers.filter(([name]) => name.toLowerCase() !== 'x-request-id');
      return { ...outcome.response, headers };
    }
    const reason = outcome.failure?.reason;
    return refusal(reason === 'deadline' || reason === 'steps' ? 504 : 500);
  }

  return Object.defineProperties(handler, {
    kind: { value: kind, enumerable: true },
    rollback: { value: rollback, enumerable: true },
    waiting: { get: () => queue.waiting, enumerable: true },
    running: { get: () => queue.running, enumerable: true },
    drain: {
      value(): Promise<void> {
        draining = true;
        if (admitted === 0) return Promise.resolve();
        return new Promise((resolve) => drained.push(resolve));
      },
    },
  }) as Handler;
}
