/** Prometheus metrics of a service. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Handler } from './handler.js';
import { FAILURE_REASONS, type Observer } from './types.js';

export interface Metrics extends Observer {
  /** The text that Prometheus reads, and its content type. */
  text(): Promise<string>;
  readonly contentType: string;
  /** Shows the lengths of this handler's queue. */
  watch(handler: Pick<Handler, 'waiting' | 'running'>): void;
}

/** Upper bounds in seconds: from half a microsecond, since a checkpoint takes about that. */
const MICROSECONDS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000].map(
  (us) => us / 1e6,
);
const MILLISECONDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000].map(
  (ms) => ms / 1e3,
);

/** Creates the metrics of one service, in a registry of their own. Node only. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: 'belay_requests_total',
    help: 'Requests answered, by class of status; dropped: the client hung up before its turn came.',
    labelNames: ['status'],
    registers,
  });
  const rollbacks = new Counter({
    name: 'belay_rollbacks_total',
    help: 'Rollbacks, by reason; policy: the request succeeded, and every request is rolled back.',
    labelNames: ['reason'],
    registers,
  });
  const saved = new Counter({
    name: 'belay_saved_bytes_total',
    help: 'Bytes of regions saved before their first write in an epoch.',
    registers,
  });
  const request = new Histogram({
    name: 'belay_request_duration_seconds',
    help: 'Time from arrival to answer, waiting included.',
    buckets: MILLISECONDS,
    registers,
  });
  const run = new Histogram({
    name: 'belay_run_duration_seconds',
    help: 'Time in the guest.',
    buckets: MILLISECONDS,
    registers,
  });
  const checkpoint = new Histogram({
    name: 'belay_checkpoint_duration_seconds',
    help: 'Time in checkpoint().',
    buckets: MICROSECONDS,
    registers,
  });
  const rollback = new Histogram({
    name: 'belay_rollback_duration_seconds',
    help: 'Time in rollback().',
    buckets: MICROSECONDS,
    registers,
  });
  const memory = new Gauge({
    name: 'belay_guest_memory_bytes',
    help: 'Memory of the guest that ran last.',
    registers,
  });
  const support = new Gauge({
    name: 'belay_support_memory_bytes',
    help: 'Memory set aside for tags and shadow of the guest that ran last.',
    registers,
  });
  // Every series is there from the start: a rate() over one that appears with its first failure misses it.
  for (const status of ['2xx', '3xx', '4xx', '5xx', 'dropped']) requests.inc({ status }, 0);
  for (const reason of [...FAILURE_REASONS, 'policy']) rollbacks.inc({ reason }, 0);

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    watch(handler) {
      new Gauge({
        name: 'belay_requests_waiting',
        help: 'Requests that wait for a guest.',
        registers,
        collect() {
          this.set(handler.waiting);
        },
      });
      new Gauge({
        name: 'belay_requests_running',
        help: 'Requests that run in a guest.',
        registers,
        collect() {
          this.set(handler.running);
        },
      });
    },
    requestDone({ status, seconds, outcome }) {
      requests.inc({ status: status === 499 ? 'dropped' : `${Math.floor(status / 100)}xx` });
      request.observe(seconds);
      if (!outcome) return;
      run.observe(outcome.seconds.run);
      if (outcome.rolledBack) rollbacks.inc({ reason: outcome.failure?.reason ?? 'policy' });
      if (outcome.seconds.checkpoint !== undefined) checkpoint.observe(outcome.seconds.checkpoint);
      if (outcome.seconds.rollback !== undefined) rollback.observe(outcome.seconds.rollback);
      saved.inc(outcome.bytesSaved);
      memory.set(outcome.memoryBytes);
      support.set(outcome.supportBytes);
    },
  };
}
