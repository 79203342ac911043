import { SAMPLE, VARIANTS } from '../plan.js';
import { inSection, type Results } from '../results.js';
import { figure, ratio, table } from './markdown.js';
import { engineTitle, meanOf, type Part } from './section.js';

/** What single options change. */
export function optionsSection(results: Results): Part | undefined {
  const all = inSection(results, 'options');
  if (!all.length) return undefined;
  const head = [
    'options',
    ...SAMPLE.flatMap((name) => [name, 'checkpoint each']),
    'mean',
    'mean, checkpoint each',
  ];
  const parts = (['node24', 'node24-hints'] as const).flatMap((engine) => {
    const rows = all.filter((row) => row.engine === engine);
    if (!rows.length) return [];
    const cells = Object.keys(VARIANTS).flatMap((variant) => {
      const found = rows.filter((row) => row.variant === variant);
      if (!found.length) return [];
      const each = SAMPLE.flatMap((name) => {
        const modes = found.find((row) => row.subject === name)?.result.modes;
        return [ratio(modes?.instrumented), ratio(modes?.checkpoint)];
      });
      const means = (['instrumented', 'checkpoint'] as const).map((mode) =>
        figure(meanOf(found, mode) ?? Number.NaN),
      );
      return [[`\`${variant}\``, ...each, ...means]];
    });
    return [`### ${engineTitle(results, engine)}`, table(head, cells)];
  });
  return {
    title: 'Options and optimisations',
    text: [
      `Layout \`separate\`. \`optimize: false\` checks every store: no check is removed because another dominates it,
none are merged, and the stack pointer has no low-water mark (the report of \`belay instrument --json\` counts each;
see the last table). Branch hints count where the engine honours them: in Node 24 that takes
\`--experimental-wasm-branch-hinting\`, from V8 14.1 on nothing. \`steps: true\` counts function entries and
back-edges, so that \`--deadline\` and \`--max-steps\` can end a loop.`,
      ...parts,
    ].join('\n\n'),
  };
}
