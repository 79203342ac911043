/** What was aimed at, and what was measured. */
import { duration } from '../../report/markdown.js';
import { HTTP } from '../plan.js';
import type { Question, Results, Size } from '../results.js';
import { won } from './questions.js';
import { each, saved } from './size.js';
import { count, percent, time } from './words.js';

export interface Target {
  what: string;
  target: string;
  measured: string;
  met: boolean;
  /** Where it goes. */
  why?: string;
  /** What that is true of, where it is more than this. */
  whose?: string;
}

const SAVED = 0.99;
const SMALL = 64;
const SLOWDOWN = 1.1;
const PARTIAL = 0.88;
/** The guest of which a request changes little. */
const LITTLE = 'counter';

export function targets(results: Results): Target[] {
  const { size, questions, partial, recording } = results;
  return [
    ...size.map(smaller),
    ...size.filter(({ workload }) => workload === LITTLE).map(little),
    ...questions.flatMap(({ workload, questions: list }) =>
      list.filter(({ target }) => target !== undefined).map((q) => question(workload, q)),
    ),
    ...partial.map((m) => ({
      what: `${m.workload}, ${m.pages === 1 ? 'a page' : `${m.pages} pages`}: partial materialisation, less than full`,
      target: `≥ ${percent(PARTIAL)}`,
      measured: percent(won(m)),
      met: won(m) >= PARTIAL,
      why: `reading takes ${time(m.partial.median)}, and the whole state ${time(m.full.median)}: few of its pages were ever written.`,
    })),
    ...recording.flatMap(({ engine, slowdowns, path, processor }) =>
      slowdowns
        .filter(({ way }) => way.startsWith(HTTP))
        .map(({ way, recorded }) => ({
          what: `notes, recorded: ${way} (${results.engines[engine]?.title ?? engine})`,
          target: `≤ ${percent(SLOWDOWN - 1)}`,
          measured: percent(recorded.ratio - 1),
          met: recorded.ratio <= SLOWDOWN,
          why: `a request takes ${duration(processor.plain)} of a processor, and recorded ${duration(processor.recorded)}. Of what lies on its path, comparing takes ${duration(path.capture)}, the record ${duration(path.record)}, the write ${duration(path.write)}. See [Recording](#recording).`,
          whose: `notes, recorded (${results.engines[engine]?.title ?? engine})`,
        })),
    ),
  ];
}

const smaller = (s: Size): Target => ({
  what: `${s.workload}: smaller than its changed pages`,
  target: `≥ ${percent(SAVED).replace('.00', '')}`,
  measured: percent(saved(s)),
  met: saved(s) >= SAVED,
  why: `${each(s).toFixed(0)} bytes a checkpoint, of which ${(s.tables.chunks.bytes / s.entries).toFixed(0)} are what changed and ${(s.tables.contents.bytes / s.entries).toFixed(0)} whole pages; ${count(s.journaled / s.entries)} before packing.`,
});

const little = (s: Size): Target => ({
  what: `${s.workload}: bytes a checkpoint, where a request changes little`,
  target: `≤ ${SMALL}`,
  measured: each(s).toFixed(1),
  met: each(s) <= SMALL,
});

const question = (workload: string, { question: what, found, time: took, target }: Question): Target => ({
  what: `${workload}: ${what}`,
  target: `≤ ${time(target!).replace('.00', '').replace('10.0', '10')}`,
  measured: time(took.median),
  met: took.median <= target!,
  why: `${found}.`,
});
