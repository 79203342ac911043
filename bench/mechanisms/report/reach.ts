import { bytes, duration, figure, ratio, table } from '../../report/markdown.js';
import type { Part } from '../../report/section.js';
import { COPYING, PAGES_MEMORY, REACH_PAGES } from '../plan.js';
import { type Finding, inSection, type Results } from '../results.js';

const TARGET = 1.2;
const NATIVE = ['uffd', 'mprotect'] as const;

/** How near to plain copying page protection comes when it knows everything. */
export function reachSection(results: Results): Part | undefined {
  const rows = inSection(results, 'reach');
  if (!rows.length) return undefined;
  const cells = rows.flatMap((row) =>
    NATIVE.flatMap((mechanism) => {
      const guest = one(row, `${mechanism} + oracle`);
      if (!guest) return [];
      return [
        [
          `${mechanism}, ${row.sets} pages, ${row.rollback ? 'with' : 'without'} a rollback`,
          duration(row.result.base.nanoseconds),
          duration(guest.nanoseconds),
          ratio(guest),
          ratio(one(row, `${mechanism}, addon alone`)),
          guest.ratio <= TARGET ? 'yes' : '**no**',
        ],
      ];
    }),
  );
  const missed = rows.flatMap((row) => NATIVE.flatMap((mechanism) => why(row, mechanism)));
  return {
    title: 'Reach: perfect speculation against copying alone',
    text: `How much is left to gain when the pages are known. K = ${REACH_PAGES} pages of ${bytes(PAGES_MEMORY)}. Both sides store 8 bytes into each
of the K pages.

- **${COPYING}** (the baseline): before the stores memory.copy of each of the K pages into a second memory, where they
  lie one behind the other; in the variant with a rollback memory.copy of each page back. No page is protected, nothing is chosen.
- **the oracle**: guest.checkpoint(), in which the policy \`oracle\` names the same K pages, and the addon copies them,
  opens them and protects those of the last epoch; the stores, none of which faults; guest.rollback(), which copies
  them back.
- **addon alone**: the addon is told the pages by a loop that does nothing else: no guest, no policy.

*steady*: every epoch stores to the same K pages, as a program with a working set does. *changing*: every epoch draws K pages anew,
so that each epoch closes K pages and opens K others. The target is ${TARGET} times copying alone.

${table(['what', 'copying alone', 'oracle', 'ratio', 'addon alone, ratio', 'target met'], cells)}${
  missed.length ? `\n\nWhere the time goes, where the target is missed:\n\n${missed.join('\n')}` : ''
}`,
  };
}

const one = (row: Finding<'reach'>, name: string) => row.result.others.find((other) => other.name === name);

function why(row: Finding<'reach'>, mechanism: string): string[] {
  const guest = one(row, `${mechanism} + oracle`);
  const addon = one(row, `${mechanism}, addon alone`);
  if (!guest || !addon || guest.ratio <= TARGET) return [];
  const copy = row.result.base.nanoseconds;
  const outside = (addon.ratio - 1) * copy;
  const script = (guest.ratio - addon.ratio) * copy;
  const kernel = row.result.kernel[addon.name] ?? 0;
  return [
    `- ${mechanism}, ${row.sets}, ${row.rollback ? 'with' : 'without'} a rollback: beyond copying (${duration(copy)}) the addon spends ${duration(Math.max(0, outside))}, ${figure(Math.max(0, outside) / REACH_PAGES)} ns a page; the kernel takes ${duration(kernel)} of an epoch${
      row.sets === 'changing' ? ', closing and opening single pages' : ''
    }. The policy, the guest and the passing of page numbers take ${duration(Math.max(0, script))}.`,
  ];
}
