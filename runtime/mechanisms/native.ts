/**
 * The native mechanisms: mprotect, uffd, uffd-async. The addon (kernel-shim/native) watches the pages of the
 * guest's memories; the module does the rest of its state (rewriter/mechanisms/outside.ts). Node on Linux only.
 *
 *     guest.checkpoint()    policy chooses; addon: copy ahead, protect the others; module: tables, globals, sizes
 *     a store               page fault: the addon saves the page, and opens it
 *     memory.grow           the module tells by the table `belay:grown`, before its next store: the engine has
 *                           made all pages writable, and the new ones are not watched yet
 *     guest.touch()         before the host, or the kernel, writes
 *
 * Not handled: kernel writes that nobody announced (fs.readSync into guest memory) fail with EFAULT, or are cut
 * short, under mprotect and uffd. WASI here announces what it writes.
 */
import { type Contract, EXPORTS } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';
import { wasmFunction } from '../guest/trampoline.js';
import type { Costs, PolicyMaker } from '../speculation/types.js';
import { type NativeAddon, type NativeMechanism, PAGE_BYTES, type WatchedMemory } from './addon.js';
import { addFinder, everything, instrumented } from './instrumented.js';
import type { Mechanism, MechanismParts } from './mechanism.js';
import { Speculation } from './speculation.js';
import { finder } from './written.js';

// An edge bundle has neither these mechanisms nor this.
addFinder(finder);

/** From dist/runtime/mechanisms/. */
const FOLDER = '../../../kernel-shim/native/build/Release/';

let loaded: NativeAddon | string | undefined;

function load(): NativeAddon | string {
  const { process } = globalThis as { process?: NodeJS.Process };
  if (!process?.versions?.node || process.versions.bun || 'Deno' in globalThis) {
    return 'it needs Node; other engines have lmc, cards, undolog, page-cow and full-copy';
  }
  if (process.platform !== 'linux') return 'it needs Linux';
  const builtin = process.getBuiltinModule?.('node:module');
  if (!builtin) return 'it needs Node 20.16 or later';
  const require = builtin.createRequire(import.meta.url);
  try {
    return require(`${FOLDER}belay.node`) as NativeAddon;
  } catch (error) {
    let reason = (error as Error).message.split('\n')[0]!;
    try {
      reason = (require(`${FOLDER}../unbuilt.json`) as { reason: string }).reason;
    } catch {
      // It was never tried.
    }
    return `the native addon is not there (${reason}): install a C++ compiler and run npm rebuild wasm-belay, or in a checkout npm ci`;
  }
}

/** The addon, or why there is none. */
export function loadAddon(): NativeAddon | string {
  loaded ??= load();
  return loaded;
}

/** Why a native mechanism cannot be used here; undefined where it can. */
export function unavailable(mechanism: NativeMechanism): string | undefined {
  const addon = loadAddon();
  return typeof addon === 'string' ? addon : addon.unavailable(mechanism);
}

/** Keeps what watches a memory for as long as someone can write to it. */
const watchers = new WeakMap<object, WatchedMemory>();

/**
 * For a mechanism that {@link unavailable} says nothing about.
 * @throws ERR_BELAY_MECHANISM where watching fails
 */
export function native(
  mechanism: NativeMechanism,
  contract: Contract,
  parts: MechanismParts,
  policy: PolicyMaker | undefined,
): Mechanism {
  const addon = loaded as NativeAddon;
  const { exports, memories, bytes } = parts;
  const base = instrumented(contract, parts);
  const failed = (what: string, error: unknown): BelayError =>
    new BelayError('ERR_BELAY_MECHANISM', `${mechanism}: ${what} failed: ${(error as Error).message}`, {
      cause: error,
    });
  /** Undefined for a memory that has no bytes yet. */
  const watch = (memory: WebAssembly.Memory): WatchedMemory | undefined => {
    if (memory.buffer.byteLength === 0) return undefined;
    try {
      const watched = addon.attach(memory.buffer as ArrayBuffer, mechanism);
      watchers.set(memory, watched);
      watchers.set(memory.buffer, watched);
      return watched;
    } catch (error) {
      throw failed('watching the memory', error);
    }
  };
  const buffers = memories.map((memory) => memory.buffer);
  const watched = memories.map(watch);
  /** Calls `fn` for each memory that has bytes. */
  const each = (fn: (one: WatchedMemory, k: number) => void): void => {
    watched.forEach((one, k) => {
      if (one) fn(one, k);
    });
  };
  let checkpointed = false;
  const resized = (): void => {
    memories.forEach((memory, k) => {
      const { buffer } = memory;
      if (buffer === buffers[k]) return;
      buffers[k] = buffer;
      const one = watched[k];
      if (one) {
        watchers.set(buffer, one);
        one.resized(buffer as ArrayBuffer);
        return;
      }
      // Its first pages, zeros as yet.
      watched[k] = watch(memory);
      if (checkpointed) watched[k]?.checkpoint();
    });
  };
  (exports[EXPORTS.grown] as WebAssembly.Table).set(0, wasmFunction(resized));

  let pages = new Uint32Array(256);
  /** How many pages of one memory may have been written: the first elements of {@link pages}. */
  const writtenPages = (one: WatchedMemory): number => {
    const count = one.written(pages);
    if (count <= pages.length) return count;
    pages = new Uint32Array(2 * count);
    return one.written(pages);
  };

  const sources = memories.map((_, k) => ({
    pages: () => bytes(k) / PAGE_BYTES,
    faulted: (out: Uint32Array) => watched[k]?.faulted(out) ?? 0,
    changed: (page: number) => watched[k]?.changed(page) ?? false,
  }));
  const speculation = policy && new Speculation(policy, sources, () => nativeCosts(addon, mechanism));
  return {
    ...base,
    name: mechanism,
    checkpoint(kind) {
      // The host may have grown a memory in a way that nobody saw.
      resized();
      speculation?.choose(kind);
      // Memory first: where the system refuses, the old epoch goes on, with globals and tables to match.
      try {
        if (speculation) speculation.each((k, pages, count) => watched[k]?.checkpoint(pages, count));
        else each((one) => one.checkpoint());
      } catch (error) {
        throw failed('protecting memory', error);
      }
      base.checkpoint(kind);
      checkpointed = true;
    },
    rollback() {
      resized();
      base.rollback();
      each((one) => {
        one.rollback();
      });
    },
    touch(memory, pointer, length) {
      watched[memory]?.touch(Number(pointer), Number(length));
    },
    written(visit) {
      if (!checkpointed) return everything(parts, visit);
      // Pages that are new and were filled before we heard of them.
      resized();
      each((one, k) => {
        const count = writtenPages(one);
        const most = bytes(k) / PAGE_BYTES;
        for (let i = 0; i < count; ) {
          const first = pages[i++]!;
          let end = first + 1;
          while (i < count && pages[i] === end) {
            end++;
            i++;
          }
          // A rollback may have taken pages from the guest.
          if (end > most) end = most;
          if (first < end) visit(k, first * PAGE_BYTES, (end - first) * PAGE_BYTES);
        }
      });
    },
    region: PAGE_BYTES,
    stats() {
      const sum = { regionsSaved: 0, supportBytes: 0, faults: 0, copiedAhead: 0 };
      each((one) => {
        const { pagesSaved, supportBytes, faults, copiedAhead } = one.stats();
        sum.regionsSaved += pagesSaved;
        sum.supportBytes += supportBytes;
        sum.faults += faults;
        sum.copiedAhead += copiedAhead;
      });
      return sum;
    },
    dispose() {
      each((one) => one.detach());
    },
  };
}

/** {@link nativeCosts} of this machine, or why they cannot be measured. */
export function machineCosts(mechanism: NativeMechanism): Costs | string {
  return unavailable(mechanism) ?? nativeCosts(loaded as NativeAddon, mechanism);
}

const costs = new Map<NativeMechanism, Required<Costs>>();
/** Pages that are measured, and one of how many they are: neighbours would share system calls. */
const SAMPLE = 128;
const STRIDE = 6;
const ROUNDS = 7;

/**
 * What pages cost here, in nanoseconds: the least of a few rounds on a memory of our own. Measured once.
 */
function nativeCosts(addon: NativeAddon, mechanism: NativeMechanism): Required<Costs> {
  const known = costs.get(mechanism);
  if (known) return known;
  const memory = new WebAssembly.Memory({ initial: (SAMPLE * STRIDE * PAGE_BYTES) / 65536 });
  const view = new Uint8Array(memory.buffer).fill(1);
  const watched = addon.attach(memory.buffer as ArrayBuffer, mechanism);
  const pages = Uint32Array.from({ length: SAMPLE }, (_, i) => i * STRIDE);
  const best = { copy: Infinity, fault: Infinity, compare: Infinity, protect: Infinity };
  const time = (key: keyof typeof best, fn: () => void): void => {
    const begin = performance.now();
    fn();
    best[key] = Math.max(1, Math.min(best[key], ((performance.now() - begin) * 1e6) / SAMPLE));
  };
  const write = (value: number): void => {
    for (let i = 0; i < SAMPLE; i++) view[i * STRIDE * PAGE_BYTES] = value;
  };
  try {
    watched.checkpoint();
    write(0);
    for (let round = 0; round < ROUNDS; round++) {
      time('protect', () => watched.checkpoint());
      time('fault', () => write(round));
      // Writable already: what is timed is the copy alone.
      if (mechanism !== 'uffd-async') time('copy', () => watched.checkpoint(pages, SAMPLE));
      else best.copy = best.fault;
      // The worst case: pages that have not changed are read to their ends.
      time('compare', () => {
        for (let i = 0; i < SAMPLE; i++) watched.changed(i * STRIDE);
      });
    }
  } finally {
    watched.detach();
  }
  costs.set(mechanism, best);
  return best;
}
