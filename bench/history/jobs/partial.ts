/**
 * Partial against full materialisation: an expression at a checkpoint, by the pages that it asks for, and by the whole
 * state of the guest.
 */
import type { GuestState } from '../../../contract/state.js';
import { memorySpace } from '../../../runtime/guest/state.js';
import { type History, openHistory } from '../../../runtime/history/index.js';
import type { PartialJob } from '../plan.js';
import type { Materialisation } from '../results.js';
import { dice, timed } from '../timing.js';
import { findVariables } from '../variables.js';

export async function materialise(
  job: PartialJob,
  progress: (text: string) => void,
): Promise<Materialisation[]> {
  const { directory, workload, quick } = job;
  const history = await openHistory(directory);
  try {
    const { hot, pages } = findVariables(history);
    const lists = pages.length > 1 ? [[hot], pages] : [[hot]];
    return lists.map((addresses) => {
      progress(`${addresses.length} pages`);
      return one(history, workload, addresses, quick);
    });
  } finally {
    await history.close();
  }
}

function one(
  history: History,
  workload: string,
  addresses: readonly number[],
  quick: boolean,
): Materialisation {
  const { first, last } = history;
  const expression = addresses.map((address) => `u32[0x${address.toString(16)}]`).join(' + ');
  const condition = `${expression} >= LIMIT`;
  const sum = (state: GuestState): number => {
    const memory = state[memorySpace(0)]!;
    const view = new DataView(memory.buffer, memory.byteOffset);
    return addresses.reduce((total, address) => total + view.getUint32(address, true), 0);
  };
  const times = quick ? 3 : 101;
  const few = quick ? 2 : 15;
  const entries = (seed: number) => {
    const random = dice(seed);
    return Array.from({ length: times }, () => first + random(last - first + 1));
  };
  // What is asked for differs, so that nothing is there from the time before but what a history keeps anyway.
  const limit = sum(history.state(entries(1)[0]!));
  const asked = history.expression(condition.replace('LIMIT', String(limit)));
  const byPages = (entry: number): boolean => history.bisect(asked, { from: entry, to: entry }).first;
  const byState = (entry: number): boolean => sum(history.state(entry)) >= limit;
  for (const entry of entries(2).slice(0, few)) {
    if (byPages(entry) !== byState(entry)) throw new Error(`${condition} at ${entry}: the two ways differ`);
  }
  const [some, more] = [entries(3), entries(4)];
  const partial = timed(times, (i) => byPages(some[i]!)).time;
  const full = timed(few, (i) => byState(more[i]!)).time;
  const partialBisection = timed(few, () => history.bisect(asked)).time;
  const fullBisection = timed(Math.ceil(few / 5), () => halve(first, last, byState)).time;
  return {
    workload,
    memoryBytes: history.memorySize(last),
    pages: addresses.length,
    expression,
    partial,
    full,
    partialBisection,
    fullBisection,
  };
}

/** As many steps as a bisection takes, whatever the condition says. */
function halve(from: number, to: number, holds: (entry: number) => boolean): number {
  let [low, high] = [from, to];
  holds(low);
  const last = holds(high);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle) === last) high = middle;
    else low = middle;
  }
  return high;
}
