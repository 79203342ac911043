/** What the operating system says of this process. */
import { readFileSync } from 'node:fs';

/** Bytes that the process has written to files and the like, all threads together. 0 where the system does not say. */
export function writtenBytes(): number {
  try {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))![1]);
  } catch {
    return 0;
  }
}

/** Bytes of memory that are the process's own, without files that it has mapped, after a collection of garbage. */
export function ownBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  try {
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
  } catch {
    return process.memoryUsage.rss();
  }
}

/** The order of events of timers and messages is given a chance. */
export const breathe = (): Promise<void> => new Promise((done) => setImmediate(done));
