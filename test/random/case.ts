/**
 * One random case: a tape decides on options, a module and a script of calls; the module is run instrumented
 * and as it is, and everything is compared: results, traps, calls of the host, and all state, at every step
 * and after every rollback.
 */
import type { Contract } from '../../contract/contract.js';
import { isOutside, MECHANISMS, type MechanismName } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import type { InstrumentOptions } from '../../rewriter/types.js';
import '../../runtime/node.js';
import { unavailable } from '../../runtime/mechanisms/index.js';
import { HAS_MEMORIES } from '../support/engines-skip.js';
import { type Generated, Tape } from '../support/generate.js';
import {
  type Call,
  compareOutcomes,
  Difference,
  Exhausted,
  NotInstantiated,
  type Outcome,
  show,
  Twins,
} from '../support/oracle.js';

/** A family of random modules. */
export interface Kind {
  name: string;
  /** Bytes of tape that a case of it gets. */
  tape: number;
  /** Options that every case of it has. */
  options?: InstrumentOptions;
  /** Needs several memories or 64-bit ones: cases are of layout 'separate'. */
  separate?: boolean;
  generate(tape: Tape): Generated | Promise<Generated>;
}

export interface CaseResult {
  calls: number;
  traps: number;
  rollbacks: number;
  /** Why the case says nothing, where it does not. */
  inconclusive?: string;
  layout: string;
}

/** The case says nothing: an engine limit was hit, or a difference is a documented one. */
class Inconclusive extends Error {}

/** Bytes at the front of a tape that decide on options and script. */
export const SCRIPT_BYTES = 64;

/** Mechanisms that can be had here, lmc as often as all others together. */
const OTHERS = MECHANISMS.filter(
  (name) => name !== 'lmc' && (!isOutside(name) || name === 'full-copy' || unavailable(name) === undefined),
);

export function drawOptions(
  tape: Tape,
  kind: Kind,
  only: readonly MechanismName[] | undefined = onlyMechanisms(),
): InstrumentOptions {
  const separate = HAS_MEMORIES && (kind.separate || tape.below(2) === 1);
  const region = 2 ** [6, 4, 0, 12, 3, 8, 2, 10, 5, 7, 1, 9, 11][tape.below(13)]!;
  const flags = tape.byte();
  const drawn = tape.byte();
  const mechanism = only ? only[drawn % only.length]! : drawn < 128 ? 'lmc' : OTHERS[drawn % OTHERS.length]!;
  const { oracle = (flags & 3) !== 3, ...fixed } = kind.options ?? {};
  const steps = (flags & 96) === 96;
  if (isOutside(mechanism)) return { mechanism, steps };
  return {
    layout: separate ? 'separate' : 'inline',
    ...(mechanism === 'lmc' && { region }),
    ...(mechanism === 'cards' && { region: Math.max(64, region) }),
    ...(mechanism === 'undolog' && { logLimit: 16 * 2 ** 20 }),
    // Loads outside of memory trap as they did.
    ...(!separate && { checkLoads: true, reserve: 16 * 65536 }),
    oracle: mechanism !== 'undolog' && oracle,
    optimize: (flags & 28) !== 28,
    mechanism,
    steps,
    ...fixed,
  };
}

/** BELAY_MECHANISM=cards,uffd: cases of these alone. */
function onlyMechanisms(): MechanismName[] | undefined {
  const names = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env
    .BELAY_MECHANISM;
  return names ? MECHANISMS.filter((name) => names.split(',').includes(name)) : undefined;
}

/** Runs the case that `bytes` stand for. @throws whatever shows that instrumentation is wrong */
export async function runCase(kind: Kind, bytes: Uint8Array): Promise<CaseResult> {
  const script = new Tape(bytes.subarray(0, SCRIPT_BYTES));
  const options = drawOptions(script, kind);
  const result: CaseResult = {
    calls: 0,
    traps: 0,
    rollbacks: 0,
    layout: options.layout ?? options.mechanism!,
  };
  try {
    new Run(await kind.generate(new Tape(bytes.subarray(SCRIPT_BYTES))), script, options, result).run();
  } catch (error) {
    if (error instanceof Exhausted) result.inconclusive = 'the stack ran out';
    else if (error instanceof Inconclusive) result.inconclusive = error.message;
    else throw error;
  }
  return result;
}

/** What a case consists of, for people: options and the module's bytes. */
export async function describeCase(
  kind: Kind,
  bytes: Uint8Array,
): Promise<{ options: InstrumentOptions; wasm: Uint8Array }> {
  const options = drawOptions(new Tape(bytes.subarray(0, SCRIPT_BYTES)), kind);
  const { wasm } = await kind.generate(new Tape(bytes.subarray(SCRIPT_BYTES)));
  return { options, wasm };
}

class Run {
  private readonly twins: Twins;
  /** What the host was called for, by either side. */
  private readonly logs = { guest: [] as string[], plain: [] as string[] };

  constructor(
    private readonly module: Generated,
    private readonly script: Tape,
    private readonly options: InstrumentOptions,
    private readonly result: CaseResult,
  ) {
    if (!WebAssembly.validate(module.wasm as Uint8Array<ArrayBuffer>)) {
      throw new Inconclusive('this engine does not take the original');
    }
    const imports = (contract?: Contract) => {
      const log = contract ? this.logs.guest : this.logs.plain;
      return module.imports((what) => log.push(what));
    };
    try {
      this.twins = new Twins(module.wasm, { instrument: options, imports });
    } catch (error) {
      if (error instanceof BelayError && error.code === 'ERR_BELAY_REFUSED')
        throw new Inconclusive('refused');
      if (error instanceof NotInstantiated) throw new Inconclusive('the original does not instantiate');
      throw error;
    }
    this.sameLogs();
  }

  run(): void {
    const { script, twins } = this;
    twins.same('instantiated');
    const steps = 3 + script.below(6);
    for (let i = 0; i < steps; i++) {
      switch (script.below(4)) {
        case 0:
          twins.guest.checkpoint();
          for (const call of this.calls()) this.both(call);
          break;
        case 1:
          for (const call of this.calls()) this.both(call);
          break;
        default:
          this.epoch(this.calls(), script.below(3));
      }
      twins.same(`after step ${i}`);
    }
    if (this.options.oracle) this.sweep();
  }

  /** Every call in an epoch of its own: what the oracle says of each store is all that matters. */
  private sweep(): void {
    const { twins } = this;
    for (const { name, args } of this.module.exports) {
      for (const list of args) {
        twins.guest.checkpoint();
        this.guest([name, ...list]);
        twins.guest.rollback();
        this.result.rollbacks++;
      }
    }
    this.logs.guest.length = 0;
    twins.same('after a rollback of every call');
  }

  private calls(): Call[] {
    const { script } = this;
    const { exports } = this.module;
    return Array.from({ length: 1 + script.below(3) }, () => {
      const { name, args } = script.pick(exports);
      return [name, ...script.pick(args)];
    });
  }

  /** The guest runs on, and back; then on once more, together with the twin. */
  private epoch(calls: Call[], again: number): void {
    const { twins } = this;
    twins.same('at a checkpoint');
    twins.guest.checkpoint();
    let first: Outcome[] = [];
    let logged: string[] = [];
    for (let i = 0; i <= again; i++) {
      this.logs.guest.length = 0;
      const host = i === 1 && this.hostWrites();
      const outcomes = calls.map((call) => this.guest(call));
      if (i === 0) {
        first = outcomes;
        logged = [...this.logs.guest];
      } else if (!host) {
        outcomes.forEach((outcome, n) => {
          this.agree(outcome, first[n]!, calls[n]!, 'again');
        });
      }
      twins.guest.rollback();
      this.result.rollbacks++;
      twins.same('after a rollback');
    }
    this.logs.guest.length = 0;
    this.logs.plain.length = 0;
    calls.forEach((call, n) => {
      this.agree(first[n]!, this.both(call), call, 'before the rollback');
    });
    if (logged.join() !== this.logs.plain.join()) {
      throw new Difference(
        `the host was called for ${logged.join()}, and for ${this.logs.plain.join()} on the right`,
      );
    }
  }

  /** Host writes into the guest, to be undone. Returns whether there were any. */
  private hostWrites(): boolean {
    const { guest } = this.twins;
    if (!guest.contract.memories.length) return false;
    const size = guest.stats().memoryBytes;
    if (guest.contract.memories.length > 1 || size === 0) return false;
    const length = Math.min(size, 1 + this.script.below(300));
    const at = Math.min(size - length, this.script.below(65536));
    guest.write(at, new Uint8Array(length).fill(0xa5));
    return true;
  }

  private guest(call: Call): Outcome {
    const { before } = this.module;
    if (before) this.twins.guestCall(before);
    return this.twins.guestCall(call);
  }

  private both(call: Call): Outcome {
    const { before } = this.module;
    if (before) this.twins.plainCall(before);
    const guest = this.guest(call);
    const plain = this.twins.plainCall(call);
    this.result.calls++;
    if (plain.trap !== undefined) this.result.traps++;
    this.documented(plain);
    this.agree(guest, plain, call, 'instrumented');
    this.sameLogs();
    return plain;
  }

  /**
   * After a rolled-back memory.grow the real memory of the layout 'separate' is larger than the guest's view:
   * accesses between the two ends may not trap, or trap a little early (see rewriter/layout.ts).
   */
  private documented(plain: Outcome): void {
    if (!plain.trap || !/out of bounds/.test(plain.trap)) return;
    const { guest } = this.twins;
    if (guest.contract.layout === 'inline') return;
    const real = guest.contract.memories.reduce((sum, m) => {
      return sum + (guest.instance.exports[m.export] as WebAssembly.Memory).buffer.byteLength;
    }, 0);
    if (real !== guest.stats().memoryBytes)
      throw new Inconclusive('out of bounds in memory that was rolled back');
  }

  private agree(a: Outcome, b: Outcome, [name, ...args]: Call, when: string): void {
    const difference = compareOutcomes(a, b);
    if (difference) throw new Difference(`${name}(${args.map(show).join(', ')}), ${when}: ${difference}`);
  }

  private sameLogs(): void {
    const { guest, plain } = this.logs;
    if (guest.join() !== plain.join()) {
      throw new Difference(`the host was called for ${guest.join()}, and for ${plain.join()} on the right`);
    }
  }
}
