/** Which entries changed some bytes. */
import { PageCursor } from './cursor.js';
import type { Source } from './source.js';
import type { Write } from './types.js';
import { PAGE_BYTES } from './versions.js';

export function* writes(
  source: Source,
  space: number,
  address: number,
  length: number,
  from: number,
  to: number,
): IterableIterator<Write> {
  const first = Math.floor(address / PAGE_BYTES);
  const last = Math.floor((address + length - 1) / PAGE_BYTES);
  /** Of the bytes that lie in the ith page. */
  const bounds = (i: number): [from: number, to: number] => {
    const at = (first + i) * PAGE_BYTES;
    return [Math.max(0, address - at), Math.min(PAGE_BYTES, address + length - at)];
  };
  const cursors = Array.from({ length: last - first + 1 }, (_, i) =>
    new PageCursor(source, space, first + i).want(...bounds(i)),
  );
  const read = (): Uint8Array => {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let i = 0; i < cursors.length; i++) {
      const [from, to] = bounds(i);
      bytes.set(cursors[i]!.bytes.subarray(from, to), at);
      at += to - from;
    }
    return bytes;
  };
  // What the first entry changed is known where the one before it is kept.
  const start = Math.max(from - 1, source.first);
  for (const cursor of cursors) cursor.seek(start);
  let before = read();
  for (;;) {
    const entry = Math.min(...cursors.map((cursor) => cursor.next));
    if (entry > to) return;
    for (const cursor of cursors) cursor.seek(entry);
    const after = read();
    if (Buffer.compare(before, after) !== 0) yield { entry, before, after };
    before = after;
  }
}
