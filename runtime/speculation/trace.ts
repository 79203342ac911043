/**
 * Traces of written pages as files: a MessagePack map with one `bin` that holds all epochs. docs/trace-format.md has
 * every byte of it.
 *
 *     { format: 'belay-trace', version: 1, name, description, page: 4096, kinds: ['', ...], epochs: n, data: bin }
 *
 * An epoch is a head, what differs from the last epoch, and a set of pages as runs:
 *
 *     head    bits 0, 1: what the set is   0 the written pages   1 what differs from the last epoch's
 *                                          2 what differs from the last epoch of the same kind
 *             bit 2: a kind follows        bit 3: a number of pages of memory follows
 *             bits 4 ...: runs of the set
 *     run     2 * gap + (longer than 1)    then, where it is longer, its length - 2
 *             gap: pages between the end of the run before and the start of this one
 *
 * The writer takes the shortest of the three sets. Most programs write nearly the same pages in each request, or in
 * each request of a kind, so that an epoch often takes two bytes.
 *
 * The reader believes nothing: whatever is not exactly what a writer could have meant is an error.
 */
import { pack, unpack } from 'msgpackr';
import { BelayError } from '../../contract/errors.js';
import { PAGE_BYTES } from '../mechanisms/addon.js';
import type { Trace, TraceEpoch } from './replay.js';
import { VarintReader, VarintWriter } from './varint.js';

/** Version of the format that is written; the only one that is read. */
export const TRACE_VERSION = 1;

const FORMAT = 'belay-trace';
const FULL = 0;
const FROM_LAST = 1;
const FROM_KIND = 2;
const NOTHING = new Uint32Array(0);

function bad(message: string, options?: ErrorOptions): BelayError {
  return new BelayError('ERR_BELAY_TRACE', message, options);
}

/** Writes a trace epoch by epoch; what it holds meanwhile is as small as the file. */
export class TraceWriter {
  private readonly out = new VarintWriter();
  private readonly sets = [new VarintWriter(), new VarintWriter(), new VarintWriter()];
  private readonly lastOfKind = new Map<number, Uint32Array>();
  private readonly kinds: string[];
  private last: TraceEpoch = { pages: 0, kind: 0, written: NOTHING };
  private epochs = 0;

  /** @param head what the file says of itself; kinds default to none but the unknown one */
  constructor(private readonly head: { name: string; description: string; kinds?: readonly string[] }) {
    this.kinds = [...(head.kinds ?? [''])];
    checkKinds(this.kinds);
  }

  /** The number of a kind of request, by its name; a new name gets the next number. */
  kindNamed(name: string): number {
    const known = this.kinds.indexOf(name);
    return known >= 0 ? known : this.kinds.push(name) - 1;
  }

  /**
   * Appends an epoch.
   *
   * @throws ERR_BELAY_TRACE where its pages are not ascending, or not below `pages`, or its kind has no name
   */
  add(epoch: TraceEpoch): void {
    checkEpoch(epoch, this.kinds.length);
    const { last, sets, out } = this;
    const written = epoch.written.slice();
    const references = [NOTHING, last.written, this.lastOfKind.get(epoch.kind) ?? NOTHING];
    let best = FULL;
    const runs = references.map((reference, mode) => {
      sets[mode]!.clear();
      const count = putRuns(sets[mode]!, difference(written, reference));
      if (sets[mode]!.length < sets[best]!.length) best = mode;
      return count;
    });
    const kind = epoch.kind === last.kind ? 0 : 4;
    const pages = epoch.pages === last.pages ? 0 : 8;
    // Not a shift: there may be more runs than 28 bits count.
    out.put(best + kind + pages + 16 * runs[best]!);
    if (kind) out.put(epoch.kind);
    if (pages) out.put(epoch.pages);
    out.append(sets[best]!);
    this.last = { pages: epoch.pages, kind: epoch.kind, written };
    this.lastOfKind.set(epoch.kind, written);
    this.epochs++;
  }

  /** The file, with all epochs so far. More may be added afterwards. */
  bytes(): Uint8Array {
    const { name, description } = this.head;
    const { kinds, epochs } = this;
    return Uint8Array.from(
      pack({
        format: FORMAT,
        version: TRACE_VERSION,
        name,
        description,
        page: PAGE_BYTES,
        kinds,
        epochs,
        data: this.out.take(),
      }),
    );
  }
}

/** A whole trace as a file. @throws ERR_BELAY_TRACE where an epoch is not what TraceEpoch says */
export function writeTrace(trace: Trace): Uint8Array {
  const writer = new TraceWriter(trace);
  for (const epoch of trace.epochs) writer.add(epoch);
  return writer.bytes();
}

/** Reads a trace. @throws ERR_BELAY_TRACE where it is cut off, damaged, of another version, or no trace */
export function readTrace(bytes: Uint8Array): Trace {
  let value: unknown;
  try {
    value = unpack(bytes);
  } catch (cause) {
    throw bad('not a trace, or cut off: record it again', { cause });
  }
  const map = (typeof value === 'object' ? value : null) as Record<string, unknown> | null;
  if (map?.format !== FORMAT) throw bad('not a trace: its format is not belay-trace');
  if (map.version !== TRACE_VERSION) {
    throw bad(
      `the trace is of version ${String(map.version)}, and this reads ${TRACE_VERSION}: take the version of ` +
        'the package that wrote it, or record it again',
    );
  }
  const { name, description, page, kinds, epochs, data } = map;
  if (typeof name !== 'string' || typeof description !== 'string') throw damaged('it has no name');
  if (page !== PAGE_BYTES) throw damaged(`its pages have ${String(page)} bytes, not ${PAGE_BYTES}`);
  if (!Array.isArray(kinds)) throw damaged('it has no kinds');
  checkKinds(kinds);
  if (!(data instanceof Uint8Array)) throw damaged('it has no epochs');
  if (typeof epochs !== 'number' || !Number.isInteger(epochs) || epochs < 0 || epochs > data.length) {
    throw damaged('its number of epochs is wrong');
  }
  return { name, description, kinds, epochs: readEpochs(data, epochs, kinds.length) };
}

const damaged = (why: string) => bad(`the trace is damaged, ${why}: record it again`);

function readEpochs(data: Uint8Array, count: number, kinds: number): TraceEpoch[] {
  const reader = new VarintReader(data, (why) => {
    throw damaged(why);
  });
  const lastOfKind: Uint32Array[] = [];
  const epochs: TraceEpoch[] = [];
  let last: TraceEpoch = { pages: 0, kind: 0, written: NOTHING };
  while (epochs.length < count) {
    const head = reader.get();
    const mode = head & 3;
    if (mode > FROM_KIND) throw damaged('an epoch is of a form that there is not');
    const kind = head & 4 ? reader.get() : last.kind;
    const pages = head & 8 ? reader.get() : last.pages;
    if (kind >= kinds) throw damaged('an epoch is of a kind that has no name');
    const reference = mode === FULL ? NOTHING : mode === FROM_LAST ? last.written : lastOfKind[kind];
    const set = getRuns(reader, Math.floor(head / 16), Math.max(pages, last.pages, sizeOf(reference)));
    const written = difference(set, reference ?? NOTHING);
    if (sizeOf(written) > pages) throw damaged('an epoch writes beyond its memory');
    last = { pages, kind, written };
    lastOfKind[kind] = written;
    epochs.push(last);
  }
  if (!reader.ended) throw damaged('something follows its epochs');
  return epochs;
}

/** Pages that a memory has at least, of which a set was written. */
function sizeOf(set: Uint32Array | undefined): number {
  return set?.length ? set[set.length - 1]! + 1 : 0;
}

/** The pages that are in one set alone; all three are ascending. Twice the same difference is the set again. */
function difference(a: Uint32Array, b: Uint32Array): Uint32Array {
  const result = new Uint32Array(a.length + b.length);
  let [i, j, count] = [0, 0, 0];
  while (i < a.length || j < b.length) {
    const x = i < a.length ? a[i]! : Number.POSITIVE_INFINITY;
    const y = j < b.length ? b[j]! : Number.POSITIVE_INFINITY;
    if (x !== y) result[count++] = Math.min(x, y);
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return result.slice(0, count);
}

/** Writes a set as runs; returns how many they are. */
function putRuns(out: VarintWriter, set: Uint32Array): number {
  let runs = 0;
  let end = 0;
  for (let i = 0; i < set.length; runs++) {
    const start = set[i]!;
    let length = 1;
    while (i + length < set.length && set[i + length] === start + length) length++;
    out.put(2 * (start - end) + (length > 1 ? 1 : 0));
    if (length > 1) out.put(length - 2);
    end = start + length;
    i += length;
  }
  return runs;
}

function getRuns(reader: VarintReader, runs: number, most: number): Uint32Array {
  const pages: number[] = [];
  let end = 0;
  for (let run = 0; run < runs; run++) {
    const head = reader.get();
    const start = end + Math.floor(head / 2);
    if (run > 0 && start === end) throw damaged('two runs of an epoch are one');
    end = start + (head & 1 ? reader.get() + 2 : 1);
    if (end > most) throw damaged('an epoch writes beyond its memory');
    for (let page = start; page < end; page++) pages.push(page);
  }
  return Uint32Array.from(pages);
}

function checkKinds(kinds: readonly unknown[]): void {
  const names = new Set(kinds);
  if (kinds[0] !== '' || names.size !== kinds.length || kinds.some((kind) => typeof kind !== 'string')) {
    throw bad("the kinds of a trace are names, each once, and the first is ''");
  }
}

function checkEpoch({ pages, kind, written }: TraceEpoch, kinds: number): void {
  // Runs are written with a bit beside the gap.
  if (!Number.isInteger(pages) || pages < 0 || pages > 2 ** 31 - 1) {
    throw bad(`memory of ${pages} pages: give a whole number below 2^31`);
  }
  if (!Number.isInteger(kind) || kind < 0 || kind >= kinds)
    throw bad(`kind ${kind} has no name: see kindNamed`);
  for (let i = 0; i < written.length; i++) {
    if (i > 0 && written[i]! <= written[i - 1]!) throw bad('written pages must be ascending: sort them');
  }
  if (sizeOf(written) > pages) throw bad(`page ${sizeOf(written) - 1} is not among the ${pages} of memory`);
}
