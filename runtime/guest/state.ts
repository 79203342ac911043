/**
 * A guest's whole state, as a recorder sees it and as it is loaded. What the bytes mean is in contract/state.ts, which
 * the rewriter reads, too.
 */
import type { Contract } from '../../contract/contract.js';
import type { StateShape } from '../../contract/state.js';
import type { Visit } from '../mechanisms/mechanism.js';

export {
  type GuestState,
  HOST,
  memorySpace,
  REGISTERS,
  type StateShape,
  spaceSize,
  spaceSizes,
  stateShape,
  tableSpace,
} from '../../contract/state.js';

/**
 * A guest's state as a recorder sees it. To be used while no function of the guest is on the stack.
 */
export interface StateAccess {
  readonly contract: Contract;
  readonly shape: StateShape;
  /** The guest's registers of now, into `into` ({@link StateShape.length} bytes). */
  registers(into: Uint8Array): void;
  /** A memory as the guest sees it; a view that holds until the guest runs again. */
  memory(memory: number): Uint8Array;
  /** The elements of a table of now. @throws ERR_BELAY_STATE where one is a function that the module does not have. */
  table(table: number): Uint32Array;
  /** Whether a table may have changed since the last checkpoint. */
  tableWritten(table: number): boolean;
  /** What companions save; undefined when nothing of it has changed since the last checkpoint. @throws ERR_BELAY_STATE */
  host(always: boolean): Uint8Array | undefined;
  /** Calls `visit` for each part of a memory that may have been written since the last checkpoint; parts do not overlap. */
  written(visit: Visit): void;
  /**
   * Makes this the guest's state, and a checkpoint of it. Only spaces that are given are changed, but registers must
   * always be; of a memory or table that is longer than what is given, the rest becomes zeros.
   */
  load(state: readonly (Uint8Array | undefined)[]): void;
}
