/**
 * What became different since the last entry, as a record of the journal.
 *
 * The mechanism says what may have been written (its dirty list); that is compared, word by word, with an image of the
 * state as it was last recorded, and what differs goes into the record and into the image:
 *
 *     guest     | . . . . . x x . | . . . . . . . . |      written: the first region
 *     image     | . . . . . o o . | . . . . . . . . |      -> page, run (5 words in, 2 long), x x
 *
 * So a record has what changed and nothing else, whatever the mechanism, and checkpoints that are not recorded cost a
 * note of the pages that they wrote. The image takes as much memory as the guest's state has.
 */
import {
  type GuestState,
  HOST,
  memorySpace,
  REGISTERS,
  type StateAccess,
  tableSpace,
} from '../guest/state.js';
import { type Differing, WORDS } from '../mechanisms/mechanism.js';
import { checksum } from './codec.js';
import type { EntryNote } from './entries.js';
import { packNote, RECORD_HEAD } from './journal.js';
import { PAGE_BYTES } from './versions.js';

const PAGE_WORDS = PAGE_BYTES / 4;
/** Words that are alike, between two that are not, that one run may have: a run costs a word itself. */
const GAP = 1;
/** Words of the record's buffer that are kept between records. */
const KEPT = 2 ** 18;

export class Capture {
  private readonly images: Int32Array[];
  private words = new Uint32Array(2 ** 14);
  private length = 0;
  private pageCount = 0;
  /** The page that is compared: what differs in it, up to which word of memory it was looked at. */
  private readonly open = {
    space: 0,
    page: 0,
    runs: new Uint32Array(PAGE_WORDS),
    count: 0,
    /** Of all runs. */
    words: 0,
    end: 0,
    now: new Int32Array(0) as Int32Array,
    image: new Int32Array(0) as Int32Array,
  };
  private readonly registers: Uint8Array;
  /** Pages that were written before a checkpoint that was not recorded, by memory. */
  private readonly pending: Set<number>[];
  private pendingHost = true;
  private readonly pendingTables: boolean[];
  private everything = true;

  /** @param last the state of the last entry of a history that is gone on with */
  constructor(
    private readonly access: StateAccess,
    last?: GuestState,
  ) {
    const { shape } = access;
    this.registers = new Uint8Array(shape.length);
    this.images = Array.from({ length: shape.spaces }, (_, space) =>
      asWords(last?.[space] ?? new Uint8Array(0)),
    );
    this.pending = Array.from({ length: shape.memories }, () => new Set());
    this.pendingTables = Array.from({ length: shape.tables }, () => true);
  }

  /** Bytes of the image and of the buffer. */
  get bytes(): number {
    return this.images.reduce((sum, image) => sum + image.byteLength, this.words.byteLength);
  }

  /** Notes what the epoch wrote, for the next record. */
  skip(): void {
    const { access, pending } = this;
    this.pendingHost = true;
    this.pendingTables.forEach((_, t) => {
      this.pendingTables[t] ||= access.tableWritten(t);
    });
    if (this.smaller(this.memories()).length > 0) this.doubt();
    if (this.everything) return;
    access.written((memory, address, length) => {
      const end = address + length;
      for (let page = Math.floor(address / PAGE_BYTES); page * PAGE_BYTES < end; page++)
        pending[memory]!.add(page);
    });
  }

  /** The next record compares everything: what was written since the last one is not known. */
  doubt(): void {
    this.everything = true;
    this.pendingHost = true;
    this.pendingTables.fill(true);
  }

  private memories(): Int32Array[] {
    return this.pending.map((_, k) => asWords(this.access.memory(k)));
  }

  /** Those that were larger: a state was loaded. */
  private smaller(memories: readonly Int32Array[]): number[] {
    return [...memories.keys()].filter((k) => this.images[memorySpace(k)]!.length > memories[k]!.length);
  }

  /**
   * Begins a record: what changed.
   * @param begun whether the epoch began after the last record, so that the mechanism's pre-images have what that says
   * @returns whether something has
   */
  changes(begun = false): boolean {
    const { access, pending, registers } = this;
    const { contract } = access;
    if (this.words.length > KEPT) this.words = new Uint32Array(KEPT);
    this.length = 0;
    this.pageCount = 0;
    // What cannot be said fails here, when nothing has been compared yet.
    const host = access.host(this.pendingHost);
    const tables = this.pendingTables.map((due, t) =>
      due || access.tableWritten(t) ? access.table(t) : undefined,
    );
    access.registers(registers);
    if (host) this.compareAll(HOST, asWords(host));
    this.pendingHost = false;
    for (const [t, table] of tables.entries()) {
      if (table) {
        const { buffer, byteOffset, length } = table;
        this.compareAll(tableSpace(contract, t), new Int32Array(buffer, byteOffset, length));
      }
      this.pendingTables[t] = false;
    }
    const memories = this.memories();
    // Lest it grows again, and has what it had.
    const smaller = this.everything ? [] : this.smaller(memories);
    if (this.everything) {
      for (const [k, memory] of memories.entries()) this.compareAll(memorySpace(k), memory);
      this.everything = false;
    } else {
      // Nor do they when there was a checkpoint that was not recorded.
      const current = begun && pending.every((pages) => pages.size === 0);
      for (const [k, pages] of pending.entries()) {
        for (const page of pages)
          this.compare(memorySpace(k), memories[k]!, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
        pages.clear();
      }
      access.written((memory, address, length, differing) => {
        this.compare(
          memorySpace(memory),
          memories[memory]!,
          Math.floor(address / 4),
          Math.ceil((address + length) / 4),
          current ? differing : undefined,
        );
      });
    }
    for (const k of smaller) this.compareAll(memorySpace(k), memories[k]!);
    this.compareAll(REGISTERS, asWords(registers));
    this.endPage();
    return this.pageCount > 0;
  }

  /** An entry of which nothing is kept. */
  nothing(): void {
    this.length = 0;
    this.pageCount = 0;
  }

  /** Ends the record. @returns its bytes, head included; valid until the next one */
  record(entry: number, note: EntryNote): Uint8Array {
    const said = packNote(note);
    const noteWords = (said.length + 3) >> 2;
    const head = RECORD_HEAD / 4 + 3 + noteWords + 1;
    this.reserve(head);
    const { words, length } = this;
    words.copyWithin(head, 0, length);
    words[2] = entry;
    words[3] = Math.floor(entry / 2 ** 32);
    words[4] = said.length;
    words[4 + noteWords] = 0;
    const bytes = new Uint8Array(words.buffer);
    bytes.set(said, 5 * 4);
    bytes.fill(0, 5 * 4 + said.length, (5 + noteWords) * 4);
    words[head - 1] = this.pageCount;
    const total = (head + length) * 4;
    words[0] = total - RECORD_HEAD;
    words[1] = checksum(bytes.subarray(RECORD_HEAD, total));
    return bytes.subarray(0, total);
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.words.length) return;
    const larger = new Uint32Array(Math.max(needed, this.words.length * 2));
    larger.set(this.words.subarray(0, this.length));
    this.words = larger;
  }

  private compareAll(space: number, now: Int32Array): void {
    const image = this.image(space, now.length);
    if (image.length <= now.length) {
      this.compare(space, now, 0, now.length);
      return;
    }
    // It became smaller: what lies beyond the size is zero, and has to be said, for it may grow again.
    const padded = new Int32Array(image.length);
    padded.set(now);
    this.compare(space, padded, 0, padded.length);
    this.endPage();
    this.images[space] = image.slice(0, now.length);
  }

  private image(space: number, words: number): Int32Array {
    let image = this.images[space]!;
    if (image.length < words) {
      const larger = new Int32Array(words);
      larger.set(image);
      image = larger;
      this.images[space] = image;
    }
    return image;
  }

  /** Finds what differs in the words [from, to), page by page. @param differing tells what does, where that is known */
  private compare(space: number, now: Int32Array, from: number, to: number, differing?: Differing): void {
    if (to > now.length) to = now.length;
    if (from >= to) return;
    const image = this.image(space, now.length);
    const { open } = this;
    while (from < to) {
      const page = Math.floor(from / PAGE_WORDS);
      const end = Math.min(to, (page + 1) * PAGE_WORDS);
      // Parts of a page that come one after the other, in order, are one page of the record.
      if (open.space !== space || open.page !== page || open.end > from) this.endPage();
      open.space = space;
      open.page = page;
      open.now = now;
      open.image = image;
      if (differing) {
        for (let run = differing(4 * from, 4 * end); run !== 0; run = differing(4 * from, 4 * end)) {
          const first = Math.floor(run / WORDS);
          from = first + run - first * WORDS;
          this.add(first, from);
        }
      } else {
        for (let i = from; i < end; i++) {
          if (now[i] === image[i]) continue;
          const first = i;
          let last = i;
          for (i++; i < end && i - last <= GAP + 1; i++) if (now[i] !== image[i]) last = i;
          this.add(first, last + 1);
          i = last;
        }
      }
      from = end;
    }
  }

  /** Words [from, to) of the open page are in the record. */
  private add(from: number, to: number): void {
    const { open } = this;
    open.runs[open.count++] = ((from % PAGE_WORDS) << 18) | ((to - from) << 2);
    open.words += to - from;
    open.end = to;
  }

  /** Writes the open page, and its words into the image. */
  private endPage(): void {
    const { space, page, count, runs, now, image } = this.open;
    if (count > 0) {
      this.reserve(3 + count + this.open.words);
      const { words } = this;
      let at = this.length;
      words[at++] = space;
      words[at++] = page;
      words[at++] = count;
      for (let run = 0; run < count; run++) words[at++] = runs[run]!;
      for (let run = 0; run < count; run++) {
        let i = page * PAGE_WORDS + (runs[run]! >>> 18);
        for (const end = i + ((runs[run]! & 0xffff) >> 2); i < end; i++) {
          const word = now[i]!;
          words[at++] = word;
          image[i] = word;
        }
      }
      this.length = at;
      this.pageCount++;
    }
    this.open.count = 0;
    this.open.words = 0;
    this.open.end = 0;
  }
}

/** Bytes as words, with zeros behind; a view where that can be. */
function asWords(bytes: Uint8Array): Int32Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0) {
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  return new Int32Array(padded.buffer);
}
