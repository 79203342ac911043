import type { Compared } from '../compare.js';
import type { EngineKey } from '../engines.js';
import type { Mode, SubjectResult } from '../jobs/types.js';
import type { Label } from '../plan.js';
import { inSection, type Results } from '../results.js';
import { geometricMean } from '../statistics.js';

/** A section of the report. */
export interface Part {
  title: string;
  text: string;
  /** Name → SVG. */
  pictures?: Record<string, string>;
}

export const picture = (name: string, words: string): string => `![${words}](measurements/${name}.svg)`;

/** The five ways to run the modules that are measured. */
export const SETTINGS: { engine: EngineKey; layout: 'separate' | 'inline' }[] = [
  { engine: 'node24', layout: 'separate' },
  { engine: 'node24', layout: 'inline' },
  { engine: 'node24-hints', layout: 'separate' },
  { engine: 'node24-hints', layout: 'inline' },
  { engine: 'node20', layout: 'inline' },
];

export const engineTitle = <M>(results: Results<M>, key: EngineKey): string =>
  results.engines[key]?.title ?? key;

/** Results of real modules in one engine and layout. */
export function modulesIn(
  results: Results,
  setting: { engine: EngineKey; layout: string },
): (Label & { result: SubjectResult })[] {
  return inSection(results, 'modules').filter(
    (m) => m.engine === setting.engine && m.layout === setting.layout,
  );
}

/** The geometric mean of a mode's ratios over modules; undefined where one is missing. */
export function meanOf(rows: readonly { result: SubjectResult }[], mode: Mode): number | undefined {
  const ratios = rows.map(({ result }) => result.modes[mode]?.ratio);
  if (!rows.length || ratios.some((value) => value === undefined)) return undefined;
  return geometricMean(ratios as number[]);
}

/** Nanoseconds that a mode adds to a request, by its ratio. */
export const added = (result: SubjectResult, mode: Compared | undefined): number =>
  mode ? (mode.ratio - 1) * result.plain : Number.NaN;
