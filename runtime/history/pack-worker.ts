/** The thread that packs what a recorder writes (recorder.ts). Ends when the recorder does, with all packed. */
import { setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import { loadCodec } from './codec.js';
import { makeStore } from './open.js';
import { BATCH, Packer, type PackOptions } from './pack.js';
import { progress } from './progress.js';

const { directory, from, buffer, options, maxLag } = workerData as {
  directory: string;
  /** The recorder's first entry: what the journal has from before does not count as its lag. */
  from: number;
  buffer: SharedArrayBuffer;
  options: PackOptions;
  /** Bytes of lag that the recorder waits or skips at. */
  maxLag: number;
};

/**
 * Packing starts at so many bytes, or milliseconds after the last time: each time writes the open chunks anew, so what
 * is packed in small pieces is written often.
 */
const ENOUGH = Math.min(BATCH, maxLag / 4);
const LATEST = 4000;
const NAP = 20;
/** After a full disk. */
const AGAIN = 1000;

/** Packing leaves a processor that others want to those who answer requests; of a thread alone, Linux can say that. */
const NICE = 10;

if (process.platform === 'linux') {
  try {
    setPriority(0, NICE);
  } catch {
    // Not allowed here; then it takes its share.
  }
}

const shared = progress(buffer);
try {
  const store = makeStore(directory);
  const packer = new Packer(store, await loadCodec(), directory, options);
  let last = performance.now();
  /** A full disk may get room again: the journal keeps what is not packed meanwhile. */
  const pack = async (ending: boolean): Promise<number> => {
    try {
      const bytes = await packer.packJournal(from);
      shared.trouble();
      return bytes;
    } catch (error) {
      if (ending || (error as { code?: string }).code !== 'ERR_BELAY_HISTORY_FULL') throw error;
      shared.trouble(error);
      shared.sleep(AGAIN);
      return 0;
    }
  };
  for (;;) {
    const ending = shared.ending();
    const hurried = shared.hurried();
    if (ending || hurried || shared.lag() >= ENOUGH || performance.now() - last >= LATEST) {
      const bytes = await pack(ending);
      shared.hold(packer.bytes);
      shared.packed(bytes);
      last = performance.now();
      if (ending && bytes === 0) break;
      if (bytes > 0) continue;
    }
    if (!ending) shared.sleep(NAP);
  }
  await store.close();
} catch (error) {
  shared.fail(error);
}
