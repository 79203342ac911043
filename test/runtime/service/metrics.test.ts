/** Prometheus metrics. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createMetrics } from '../../../runtime/service/metrics.js';
import type { Outcome, RequestReport } from '../../../runtime/service/types.js';
import { outcome } from './support.js';

function report(status: number, over: Partial<Outcome> = {}): RequestReport {
  const base = { id: 'i', method: 'GET', target: '/', status, bytes: 0, seconds: 0.001 };
  return status === 503 || status === 499 ? base : { ...base, outcome: { ...outcome(''), ...over } };
}

/** The value of a series. */
async function value(metrics: { text(): Promise<string> }, series: string): Promise<number> {
  const line = (await metrics.text()).split('\n').find((l) => l.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no ${series}`);
  return Number(line.slice(series.length + 1));
}

test('requests by class of status', async () => {
  const metrics = createMetrics();
  for (const status of [200, 201, 302, 404, 500, 503, 504, 499]) metrics.requestDone!(report(status));
  assert.is(await value(metrics, 'belay_requests_total{status="2xx"}'), 2);
  assert.is(await value(metrics, 'belay_requests_total{status="3xx"}'), 1);
  assert.is(await value(metrics, 'belay_requests_total{status="4xx"}'), 1);
  assert.is(await value(metrics, 'belay_requests_total{status="5xx"}'), 3);
  assert.is(await value(metrics, 'belay_requests_total{status="dropped"}'), 1);
  assert.is(await value(metrics, 'belay_request_duration_seconds_count'), 8);
});

test('rollbacks by reason, each there from the start', async () => {
  const metrics = createMetrics();
  for (const reason of ['trap', 'exit', 'deadline', 'steps', 'memory', 'malformed'] as const) {
    assert.is(await value(metrics, `belay_rollbacks_total{reason="${reason}"}`), 0);
    metrics.requestDone!(report(500, { rolledBack: true, failure: { reason, message: '' } }));
    assert.is(await value(metrics, `belay_rollbacks_total{reason="${reason}"}`), 1);
  }
  metrics.requestDone!(report(200, { rolledBack: true }));
  metrics.requestDone!(report(200));
  assert.is(await value(metrics, 'belay_rollbacks_total{reason="policy"}'), 1);
});

test('bytes saved, and times in microseconds', async () => {
  const metrics = createMetrics();
  const seconds = { checkpoint: 0.8e-6, run: 0.01, rollback: 30e-6 };
  metrics.requestDone!(report(200, { bytesSaved: 640, seconds, memoryBytes: 65536, supportBytes: 4096 }));
  metrics.requestDone!(report(200, { bytesSaved: 64, seconds: { run: 0.01 } }));
  assert.is(await value(metrics, 'belay_saved_bytes_total'), 704);
  assert.is(await value(metrics, 'belay_checkpoint_duration_seconds_count'), 1);
  assert.is(await value(metrics, 'belay_checkpoint_duration_seconds_bucket{le="5e-7"}'), 0);
  assert.is(await value(metrics, 'belay_checkpoint_duration_seconds_bucket{le="0.000001"}'), 1);
  assert.is(await value(metrics, 'belay_rollback_duration_seconds_bucket{le="0.00002"}'), 0);
  assert.is(await value(metrics, 'belay_rollback_duration_seconds_bucket{le="0.00005"}'), 1);
  assert.is(await value(metrics, 'belay_run_duration_seconds_count'), 2);
});

test('the queue', async () => {
  const metrics = createMetrics();
  metrics.watch({ waiting: 3, running: 1 });
  assert.is(await value(metrics, 'belay_requests_waiting'), 3);
  assert.is(await value(metrics, 'belay_requests_running'), 1);
});

test.run();
