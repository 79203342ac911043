/** Structured logs: JSON for machines, one readable line each for people. Node only. */
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Observer, RequestReport } from './types.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  level?: LogLevel;
  /** JSON lines instead of readable ones. Default: unless standard output is a terminal. */
  json?: boolean;
  /** Where lines go. Default: standard output. */
  destination?: DestinationStream;
}

export function createLogger(options: LogOptions = {}): Logger {
  const { level = 'info', json = !process.stdout.isTTY } = options;
  // Synchronous, so that the last words before an exit are not lost.
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  const settings = { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(settings, json ? destination : readable(destination));
}

/** Rewrites pino's lines as `12:00:00.000 warn  message key=value …`, with long texts indented below. */
function readable(destination: DestinationStream): DestinationStream {
  return {
    write(line) {
      const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
      const name = pino.levels.labels[Number(level)] ?? String(level);
      const words: string[] = [];
      const blocks: string[] = [];
      for (const [key, value] of Object.entries(rest)) {
        const text = printable(typeof value === 'string' ? value : JSON.stringify(value));
        if (text.includes('\n'))
          blocks.push(
            `    ${key}:`,
            ...text
              .trimEnd()
              .split('\n')
              .map((l) => `      ${l}`),
          );
        else words.push(`${key}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`);
      }
      const head = `${String(time).slice(11, 23)} ${name.padEnd(5)} ${String(msg ?? '')}`;
      destination.write(`${[[head, ...words].join(' '), ...blocks].join('\n')}\n`);
    },
  };
}

/** What a guest writes must not move the cursor or change colours. */
function printable(text: string): string {
  return text.replace(/(?![\t\n])\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Milliseconds with three digits after the point. */
const ms = (seconds: number): number => Math.round(seconds * 1e6) / 1e3;

/** Logs each request: what the client is not told, too. */
export function logObserver(log: Logger): Observer {
  return {
    requestDone(report) {
      const { outcome, error, status } = report;
      const fields = summary(report);
      if (outcome?.error) {
        const { message, code, stack, usable } = outcome.error;
        const text = usable
          ? 'the host wrote into the guest unannounced'
          : 'the guest cannot be used any more';
        log[usable ? 'error' : 'fatal']({ ...fields, error: message, code, stack }, text);
      }
      if (outcome?.recording) log.error({ ...fields, error: outcome.recording }, 'not recorded');
      if (outcome?.failure) {
        const { reason, message, exitCode, stack } = outcome.failure;
        const stderr = outcome.stderr || undefined;
        log.warn({ ...fields, reason, error: message, exitCode, stderr, stack }, 'rolled back');
      } else if (error && status >= 500) {
        log.error({ ...fields, error: error.message, stack: error.stack }, 'not carried out');
      } else {
        const stderr = outcome?.stderr || undefined;
        const why = error ? { error: error.message } : {};
        log[stderr || status >= 500 ? 'warn' : 'info']({ ...fields, ...why, stderr }, 'request');
      }
    },
  };
}

function summary({
  id,
  method,
  target,
  status,
  bytes,
  seconds,
  outcome,
}: RequestReport): Record<string, unknown> {
  return {
    id,
    method,
    target,
    status,
    bytes,
    ms: ms(seconds),
    ...(outcome && { runMs: ms(outcome.seconds.run), savedBytes: outcome.bytesSaved }),
  };
}
