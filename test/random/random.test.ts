/**
 * Random modules from a fixed seed: BELAY_RANDOM_COUNT of them (2,000 by default; `node
 * dist/test/random/run.js --count N --seed S` runs any number).
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HAS_MEMORIES } from '../support/engines-skip.js';
import { campaign } from './campaign.js';
import { shrink } from './shrink.js';

const COUNT = Number(process.env.BELAY_RANDOM_COUNT ?? 2000);
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

if (!HAS_MEMORIES) console.log("this engine has one memory a module: all cases have layout 'inline'");

test(`${COUNT} random modules: the same results, traps, host calls and states, and rolled back`, async () => {
  const result = await campaign({
    count: COUNT,
    seed: 1,
    keep: join(ROOT, '.cache', 'random'),
    log: console.log,
  });
  console.log(JSON.stringify({ ...result, failures: undefined }));
  assert.equal(result.failures, []);
  assert.is(result.cases, COUNT);
  const said = result.cases - Object.values(result.inconclusive).reduce((a, b) => a + b, 0);
  assert.ok(said > 0.85 * result.cases, `only ${said} of ${result.cases} cases say anything`);
  assert.ok(result.traps > result.calls / 50, 'some calls trap');
});

test('a failing tape is shrunk to what makes it fail', async () => {
  const bytes = Uint8Array.from({ length: 500 }, (_, i) => (i * 37) & 0xff || 1);
  bytes[300] = 7;
  const small = await shrink(bytes, async (b) => b.includes(7) && b.length >= 3);
  assert.equal([...small].sort(), [0, 0, 7]);
});

test.run();
