/**
 * Traces that behave like programs of known habits, made from a seed. They say what a policy does with each habit by
 * itself; recorded traces say how often the habits come.
 */
import { Random } from '../../runtime/speculation/random.js';
import type { Trace, TraceEpoch } from '../../runtime/speculation/replay.js';

/** What one epoch writes; pages may come twice and in any order. */
type Step = (epoch: number, random: Random) => { kind?: number; written: Iterable<number> };

function make(
  name: string,
  description: string,
  seed: number,
  epochs: number,
  pages: number | ((epoch: number) => number),
  step: Step,
  kinds: readonly string[] = [''],
): Trace {
  const random = new Random(seed);
  const list: TraceEpoch[] = [];
  for (let n = 0; n < epochs; n++) {
    const { kind = 0, written } = step(n, random);
    const size = typeof pages === 'number' ? pages : pages(n);
    const set = Uint32Array.from(new Set([...written].filter((page) => page < size))).sort();
    list.push({ pages: size, kind, written: set });
  }
  return { name, description, kinds, epochs: list };
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
const some = (random: Random, count: number, below: number) =>
  Array.from({ length: count }, () => random.below(below));

/** A working set that is another one every so many epochs, and comes back. */
export function phases(seed = 1, epochs = 2000): Trace {
  const sets = range(0, 5).map((i) => some(new Random(seed * 31 + i + 1), 40, 600));
  return make(
    'phases',
    'five working sets of 40 pages by turns, 150 epochs each',
    seed,
    epochs,
    600,
    (n, random) => ({
      written: [...sets[Math.floor(n / 150) % 5]!.filter(() => random.below(20) > 0), ...range(600 - 6, 6)],
    }),
  );
}

/** Pages that are written each with a chance of its own, for ever. */
export function chances(seed = 1, epochs = 2000): Trace {
  const setup = new Random(seed + 77);
  const p = range(0, 200).map(() => (setup.below(1000) * setup.below(1000)) / 1000);
  return make(
    'chances',
    '200 pages, each with its own chance, most small',
    seed,
    epochs,
    256,
    (_, random) => ({
      written: range(0, 200).filter((page) => random.below(1000) < p[page]!),
    }),
  );
}

/** Pages with a period each. */
export function periodic(seed = 1, epochs = 2000): Trace {
  const setup = new Random(seed + 7);
  const period = range(0, 120).map(() => 1 + setup.below(12));
  const phase = range(0, 120).map(() => setup.below(12));
  return make('periodic', '120 pages with periods of 1 to 12 epochs', seed, epochs, 128, (n) => ({
    written: range(0, 120).filter((page) => (n + phase[page]!) % period[page]! === 0),
  }));
}

/** Requests of eight kinds in random order, each kind with pages of its own. */
export function kinds(seed = 1, epochs = 2000, told = true): Trace {
  const sets = range(0, 8).map((i) => some(new Random(seed * 17 + i + 1), 4 + 3 * i, 400));
  const name = told ? 'kinds' : 'kinds-untold';
  return make(
    name,
    `requests of eight kinds in random order, which are ${told ? '' : 'not '}told`,
    seed,
    epochs,
    400,
    (_, random) => {
      const kind = Math.min(random.below(8), random.below(8));
      return {
        kind: told ? kind + 1 : 0,
        written: [0, 1, 2, 3, ...sets[kind]!.filter(() => random.below(25) > 0)],
      };
    },
    told ? ['', ...range(0, 8).map((i) => `kind ${i}`)] : [''],
  );
}

/** A bump pointer that moves on through memory, which grows, beside a few hot pages. */
export function sliding(seed = 1, epochs = 2000): Trace {
  let pointer = 64 * 2;
  return make(
    'sliding',
    'allocation moves on by half a page an epoch, and memory grows',
    seed,
    epochs,
    (n) => 256 + 64 * Math.floor(n / 100),
    (_, random) => {
      const from = pointer;
      pointer += random.below(3);
      return { written: [2, 3, 5, 8, ...range(from >> 1, (pointer >> 1) - (from >> 1) + 1)] };
    },
  );
}

/** A stack of changing depth, and a heap where some pages are hotter than others. */
export function stackAndHeap(seed = 1, epochs = 2000): Trace {
  return make(
    'stack-heap',
    'a stack of 1 to 12 pages, and 15 writes to a heap',
    seed,
    epochs,
    1024,
    (_, random) => {
      const depth = 1 + Math.min(random.below(12), random.below(12), random.below(12));
      const heap = range(0, 15).map(
        () => 64 + Math.min(random.below(400), random.below(400), random.below(400)),
      );
      return { written: [...range(32 - depth, depth), ...heap.map((page) => (page % 3 === 0 ? 64 : page))] };
    },
  );
}

/** A nursery that is filled from one end to the other, and a collection that writes much when it is full. */
export function collector(seed = 1, epochs = 2000): Trace {
  let pointer = 0;
  return make(
    'collector',
    'a nursery of 120 pages, 3 an epoch; then 200 pages at once',
    seed,
    epochs,
    512,
    (_, random) => {
      const step = 2 + random.below(3);
      const written = [0, 1, 2, ...range(16 + pointer, step)];
      pointer += step - 1;
      if (pointer >= 120) {
        pointer = 0;
        written.push(...range(200, 300).filter(() => random.below(3) > 0));
      }
      return { written };
    },
  );
}

/** A hot set that is nearly always written, and pages all over memory that never come back. */
export function hotAndNoise(seed = 1, epochs = 2000): Trace {
  const hot = some(new Random(seed + 3), 20, 4096);
  return make('hot-noise', '20 hot pages, and 3 of 4096 at random', seed, epochs, 4096, (_, random) => ({
    written: [...hot.filter(() => random.below(50) > 0), ...some(random, 3, 4096)],
  }));
}

/** Updates of a table whose keys are unequally popular. */
export function skewed(seed = 1, epochs = 2000): Trace {
  return make(
    'skewed',
    '20 updates of a table of 1000 pages, the kth 1 / k as often',
    seed,
    epochs,
    1024,
    (_, random) => ({
      written: range(0, 20).map(() => Math.floor(1000 ** (random.below(4096) / 4096))),
    }),
  );
}

/** Every synthetic trace. */
export const synthetic = (seed = 1, epochs = 2000): Trace[] => [
  phases(seed, epochs),
  chances(seed, epochs),
  periodic(seed, epochs),
  kinds(seed, epochs),
  kinds(seed, epochs, false),
  sliding(seed, epochs),
  stackAndHeap(seed, epochs),
  collector(seed, epochs),
  hotAndNoise(seed, epochs),
  skewed(seed, epochs),
];
