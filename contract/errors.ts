/**
 * Every error that Belay raises on purpose. `code` is stable and is what programs should compare; the
 * message says what happened and what to do next. Two copies of this package in one process still
 * recognise each other's errors by `code`.
 */
export type BelayErrorCode =
  /** The bytes are not a WebAssembly module (or text), or are cut off, or do not validate. */
  | 'ERR_BELAY_INVALID_MODULE'
  /** The module holds state that no rollback could restore; `details` names function and instruction. */
  | 'ERR_BELAY_REFUSED'
  /** The module carries a `belay` section already. */
  | 'ERR_BELAY_ALREADY_INSTRUMENTED'
  /** The module carries no `belay` section: instrument it first. */
  | 'ERR_BELAY_NOT_INSTRUMENTED'
  /** The module was instrumented for a contract that this runtime does not know. */
  | 'ERR_BELAY_CONTRACT_VERSION'
  /** An option is unknown, malformed, or contradicts another. */
  | 'ERR_BELAY_OPTION'
  /** This engine lacks a feature that the module needs. */
  | 'ERR_BELAY_ENGINE'
  /** An import is missing or does not fit: a memory too small for the inline layout, for one. */
  | 'ERR_BELAY_IMPORT'
  /** checkpoint() or rollback() was called while the guest was running. */
  | 'ERR_BELAY_RUNNING'
  /** rollback() before the first checkpoint(). */
  | 'ERR_BELAY_NO_CHECKPOINT'
  /** An address range lies outside of guest memory. */
  | 'ERR_BELAY_RANGE'
  /** Audit: the host wrote into guest memory without saying so; `ranges` lists where. */
  | 'ERR_BELAY_UNTRACKED_WRITE'
  /** The guest used up its steps or its time. */
  | 'ERR_BELAY_OVERRUN'
  /** The mechanism cannot be used on this machine, or failed; the message says what is missing. */
  | 'ERR_BELAY_MECHANISM'
  /** The undo log reached its limit, and the store that found it full was not carried out. */
  | 'ERR_BELAY_LOG_FULL'
  /** The guest was disposed of. */
  | 'ERR_BELAY_DISPOSED'
  /** A per-store check of a debug build found a byte that was not saved: a bug in Belay. */
  | 'ERR_BELAY_ORACLE'
  /** WASI: the program asked for something that cannot be undone, or could not be started. */
  | 'ERR_BELAY_WASI'
  /** A guest's state cannot be saved or loaded; the message says what stands in the way. */
  | 'ERR_BELAY_STATE'
  /** A history cannot be opened, recorded or asked for that; the message says why. */
  | 'ERR_BELAY_HISTORY'
  /** A history of another version, or something else in its place. */
  | 'ERR_BELAY_HISTORY_VERSION'
  /** A part of a history cannot be read; the message names what is lost. */
  | 'ERR_BELAY_HISTORY_DAMAGED'
  /** The disk that holds a history is full. */
  | 'ERR_BELAY_HISTORY_FULL'
  /** An expression over the past of a guest is none, or names what is not there; the message points at it. */
  | 'ERR_BELAY_EXPRESSION'
  /** The service could not be started or configured. */
  | 'ERR_BELAY_SERVICE'
  /** A file could not be read or written. */
  | 'ERR_BELAY_FILE'
  /** A trace is damaged, cut off, of a newer version, or no trace at all. */
  | 'ERR_BELAY_TRACE'
  /** A speculation policy broke its rules: it chose a page twice, or one that is not there. */
  | 'ERR_BELAY_POLICY';

/** The base of all errors of this package. */
export class BelayError extends Error {
  readonly code: BelayErrorCode;

  constructor(code: BelayErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BelayError';
    this.code = code;
  }

  /** Of another copy of this package as well. Subclasses are told apart as usual. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: the class that instanceof was asked about.
    if (this !== BelayError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return (
      value instanceof Error &&
      typeof (value as { code?: unknown }).code === 'string' &&
      (value as unknown as { code: string }).code.startsWith('ERR_BELAY_')
    );
  }
}
