/**
 * Ends what runs too long. The guest counts its steps down (rewriter, option `steps`); when none are left it
 * calls the one function in its tick table, which adds more, or returns and lets the guest trap.
 *
 * That function has to be WebAssembly (trampoline.ts). Where code may not be generated at
 * run time (workerd) the table stays empty: the guest traps when its steps are used up, and no clock is read.
 */
import { EXPORTS } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { Limits } from '../types.js';
import { wasmFunction } from './trampoline.js';

const UNLIMITED = 2n ** 63n - 1n;
const INTERVAL = 100_000;

export class StepLimit {
  private stopped: 'steps' | 'deadline' | undefined;
  /** Whether the guest calls back when its steps are used up. */
  private readonly ticking: boolean;
  private readonly steps: WebAssembly.Global;
  /** Steps not handed out yet, and how many are handed out at a time. */
  private left = Number.POSITIVE_INFINITY;
  private interval = INTERVAL;
  private deadline = Number.POSITIVE_INFINITY;

  constructor(exports: WebAssembly.Exports) {
    this.steps = exports[EXPORTS.steps] as WebAssembly.Global;
    let tick: WebAssembly.ExportValue | undefined;
    try {
      tick = wasmFunction(() => this.tick());
    } catch {
      // Not allowed here; see above.
    }
    this.ticking = tick !== undefined;
    if (tick) (exports[EXPORTS.tick] as WebAssembly.Table).set(0, tick);
  }

  /** 'steps' or 'deadline' once the guest was stopped; a rollback and {@link set} clear it. */
  get exceeded(): 'steps' | 'deadline' | undefined {
    return this.ticking ? this.stopped : (this.steps.value as bigint) < 0n ? 'steps' : undefined;
  }

  /** What the guest used up stays used up. */
  set exceeded(_: undefined) {
    this.stopped = undefined;
    if (!this.ticking && this.exceeded) this.steps.value = 0n;
  }

  /** @throws ERR_BELAY_OPTION; ERR_BELAY_ENGINE for a deadline where no clock is read */
  set(limits: Limits | undefined): void {
    if (limits?.deadline !== undefined && !this.ticking) {
      throw new BelayError(
        'ERR_BELAY_ENGINE',
        'this engine makes no WebAssembly at run time, so the guest cannot look at the clock: limit its steps instead',
      );
    }
    this.stopped = undefined;
    if (!limits || (limits.steps === undefined && limits.deadline === undefined)) {
      this.left = this.deadline = Number.POSITIVE_INFINITY;
      this.steps.value = UNLIMITED;
      return;
    }
    const check = (name: keyof Limits, value: number | undefined) => {
      if (value !== undefined && !(value > 0)) {
        throw new BelayError('ERR_BELAY_OPTION', `limit: ${name} is ${value}, and must be greater than 0`);
      }
    };
    check('steps', limits.steps);
    check('deadline', limits.deadline);
    check('interval', limits.interval);
    this.left = limits.steps ?? Number.POSITIVE_INFINITY;
    this.deadline =
      limits.deadline === undefined ? Number.POSITIVE_INFINITY : performance.now() + limits.deadline;
    this.interval =
      this.deadline === Number.POSITIVE_INFINITY ? this.left : Math.floor(limits.interval ?? INTERVAL);
    this.handOut();
  }

  private handOut(): void {
    const n = Math.min(this.left, this.interval, Number.MAX_SAFE_INTEGER);
    this.left -= n;
    this.steps.value = BigInt(Math.floor(n));
  }

  private tick(): void {
    if (performance.now() >= this.deadline) this.stopped = 'deadline';
    else if (this.left <= 0) this.stopped = 'steps';
    else this.handOut();
  }
}
