/**
 * Where tags and pre-images of lmc and page-cow lie. One essay for both layouts; the numbers come from {@link Geometry}.
 *
 * For each memory of the guest there is one tag byte for every region, and a shadow that has room for the
 * pre-image of every byte, at a fixed distance (shadow organisation, as in LMC):
 *
 *     guest   | region 0 | region 1 | ...                     tag of address a:       tags + (a >> S)
 *     tags    |  t0  |  t1  | ...                              pre-image of address a: shadow + a + 16 * (block + 1)
 *     shadow  | buffer | head | region 0 .. 63 | head | region 64 .. 127 | ...
 *
 * S is log2 of the region size. Regions come in blocks (64 of them, or 1024 bytes where that is more). Each
 * block of the shadow begins with a head of 16 bytes that links it into the dirty list once one of its
 * regions is saved: 0 not listed, 1 the end of the list, otherwise the next block's number + 2. So the list
 * needs no memory of its own, checkpoint and rollback look at dirty blocks only, and support memory is bounded
 * by guest memory + tags + one head a block, whatever a request writes. The buffer in front is for what the host asks
 * (support/differing.ts).
 *
 * A tag is 0 (not saved), 1 (saved), or -1 (saved, but come to the slow path all the same: see below).
 *
 * **Stores that straddle two regions.** From regions of 16 bytes on, one tag is tested for each store, the one
 * of its first byte. That is enough because a saved region includes the 16 bytes behind it (its tail):
 *
 *     region q-1   |   region q                         |   region q+1
 *                  | head 16 | ....................... | tail 16 |
 *
 * The tail is the head of region q+1; each head is saved once, by whichever of its two regions is saved first,
 * so the shadow holds one value for each byte, and the order of restoring does not matter. Smaller regions
 * have no tails; all tags that a store may touch are tested at once.
 *
 * **separate**: tags and shadow are memories of their own. Guest memory is untouched, out-of-bounds stores
 * trap as before. After a rollback that undid a memory.grow the real memory is larger than the guest's view of
 * it: the last region of the view then carries -1 instead of 1, so that a store across the end still reaches
 * the slow path, which traps.
 *
 * **inline**: one memory, which is allocated at its full size and never grows:
 *
 *     0 .............. reserve | buffer | 16 | shadow (reserve + heads) ...... | slack | tags (reserve >> S) | end
 *
 * The guest sees its own size (memory.size and memory.grow are replaced), up to the reserve. The tags come
 * last, so that the tag of a wild address lies beyond the end of memory: reading it traps where the store
 * would have. Between the guest's size and the reserve tags are never set, and the slow path traps.
 *
 * Not handled: loads are not checked. In the inline layout a wild load can read the support area, and in both,
 * after a rolled-back grow, a load between the restored size and the largest one reads zeros instead of
 * trapping; the option checkLoads makes them trap (inline). There, in the separate layout, a store that ends up
 * to 16 bytes beyond the restored size, and whose check another one made redundant, does not trap either; what
 * it writes is gone when memory grows again.
 */
import { PAGE } from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';

export interface Geometry {
  /** 64-bit addresses. */
  is64: boolean;
  region: number;
  /** log2 of region and of the bytes of a block. */
  regionShift: number;
  blockShift: number;
  /** Tags of a block. */
  blockTags: number;
  /** Whether a saved region includes the 16 bytes behind it. */
  tails: boolean;
  /** Offset of tag 0 in its memory, and of block 0's head. */
  tagBase: number;
  shadowBase: number;
  /** Most pages that the guest's memory can have. */
  maxPages: number;
  /** Inline: pages of the whole memory. */
  totalPages: number;
}

/** Tag 0 lies behind this many bytes, so that a region has a (never set) tag before it. */
const TAG_BASE = 16;
/** Bytes behind the last tag and the last pre-image that may be read, never set. */
const SLACK = 64;
const HEAD = 16;
/** Bytes of the buffer: runs of words in a page of 4 KiB, see support/differing.ts. */
const BUFFER = 4096 + 16;

function shifts(
  region: number,
  single: boolean,
): Pick<Geometry, 'region' | 'regionShift' | 'blockShift' | 'blockTags' | 'tails'> {
  const regionShift = Math.log2(region);
  const blockShift = single ? regionShift : Math.max(regionShift + 6, 10);
  return { region, regionShift, blockShift, blockTags: 1 << (blockShift - regionShift), tails: region >= 16 };
}

/** Bytes of tags, and of shadow, for `bytes` of guest memory. */
export function supportBytes(
  g: Pick<Geometry, 'regionShift' | 'blockShift'>,
  bytes: number,
): { tags: number; shadow: number } {
  const blocks = Math.ceil(bytes / 2 ** g.blockShift);
  return {
    tags: blocks * 2 ** (g.blockShift - g.regionShift) + SLACK,
    shadow: bytes + (blocks + 1) * HEAD + SLACK,
  };
}

/**
 * Support in memories of its own. 32-bit memories end below 4 GiB, because their shadow has heads too, and
 * because the last MiB tells a stack pointer that has overflowed (stack.ts).
 * @param single a block is one region, so that the dirty list names regions (page-cow)
 */
export function separateGeometry(region: number, is64: boolean, single = false): Geometry {
  const s = shifts(region, single);
  const limit = is64 ? 2 ** 32 : Math.min(Math.floor(65536 / (1 + HEAD / 2 ** s.blockShift)) - 4, 65519);
  return { ...s, is64, tagBase: TAG_BASE, shadowBase: BUFFER + HEAD, maxPages: limit, totalPages: 0 };
}

/**
 * Support above the guest's reserve in one 32-bit memory.
 * @param single as for separateGeometry
 * @throws ERR_BELAY_OPTION when reserve, shadow and tags do not fit into 4 GiB.
 */
export function inlineGeometry(region: number, reservePages: number, single = false): Geometry {
  const s = shifts(region, single);
  const reserve = reservePages * PAGE;
  const { tags, shadow } = supportBytes(s, reserve);
  const shadowBase = reserve + BUFFER + HEAD;
  const needed = shadowBase + shadow + TAG_BASE + tags;
  const totalPages = Math.ceil(needed / PAGE);
  if (totalPages > 65536) {
    const most = Math.floor(65536 / (needed / reserve)) - 1;
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `a reserve of ${reserve} bytes does not leave room for shadow and tags in 4 GiB: with regions of ${region} bytes the most is ${most * PAGE}`,
    );
  }
  // The tags end where the memory does.
  return {
    ...s,
    is64: false,
    tagBase: totalPages * PAGE - tags,
    shadowBase,
    maxPages: reservePages,
    totalPages,
  };
}

/** Where the buffer in front of the shadow lies, in its memory. */
export const bufferAt = ({ shadowBase }: Geometry): number => shadowBase - HEAD - BUFFER;
