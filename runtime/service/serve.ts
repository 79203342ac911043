/** A whole service: guests in worker threads, HTTP in front of them, metrics beside them. Node only. */

import type { Logger } from 'pino';
import type { Contract } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { createHandlerFor, type Handler } from './handler.js';
import type { KeepOptions } from './keep.js';
import type { LoadOptions, NamedPolicy } from './load.js';
import { logObserver } from './log.js';
import { createMetrics } from './metrics.js';
import { onlyKnown, wholeNumber } from './options.js';
import { createPool } from './pool.js';
import { type HttpServer, listen, SERVER_DEFAULTS, type ServerOptions } from './server.js';
import type { AdmissionOptions, Observer, ProgramKind, RollbackPolicy, RunOptions } from './types.js';

export interface ServeOptions
  extends RunOptions,
    Omit<AdmissionOptions, 'observer'>,
    Omit<LoadOptions, 'maxResponse' | 'maxSleep' | 'policy'>,
    ServerOptions {
  /** Goes on from a checkpoint, and records: {@link KeepOptions}. */
  record?: KeepOptions['record'];
  restore?: KeepOptions['restore'];
  /** A policy of speculation, for mechanisms of pages. */
  policy?: NamedPolicy;
  /** Guests, each in a thread of its own. More than one only with `always`. Default 1. */
  instances?: number;
  /** Serves /metrics and /health there, on the same host; 0 for any port that is free. Default: not at all. */
  metricsPort?: number;
  /** Gets a line for each request and each failure. Default: no log. */
  log?: Logger;
  /** Milliseconds that close() waits for what runs. Default 30,000. */
  grace?: number;
  /** The guest cannot be rolled back, or is gone with its state: the process should end. May be told twice. */
  onBroken?: (error: Error) => void;
}

export interface Service {
  readonly url: string;
  readonly port: number;
  /** `http://127.0.0.1:9090/metrics`, where there is one. */
  readonly metricsUrl?: string;
  readonly kind: ProgramKind;
  readonly rollback: RollbackPolicy;
  readonly handler: Handler;
  /** What the module says of itself: region, layout, whether steps are counted. */
  readonly contract: Contract;
  /** Stops accepting, finishes what was accepted, ends the threads. */
  close(): Promise<void>;
}

const KNOWN = [
  ...['rollback', 'deadline', 'maxSteps', 'maxResponse', 'queue', 'maxBody', 'maxHeader'],
  ...[
    'wasi',
    'args',
    'env',
    'dirs',
    'audit',
    'mechanism',
    'policy',
    'record',
    'restore',
    'instances',
    'metricsPort',
    'log',
    'grace',
    'onBroken',
  ],
  ...Object.keys(SERVER_DEFAULTS),
];

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  const picked = {} as Pick<T, K>;
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key];
  return picked;
}

/**
 * Serves an instrumented module. Resolves when the port is open and every guest has started.
 * @throws ERR_BELAY_OPTION, ERR_BELAY_SERVICE, and what compiling and instantiating the module throw.
 */
export async function serve(
  wasm: Uint8Array | BufferSource | WebAssembly.Module,
  options: ServeOptions = {},
): Promise<Service> {
  onlyKnown('serve', options, KNOWN);
  const grace = wholeNumber('grace', options.grace, 30_000);
  const metricsPort =
    options.metricsPort === undefined ? undefined : wholeNumber('metricsPort', options.metricsPort, 0);
  const module = wasm instanceof WebAssembly.Module ? wasm : await WebAssembly.compile(wasm as BufferSource);
  const pool = await createPool(
    {
      module,
      run: pick(options, ['rollback', 'deadline', 'maxSteps', 'maxResponse']),
      load: {
        ...pick(options, ['wasi', 'args', 'env', 'dirs', 'audit', 'mechanism', 'policy', 'maxResponse']),
        // A guest that sleeps takes no steps, so the deadline must end its sleep.
        ...(options.deadline !== 0 && { maxSleep: options.deadline ?? 10_000 }),
      },
      keep: pick(options, ['record', 'restore']),
    },
    options.instances,
    options.onBroken,
  );

  const opened: HttpServer[] = [];
  try {
    const metrics = metricsPort === undefined ? undefined : createMetrics();
    const observers: Observer[] = [];
    if (metrics) observers.push(metrics);
    if (options.log) observers.push(logObserver(options.log));
    const observer: Observer = {
      requestDone(report) {
        for (const o of observers) o.requestDone?.(report);
        const error = report.outcome?.error;
        if (error && !error.usable) options.onBroken?.(new BelayError('ERR_BELAY_SERVICE', error.message));
      },
    };
    const handler = createHandlerFor(pool, { ...pick(options, ['queue', 'maxBody', 'maxHeader']), observer });
    metrics?.watch(handler);

    const server = await listen(handler, pick(options, [...SERVER_KEYS, 'maxHeader']));
    opened.push(server);
    let admin: HttpServer | undefined;
    if (metrics && metricsPort !== undefined) {
      const answer = async (request: Request): Promise<Response> => {
        const { pathname } = new URL(request.url);
        if (pathname === '/health') return new Response('ok\n');
        if (pathname !== '/metrics') return new Response('try /metrics or /health\n', { status: 404 });
        return new Response(await metrics.text(), { headers: { 'content-type': metrics.contentType } });
      };
      admin = await listen(answer, { ...pick(options, ['host']), port: metricsPort });
      opened.push(admin);
    }

    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      // First the door, then what is inside: connections end by themselves once they are answered.
      await server.close(grace);
      await Promise.race([handler.drain(), new Promise((resolve) => setTimeout(resolve, grace).unref())]);
      await admin?.close(0);
      await pool.close();
    };
    return {
      url: server.url,
      port: server.port,
      ...(admin && { metricsUrl: `${admin.url}/metrics` }),
      kind: handler.kind,
      rollback: handler.rollback,
      handler,
      contract: pool.contract,
      close: () => (closed ??= close()),
    };
  } catch (error) {
    await Promise.all(opened.map((server) => server.close(0)));
    await pool.close();
    throw error;
  }
}

const SERVER_KEYS = Object.keys(SERVER_DEFAULTS) as (keyof typeof SERVER_DEFAULTS)[];
