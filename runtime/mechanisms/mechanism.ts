/** What a mechanism does for one guest; the guest adds the host's side to it. */
export interface Mechanism {
  checkpoint(): void;
  /** Returns to the last checkpoint; the epoch begins anew. */
  rollback(): void;
  /** Saves every region of [pointer, pointer + length) of a memory, which lies within it. */
  touch(memory: number, pointer: number | bigint, length: number | bigint): void;
  /** Regions saved since instantiation. */
  regionsSaved(): number;
  /** Bytes set aside for tags and pre-images. */
  supportBytes(): number;
}
