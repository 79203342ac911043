/** From an instrumented module to a guest that can answer: instantiated, with WASI, initialized. */
import { BelayError } from '../../contract/errors.js';
import { instantiate } from '../index.js';
import { type PolicyName, policyNamed } from '../speculation/index.js';
import type { PolicyMaker } from '../speculation/types.js';
import type { Guest, InstantiateOptions } from '../types.js';
import { createNodeWasi, createWasi } from '../wasi/index.js';
import type { Wasi } from '../wasi/types.js';
import { DEFAULTS, onlyKnown } from './options.js';
import { kindOf } from './program.js';

export interface LoadOptions {
  /** `wasmer`: files in memory, which go back with the guest (default). `node`: real files, in Node only. */
  wasi?: 'wasmer' | 'node';
  /** Arguments, the program's own name first. Default `['app']`. */
  args?: readonly string[];
  /** Environment variables. A command sees each request's meta-variables beside them. */
  env?: Readonly<Record<string, string>>;
  /** With `node`: directories that the guest may use, its name for them → path on this machine. */
  dirs?: Readonly<Record<string, string>>;
  /** Milliseconds after which a sleep of the guest ends early. Default: never; a sleep takes no steps. */
  maxSleep?: number;
  /** As in {@link RunOptions}: bounds what the guest may write to stdout and to stderr. */
  maxResponse?: number;
  /** As in {@link InstantiateOptions}. */
  audit?: boolean;
  mechanism?: InstantiateOptions['mechanism'];
  /** A policy of speculation: its name, and its options where they are not the defaults. Or one that was made. */
  policy?: NamedPolicy | PolicyMaker;
}

/** A policy as plain data, so that it can cross to a worker thread. */
export interface NamedPolicy {
  name: PolicyName;
  options?: Record<string, unknown>;
}

export interface Loaded {
  guest: Guest;
  wasi: Wasi;
}

const KNOWN = [...['wasi', 'args', 'env', 'dirs', 'maxSleep', 'maxResponse', 'audit', 'mechanism', 'policy']];

/**
 * Instantiates a program with WASI and runs a reactor's `_initialize`. The result fits
 * {@link createHandler}: `createHandler(guest, { wasi })`.
 * @throws ERR_BELAY_SERVICE for a module that is neither command nor reactor; ERR_BELAY_OPTION; and what
 * `instantiate` and `_initialize` throw.
 */
export async function load(
  wasm: Uint8Array | BufferSource | WebAssembly.Module,
  options: LoadOptions = {},
): Promise<Loaded> {
  onlyKnown('load', options, KNOWN);
  const { wasi: provider = 'wasmer', args, env, dirs, maxSleep, audit, mechanism, policy } = options;
  if (provider !== 'wasmer' && provider !== 'node') {
    throw new BelayError('ERR_BELAY_OPTION', `wasi must be wasmer or node; it is ${String(provider)}`);
  }
  if (dirs !== undefined && provider !== 'node') {
    throw new BelayError('ERR_BELAY_OPTION', 'dirs are real directories: they need wasi node');
  }
  const module = wasm instanceof WebAssembly.Module ? wasm : await WebAssembly.compile(wasm as BufferSource);
  const kind = kindOf(module);
  const common = {
    ...(args && { args }),
    ...(env && { env }),
    ...(maxSleep !== undefined && { maxSleep }),
    // A little more than an answer may have, so that one that is too long is seen to be.
    outputLimit: (options.maxResponse ?? DEFAULTS.maxResponse) + 65536,
  };
  const wasi =
    provider === 'node'
      ? await createNodeWasi({ ...common, ...(dirs && { preopens: dirs }) })
      : await createWasi({ ...common, ...(audit && { audit }) });
  const guest = await instantiate(module, (g) => wasi.imports(g), {
    ...(audit && { audit }),
    ...(mechanism && { mechanism }),
    ...(policy && {
      policy: typeof policy === 'function' ? policy : policyNamed(policy.name, policy.options as never),
    }),
  });
  if (kind === 'reactor') wasi.initialize(guest);
  return { guest, wasi };
}
