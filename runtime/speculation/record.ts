/**
 * Recording: a policy that chooses nothing, so that every page that is written faults, and notes them. Under page-cow
 * that works in every engine.
 */

import type { TraceWriter } from './trace.js';
import type { Policy, PolicyMaker } from './types.js';

/**
 * Makes policies that record the epochs of a guest's first memory. An epoch is known when the next checkpoint comes:
 * take one more at the end.
 *
 * @param kinds names of the kinds of requests, by number: `() => guest.kinds`
 */
export function recorder(writer: TraceWriter, kinds: () => readonly string[] = () => ['']): PolicyMaker {
  let first = true;
  return (): Policy => {
    if (!first) return { name: 'recorder', choose: () => 0 };
    first = false;
    /** What is known of the epoch that runs. */
    let running: { pages: number; kind: number } | undefined;
    return {
      name: 'recorder',
      choose({ faults, faultCount, pages, kind }) {
        if (running) {
          const before = running.pages;
          // Pages that memory gained have no pre-image.
          const written = faults.slice(0, faultCount).filter((page) => page < before);
          writer.add({ ...running, written: written.sort() });
        }
        running = { pages, kind: writer.kindNamed(kinds()[kind] ?? '') };
        return 0;
      },
    };
  };
}
