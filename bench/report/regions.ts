import { DEFAULT_REGION } from '../../rewriter/index.js';
import { REGIONS, SAMPLE } from '../plan.js';
import { inSection, type Results } from '../results.js';
import { bytes, figure, ratio, table } from './markdown.js';
import { meanOf, type Part } from './section.js';

/** Which region is best. */
export function regionsSection(results: Results): Part | undefined {
  const rows = inSection(results, 'regions');
  if (!rows.length) return undefined;
  const of = (region: number) => rows.filter((row) => row.region === region);
  const best = bestRegion(results);
  const cells = REGIONS.map((region) => {
    const found = of(region);
    const each = SAMPLE.flatMap((name) => {
      const result = found.find((row) => row.subject === name)?.result;
      const saved = (result?.regions ?? Number.NaN) * region;
      return [
        ratio(result?.modes.instrumented),
        ratio(result?.modes.checkpoint),
        Number.isNaN(saved) ? '–' : bytes(saved),
      ];
    });
    const mark = region === DEFAULT_REGION ? ' (default)' : '';
    const means = (['instrumented', 'checkpoint'] as const).map((mode) =>
      figure(meanOf(found, mode) ?? Number.NaN),
    );
    return [`${region}${mark}`, ...each, ...means];
  });
  const head = [
    'region',
    ...SAMPLE.flatMap((name) => [name, 'checkpoint each', 'saved']),
    'mean',
    'mean, checkpoint each',
  ];
  return {
    title: 'Region size',
    text: `Node 24, layout \`separate\`, without and with a checkpoint at every request, and the bytes that a request
saves then. Small regions save less and test more tags (below 16 bytes, all those that a store may touch); large
ones copy bytes that nobody writes.

${table(head, cells)}

${best === undefined ? '' : `Best geometric mean with a checkpoint at every request: **${best}** bytes. The default is ${DEFAULT_REGION}.`}`,
  };
}

/** The region with the best mean with checkpoints; undefined while not all are measured. */
export function bestRegion(results: Results): number | undefined {
  const rows = inSection(results, 'regions');
  let best: { region: number; mean: number } | undefined;
  for (const region of REGIONS) {
    const mean = meanOf(
      rows.filter((row) => row.region === region),
      'checkpoint',
    );
    if (mean === undefined) return undefined;
    if (!best || mean < best.mean) best = { region, mean };
  }
  return best?.region;
}
