/** What recorder and packer know of each other: a few numbers in shared memory. */

const JOURNALED = 0;
const PACKED = 1;
const MEMORY = 2;
const NUMBERS = 3;
/** 32-bit words behind the numbers. */
const STATE = NUMBERS * 2;
const HURRY = STATE + 1;
/** Bytes of the text that says what is wrong: the code of an error, a line's end, its message. */
const WRONG = STATE + 2;
const TEXT = (STATE + 4) * 4;
const TEXT_BYTES = 1024;

const RUNNING = 0;
const ENDING = 1;
const FAILED = 2;

export interface Progress {
  readonly buffer: SharedArrayBuffer;
  /** Recorder: so many bytes more are in the journal. */
  add(bytes: number): void;
  journaled(): number;
  /** Packer: so many bytes more are packed. */
  packed(bytes: number): void;
  lag(): number;
  /** Packer: bytes that it holds. */
  hold(bytes: number): void;
  memory(): number;
  /** Recorder: waits until the lag is at most `bytes`. @throws Error after `patience` milliseconds without progress */
  wait(bytes: number, patience: number): void;
  /** Recorder: nothing more will come. */
  end(): void;
  ending(): boolean;
  /** Recorder: pack now. */
  hurry(): void;
  hurried(): boolean;
  /** Packer: sleeps, at most so many milliseconds, until something comes. */
  sleep(milliseconds: number): void;
  /** Packer: something is wrong that may pass; undefined when it has. */
  trouble(error?: unknown): void;
  /** Packer: it has ended, because of that. */
  fail(error: unknown): void;
  /** Recorder: whether the packer has failed for good. */
  dead(): boolean;
  /** Recorder: what is wrong. */
  failure(): Failure | undefined;
}

/** An error that crosses threads. */
export interface Failure {
  code?: string;
  message: string;
}

export function progress(buffer = new SharedArrayBuffer(TEXT + TEXT_BYTES)): Progress {
  const numbers = new BigInt64Array(buffer, 0, NUMBERS);
  const words = new Int32Array(buffer, 0, TEXT / 4);
  const text = new Uint8Array(buffer, TEXT);
  const number = (i: number) => Number(Atomics.load(numbers, i));
  const lag = () => number(JOURNALED) - number(PACKED);
  const say = (error?: unknown): void => {
    const { code = '', message = String(error) } = (error ?? {}) as Partial<Failure>;
    const said = error === undefined ? '' : `${code}\n${message}`;
    const bytes = new TextEncoder().encode(said).subarray(0, TEXT_BYTES - 1);
    text.fill(0);
    text.set(bytes);
    Atomics.store(words, WRONG, bytes.length);
  };
  const failure = (): Failure | undefined => {
    const length = Atomics.load(words, WRONG);
    if (length === 0) return undefined;
    const [code = '', ...message] = new TextDecoder().decode(text.slice(0, length)).split('\n');
    return { ...(code && { code }), message: message.join('\n') };
  };
  return {
    buffer,
    add: (bytes) => void Atomics.add(numbers, JOURNALED, BigInt(bytes)),
    journaled: () => number(JOURNALED),
    packed(bytes) {
      Atomics.add(numbers, PACKED, BigInt(bytes));
      Atomics.notify(words, PACKED * 2);
    },
    lag,
    hold: (bytes) => void Atomics.store(numbers, MEMORY, BigInt(bytes)),
    memory: () => number(MEMORY),
    wait(bytes, patience) {
      let since = performance.now();
      for (let before = lag(); before > bytes; ) {
        if (Atomics.load(words, STATE) === FAILED) throw new Error(failure()?.message);
        // The low half of a number that changes with each batch.
        Atomics.wait(words, PACKED * 2, Number(BigInt.asIntN(32, Atomics.load(numbers, PACKED))), 100);
        const now = lag();
        if (now < before) since = performance.now();
        else if (performance.now() - since > patience)
          throw new Error('packing the history makes no progress');
        before = now;
      }
    },
    end() {
      Atomics.compareExchange(words, STATE, RUNNING, ENDING);
      Atomics.store(words, HURRY, 1);
      Atomics.notify(words, HURRY);
    },
    ending: () => Atomics.load(words, STATE) !== RUNNING,
    hurry() {
      Atomics.store(words, HURRY, 1);
      Atomics.notify(words, HURRY);
    },
    hurried: () => Atomics.exchange(words, HURRY, 0) === 1,
    sleep: (milliseconds) => void Atomics.wait(words, HURRY, 0, milliseconds),
    trouble: say,
    fail(error) {
      say(error);
      Atomics.store(words, STATE, FAILED);
    },
    dead: () => Atomics.load(words, STATE) === FAILED,
    failure,
  };
}
