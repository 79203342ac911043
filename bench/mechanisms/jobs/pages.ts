/** What an epoch costs, by the pages that it writes. */
import { instantiateSync } from '../../../runtime/index.js';
import { loadAddon } from '../../../runtime/mechanisms/native.js';
import { adaptive, oracle } from '../../../runtime/speculation/index.js';
import type { PolicyMaker } from '../../../runtime/speculation/types.js';
import type { Guest } from '../../../runtime/types.js';
import { now } from '../../clock.js';
import { type Contender, compare } from '../../compare.js';
import { compile } from '../../jobs/subject.js';
import { type PageSets, pageSets } from '../page-sets.js';
import type { Contestant, PageCounts, PagesJob, PagesResult } from './types.js';

type Numbers = (...values: number[]) => void;

/** Prepares memories that must stay: the addon forgets those that are collected. */
const kept: unknown[] = [];

export async function measurePages(job: PagesJob): Promise<PagesResult> {
  const sets = pageSets(job.memoryBytes, job.dirty, job.sets);
  const counting: (() => [string, PageCounts])[] = [];
  const kernels: (() => [string, number])[] = [];
  const make = (contestant: Contestant): Contender => {
    const { batch, counts } = contenderOf(contestant, job, sets);
    if (counts) counting.push(() => [contestant.name, counts()]);
    // Pre-images of all pages that are ever stored to exist from now on.
    void batch(sets.pages.length + 1);
    const slow = contestant.way === 'guest' && contestant.mechanism === 'full-copy';
    const spent = { kernel: 0, epochs: 0 };
    kernels.push(() => [contestant.name, spent.kernel / spent.epochs]);
    return {
      name: contestant.name,
      ...(slow && { rough: true }),
      async batch(epochs) {
        const before = process.resourceUsage().systemCPUTime;
        const time = await batch(epochs);
        spent.kernel += (process.resourceUsage().systemCPUTime - before) * 1000;
        spent.epochs += epochs;
        return time;
      },
    };
  };
  const { base, others } = await compare(make(job.base), job.contestants.map(make), job.effort);
  const counts = Object.fromEntries(counting.map((count) => count()));
  return { base, others, counts, kernel: Object.fromEntries(kernels.map((kernel) => kernel())) };
}

interface Made {
  batch: Contender['batch'];
  /** Of a mechanism of pages. */
  counts?: () => PageCounts;
}

function contenderOf(contestant: Contestant, job: PagesJob, sets: PageSets): Made {
  const { dirty: pages, rollback } = job;
  const { list } = sets;
  const count = sets.pages.length;
  const stride = pages * list.BYTES_PER_ELEMENT;
  const fill = (memory: WebAssembly.Memory) => {
    // All of memory is there, as in a program that has used it. (In the inline layout tags lie above.)
    new Uint8Array(memory.buffer, 0, job.memoryBytes).fill(1);
    new Uint32Array(memory.buffer).set(list);
    kept.push(memory);
  };
  // One loop for each way, so that each is optimised for what it does.
  let n = 0;
  const at = () => (n++ % count) * stride;
  if (contestant.way === 'guest') {
    const { mechanism } = contestant;
    const policy = policyOf(contestant.policy, sets);
    const guest = instantiateSync(compile(contestant.file), {}, { mechanism, ...(policy && { policy }) });
    fill(guest.memory);
    return guestEpochs(guest, pages, at, rollback);
  }
  const { exports } = new WebAssembly.Instance(compile(contestant.file));
  const { dirty, save, restore } = exports as unknown as Record<'dirty' | 'save' | 'restore', Numbers>;
  const memory = exports.memory as WebAssembly.Memory;
  fill(memory);
  const timed = (epoch: () => void): Made => ({
    batch(epochs) {
      const start = now();
      for (let i = 0; i < epochs; i++) epoch();
      return now() - start;
    },
  });
  switch (contestant.way) {
    case 'plain':
      return timed(() => dirty(at(), pages, n));
    case 'copying':
      return timed(() => {
        const set = at();
        save(set, pages);
        dirty(set, pages, n);
        if (rollback) restore(set, pages);
      });
    case 'addon': {
      const addon = loadAddon();
      if (typeof addon === 'string') throw new Error(addon);
      const watched = addon.attach(memory.buffer as ArrayBuffer, contestant.mechanism);
      kept.push(watched);
      return timed(() => {
        watched.checkpoint(sets.pages[n % count]!, pages);
        dirty(at(), pages, n);
        if (rollback) watched.rollback();
      });
    }
  }
}

function guestEpochs(guest: Guest, pages: number, at: () => number, rollback: boolean): Made {
  const dirty = guest.exports.dirty as unknown as Numbers;
  let epochs = 0;
  return {
    batch(count) {
      epochs += count;
      const start = now();
      for (let i = 0; i < count; i++) {
        guest.checkpoint();
        dirty(at(), pages, i);
        if (rollback) guest.rollback();
      }
      return now() - start;
    },
    ...(guest.stats().faults !== undefined && {
      counts: () => {
        const { faults = 0, copiedAhead = 0 } = guest.stats();
        return { faults: faults / epochs, ahead: copiedAhead / epochs };
      },
    }),
  };
}

function policyOf(name: string | undefined, { pages }: PageSets): PolicyMaker | undefined {
  switch (name) {
    case undefined:
      return undefined;
    case 'adaptive':
      return adaptive();
    case 'oracle':
      return oracle({ future: forever(pages) });
    default:
      throw new Error(`this section has no policy ${name}`);
  }
}

/** The sets again and again, as the guest's epochs store to them. */
function forever(sets: readonly Uint32Array[]): Iterable<Uint32Array> {
  return {
    *[Symbol.iterator]() {
      for (;;) yield* sets;
    },
  };
}
