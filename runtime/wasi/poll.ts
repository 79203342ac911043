/** poll_oneoff. */
import { ERRNO } from './errno.js';
import type { Access } from './memory.js';
import { SIZES } from './sizes.js';

// More than this at once is no honest program: the host must not build longer lists.
const MAX_SUBSCRIPTIONS = 65536;
const CLOCK = 0;
const READ = 1;
const WRITE = 2;
const HANGUP = 1;

export interface PollHost {
  /** Milliseconds after which a sleep ends early. */
  maxSleep: number;
  /** Nanoseconds on a clock. */
  clock(id: number): bigint;
  /** Bytes left to read, where the descriptor is the standard input. */
  input(fd: number): number | undefined;
}

/**
 * Descriptors are always ready here: streams and files in memory never wait. So clocks count only where
 * nothing else is asked for, and then this thread sleeps.
 * @param args subscriptions, events, their number, and where to say how many events there are.
 * @returns an errno.
 */
export function poll([from, to, count, result]: number[], memory: Access, host: PollHost): number {
  const each = memory.unstable ? SIZES.subscriptionUnstable : SIZES.subscription;
  if (count === 0 || count! > MAX_SUBSCRIPTIONS) return ERRNO.inval;
  const fits =
    memory.has(from!, count! * each) && memory.has(to!, count! * SIZES.event) && memory.has(result!, 4);
  if (!fits) return ERRNO.fault;
  // A copy: events may be written over the subscriptions.
  const subscriptions = new DataView(memory.view(from!, count! * each).slice().buffer);
  const ready: number[] = [];
  const clocks: { at: number; id: number; until: bigint }[] = [];
  for (let at = 0; at < count! * each; at += each) {
    if (subscriptions.getUint8(at + 8) !== CLOCK) {
      ready.push(at);
      continue;
    }
    const clock = at + (memory.unstable ? 24 : 16);
    const id = subscriptions.getUint32(clock, true);
    const timeout = subscriptions.getBigUint64(clock + 8, true);
    const absolute = (subscriptions.getUint16(clock + 24, true) & 1) === 1;
    clocks.push({ at, id, until: absolute ? timeout : host.clock(id) + timeout });
  }
  const end = performance.now() + host.maxSleep;
  while (ready.length === 0) {
    const left = end - performance.now();
    let wait = left;
    for (const { at, id, until } of clocks) {
      const time = Number(until - host.clock(id)) / 1e6;
      if (time <= 0 || left <= 0) ready.push(at);
      wait = Math.min(wait, time);
    }
    if (ready.length === 0) sleep(wait);
  }
  const events = new DataView(new ArrayBuffer(ready.length * SIZES.event));
  for (const [i, at] of ready.entries()) {
    const event = i * SIZES.event;
    const kind = subscriptions.getUint8(at + 8);
    events.setBigUint64(event, subscriptions.getBigUint64(at, true), true);
    events.setUint8(event + 10, kind);
    if (kind > WRITE) events.setUint16(event + 8, ERRNO.inval, true);
    if (kind !== READ && kind !== WRITE) continue;
    const input = kind === READ ? host.input(subscriptions.getUint32(at + 16, true)) : undefined;
    events.setBigUint64(event + 16, BigInt(input ?? 1), true);
    if (input === 0) events.setUint16(event + 24, HANGUP, true);
  }
  memory.write(to!, new Uint8Array(events.buffer));
  return memory.writeU32(result!, ready.length);
}

/** Blocks this thread: idle where the engine allows it, else busy. */
function sleep(milliseconds: number): void {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  } catch {
    const end = performance.now() + milliseconds;
    while (performance.now() < end);
  }
}
