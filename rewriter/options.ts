import { BelayError } from '../contract/errors.js';
import { type InstrumentOptions, OMITTABLE, type Omittable } from './types.js';

/** Options with every default filled in, except `layout`, which `auto` leaves to the engine. */
export type Settings = Required<Omit<InstrumentOptions, 'reserve' | 'onProgress' | 'omit'>> & {
  reserve: number | undefined;
  omit: ReadonlySet<Omittable>;
  onProgress: (done: number) => void;
};

/** What bench/ shows to be best; the table is in docs/measurements.md. */
export const DEFAULT_REGION = 256;

const KNOWN: Record<keyof InstrumentOptions, true> = {
  mechanism: true,
  region: true,
  layout: true,
  reserve: true,
  checkLoads: true,
  steps: true,
  optimize: true,
  hints: true,
  oracle: true,
  omit: true,
  onProgress: true,
};

const fail = (message: string): never => {
  throw new BelayError('ERR_BELAY_OPTION', message);
};

/** @throws ERR_BELAY_OPTION for an option that is unknown, malformed, or contradicts another. */
export function checkOptions(options: InstrumentOptions): Settings {
  for (const key of Object.keys(options)) {
    if (!(key in KNOWN)) fail(`unknown option '${key}': the options are ${Object.keys(KNOWN).join(', ')}`);
  }
  const { mechanism = 'lmc', region = DEFAULT_REGION, layout = 'auto', reserve, omit = [] } = options;
  if (mechanism !== 'lmc') fail(`unknown mechanism '${String(mechanism)}': the only one is 'lmc'`);
  if (!Number.isInteger(region) || region < 1 || region > 4096 || region & (region - 1)) {
    fail(`region is ${String(region)}: it must be a power of two from 1 to 4096 (bytes)`);
  }
  if (layout !== 'auto' && layout !== 'separate' && layout !== 'inline') {
    fail(`unknown layout '${String(layout)}': use 'separate', 'inline' or 'auto'`);
  }
  if (reserve !== undefined) {
    if (!Number.isFinite(reserve) || reserve <= 0 || reserve > 2 ** 32) {
      fail(`reserve is ${String(reserve)}: it must be a number of bytes, at most 4 GiB`);
    }
    if (layout === 'separate') fail(`reserve is for the inline layout, and layout is 'separate'`);
  }
  for (const flag of ['checkLoads', 'steps', 'optimize', 'hints', 'oracle'] as const) {
    const value = options[flag];
    if (value !== undefined && typeof value !== 'boolean') fail(`${flag} must be true or false`);
  }
  if (options.checkLoads && layout === 'separate') {
    fail(`checkLoads is for the inline layout, and layout is 'separate'`);
  }
  for (const kind of omit) {
    if (!OMITTABLE.includes(kind)) fail(`unknown kind '${kind}' in omit: use ${OMITTABLE.join(', ')}`);
  }
  return {
    mechanism,
    region,
    layout,
    reserve,
    checkLoads: options.checkLoads ?? false,
    steps: options.steps ?? false,
    optimize: options.optimize ?? true,
    hints: options.hints ?? true,
    oracle: options.oracle ?? false,
    omit: new Set(omit),
    onProgress: options.onProgress ?? (() => {}),
  };
}

/** A module with two memories: (module (memory 0) (memory 0)). */
const TWO_MEMORIES = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0);

/** Whether this engine has several memories (Node ≥ 22, Chrome ≥ 120, Firefox ≥ 125, Deno, Bun). */
export function engineHasMultiMemory(): boolean {
  return WebAssembly.validate(TWO_MEMORIES);
}
