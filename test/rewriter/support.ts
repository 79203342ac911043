/** A few lines of text, instrumented in every way, against the original: what most tests of the rewriter do. */
import { type Test, test } from 'uvu';
import { isOutside, MECHANISMS, type MechanismName, type Placement } from '../../contract/contract.js';
import { toBinary } from '../../rewriter/index.js';
import type { InstrumentOptions, Omittable } from '../../rewriter/types.js';
import { HAS_MEMORIES, testUnless } from '../support/engines-skip.js';
import { mechanismVariants } from '../support/mechanisms.js';
import { brokenKinds, type Call, type TwinOptions, Twins } from '../support/oracle.js';

export const assemble = (text: string): Promise<Uint8Array> => toBinary(new TextEncoder().encode(text));

export const LAYOUTS = ['separate', 'inline'] as const;
export const REGIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] as const;
/** One of each way to save: small regions, with tails, copied in bulk. */
export const SOME_REGIONS = [1, 8, 16, 64, 4096] as const;

export const NEEDS_MEMORIES = HAS_MEMORIES ? undefined : 'this engine has one memory a module';

/** Options of every test that names none. */
export function options(layout: 'separate' | 'inline', region: number): InstrumentOptions {
  return { layout, region, ...(layout === 'inline' ? { reserve: 64 * 65536, checkLoads: true } : {}) };
}

export interface Variant {
  mechanism: MechanismName;
  layout: Placement;
  region: number;
  /** What tests with the oracle on every store are called. */
  oracle: boolean;
}

export interface CaseOptions extends Omit<TwinOptions, 'instrument'> {
  instrument?: InstrumentOptions;
  layouts?: readonly ('separate' | 'inline')[];
  regions?: readonly number[];
  /** Why no engine like this one can run it. */
  unless?: string | false | undefined;
  /** Mechanisms besides lmc that it is for. Default: all, unless it names options, layouts or regions of its own. */
  mechanisms?: readonly MechanismName[];
  suite?: Test;
}

/** Mechanisms outside of the module, which no guard makes exact after a grow that was undone. */
export const INSIDE: readonly MechanismName[] = MECHANISMS.filter((name) => !isOutside(name));

/** Adds a test of `text` for each layout: in it, `run` is called for each region, with and without oracle. */
export function cases(
  name: string,
  text: string,
  run: (twins: Twins, variant: Variant) => void | Promise<void>,
  more: CaseOptions = {},
): void {
  const { layouts = LAYOUTS, regions = SOME_REGIONS, unless, suite = test, mechanisms, ...rest } = more;
  const others = mechanisms ?? (rest.instrument ? [] : MECHANISMS);
  for (const layout of layouts) {
    if ((brokenMechanism() ?? 'lmc') !== 'lmc') continue;
    const why = unless || (layout === 'separate' && NEEDS_MEMORIES);
    testUnless(suite, why, `${name} (${layout})`, async () => {
      const bytes = await assemble(text);
      // With something broken on purpose, the first difference is all that is wanted (breakage.ts).
      const broken = brokenKinds().length > 0;
      for (const region of broken ? [64] : regions) {
        for (const oracle of broken ? [false] : [false, true]) {
          const instrument = { ...options(layout, region), oracle, ...rest.instrument };
          try {
            const variant: Variant = { mechanism: 'lmc', layout, region, oracle };
            await run(new Twins(bytes, { ...rest, instrument }), variant);
          } catch (error) {
            (error as Error).message = `region ${region}, oracle ${oracle}: ${(error as Error).message}`;
            throw error;
          }
        }
      }
    });
  }
  for (const variant of mechanismVariants()) {
    const { mechanism, instrument } = variant;
    if (mechanism === 'lmc' || !others.includes(mechanism)) continue;
    if (brokenMechanism() !== undefined && brokenMechanism() !== mechanism) continue;
    if (
      instrument.layout
        ? !layouts.includes(instrument.layout as 'separate')
        : !mechanisms && !layouts.includes('separate')
    )
      continue;
    testUnless(suite, unless || variant.why, `${name} (${variant.name})`, async () => {
      const bytes = await assemble(text);
      const twins = new Twins(bytes, { ...rest, instrument: { ...instrument, ...rest.instrument } });
      const { layout, region } = twins.contract;
      await run(twins, { mechanism, layout, region, oracle: false });
      twins.guest[Symbol.dispose]();
    });
  }
}

/** The mechanism whose breakage is tried (breakage.ts). */
const brokenMechanism = (): MechanismName | undefined =>
  brokenKinds().length > 0 || process.env.BELAY_MECHANISM
    ? ((process.env.BELAY_MECHANISM ?? 'lmc') as MechanismName)
    : undefined;

/** A test whose calls are undone and then done, in every variant. */
export function undone(name: string, text: string, calls: readonly Call[], more: CaseOptions = {}): void {
  cases(name, text, (twins) => void twins.undoneAndDone(...calls), more);
}

/** The code of the error that `fn` throws, and its message. */
export function errorOf(fn: () => unknown): { code: string; message: string } {
  try {
    fn();
  } catch (error) {
    const { code, message, name } = error as Error & { code?: string };
    return { code: code ?? name, message };
  }
  return { code: 'no error', message: '' };
}

export type { Omittable };
