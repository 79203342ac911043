import type { Mode } from '../jobs/types.js';
import { inSection, type Results } from '../results.js';
import { bytes, duration, figure, table } from './markdown.js';
import { microPoints } from './micro.js';
import { added, engineTitle, meanOf, modulesIn, type Part, SETTINGS } from './section.js';
import { percent } from './service.js';

interface Target {
  what: string;
  target: string;
  measured: string;
  met: boolean;
  /** Where the time goes. */
  why?: string;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** The project's targets, and what was measured. */
export function targetsSection(results: Results): Part | undefined {
  const targets = [
    ...micro(results),
    ...inserts(results),
    ...service(results),
    ...means(results),
    ...rewriter(results),
  ];
  if (!targets.length) return undefined;
  const missed = targets.filter(({ met, why }) => !met && why);
  const where = missed.map(({ what, why }) => `- ${what}: ${why}`).join('\n');
  return {
    title: 'Targets',
    text: `${table(
      ['what', 'target', 'measured', 'met'],
      targets.map(({ what, target, measured, met }) => [what, target, measured, met ? 'yes' : '**no**']),
    )}${missed.length ? `\n\nWhere the time goes, where a target is missed:\n\n${where}` : ''}`,
  };
}

function micro(results: Results): Target[] {
  const points = microPoints(results).filter(
    (p) => p.dirty === 1 && p.layout !== 'copy' && p.series.includes('24'),
  );
  return [...new Set(points.map((p) => p.series))].flatMap((series): Target[] => {
    const at = (size: number) =>
      points.find((p) => p.series === series && p.memoryBytes === size)?.nanoseconds;
    const small = at(64 * MIB);
    const large = at(GIB);
    if (small === undefined || large === undefined) return [];
    return [
      {
        what: `checkpoint, one dirty region, rollback, at ${bytes(64 * MIB)} and ${bytes(GIB)} (${series})`,
        target: '≤ 1 µs, the same at both',
        measured: `${duration(small)}, ${duration(large)}`,
        met: Math.max(small, large) <= 1000 && Math.max(small, large) <= 1.25 * Math.min(small, large),
        why: 'what is touched in a large memory is in no cache.',
      },
    ];
  });
}

function inserts(results: Results): Target[] {
  return SETTINGS.flatMap((setting) => {
    const found = modulesIn(results, setting).find(({ subject }) => subject === 'sql.js inserts')?.result;
    if (!found) return [];
    const where = `(${engineTitle(results, setting.engine)}, ${setting.layout})`;
    const line = (mode: Mode, words: string, limit: number, why: string): Target[] => {
      const measured = found.modes[mode];
      if (!measured) return [];
      return [
        {
          what: `sql.js inserts, ${words} ${where}`,
          target: `≤ ${limit.toFixed(1)}`,
          measured: figure(measured.ratio),
          met: measured.ratio <= limit,
          why,
        },
      ];
    };
    const checks = added(found, found.modes.instrumented);
    const epoch = added(found, found.modes.checkpoint) - checks;
    const each = found.regions
      ? `, ${duration(epoch / found.regions)} for each of ${figure(found.regions)} regions`
      : '';
    return [
      ...line(
        'instrumented',
        'no checkpoint',
        1.3,
        `the checks before stores take ${duration(checks)} of an insert.`,
      ),
      ...line(
        'checkpoint',
        'a checkpoint each',
        1.4,
        `beside the checks (${duration(checks)}) the checkpoint and saving take ${duration(epoch)}${each}.`,
      ),
    ];
  });
}

function service(results: Results): Target[] {
  return inSection(results, 'service').flatMap(({ engine, layout, result }) =>
    result.http.others
      .filter(({ name }) => name.startsWith('rollback on failure'))
      .map(({ name, ratio }) => ({
        what: `notes service over HTTP, ${name} (${engineTitle(results, engine)}, ${layout}), throughput`,
        target: '≥ 85 %',
        measured: percent(1 / ratio),
        met: 1 / ratio >= 0.85,
        why: `a request takes ${duration(result.http.plain)} without Belay and ${duration((ratio - 1) * result.http.plain)} more with it.`,
      })),
  );
}

function means(results: Results): Target[] {
  return SETTINGS.flatMap((setting) => {
    const rows = modulesIn(results, setting);
    const where = `(${engineTitle(results, setting.engine)}, ${setting.layout})`;
    return (['instrumented', 'checkpoint'] as const).flatMap((mode) => {
      const mean = meanOf(rows, mode);
      if (mean === undefined) return [];
      const [worst] = [...rows].sort((a, b) => b.result.modes[mode]!.ratio - a.result.modes[mode]!.ratio);
      return [
        {
          what: `geometric mean of ${rows.length} programs, ${mode === 'checkpoint' ? 'a checkpoint each' : 'no checkpoint'} ${where}`,
          target: '≤ 1.10 (aim)',
          measured: figure(mean),
          met: mean <= 1.1,
          why: `${mode === 'checkpoint' ? 'checks before stores, and saving' : 'checks before stores'}; most in ${worst!.subject} (${figure(worst!.result.modes[mode]!.ratio)}).`,
        },
      ];
    });
  });
}

function rewriter(results: Results): Target[] {
  return inSection(results, 'rewriter').flatMap(({ subject, result }): Target[] => {
    const large = result.bytesBefore > 20 * MIB;
    if (!large && subject !== 'sql.js') return [];
    const limit = large ? 60 : 1.5;
    const memory = large ? ' within 3 GiB' : '';
    return [
      {
        what: `instrument() of ${subject} (${bytes(result.bytesBefore)})`,
        target: `< ${limit} s${memory}`,
        measured: `${figure(result.seconds)} s${large ? `, ${bytes(result.peakBytes)}` : ''}`,
        met: result.seconds < limit && (!large || result.peakBytes < 3 * GIB),
      },
    ];
  });
}
