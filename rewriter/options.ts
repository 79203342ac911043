import { isOutside, MECHANISMS } from '../contract/contract.js';
import { BelayError } from '../contract/errors.js';
import { type InstrumentOptions, OMITTABLE, type Omittable } from './types.js';

/** Options with every default filled in, except `layout`, which `auto` leaves to the engine. */
export type Settings = Required<Omit<InstrumentOptions, 'reserve' | 'logLimit' | 'onProgress' | 'omit'>> & {
  reserve: number | undefined;
  /** Undefined: the default of the layout. */
  logLimit: number | undefined;
  omit: ReadonlySet<Omittable>;
  onProgress: (done: number) => void;
};

/** Undo log: bytes, where the log has a memory of its own, and where it shares the guest's. */
export const DEFAULT_LOG_LIMIT = { separate: 256 * 2 ** 20, inline: 64 * 2 ** 20 } as const;

/** What bench/ shows to be best; the table is in docs/measurements.md. */
export const DEFAULT_REGION = 256;

const KNOWN: Record<keyof InstrumentOptions, true> = {
  mechanism: true,
  region: true,
  layout: true,
  reserve: true,
  logLimit: true,
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
  if (!MECHANISMS.includes(mechanism)) {
    fail(`unknown mechanism '${String(mechanism)}': use ${MECHANISMS.join(', ')}`);
  }
  if (!Number.isInteger(region) || region < 1 || region > 4096 || region & (region - 1)) {
    fail(`region is ${String(region)}: it must be a power of two from 1 to 4096 (bytes)`);
  }
  if (options.region !== undefined && mechanism !== 'lmc' && mechanism !== 'cards') {
    fail(`region is for lmc and cards, and the mechanism is ${mechanism}`);
  }
  if (mechanism === 'cards' && region < 64) fail(`region is ${region}: a card has 64 to 4096 bytes`);
  if (layout !== 'auto' && layout !== 'separate' && layout !== 'inline') {
    fail(`unknown layout '${String(layout)}': use 'separate', 'inline' or 'auto'`);
  }
  const outside = isOutside(mechanism);
  if (outside && layout !== 'auto') {
    fail(`layout is '${layout}', but ${mechanism} keeps nothing in the module`);
  }
  if (outside) {
    for (const option of ['reserve', 'checkLoads', 'oracle'] as const) {
      if (options[option])
        fail(`${option} is for mechanisms inside of the module, and the mechanism is ${mechanism}`);
    }
  }
  if (options.oracle && mechanism === 'undolog')
    fail('oracle has nothing to check: undolog saves at every store');
  const { logLimit } = options;
  if (logLimit !== undefined) {
    if (mechanism !== 'undolog') fail(`logLimit is for undolog, and the mechanism is ${mechanism}`);
    if (!Number.isInteger(logLimit) || logLimit < 4096 || logLimit > 2 ** 32 - 65536) {
      fail(`logLimit is ${String(logLimit)}: it must be a number of bytes, from 4096 to less than 4 GiB`);
    }
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
    logLimit,
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
