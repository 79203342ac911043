/** Memories as large as they can be: what there is room for is told when a module is instrumented. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument } from '../../rewriter/index.js';
import type { InstrumentOptions } from '../../rewriter/types.js';
import { assemble, cases, errorOf, INSIDE } from './support.js';

const refusal = async (pages: number, options: InstrumentOptions) => {
  const bytes = await assemble(`(module (memory ${pages}))`);
  return errorOf(() => instrument(bytes, options));
};

test('separate: a 32-bit memory leaves room for the heads of its pre-images', async () => {
  const all = await refusal(65536, { layout: 'separate' });
  assert.is(all.code, 'ERR_BELAY_REFUSED');
  assert.match(all.message, /memory 0 begins with 65536 pages, and pre-images of more than \d{5} do not fit/);
  for (const region of [1, 16, 64, 4096]) {
    assert.is((await refusal(64000, { layout: 'separate', region })).code, 'no error', `${region}`);
    assert.is((await refusal(65536, { layout: 'separate', region })).code, 'ERR_BELAY_REFUSED', `${region}`);
  }
});

test('inline: reserve, shadow and tags share 4 GiB, and the message says how much can be had', async () => {
  for (const region of [1, 16, 64, 4096]) {
    const { code, message } = await refusal(1, { layout: 'inline', region, reserve: 2 ** 32 });
    assert.is(code, 'ERR_BELAY_OPTION');
    const most = Number(/the most is (\d+)/.exec(message)?.[1]);
    assert.is((await refusal(1, { layout: 'inline', region, reserve: most })).code, 'no error', message);
    assert.is(
      (await refusal(1, { layout: 'inline', region, reserve: most + 4 * 65536 })).code,
      'ERR_BELAY_OPTION',
    );
  }
  const { code, message } = await refusal(40000, { layout: 'inline' });
  assert.is(code, 'ERR_BELAY_OPTION', message);
});

cases(
  'a memory that may be 4 GiB, and is not',
  `(module (memory 1 65536)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "store") (param i32) (i64.store (local.get 0) (i64.const -1))))`,
  (twins) => {
    twins.undone(['grow', 8], ['store', 589816], ['store', 589817]);
    twins.undoneAndDone(
      ['grow', 2],
      ['store', 196600],
      ['store', 196601],
      ['store', -8],
      ['store', 0x7fff_fff8],
    );
  },
  { regions: [64], mechanisms: INSIDE },
);

test.run();
