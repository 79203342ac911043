/** Random modules from the command line: see campaign.ts. Exit code 1 when a case failed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { campaign, replay } from './campaign.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string' },
    keep: { type: 'string' },
    case: { type: 'string' },
  },
});

function number(name: 'count' | 'seed'): number {
  const n = Number(values[name]);
  if (!Number.isSafeInteger(n) || n < 0) throw new Error(`--${name} ${values[name]}: give a whole number`);
  return n;
}

if (values.case !== undefined) {
  await replay(values.case, readFileSync(values.case));
  console.log(`${values.case}: passes`);
} else {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const result = await campaign({
    count: number('count'),
    seed: number('seed'),
    kinds: values.kind?.split(','),
    keep: values.keep ?? join(root, '.cache', 'random'),
    log: console.log,
  });
  console.log(JSON.stringify(result, null, 2));
  if (result.failures.length) process.exitCode = 1;
}
