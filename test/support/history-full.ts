/** Disks that are full: a small file system in memory, where this process may mount one. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { discard, temporary } from './history.js';

export interface SmallDisk {
  directory: string;
  /** Takes all room but so many bytes. */
  fill(but: number): void;
  /** Gives it back. */
  clear(): void;
  remove(): void;
}

/** A disk of so many bytes; or why there is none. */
export function smallDisk(bytes: number): SmallDisk | string {
  if (process.platform !== 'linux') return 'small file systems are mounted on Linux only';
  const directory = temporary();
  const { status, stderr, error } = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', `size=${bytes}`, 'belay-test', directory],
    { encoding: 'utf8' },
  );
  if (status !== 0) {
    discard(directory);
    return `no small file system can be mounted here: ${(error?.message ?? stderr).trim().split('\n')[0]}`;
  }
  const ballast = join(directory, 'ballast');
  return {
    directory: join(directory, 'history'),
    fill(but) {
      mkdirSync(ballast, { recursive: true });
      const { bavail, bsize } = statfsSync(directory);
      const size = bavail * bsize - but;
      if (size > 0) writeFileSync(join(ballast, String(performance.now())), new Uint8Array(size));
    },
    clear: () => rmSync(ballast, { recursive: true, force: true }),
    remove() {
      spawnSync('umount', ['-l', directory]);
      discard(directory);
    },
  };
}
