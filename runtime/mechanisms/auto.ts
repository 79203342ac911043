/**
 * How `auto` chooses: by an estimate of what an epoch costs under each mechanism that there is.
 *
 *     lmc              time of the epoch × share of checks before stores        any engine
 *     uffd, mprotect   a call of the system + pages written × cost of a page    Node on Linux, with the addon
 *     full-copy        bytes of memory × cost of copying a byte                 any engine, small memories
 *
 * A mechanism inside of the module costs time in proportion to how long the guest runs; one outside costs the same
 * for each checkpoint, however long that is. So the longer an epoch, the better the second: where they cross depends
 * on the module's stores. The constants come from docs/measurements.md and docs/mechanisms.md, and are rough; what is
 * measured on the program itself (`npm run bench:mechanisms`) is better than any of this.
 *
 * Never chosen: cards, undolog and page-cow, which are there to compare with; uffd-async, which keeps an image as large
 * as memory and reads the page table at each checkpoint.
 */
import type { MechanismName } from '../../contract/contract.js';
import type { NativeMechanism } from './addon.js';
import { unavailable } from './index.js';

/** What is known of a program. */
export interface Situation {
  /** Store instructions of the module, and bytes of its file: `inspect(bytes).writes`, summed, and `.bytes`. */
  stores: number;
  codeBytes: number;
  /** Bytes of memory that it begins with. */
  memoryBytes: number;
  /** Seconds from one checkpoint to the next. Default {@link TYPICAL_EPOCH}. */
  epochSeconds?: number;
  /** Why a native mechanism cannot be used; by default this machine is asked. */
  unavailable?: (mechanism: NativeMechanism) => string | undefined;
}

export interface Recommendation {
  mechanism: MechanismName;
  /** For mechanisms that a policy drives. */
  policy?: 'adaptive';
  /** In words, for the log. */
  why: string;
  /** Estimated seconds that an epoch costs, by mechanism. */
  estimates: Partial<Record<MechanismName, number>>;
}

/** Seconds of a request, where nothing is known. */
export const TYPICAL_EPOCH = 50e-6;

/** Stores per byte of module of the programs measured, and the share that checks add to their time. */
const TYPICAL_STORES = 1 / 55;
const TYPICAL_SHARE = 0.27;
const MOST_SHARE = 1;
/** Seconds of a checkpoint and of the regions saved. */
const LMC_EPOCH = 0.3e-6;
/** Pages that a warm request writes, and seconds of a page: copied ahead for the most part, some faults. */
const PAGES = 16;
const PAGE_SECONDS = { uffd: 0.4e-6, mprotect: 0.45e-6 } as const;
const NATIVE_EPOCH = 2e-6;
/** Seconds of copying a byte. */
const COPY_BYTE = 0.15e-9;

/** The mechanism for a program, and why. Works in every engine. */
export function recommendMechanism(situation: Situation): Recommendation {
  const { stores, codeBytes, memoryBytes, epochSeconds = TYPICAL_EPOCH } = situation;
  const asked = situation.unavailable ?? unavailable;
  const density = codeBytes > 0 ? stores / codeBytes / TYPICAL_STORES : 0;
  const estimates: Partial<Record<MechanismName, number>> = {
    lmc: LMC_EPOCH + epochSeconds * Math.min(MOST_SHARE, TYPICAL_SHARE * density),
    'full-copy': memoryBytes * COPY_BYTE,
  };
  for (const name of ['uffd', 'mprotect'] as const) {
    if (asked(name) === undefined) estimates[name] = NATIVE_EPOCH + PAGES * PAGE_SECONDS[name];
  }
  const [[mechanism, cost]] = (Object.entries(estimates) as [MechanismName, number][]).sort(
    (a, b) => a[1] - b[1],
  ) as [[MechanismName, number]];
  const microseconds = (seconds: number) => `${Number((seconds * 1e6).toPrecision(2))} µs`;
  const others = (Object.entries(estimates) as [MechanismName, number][])
    .filter(([name]) => name !== mechanism)
    .map(([name, seconds]) => `${name} ${microseconds(seconds)}`)
    .join(', ');
  return {
    mechanism,
    ...((mechanism === 'uffd' || mechanism === 'mprotect') && { policy: 'adaptive' as const }),
    why: `for epochs of ${microseconds(epochSeconds)}, ${mechanism} is estimated to cost ${microseconds(cost)} each (${others})`,
    estimates,
  };
}
