/** The golden traces and results are what the code makes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readTrace, writeTrace } from '../../../runtime/speculation/trace.js';
import { FOLDER, goldenResults, goldenTraces, readResults, resultsText } from './golden.js';

for (const [file, trace] of Object.entries(goldenTraces())) {
  test(`${file}.belaytrace is what its generator makes`, () => {
    const bytes = new Uint8Array(readFileSync(join(FOLDER, `${file}.belaytrace`)));
    assert.equal(readTrace(bytes), trace);
    assert.equal(writeTrace(trace), bytes);
  });
}

test('every policy does what results.json says (golden.js --write, where it should not)', () => {
  assert.fixture(resultsText(goldenResults()), readResults());
});

test.run();
