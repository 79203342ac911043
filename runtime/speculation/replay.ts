/**
 * Replays a policy over a trace, exactly as a mechanism that protects pages would behave, and counts what it costs.
 *
 *     for each epoch of the trace:
 *       chosen   = policy.choose(faults of the last epoch, kind of this one)     copied, left writable
 *       faults   = written and not chosen, in ascending order                    each copied in its fault
 *       wasted   = chosen and not written
 *       held     = chosen or written: the pre-images that a rollback would put back
 *
 *       protects = pages opened: chosen, and neither chosen nor written in the last epoch
 *                + pages closed: chosen or written in the last epoch, and not chosen
 *
 *     cost  = copies * copy + faults * fault + compares * compare + protects * protect
 *     share = (cost of none - cost) / (cost of none - cost of the oracle)
 *
 * The oracle copies what will be written, and does not weigh what opening and closing pages costs: where that costs
 * something, a policy that leaves pages open can gain more than it does, and has a share above 1.
 *
 * Nothing is skipped at the start: warming up counts. `changed` is what the trace says: a page of the ended epoch's
 * written set differs from its pre-image.
 *
 * Not handled: the time that a policy itself takes, which bench/traces/report.ts measures; and writes of what a page
 * held already, which are in a trace, and which `changed` would not see.
 *
 * @see Vogt et al., Speculative Memory Checkpointing, Middleware 2015
 */
import { BelayError } from '../../contract/errors.js';
import { none } from './none.js';
import { checkCosts } from './options.js';
import { oracle } from './oracle.js';
import { grown } from './page-list.js';
import type { Costs, Epoch, Policy, PolicyMaker } from './types.js';

/** One epoch of a trace. */
export interface TraceEpoch {
  /** Pages that memory has at the checkpoint that begins the epoch. */
  readonly pages: number;
  /** Kind of the request that the epoch carries out: an index into {@link Trace.kinds}. */
  readonly kind: number;
  /**
   * The pages that it writes, ascending, each once, all below `pages`. (A page that memory gained in the epoch has no
   * pre-image to save.)
   */
  readonly written: Uint32Array;
}

/** What a program wrote, epoch by epoch. */
export interface Trace {
  readonly name: string;
  readonly description: string;
  /** Names of kinds; the first, for what is not known, is ''. */
  readonly kinds: readonly string[];
  readonly epochs: readonly TraceEpoch[];
}

/** What a policy did on a trace, and what it cost in the unit of the costs given. */
export interface Outcome {
  readonly policy: string;
  readonly trace: string;
  readonly epochs: number;
  /** Pages written, summed over epochs. */
  readonly written: number;
  /** Pages copied ahead. */
  readonly copies: number;
  /** Pages that faulted. */
  readonly faults: number;
  /** Pages copied ahead and not written. */
  readonly wasted: number;
  /** Comparisons with pre-images. */
  readonly compares: number;
  /** Pages whose protection changed at a checkpoint. */
  readonly protects: number;
  readonly cost: number;
  /** Share of what the oracle gains over no speculation; 1 where there is nothing to gain. */
  readonly share: number;
  /** Pre-images held at the end of an epoch, in pages: the most, and on average. */
  readonly peakHeld: number;
  readonly meanHeld: number;
  /** Cost of putting back all pages held, on average. */
  readonly meanRollback: number;
  /**
   * FNV-1a (32 bits) over, for each epoch, the number of chosen pages and the pages in the order chosen, each as four
   * bytes, the lowest first. Two implementations that agree on it made the same choices.
   */
  readonly hash: number;
}

/** Told of each epoch of a replay, for drawings. The array is only valid during the call. */
export type Watch = (epoch: number, chosen: Uint32Array, faults: number, compares: number) => void;

/**
 * Replays one policy.
 *
 * @throws ERR_BELAY_POLICY where it chooses a page twice or one that is not there, or compares one that was not saved
 * @throws ERR_BELAY_OPTION where a cost is not a number above 0
 */
export function replay(trace: Trace, maker: PolicyMaker, costs: Costs, watch?: Watch): Outcome {
  checkCosts(costs);
  const run = simulate(trace, maker(costs), watch);
  const { protect = 0 } = costs;
  const price = (counts: Pick<Counts, 'copies' | 'faults' | 'compares' | 'protects'>) =>
    counts.copies * costs.copy +
    counts.faults * costs.fault +
    counts.compares * costs.compare +
    counts.protects * protect;
  const { written } = run;
  const most = price({ copies: 0, faults: written, compares: 0, protects: run.noneProtects });
  const least = price({ copies: written, faults: 0, compares: 0, protects: run.oracleProtects });
  const cost = price(run);
  const epochs = trace.epochs.length;
  const meanHeld = run.held / Math.max(1, epochs);
  return {
    policy: run.policy,
    trace: trace.name,
    epochs,
    written: run.written,
    copies: run.copies,
    faults: run.faults,
    wasted: run.wasted,
    compares: run.compares,
    protects: run.protects,
    cost,
    share: most === least ? 1 : (most - cost) / (most - least),
    peakHeld: run.peakHeld,
    meanHeld,
    meanRollback: meanHeld * costs.copy,
    hash: run.hash,
  };
}

/** Replays several policies, between no speculation, which comes first, and the oracle, which comes last. */
export function replayAll(trace: Trace, makers: Iterable<PolicyMaker>, costs: Costs): Outcome[] {
  return [none(), ...makers, oracleOf(trace)].map((maker) => replay(trace, maker, costs));
}

/** The oracle of a trace. */
export function oracleOf(trace: Trace): PolicyMaker {
  return oracle({ future: trace.epochs.map((epoch) => epoch.written) });
}

interface Counts {
  policy: string;
  written: number;
  copies: number;
  faults: number;
  wasted: number;
  compares: number;
  protects: number;
  /** What no speculation, and the oracle, would have. */
  noneProtects: number;
  oracleProtects: number;
  held: number;
  peakHeld: number;
  hash: number;
}

function broken(policy: Policy, epoch: number, what: string): BelayError {
  return new BelayError('ERR_BELAY_POLICY', `policy ${policy.name} ${what} at checkpoint ${epoch}`);
}

/** What a policy sees of a trace. Pages carry the number of the epoch that last saved or wrote them, from 1. */
class View implements Epoch {
  pages = 0;
  kind = 0;
  faults = new Uint32Array(16);
  faultCount = 0;
  compares = 0;
  now = 0;
  saved = new Uint32Array(0);
  wrote = new Uint32Array(0);
  constructor(private readonly policy: Policy) {}

  changed(page: number): boolean {
    if (this.now === 0 || this.saved[page] !== this.now) {
      throw broken(this.policy, this.now, `compared page ${page}, which the last epoch did not save,`);
    }
    this.compares++;
    return this.wrote[page] === this.now;
  }

  fit(pages: number): void {
    this.pages = pages;
    if (this.saved.length < pages) {
      this.saved = grown(this.saved, pages);
      this.wrote = grown(this.wrote, pages);
    }
  }
}

function simulate(trace: Trace, policy: Policy, watch: Watch | undefined): Counts {
  const counts = { policy: policy.name, written: 0, copies: 0, faults: 0, wasted: 0, held: 0 };
  const protects = { protects: 0, noneProtects: 0, oracleProtects: 0 };
  let peakHeld = 0;
  let chosenBefore = 0;
  let hash = 0x811c9dc5;
  const view = new View(policy);
  let out = new Uint32Array(0);
  for (const [n, epoch] of trace.epochs.entries()) {
    view.fit(epoch.pages);
    view.kind = epoch.kind;
    if (out.length < epoch.pages) out = new Uint32Array(epoch.pages);
    const before = view.compares;
    const chosen = policy.choose(view, out);
    if (!(chosen >= 0 && chosen <= epoch.pages)) throw broken(policy, n, `says it chose ${chosen} pages`);
    view.now = n + 1;
    hash = hashed(hash, chosen);
    const open = chosenBefore + view.faultCount;
    let kept = 0;
    for (let i = 0; i < chosen; i++) {
      const page = out[i]!;
      if (page >= epoch.pages) throw broken(policy, n, `chose page ${page} of ${epoch.pages}`);
      if (view.saved[page] === n + 1) throw broken(policy, n, `chose page ${page} twice`);
      if (n > 0 && view.saved[page] === n) kept++;
      view.saved[page] = n + 1;
      hash = hashed(hash, page);
    }
    if (n > 0) {
      const last = trace.epochs[n - 1]!.written.length;
      let again = 0;
      for (const page of epoch.written) if (view.wrote[page] === n) again++;
      protects.protects += chosen - kept + (open - kept);
      protects.noneProtects += last;
      protects.oracleProtects += epoch.written.length - again + (last - again);
    }
    chosenBefore = chosen;
    write(view, epoch.written);
    const held = chosen + view.faultCount;
    counts.copies += chosen;
    counts.written += epoch.written.length;
    counts.faults += view.faultCount;
    counts.wasted += held - epoch.written.length;
    counts.held += held;
    peakHeld = Math.max(peakHeld, held);
    watch?.(n, out.subarray(0, chosen), view.faultCount, view.compares - before);
  }
  return { ...counts, ...protects, peakHeld, compares: view.compares, hash };
}

/** The epoch's writes: those to pages that are not saved fault. */
function write(view: View, written: Uint32Array): void {
  if (view.faults.length < written.length) view.faults = grown(view.faults, written.length);
  view.faultCount = 0;
  for (const page of written) {
    view.wrote[page] = view.now;
    if (view.saved[page] === view.now) continue;
    view.saved[page] = view.now;
    view.faults[view.faultCount++] = page;
  }
}

/** FNV-1a over the four bytes of a number, the lowest first. */
function hashed(hash: number, value: number): number {
  let h = hash;
  for (let shift = 0; shift < 32; shift += 8) {
    h = Math.imul(h ^ ((value >>> shift) & 0xff), 0x01000193) >>> 0;
  }
  return h;
}
