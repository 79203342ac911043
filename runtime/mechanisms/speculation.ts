/**
 * Between a mechanism of pages and its policy: at each checkpoint hands over which pages faulted, and keeps what
 * the policy chose. One policy for each memory of the guest.
 */
import { BelayError } from '../../contract/errors.js';
import type { Costs, Policy, PolicyMaker } from '../speculation/types.js';

/** What a mechanism tells of one memory. */
export interface PageSource {
  /** Pages of memory now. */
  pages(): number;
  /** Writes the pages that faulted in this epoch into `out`, in order, and returns how many; `chosen` were copied ahead. */
  faulted(out: Uint32Array, chosen: number): number;
  changed(page: number): boolean;
}

interface State {
  policy: Policy;
  faults: Uint32Array;
  chosen: Uint32Array;
  count: number;
  /** Pages that were saved before a rollback which began the epoch anew; undefined where there was none. */
  before: Set<number> | undefined;
}

export class Speculation {
  private readonly states: State[];

  /** @param measure tells what pages cost here; asked once */
  constructor(
    policy: PolicyMaker,
    private readonly sources: readonly PageSource[],
    measure: () => Costs,
  ) {
    const costs = sources.length ? measure() : { copy: 1, fault: 1, compare: 1 };
    this.states = sources.map(() => ({
      policy: policy(costs),
      faults: new Uint32Array(0),
      chosen: new Uint32Array(0),
      count: 0,
      before: undefined,
    }));
  }

  /**
   * To be called before a rollback after which nothing counts as saved any more: what the epoch wrote until then is part
   * of what it wrote.
   */
  restart(): void {
    this.sources.forEach((source, k) => {
      const state = this.states[k]!;
      const count = faulted(state, source);
      state.before ??= new Set();
      for (let i = 0; i < count; i++) state.before.add(state.faults[i]!);
    });
  }

  /** Asks each policy, before the epoch ends. @throws ERR_BELAY_OPTION for a policy that breaks its contract */
  choose(kind: number): void {
    this.sources.forEach((source, k) => {
      const state = this.states[k]!;
      const pages = source.pages();
      let count = faulted(state, source);
      const { faults, chosen, policy } = state;
      if (state.before) {
        for (let i = 0; i < count; i++) state.before.add(faults[i]!);
        for (let i = 0; i < state.count; i++) state.before.delete(chosen[i]!);
        count = 0;
        for (const page of state.before) if (page < pages) faults[count++] = page;
        state.before = undefined;
      }
      const faultCount = below(faults, count, pages);
      const told = { pages, faults, faultCount, kind, changed: (page: number) => source.changed(page) };
      const answer = policy.choose(told, chosen);
      if (!(answer >= 0 && answer <= pages)) {
        throw new BelayError(
          'ERR_BELAY_OPTION',
          `the policy ${policy.name} chose ${answer} pages of a memory that has ${pages}`,
        );
      }
      state.count = below(chosen, answer, pages);
    });
  }

  /** Calls `fn` with what was chosen for each memory. */
  each(fn: (memory: number, pages: Uint32Array, count: number) => void): void {
    this.states.forEach(({ chosen, count }, k) => {
      fn(k, chosen, count);
    });
  }
}

/** Has the source write into `faults`, which is made large enough for all pages that it may name. */
function faulted(state: State, source: PageSource): number {
  const pages = source.pages();
  if (state.chosen.length < pages) {
    const larger = new Uint32Array(pages);
    larger.set(state.chosen);
    state.chosen = larger;
    state.faults = new Uint32Array(pages);
  }
  const chosen = state.before ? 0 : state.count;
  const count = source.faulted(state.faults, chosen);
  if (count <= state.faults.length) return count;
  // A rollback has made memory smaller than it was when these pages were written.
  state.faults = new Uint32Array(count);
  return source.faulted(state.faults, chosen);
}

/** Drops pages that a rollback has taken from memory; returns how many are left. */
function below(list: Uint32Array, count: number, pages: number): number {
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const page = list[i]!;
    if (page < pages) list[kept++] = page;
  }
  return kept;
}
