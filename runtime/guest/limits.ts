/**
 * Ends what runs too long. The guest counts its steps down (rewriter, option `steps`); when none are left it
 * calls the one function in its tick table, which adds more, or returns and lets the guest trap.
 */
import { EXPORTS } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { Limits } from '../types.js';

/** (module (import "b" "t" (func)) (export "t" (func 0))): makes a WebAssembly function of a JavaScript one. */
const TRAMPOLINE = Uint8Array.of(
  0,
  0x61,
  0x73,
  0x6d,
  1,
  0,
  0,
  0,
  1,
  4,
  1,
  0x60,
  0,
  0,
  2,
  7,
  1,
  1,
  0x62,
  1,
  0x74,
  0,
  0,
  7,
  5,
  1,
  1,
  0x74,
  0,
  0,
);

const UNLIMITED = 2n ** 63n - 1n;
const INTERVAL = 100_000;

export class StepLimit {
  /** 'steps' or 'deadline' once the guest was stopped. */
  exceeded: 'steps' | 'deadline' | undefined;
  private readonly steps: WebAssembly.Global;
  /** Steps not handed out yet, and how many are handed out at a time. */
  private left = Number.POSITIVE_INFINITY;
  private interval = INTERVAL;
  private deadline = Number.POSITIVE_INFINITY;

  constructor(exports: WebAssembly.Exports) {
    this.steps = exports[EXPORTS.steps] as WebAssembly.Global;
    const trampoline = new WebAssembly.Instance(new WebAssembly.Module(TRAMPOLINE), {
      b: { t: () => this.tick() },
    });
    (exports[EXPORTS.tick] as WebAssembly.Table).set(0, trampoline.exports.t);
  }

  /** @throws ERR_BELAY_OPTION */
  set(limits: Limits | undefined): void {
    this.exceeded = undefined;
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
    if (performance.now() >= this.deadline) this.exceeded = 'deadline';
    else if (this.left <= 0) this.exceeded = 'steps';
    else this.handOut();
  }
}
