/**
 * A list of pages that knows its members: adding, removing and asking take the same time however long it is.
 *
 *     pages  [ 7 | 3 | 9 |   ]   length 3          remove(7): the last takes its place, [ 9 | 3 ]
 *     at     at[3] = 2, at[7] = 1, at[9] = 3       place + 1; 0 where a page is not in the list
 *
 * Four bytes for each page of memory. Nothing is freed; {@link PageList.fit} follows a memory that grows or shrinks.
 */
export class PageList {
  pages = new Uint32Array(16);
  length = 0;
  private at = new Uint32Array(0);
  private size = 0;

  has(page: number): boolean {
    return this.at[page]! > 0;
  }

  /** Appends a page that is not in the list. */
  add(page: number): void {
    if (this.length === this.pages.length) this.pages = grown(this.pages, this.length + 1);
    this.pages[this.length] = page;
    this.at[page] = ++this.length;
  }

  /** Removes the page at a place; the last page of the list moves there. */
  removeAt(place: number): void {
    this.at[this.pages[place]!] = 0;
    const last = this.pages[--this.length]!;
    if (place === this.length) return;
    this.pages[place] = last;
    this.at[last] = place + 1;
  }

  /** Keeps the pages for which `keep` says so, in their order. */
  filter(keep: (page: number, place: number) => boolean): void {
    let to = 0;
    for (let place = 0; place < this.length; place++) {
      const page = this.pages[place]!;
      if (keep(page, place)) {
        this.pages[to] = page;
        this.at[page] = ++to;
      } else {
        this.at[page] = 0;
      }
    }
    this.length = to;
  }

  /** Follows memory to another size: pages that are gone leave the list. @param size pages of memory */
  fit(size: number): void {
    if (size < this.size) this.filter((page) => page < size);
    if (size > this.at.length) this.at = grown(this.at, size);
    this.size = size;
  }

  /** Writes the list into `out`; returns its length. */
  copyTo(out: Uint32Array): number {
    out.set(this.pages.subarray(0, this.length));
    return this.length;
  }
}

/** A copy of an array with room for at least `length` elements, and for twice what it had. */
export function grown<T extends Uint32Array | Int32Array | Uint16Array | Int16Array | Uint8Array>(
  array: T,
  length: number,
): T {
  const larger = new (array.constructor as new (n: number) => T)(Math.max(length, 2 * array.length));
  larger.set(array);
  return larger;
}
