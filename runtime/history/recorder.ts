/**
 * Records the checkpoints of a guest into a history.
 *
 *     guest ── checkpoint ──> capture ── one write ──> journal ──> worker ── pack ──> store
 *                             (what changed)           (file)      (thread of its own)
 *
 * On the path of a request are the comparison of what it wrote and one write of the operating system; after it the
 * entry survives whatever happens to the process. (What survives a failure of power is what the operating system had
 * written by then.) All else is done by a worker, which may lag by {@link RecordOptions.maxLag} bytes of the journal.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { BelayError } from '../../contract/errors.js';
import type { GuestState } from '../guest/state.js';
import { addFinder } from '../mechanisms/instrumented.js';
import { finder } from '../mechanisms/written.js';
import type { EpochInfo, Guest } from '../types.js';
import { Capture } from './capture.js';
import { type Codec, loadCodec } from './codec.js';
import type { EntryNote } from './entries.js';
import { historyError } from './errors.js';
import { JOURNAL, JOURNAL_HEAD, journalHead, journalName, putAside } from './journal.js';
import { checkFormat, initialise, isNew, readIdentity } from './meta.js';
import { lockRecorder, makeStore } from './open.js';
import { Packer, type PackOptions } from './pack.js';
import { wholeState } from './past.js';
import { type Progress, progress } from './progress.js';
import { Source } from './source.js';
import type { Store } from './store.js';
import type { EntryKind } from './types.js';

export interface RecordOptions extends PackOptions {
  /** Records every so many-th checkpoint. Default 1: each. What the others wrote is in the next that is recorded. */
  every?: number;
  /**
   * What happens when packing lags by `maxLag` bytes: `wait` slows the guest down (default); `skip` leaves checkpoints
   * out, and the next entry says how many.
   */
  lag?: 'wait' | 'skip';
  /** Default 64 MiB. */
  maxLag?: number;
  /**
   * The module as it was instrumented: kept in the history, so that it can call its functions and knows its names.
   */
  module?: Uint8Array;
  /** Packs in a thread of its own (default), or while the guest waits. */
  worker?: boolean;
  /**
   * Is told what goes wrong (a full disk, for one): the checkpoint is then skipped, and recording goes on when it
   * can. Default: it is thrown from checkpoint(), before that does anything.
   */
  onError?: (error: Error) => void;
}

export interface RecorderStats {
  /** Number of the next entry. */
  next: number;
  /** Entries written by this recorder. */
  entries: number;
  /** Checkpoints that were not recorded, and not because of `every`. */
  skipped: number;
  /** Bytes of the journal that were written, and that are not packed yet. */
  journaled: number;
  unpacked: number;
  /** Bytes of memory: the image of the guest's state, the buffer, and what the packer holds. */
  memoryBytes: number;
}

// Without it each record would compare all of memory.
addFinder(finder);

const KNOWN = ['every', 'lag', 'maxLag', 'module', 'worker', 'onError', 'cache', 'retention'];
/** Bytes of a file of the journal, about. */
const FILE = 8 * 2 ** 20;
const MOST_LAG = 64 * 2 ** 20;
/** Without a worker: bytes of the journal after which it is packed. */
const PACK_AT = 2 * 2 ** 20;
/** Numbers of requests are less: the difference of two is stored, with its sign, as a number up to 2^53. */
const MOST_REQUEST = 2 ** 51;
/** Milliseconds that the worker may make no progress before waiting for it fails. */
const PATIENCE = 60_000;

/** A history that can be recorded into. */
export class HistoryStore implements AsyncDisposable {
  private recorder: Recorder | undefined;

  /** @see createHistory */
  constructor(
    readonly directory: string,
    private readonly store: Store,
    private readonly codec: Codec,
    private readonly unlock: () => void,
  ) {}

  /**
   * Records the checkpoints of a guest from now on: the state of now is the first entry. guest.record(history, options)
   * is the same.
   * @throws ERR_BELAY_HISTORY for a history of another module, ERR_BELAY_HISTORY_VERSION, ERR_BELAY_OPTION,
   *   ERR_BELAY_STATE where a part of the guest's state cannot be said, ERR_BELAY_RUNNING
   */
  record(guest: Guest, options: RecordOptions = {}): Recorder {
    checkOptions(options);
    if (this.recorder && !this.recorder.closed) {
      throw historyError(
        'ERR_BELAY_HISTORY',
        'this history records a guest already: close that recorder first',
      );
    }
    const { store, codec, directory } = this;
    const { contract } = guest;
    const snapshot = store.snapshot();
    const fresh = isNew(snapshot);
    try {
      if (!fresh) {
        checkFormat(snapshot, directory);
        if (readIdentity(snapshot).contract.module !== contract.module) {
          throw historyError(
            'ERR_BELAY_HISTORY',
            `${directory} holds the history of another module: choose another directory`,
          );
        }
      }
    } finally {
      snapshot.done();
    }
    if (fresh) {
      const { module } = options;
      store.write((t) => initialise(t, { contract, ...(module && { module }) }));
    }
    this.recorder = new Recorder(guest, store, codec, directory, options);
    return this.recorder;
  }

  async close(): Promise<void> {
    await this.recorder?.close();
    await this.store.close();
    this.unlock();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Opens a directory to record a history into it; made where there is none, gone on with where there is one.
 * @throws ERR_BELAY_HISTORY when another process records there, or it cannot be written
 */
export async function createHistory(directory: string): Promise<HistoryStore> {
  const path = resolve(directory);
  const codec = await loadCodec();
  const store = makeStore(path);
  try {
    return new HistoryStore(path, store, codec, lockRecorder(path));
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** A recording that goes on. */
export class Recorder implements AsyncDisposable {
  closed = false;
  private capture: Capture;
  private readonly stop: () => void;
  private readonly packer: Packer | undefined;
  private readonly worker: Worker | undefined;
  private readonly ended: Promise<void>;
  private readonly progress: Progress = progress();
  private next: number;
  /** This recorder's first entry. */
  private readonly from: number;
  private written = 0;
  private skipped = 0;
  /** Checkpoints that were left out since the last entry. */
  private left = 0;
  private epochs = 0;
  /** What is known of the epoch that goes on. */
  private info: EpochInfo | undefined;
  /** Whether the epoch that goes on began after this recorder did. */
  private begun = false;
  private file: { fd: number; at: number } | undefined;
  /** A record that could not be written. */
  private unwritten: Uint8Array | undefined;
  private packing: Promise<unknown> | undefined;

  constructor(
    private readonly guest: Guest,
    private readonly store: Store,
    private readonly codec: Codec,
    private readonly directory: string,
    private readonly options: RecordOptions,
  ) {
    const source = new Source(store, codec, directory);
    this.next = source.last + 1;
    this.from = this.next;
    source.done();
    putAside(directory, this.next);
    this.capture = this.captured();
    this.capture.changes();
    this.write('start');
    if (options.worker === false) {
      this.packer = new Packer(store, codec, directory, options);
      this.ended = Promise.resolve();
    } else {
      const { cache, retention } = options;
      this.worker = new Worker(new URL('./pack-worker.js', import.meta.url), {
        workerData: {
          directory,
          from: this.from,
          buffer: this.progress.buffer,
          options: { cache, retention },
          maxLag: options.maxLag ?? MOST_LAG,
        },
      });
      this.worker.unref();
      this.ended = new Promise((done, fail) => {
        this.worker!.once('error', fail);
        this.worker!.once('exit', () => done());
      });
      // Whoever waits for it is told; nobody may.
      this.ended.catch(() => {});
    }
    this.stop = guest.observe({
      beforeCheckpoint: (info) => this.checkpoint(info),
      beforeRollback: (reason) => this.rollback(reason),
    });
  }

  /** Says something of the epoch that goes on, whose entry will have it. @throws ERR_BELAY_OPTION */
  note(info: Partial<EpochInfo>): void {
    checkInfo(info);
    this.info = { ...this.info, ...info };
  }

  private checkpoint(following: EpochInfo | undefined): void {
    if (following) checkInfo(following);
    this.epochEnds('kept', undefined);
    this.info = following;
    this.begun = true;
  }

  private rollback(reason: string | undefined): void {
    // Nothing of it was begun, or said.
    try {
      if (this.info) this.epochEnds('rolled-back', reason);
    } catch {
      // A guest can be rolled back whatever happens to its history; the next checkpoint says what is wrong.
      this.left++;
      this.skipped++;
    }
    this.info = undefined;
    // What is undone was written before the first entry, which has it.
    if (!this.begun) this.capture.doubt();
    this.begun = true;
  }

  private epochEnds(kind: EntryKind, reason: string | undefined): void {
    const { every = 1 } = this.options;
    const due = ++this.epochs % every === 0;
    if (!due || !this.canWrite()) {
      if (kind === 'kept') this.capture.skip();
      this.left++;
      if (due) this.skipped++;
      return;
    }
    if (kind === 'rolled-back') this.capture.nothing();
    // An epoch that wrote nothing, and of which nothing is said, has the entry of the one before.
    else if (!this.capture.changes(this.begun) && !this.info) return;
    this.write(kind, reason);
  }

  /** Whether there is room for another entry; waits for it where that was asked for. */
  private canWrite(): boolean {
    if (this.unwritten && !this.writeOut()) return false;
    const { lag = 'wait', maxLag = MOST_LAG } = this.options;
    if (!this.worker) return true;
    if (this.progress.dead()) return this.failed(this.packingFailed());
    if (this.progress.lag() <= maxLag) return true;
    if (lag === 'skip') return false;
    try {
      this.progress.wait(maxLag, PATIENCE);
      return true;
    } catch (error) {
      return this.failed(this.packingFailed(error as Error));
    }
  }

  /** Writes an entry of what was captured. */
  private write(kind: EntryKind, reason?: string): void {
    const { info, left } = this;
    const note: EntryNote = {
      kind,
      time: Date.now(),
      ...(info?.request !== undefined && { request: info.request }),
      ...(info?.kind !== undefined && { route: info.kind }),
      ...(info?.label !== undefined && { label: info.label }),
      ...(info?.digest !== undefined && { digest: info.digest.toLowerCase() }),
      ...(reason !== undefined && { reason }),
      ...(left > 0 && { skipped: left }),
    };
    this.unwritten = this.capture.record(this.next, note);
    this.left = 0;
    this.next++;
    try {
      this.writeOut();
    } catch (error) {
      // There is no checkpoint then: it may be tried again, or rolled back.
      this.unwritten = undefined;
      this.left = left;
      this.next--;
      if (kind === 'kept') this.capture = this.captured();
      throw error;
    }
  }

  /** Goes on from the last entry. Where checkpoints are left out as a rule an image is better than to read it each time. */
  private captured(): Capture {
    const { every = 1, lag = 'wait' } = this.options;
    const recall = every === 1 && lag === 'wait' ? () => this.lastState() : undefined;
    return new Capture(this.guest.state, this.lastState(), recall);
  }

  /** The state of the last entry, where there is one. */
  private lastState(): GuestState | undefined {
    const source = new Source(this.store, this.codec, this.directory);
    try {
      return source.last < source.first ? undefined : wholeState(source, this.guest.contract, source.last);
    } finally {
      source.done();
    }
  }

  /** Writes what is to be written. @returns whether it is */
  private writeOut(): boolean {
    const bytes = this.unwritten!;
    const entry = this.next - 1;
    try {
      if (this.file && this.file.at > FILE) {
        closeSync(this.file.fd);
        this.file = undefined;
      }
      this.file ??= this.startFile(entry);
      // At a place, so that a part of it that was written before the disk was full is written again.
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.file.fd, bytes, done, bytes.length - done, this.file.at + done);
      }
    } catch (error) {
      // The buffer is used for the next record.
      this.unwritten = bytes.slice();
      this.cutOff();
      return this.failed(recordingFailed(error as NodeJS.ErrnoException, this.directory, entry));
    }
    this.file.at += bytes.length;
    this.written++;
    this.unwritten = undefined;
    this.progress.add(bytes.length);
    if (this.packer && this.progress.lag() > PACK_AT) this.packing ??= this.packHere();
    return true;
  }

  private startFile(entry: number): { fd: number; at: number } {
    const fd = openSync(join(this.directory, JOURNAL, journalName(entry)), 'w');
    try {
      if (writeSync(fd, journalHead(), 0, JOURNAL_HEAD, 0) < JOURNAL_HEAD) {
        throw Object.assign(new Error('no space left for a head'), { code: 'ENOSPC' });
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return { fd, at: JOURNAL_HEAD };
  }

  /** Takes back what there is of a record that could not be written, where that can be. */
  private cutOff(): void {
    try {
      if (this.file) ftruncateSync(this.file.fd, this.file.at);
    } catch {
      // No whole record is behind, and that is enough.
    }
  }

  private async packHere(): Promise<void> {
    try {
      this.progress.packed(await this.packer!.packJournal(this.from));
    } catch (error) {
      this.options.onError?.(error as Error);
    } finally {
      this.packing = undefined;
    }
  }

  private failed(error: Error): false {
    if (!this.options.onError) throw error;
    this.options.onError(error);
    return false;
  }

  stats(): RecorderStats {
    return {
      next: this.next,
      entries: this.written,
      skipped: this.skipped,
      journaled: this.progress.journaled(),
      unpacked: this.progress.lag(),
      memoryBytes: this.capture.bytes + (this.packer?.bytes ?? this.progress.memory()),
    };
  }

  /** Resolves when all that was recorded is packed. @throws what packing throws */
  async flush(): Promise<void> {
    if (this.packer) {
      await this.packing;
      this.progress.packed(await this.packer.packJournal(this.from));
      return;
    }
    // What was wrong may have passed.
    if (!this.progress.dead()) this.progress.trouble();
    this.progress.hurry();
    while (this.progress.lag() > 0) {
      if (this.progress.failure()) throw this.packingFailed();
      await new Promise((done) => setTimeout(done, 5));
    }
  }

  /** Ends the recording; the guest goes on without. Packs what is left. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.stop();
    try {
      if (this.unwritten) this.writeOut();
      if (this.file) closeSync(this.file.fd);
      if (this.packer) await this.flush();
    } finally {
      this.progress.end();
      this.worker?.ref();
      await this.ended;
    }
    if (this.progress.failure()) throw this.packingFailed();
  }

  private packingFailed(cause?: Error): BelayError {
    const { code, message: why = cause?.message ?? 'its thread has ended' } = this.progress.failure() ?? {};
    return historyError(
      code === 'ERR_BELAY_HISTORY_FULL' ? code : 'ERR_BELAY_HISTORY',
      `packing the history in ${this.directory} failed: ${why}; what was recorded is in its journal, and is packed when the history is recorded into again`,
      cause,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function checkOptions(options: RecordOptions): void {
  for (const key of Object.keys(options)) {
    if (!KNOWN.includes(key)) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `unknown option '${key}': the options are ${KNOWN.join(', ')}`,
      );
    }
  }
  const { every = 1, lag = 'wait', maxLag = 1, retention = {} } = options;
  if (!(Number.isInteger(every) && every >= 1)) {
    throw new BelayError('ERR_BELAY_OPTION', `every must be a whole number of at least 1; it is ${every}`);
  }
  if (lag !== 'wait' && lag !== 'skip') {
    throw new BelayError('ERR_BELAY_OPTION', `lag must be wait or skip; it is ${String(lag)}`);
  }
  for (const [key, value] of Object.entries({ maxLag, ...retention })) {
    if (value !== undefined && !(typeof value === 'number' && value > 0)) {
      throw new BelayError(
        'ERR_BELAY_OPTION',
        `${key} must be a number greater than 0; it is ${String(value)}`,
      );
    }
  }
}

/** @throws ERR_BELAY_OPTION for what an entry cannot say */
function checkInfo({ request, digest }: Partial<EpochInfo>): void {
  if (request !== undefined && !(Number.isInteger(request) && request >= 0 && request < MOST_REQUEST)) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `a request's number must be a whole number from 0 to 2^51 - 1; it is ${String(request)}`,
    );
  }
  if (digest !== undefined && !/^[\da-f]{16}$/i.test(digest)) {
    throw new BelayError(
      'ERR_BELAY_OPTION',
      `a digest must be 16 hexadecimal digits (64 bits); it is ${JSON.stringify(digest)}`,
    );
  }
}

function recordingFailed(error: NodeJS.ErrnoException, directory: string, entry: number): BelayError {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return historyError(
      'ERR_BELAY_HISTORY_FULL',
      `checkpoint ${entry} could not be recorded: the disk that holds ${directory} is full; what was recorded before is there. Make room, or keep less (retention)`,
      error,
    );
  }
  return historyError(
    'ERR_BELAY_HISTORY',
    `checkpoint ${entry} could not be recorded in ${directory}: ${error.message}`,
    error,
  );
}
