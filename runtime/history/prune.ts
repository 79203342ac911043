import type { History } from './history.js';
import { lockRecorder } from './open.js';

/**
 * Lets go of all entries before one, unless somebody records into the history, who has a retention for that.
 * @throws ERR_BELAY_HISTORY
 */
export async function pruneBefore(history: History, first: number): Promise<void> {
  const unlock = lockRecorder(history.directory);
  try {
    await history.prune(first);
  } finally {
    unlock();
  }
}
