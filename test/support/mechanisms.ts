/** Every mechanism in every layout that it has, for tests that run over all of them. Works in every engine. */
import { isOutside, MECHANISMS, type MechanismName } from '../../contract/contract.js';
import type { InstrumentOptions } from '../../rewriter/types.js';
import '../../runtime/node.js';
import { unavailable } from '../../runtime/mechanisms/index.js';
import { HAS_MEMORIES } from './engines-skip.js';

export interface MechanismVariant {
  mechanism: MechanismName;
  /** For the names of tests: `cards, inline`. */
  name: string;
  instrument: InstrumentOptions;
  /** Why it cannot run here. */
  why: string | undefined;
}

const PAGES = 65536;

/** @param reserve inline layout: bytes that memory may grow to */
export function mechanismVariants(reserve = 64 * PAGES): MechanismVariant[] {
  return MECHANISMS.flatMap((mechanism): MechanismVariant[] => {
    if (isOutside(mechanism)) {
      const why = mechanism === 'full-copy' ? undefined : unavailable(mechanism);
      return [{ mechanism, name: mechanism, instrument: { mechanism }, why }];
    }
    return (['separate', 'inline'] as const).map((layout) => ({
      mechanism,
      name: `${mechanism}, ${layout}`,
      instrument: {
        mechanism,
        layout,
        ...(layout === 'inline' && { reserve, checkLoads: true }),
        ...(mechanism === 'undolog' && { logLimit: 16 * 2 ** 20 }),
      },
      why: layout === 'separate' && !HAS_MEMORIES ? 'this engine has one memory a module' : undefined,
    }));
  });
}
