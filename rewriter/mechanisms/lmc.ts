/**
 * Lightweight memory checkpointing: before a store, one branch asks whether its region has been saved in this
 * epoch, and saves it if not. Where tags and pre-images lie is drawn in ../layout.ts; the slow paths are in
 * ../support/lmc.ts.
 *
 *     i32.store offset=8            if (tag[(p + 8) >> S] < 1) slow(p + 8, 4)
 *                                   i32.store offset=8
 *
 * A checkpoint clears the tags of dirty blocks, a rollback copies their saved regions back; both walk the dirty
 * list. A merged check (analyse.ts) tests the tags of both ends, and calls $span.
 *
 * Not handled: see ../layout.ts.
 *
 * @see Vogt et al., Lightweight Memory Checkpointing, DSN 2015
 */
import { EXPORTS, PAGE } from '../../contract/contract.js';
import { type Address, memoryArgument, pushAddress, pushShifted } from '../address.js';
import type { Check } from '../analyse.js';
import { type Geometry, inlineGeometry, separateGeometry, supportBytes } from '../layout.js';
import { hasDiffering } from '../support/differing.js';
import { lmcText } from '../support/lmc.js';
import type { Writer } from '../wasm/writer.js';
import type { Guard, GuardTarget, StoreMechanism } from './mechanism.js';

const VOID = 0x40;

/** Pushes the number of the region that holds byte `plus` of the address, less `base` regions. */
function pushRegion(w: Writer, g: Geometry, address: Address, plus: number): number {
  let base = Math.floor(plus / g.region);
  // A static offset has 32 bits. Without it the sum may wrap, but then the write traps whatever the tag says.
  if (!g.is64 && g.tagBase + base >= 2 ** 32) base = 0;
  if (address.constant !== undefined) {
    pushShifted(w, g, address, plus, g.regionShift);
    return 0;
  }
  pushShifted(w, g, address, plus - base * g.region, g.regionShift);
  return base;
}

/** Pushes 1 when some byte of the check's range may not be saved. */
function pushTest(w: Writer, target: GuardTarget, address: Address, check: Check, merged: boolean): void {
  const { geometry: g, support: tags } = target;
  const tag = (plus: number, opcode: number) => {
    const base = pushRegion(w, g, address, plus);
    w.byte(opcode);
    memoryArgument(w, tags, g.tagBase + base);
  };
  if (g.tails) {
    tag(check.from, 0x2c);
    if (merged) {
      // Both ends: the sum of two tags is 2 only where both are 1.
      tag(check.to - 1, 0x2c);
      w.byte(0x6a, 0x41, 2, 0x47);
    } else {
      w.byte(0x41, 1, 0x48);
    }
    return;
  }
  switch (tagsTested(g, check.to - check.from)) {
    case 1:
      tag(check.from, 0x2d);
      w.byte(0x41, 1, 0x47);
      break;
    case 2:
      tag(check.from, 0x2f);
      w.byte(0x41).s(0x0101).byte(0x47);
      break;
    case 4:
      tag(check.from, 0x28);
      w.byte(0x41).s(0x01010101).byte(0x47);
      break;
    default: {
      // Eight tags, or sixteen, against a pattern of ones.
      const eight = [0x42, 0x81, 0x82, 0x84, 0x88, 0x90, 0xa0, 0xc0, 0x80, 0x01];
      tag(check.from, 0x29);
      w.byte(...eight, 0x52);
      if (tagsTested(g, check.to - check.from) === 16) {
        tag(check.from + 8 * g.region, 0x29);
        w.byte(...eight, 0x52, 0x72);
      }
    }
  }
}

/** Tags that an access of `width` bytes may touch, as a power of two. */
function tagsTested(g: Geometry, width: number): number {
  const most = Math.floor((g.region - 1 + width - 1) / g.region) + 1;
  let n = 1;
  while (n < most) n *= 2;
  return n;
}

const guard: Guard = (w, target, address, check, write) => {
  const { geometry: g } = target;
  const merged = check.to - check.from > write.op.width;
  pushTest(w, target, address, check, merged);
  const hint = w.length;
  w.byte(0x04, VOID);
  pushAddress(w, address, check.from);
  w.byte(0x41).s(check.to - check.from);
  if (!g.tails) w.byte(0x41).s(tagsTested(g, write.op.width));
  w.byte(0x10)
    .u(target.fn(merged ? 'span' : 'slow'))
    .byte(0x0b);
  return [hint];
};

/** lmc, and what page-cow shares with it. */
export const lmc: StoreMechanism = {
  names: ['lmc'],
  supportMemories: 2,
  region: (settings) => settings.region,
  geometry: (layout, { is64, reservePages }, { region }) =>
    layout === 'separate' ? separateGeometry(region, is64) : inlineGeometry(region, reservePages),
  pages: (g, pages) => {
    const { tags, shadow } = supportBytes(g, Math.min(pages, g.maxPages) * PAGE);
    return [Math.ceil((tags + g.tagBase) / PAGE), Math.ceil((shadow + g.shadowBase) / PAGE)];
  },
  plan: (layout, { optimize }) => ({
    every: !optimize,
    exact: layout === 'inline',
    stack: layout === 'separate' && optimize,
  }),
  guard,
  text: lmcText,
  exports: (g) => ({
    touch: EXPORTS.touch,
    written: EXPORTS.written,
    ...(hasDiffering(g) && { differing: EXPORTS.differing }),
  }),
};
