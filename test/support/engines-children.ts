/** Processes that a test run has started, each in a process group of its own: they end with the run. */
import type { ChildProcess } from 'node:child_process';

const running = new Set<ChildProcess>();

/** Remembers a child that was spawned `detached`, until it ends. */
export function track(child: ChildProcess): void {
  running.add(child);
  child.once('close', () => running.delete(child));
}

/** Ends a child and all that it started. */
export function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}

/** Ends every child when this process is interrupted: being in other groups, they would not notice. */
export function endWithThisProcess(): void {
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    process.once(signal, () => {
      for (const child of running) endGroup(child);
      process.exit(128 + number);
    });
  }
}
