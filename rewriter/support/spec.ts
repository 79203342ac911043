/** What the support code has to provide for a module. */
import type { Placement } from '../../contract/contract.js';
import type { Geometry } from '../layout.js';
import type { StoreMechanism } from '../mechanisms/mechanism.js';
import type { Omittable } from '../types.js';

export interface SupportMemory {
  geometry: Geometry;
  /** Inline: the guest's view of its size at the start. */
  initialPages: number;
}

export interface SupportTable {
  /** Its elements may be null (otherwise copies are made one by one). */
  nullable: boolean;
  /** Its index in the guest. */
  index: number;
}

export interface SupportSpec {
  layout: Placement;
  mechanism: StoreMechanism;
  memories: SupportMemory[];
  /** Undo log: bytes that it may have, for each memory. */
  logLimit: number;
  tables: SupportTable[];
  /** Pairs used by the guest's instructions: [destination, source]. */
  memoryCopies: [number, number][];
  /** [segment, memory], and whether the segment is ever dropped. */
  memoryInits: [number, number][];
  /** Guest table indices: [destination, source]. */
  tableCopies: [number, number][];
  /** [segment, table] */
  tableInits: [number, number][];
  droppedData: number[];
  droppedElements: number[];
  hasStart: boolean;
  /** The stack's low-water mark is kept (stack.ts). */
  stack: boolean;
  steps: boolean;
  oracle: boolean;
  omit: ReadonlySet<Omittable>;
}
