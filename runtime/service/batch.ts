/**
 * Requests from a file instead of a socket: a line each, carried out one after the other by one guest. For trying a
 * program out, for load that can be repeated, and for recording traces.
 *
 *     # a comment
 *     GET /notes
 *     POST /notes buy milk
 */
import { BelayError } from '../../contract/errors.js';
import type { Runner } from './runner.js';
import type { GuestRequest, Outcome } from './types.js';

/** @throws ERR_BELAY_OPTION, with the number of the line, where one is not METHOD TARGET [BODY] */
export function parseRequests(text: string): GuestRequest[] {
  const requests: GuestRequest[] = [];
  const encoder = new TextEncoder();
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const match = /^([A-Za-z]+) (\/\S*)(?: (.*))?$/.exec(line);
    if (!match) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `line ${i + 1} is no request: write METHOD /target, and a body behind it if there is one`,
      );
    }
    const [, method, target, content = ''] = match as unknown as [string, string, string, string?];
    const body = encoder.encode(content);
    requests.push({
      method: method.toUpperCase(),
      target,
      headers: [
        ['host', 'localhost'],
        ...(body.length > 0 ? ([['content-length', String(body.length)]] as [string, string][]) : []),
      ],
      body,
      scheme: 'http',
      host: 'localhost',
      port: 80,
    });
  });
  return requests;
}

export interface BatchResult {
  requests: number;
  /** Requests that failed and were undone, by reason. */
  failed: Record<string, number>;
  /** Seconds in the guest, and in checkpoints and rollbacks. */
  seconds: { run: number; checkpoint: number; rollback: number };
}

/**
 * Carries out all requests, `repeat` times.
 * @param onOutcome called after each
 * @throws the service's own error, when the guest cannot be used any more
 */
export function runBatch(
  runner: Runner,
  requests: readonly GuestRequest[],
  repeat: number,
  onOutcome: (request: GuestRequest, outcome: Outcome, done: number) => void = () => {},
): BatchResult {
  const result: BatchResult = { requests: 0, failed: {}, seconds: { run: 0, checkpoint: 0, rollback: 0 } };
  const total = requests.length * repeat;
  for (let i = 0; i < total; i++) {
    const request = requests[i % requests.length]!;
    const outcome = runner.run(request);
    result.requests++;
    const { run, checkpoint = 0, rollback = 0 } = outcome.seconds;
    result.seconds.run += run;
    result.seconds.checkpoint += checkpoint;
    result.seconds.rollback += rollback;
    if (outcome.failure) {
      const { reason } = outcome.failure;
      result.failed[reason] = (result.failed[reason] ?? 0) + 1;
    }
    onOutcome(request, outcome, (i + 1) / total);
    if (outcome.error && !outcome.error.usable) {
      throw new BelayError(
        'ERR_BELAY_SERVICE',
        `the guest cannot be used any more: ${outcome.error.message}`,
      );
    }
  }
  return result;
}
