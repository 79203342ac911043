/** What `npm run bench:kernel` found: `docs/kernel/results.json`, of which the report is made. */

/** A single step: instructions of the guest. */
export interface Cost {
  cost: string;
  each: number;
}

export type Pattern = 'hot' | 'uniform' | 'half';

/** Epochs of compare_bench; numbers behind `epochs` are means over them. */
export interface Epochs {
  mechanism: string;
  pattern: Pattern;
  /** Of the region. */
  pages: number;
  /** Pages that an epoch writes. */
  writes: number;
  epochs: number;
  /** Of an epoch, its checkpoint included. */
  instructions: number;
  /** Of those, the checkpoint's. */
  checkpoint: number;
  faults: number;
  copied: number;
  /** Of the copies, those at a checkpoint, before the write. */
  ahead: number;
}

/** Requests to a server; numbers behind `requests` are means over them. */
export interface Serving {
  server: string;
  /** A mechanism's name, or the agent's. */
  way: string;
  requests: number;
  /** Of the whole machine, from one answer to the next. */
  instructions: number;
  /** Of those, what the client took by itself. */
  client: number;
  /** Of those, what telling an oracle took: no policy would have to be told. */
  told: number;
  checkpoints: number;
  faults: number;
  copied: number;
  ahead: number;
}

export interface Results {
  /** Release of the guest's kernel. */
  kernel: string;
  /** Figures that are good for nothing but trying the bench out. */
  quick: boolean;
  seconds: number;
  costs: Cost[];
  epochs: Epochs[];
  serving: Serving[];
  /** Why something was not measured. */
  missing: { what: string; why: string }[];
}

export const emptyResults = (quick: boolean): Results => ({
  kernel: '',
  quick,
  seconds: 0,
  costs: [],
  epochs: [],
  serving: [],
  missing: [],
});

/** Whether two findings are of the same thing, so that the later one takes the place of the other. */
const sameEpochs = (a: Epochs) => (b: Epochs) =>
  a.mechanism === b.mechanism && a.pattern === b.pattern && a.pages === b.pages && a.writes === b.writes;

/** Takes what a line of a guest program says into the results; other lines say nothing. */
export function takeLine(results: Results, line: string): void {
  if (!line.startsWith('{')) return;
  const found = JSON.parse(line) as { kernel: string } | Cost | Epochs | Serving;
  if ('kernel' in found) results.kernel = found.kernel;
  else if ('cost' in found)
    results.costs = [...results.costs.filter(({ cost }) => cost !== found.cost), found];
  else if ('server' in found) {
    const others = results.serving.filter((o) => o.server !== found.server || o.way !== found.way);
    results.serving = [...others, found];
  } else {
    const same = sameEpochs(found);
    results.epochs = [...results.epochs.filter((other) => !same(other)), found];
  }
}
