/**
 * What became different since the last entry, as a record of the journal.
 *
 * The mechanism says what may have been written (its dirty list). One that has pre-images says what of that differs, too.
 * For the others it is compared, word by word, with an image of the state as it was last recorded, and what
 * differs goes into the record and into the image:
 *
 *     guest     | . . . . . x x . | . . . . . . . . |      written: the first region
 *     image     | . . . . . o o . | . . . . . . . . |      -> page, run (5 words in, 2 long), x x
 *
 * So a record has what changed and nothing else, whatever the mechanism, and checkpoints that are not recorded cost a
 * note of the pages that they wrote. The image takes as much memory as the guest's state has; of a memory whose mechanism
 * says what differs there is none, until a checkpoint is left out: then the history is asked for it.
 */
import {
  type GuestState,
  HOST,
  memorySpace,
  REGISTERS,
  type StateAccess,
  tableSpace,
} from '../guest/state.js';
import type { Differing } from '../mechanisms/mechanism.js';
import { checksum } from './codec.js';
import type { EntryNote } from './entries.js';
import { packNote, RECORD_HEAD } from './journal.js';
import { PAGE_BYTES } from './versions.js';

const PAGE_WORDS = PAGE_BYTES / 4;
/** Words that are alike, between two that are not, that one run may have: a run costs a word itself. */
const GAP = 1;
/** Words of the record's buffer that are kept between records. */
const KEPT = 2 ** 18;
const NONE = new Int32Array(0);

export class Capture {
  /** By space; of a memory undefined where it is as the history has it. */
  private readonly images: (Int32Array | undefined)[];
  /** Words of each memory when it was last recorded. */
  private readonly lengths: number[];
  private words = new Uint32Array(2 ** 14);
  private length = 0;
  private pageCount = 0;
  /** The page that is compared: where its head lies in the record (-1: none is), up to which word of memory it was looked at. */
  private readonly open = { space: 0, page: 0, head: -1, end: 0 };
  private readonly registers: Int32Array;
  /** Pages that were written before a checkpoint that was not recorded, by memory. */
  private readonly pending: Set<number>[];
  private pendingHost = true;
  private readonly pendingTables: boolean[];
  private everything = true;

  /**
   * @param last the state of the last entry of a history that is gone on with
   * @param recall gives the state of the last entry, where images need not be kept for it
   */
  constructor(
    private readonly access: StateAccess,
    last?: GuestState,
    private readonly recall?: () => GuestState | undefined,
  ) {
    const { shape } = access;
    this.registers = new Int32Array(Math.ceil(shape.length / 4));
    this.images = Array.from({ length: shape.spaces }, (_, space) =>
      asWords(last?.[space] ?? new Uint8Array(0)),
    );
    this.pending = Array.from({ length: shape.memories }, () => new Set());
    this.lengths = this.pending.map((_, k) => this.images[memorySpace(k)]!.length);
    this.pendingTables = Array.from({ length: shape.tables }, () => true);
  }

  /** Bytes of the images and of the buffer. */
  get bytes(): number {
    return this.images.reduce((sum, image) => sum + (image?.byteLength ?? 0), this.words.byteLength);
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
    const found: number[] = [];
    for (let k = 0; k < memories.length; k++) if (this.lengths[k]! > memories[k]!.length) found.push(k);
    return found;
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
    this.nothing();
    // What cannot be said fails here, when nothing has been compared yet.
    const host = access.host(this.pendingHost);
    const tables = this.pendingTables.map((due, t) =>
      due || access.tableWritten(t) ? access.table(t) : undefined,
    );
    access.registers(new Uint8Array(registers.buffer));
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
    for (const [k, memory] of memories.entries()) this.lengths[k] = memory.length;
    this.compareAll(REGISTERS, registers);
    this.endPage();
    return this.pageCount > 0;
  }

  /** An entry of which nothing is kept. */
  nothing(): void {
    this.length = 0;
    this.pageCount = 0;
    this.open.head = -1;
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
    let image = this.images[space];
    if (!image) {
      image = asWords(this.recall!()?.[space] ?? new Uint8Array(0));
      this.images[space] = image;
    }
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
    // From then on the history alone has what it was.
    const recalled = differing !== undefined && this.recall !== undefined;
    if (recalled) this.images[space] = undefined;
    const image = recalled ? NONE : this.image(space, now.length);
    while (from < to) {
      const page = Math.floor(from / PAGE_WORDS);
      const end = Math.min(to, (page + 1) * PAGE_WORDS);
      this.startPage(space, page, from);
      this.open.end = end;
      // Two words at least that are alike lie between two runs.
      this.reserve(end - from + 1);
      if (differing) {
        const count = differing.find(4 * from, 4 * end);
        if (count > 0) {
          const found = differing.runs.subarray(0, count);
          this.words.set(found, this.length);
          this.length += count;
          if (!recalled) this.keep(found, page * PAGE_WORDS, image);
        }
      } else {
        for (let i = from; i < end; i++) {
          if (now[i] === image[i]) continue;
          const first = i;
          let last = i;
          for (i++; i < end && i - last <= GAP + 1; i++) if (now[i] !== image[i]) last = i;
          this.add(first, now.subarray(first, last + 1), image);
          i = last;
        }
      }
      from = end;
    }
  }

  /** A run: words from `first` on are in the record, and in the image. */
  private add(first: number, run: Int32Array, image: Int32Array): void {
    this.words[this.length++] = ((first % PAGE_WORDS) << 18) | (run.length << 2);
    this.words.set(run, this.length);
    this.length += run.length;
    image.set(run, first);
  }

  /** Runs that were found in a page, which begins at the word `base`, are in the image. */
  private keep(found: Uint32Array, base: number, image: Int32Array): void {
    for (let i = 0; i < found.length; ) {
      const head = found[i++]!;
      let at = base + (head >>> 18);
      for (const end = i + ((head & 0xffff) >> 2); i < end; ) image[at++] = found[i++]!;
    }
  }

  /** What follows is of this page. Parts of a page that come one after the other, in order, are one page of the record. */
  private startPage(space: number, page: number, from: number): void {
    const { open } = this;
    if (open.head >= 0) {
      if (open.space === space && open.page === page && open.end <= from) return;
      this.endPage();
    }
    this.reserve(3);
    open.space = space;
    open.page = page;
    open.head = this.length;
    this.length += 3;
  }

  /** Writes the head of the open page, unless nothing in it differs. */
  private endPage(): void {
    const { space, page, head } = this.open;
    if (head < 0) return;
    this.open.head = -1;
    const count = this.length - head - 3;
    if (count === 0) {
      this.length = head;
      return;
    }
    this.words[head] = space;
    this.words[head + 1] = page;
    this.words[head + 2] = count;
    this.pageCount++;
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
