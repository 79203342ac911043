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
  /** Where in the record its last page begins; -1 where it has none. */
  private last = -1;
  private pageCount = 0;
  private readonly runs = new Uint32Array(PAGE_WORDS);
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
    if (this.smaller().length > 0) this.doubt();
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

  /** Memories that were larger: a state was loaded. */
  private smaller(): number[] {
    const { access, images } = this;
    return Array.from({ length: access.shape.memories }, (_, k) => k).filter(
      (k) => images[memorySpace(k)]!.byteLength > access.memory(k).length,
    );
  }

  /** Begins a record: what changed. @returns whether something has */
  changes(): boolean {
    const { access, pending, registers } = this;
    const { shape, contract } = access;
    if (this.words.length > KEPT) this.words = new Uint32Array(KEPT);
    this.length = 0;
    this.last = -1;
    this.pageCount = 0;
    const host = access.host(this.pendingHost);
    if (host) this.compareAll(HOST, asWords(host));
    this.pendingHost = false;
    for (let t = 0; t < shape.tables; t++) {
      if (this.pendingTables[t] || access.tableWritten(t)) {
        const { buffer, byteOffset, length } = access.table(t);
        this.compareAll(tableSpace(contract, t), new Int32Array(buffer, byteOffset, length));
      }
      this.pendingTables[t] = false;
    }
    // Lest it grows again, and has what it had.
    const smaller = this.everything ? [] : this.smaller();
    const memories = Array.from({ length: shape.memories }, (_, k) => {
      const { buffer, byteOffset, byteLength } = access.memory(k);
      return new Int32Array(buffer, byteOffset, byteLength >> 2);
    });
    if (this.everything) {
      for (const [k, memory] of memories.entries()) this.compareAll(memorySpace(k), memory);
      this.everything = false;
    } else {
      for (const [k, pages] of pending.entries()) {
        for (const page of pages)
          this.compare(memorySpace(k), memories[k]!, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
        pages.clear();
      }
      access.written((memory, address, length) => {
        this.compare(
          memorySpace(memory),
          memories[memory]!,
          Math.floor(address / 4),
          Math.ceil((address + length) / 4),
        );
      });
    }
    for (const k of smaller) this.compareAll(memorySpace(k), memories[k]!);
    access.registers(registers);
    this.compareAll(REGISTERS, asWords(registers));
    return this.pageCount > 0;
  }

  /** An entry of which nothing is kept. */
  nothing(): void {
    this.length = 0;
    this.last = -1;
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

  /** Records what differs in the words [from, to), page by page. */
  private compare(space: number, now: Int32Array, from: number, to: number): void {
    if (to > now.length) to = now.length;
    if (from >= to) return;
    const image = this.image(space, now.length);
    const { runs } = this;
    while (from < to) {
      const page = Math.floor(from / PAGE_WORDS);
      const start = page * PAGE_WORDS;
      const end = Math.min(to, start + PAGE_WORDS);
      let count = 0;
      let data = 0;
      for (let i = from; i < end; i++) {
        if (now[i] === image[i]) continue;
        const first = i;
        let last = i;
        for (i++; i < end && i - last <= GAP + 1; i++) if (now[i] !== image[i]) last = i;
        runs[count++] = ((first - start) << 18) | ((last - first + 1) << 2);
        data += last - first + 1;
        i = last;
      }
      if (count > 0) {
        this.reserve(3 + count + data);
        const { words, last } = this;
        let at = this.length;
        if (
          last >= 0 &&
          words[last] === space &&
          words[last + 1] === page &&
          follows(words, last, runs[0]!)
        ) {
          // Another part of the page that the record ends with: its runs go in front of that one's data.
          const known = words[last + 2]!;
          const behind = last + 3 + known;
          words.copyWithin(behind + count, behind, at);
          for (let run = 0; run < count; run++) words[behind + run] = runs[run]!;
          words[last + 2] = known + count;
          at += count;
        } else {
          this.last = at;
          this.pageCount++;
          words[at++] = space;
          words[at++] = page;
          words[at++] = count;
          for (let run = 0; run < count; run++) words[at++] = runs[run]!;
        }
        for (let run = 0; run < count; run++) {
          const first = start + (runs[run]! >>> 18);
          const n = (runs[run]! & 0xffff) >> 2;
          for (let i = first; i < first + n; i++) {
            const word = now[i]!;
            words[at++] = word;
            image[i] = word;
          }
        }
        this.length = at;
      }
      from = end;
    }
  }
}

/** Whether a run lies behind the last one of a page of the record. */
function follows(words: Uint32Array, page: number, run: number): boolean {
  const before = words[page + 2 + words[page + 2]!]!;
  return run >>> 16 >= (before >>> 16) + (before & 0xffff);
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
