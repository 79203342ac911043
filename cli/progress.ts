/** A progress bar on standard error, on a terminal only. */
import cliProgress from 'cli-progress';

export interface Progress {
  /** Share of the work done, 0 to 1; absent where nobody watches. */
  onProgress?: (done: number) => void;
  stop(): void;
}

/** Starts a bar named `title`; it appears once the work has taken a moment, so short work shows none. */
export function startProgress(title: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return { stop() {} };
  const started = performance.now();
  const quietFor = 300;
  let bar: cliProgress.SingleBar | undefined;
  return {
    onProgress(done) {
      if (!bar && performance.now() - started > quietFor) {
        bar = new cliProgress.SingleBar(
          {
            stream,
            format: `${title} {bar} {percentage} %`,
            clearOnComplete: true,
            hideCursor: true,
            // The rewriter works synchronously: a timer would never fire, so each update draws.
            synchronousUpdate: true,
          },
          cliProgress.Presets.shades_classic,
        );
        bar.start(100, 0);
      }
      bar?.update(Math.min(100, Math.floor(done * 100)));
    },
    stop() {
      bar?.stop();
    },
  };
}
