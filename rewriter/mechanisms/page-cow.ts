/**
 * Copy-on-write of pages, by instrumentation: lmc with regions of 4096 bytes, whose blocks are single pages, so
 * that the dirty list names the pages that were written. That is what a kernel sees through page faults, for a
 * few nanoseconds a "fault" instead of microseconds, in any engine: it is here to compare with, and to give
 * speculation policies something to drive where there is no native addon.
 *
 *     lmc        block = 64 regions  | head | 0 .. 63 | head | 64 .. 127 |      one list entry for 64 regions
 *     page-cow   block =  1 page     | head | page 0  | head | page 1    |      one list entry a page
 *
 * The stack is not saved ahead: pages that are saved have been written, or chosen by a policy.
 *
 * Not handled: a store that straddles two pages is seen on the first alone (the 16 bytes behind a page are saved
 * with it); then the second page is not in the list, unless it was written by itself.
 */
import { inlineGeometry, separateGeometry } from '../layout.js';
import { lmc } from './lmc.js';
import type { StoreMechanism } from './mechanism.js';

/** Bytes of a page of the page mechanisms. */
export const PAGE_BYTES = 4096;

export const pageCow: StoreMechanism = {
  ...lmc,
  names: ['page-cow'],
  region: () => PAGE_BYTES,
  geometry: (layout, { is64, reservePages }) =>
    layout === 'separate'
      ? separateGeometry(PAGE_BYTES, is64, true)
      : inlineGeometry(PAGE_BYTES, reservePages, true),
  plan: (layout, settings) => ({ ...lmc.plan(layout, settings), stack: false }),
};
