/** The report of made-up results: every table and picture is there, and says what the results say. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Compared } from '../../bench/compare.js';
import type { SubjectResult } from '../../bench/jobs/types.js';
import { MICRO_DIRTY, MICRO_MEMORY, REGIONS, SAMPLE } from '../../bench/plan.js';
import { writeReport } from '../../bench/report/index.js';
import { bytes, duration, figure, table } from '../../bench/report/markdown.js';
import { emptyResults, type Measured } from '../../bench/results.js';

const compared = (name: string, ratio: number): Compared => ({
  name,
  nanoseconds: 1000 * ratio,
  ratio,
  low: ratio - 0.01,
  high: ratio + 0.01,
});
const result = (instrumented: number, checkpoint: number): SubjectResult => ({
  plain: 1000,
  modes: {
    instrumented: compared('instrumented', instrumented),
    checkpoint: compared('checkpoint', checkpoint),
    rollback: compared('rollback', 2),
  },
  regions: 40,
  memoryBytes: 2 ** 24,
  supportBytes: 2 ** 24 + 2 ** 18,
  steady: true,
});

const measured: Measured[] = [
  {
    section: 'modules',
    engine: 'node24',
    layout: 'separate',
    subject: 'sql.js inserts',
    result: result(1.21, 1.55),
  },
  { section: 'modules', engine: 'node24', layout: 'separate', subject: 'argon2', result: result(1.1, 1.2) },
  ...SAMPLE.flatMap((subject) =>
    REGIONS.map(
      (region): Measured => ({
        section: 'regions',
        engine: 'node24',
        layout: 'separate',
        subject,
        region,
        result: result(1.3, 1 + Math.abs(Math.log2(region) - 7) / 10),
      }),
    ),
  ),
  {
    section: 'options',
    engine: 'node24',
    layout: 'separate',
    subject: SAMPLE[0]!,
    variant: 'steps: true',
    result: result(1.41, 1.6),
  },
  {
    section: 'micro',
    engine: 'node24',
    result: {
      points: [
        ...MICRO_MEMORY.map((memoryBytes) => ({ memoryBytes, dirty: 1 })),
        ...MICRO_DIRTY.slice(1).map((dirty) => ({ memoryBytes: 2 ** 26, dirty })),
      ].map((point) => ({
        ...point,
        layout: 'separate',
        region: 64,
        file: 'x',
        nanoseconds: 40 * point.dirty,
      })),
    },
  },
  {
    section: 'service',
    engine: 'node24',
    layout: 'separate',
    result: {
      plain: 90_000,
      others: [compared('rollback on failure', 1.25)],
      steady: false,
      http: { plain: 200_000, others: [compared('rollback on failure', 1.1)], steady: true },
    },
  },
  {
    section: 'rewriter',
    engine: 'node20',
    subject: 'sql.js',
    result: {
      seconds: 0.5,
      peakBytes: 2 ** 28,
      bytesBefore: 700_000,
      bytesAfter: 910_000,
      stores: 1000,
      inserted: 500,
      removed: 100,
      merged: 200,
      stack: 200,
    },
  },
];

test('tables and pictures', () => {
  const folder = mkdtempSync(join(tmpdir(), 'belay-report-'));
  try {
    const results = { ...emptyResults(31, false), measured };
    writeReport(results, folder);
    const report = readFileSync(join(folder, 'measurements.md'), 'utf8');
    for (const title of [
      'Targets',
      'Real modules',
      'Region size',
      'Options',
      'Checkpoint and rollback',
      'notes service',
      'rewriter',
    ]) {
      assert.match(report, new RegExp(`^## .*${title}`, 'm'));
    }
    assert.match(report, /sql\.js inserts, no checkpoint.*\| ≤ 1\.3 \| 1\.21 \| yes \|/);
    assert.match(report, /sql\.js inserts, a checkpoint each.*\| ≤ 1\.4 \| 1\.55 \| \*\*no\*\* \|/);
    assert.match(
      report,
      /beside the checks \(210 ns\) the checkpoint and saving take 340 ns, 9 ns for each of 40\.0 regions/,
    );
    assert.match(report, /Best geometric mean with a checkpoint at every request: \*\*128\*\*/);
    assert.match(report, /\| 80 % /);
    assert.match(report, /notes service over HTTP.*\| ≥ 85 % \| 91 % \| yes \|/);
    assert.not.match(report, /NaN|undefined|Infinity|--quick`: none/);
    const pictures = readdirSync(join(folder, 'measurements'));
    assert.equal(pictures.sort(), ['dirty-regions.svg', 'memory-size.svg', 'modules-node24-separate.svg']);
    for (const name of pictures) {
      assert.ok(report.includes(`measurements/${name}`), name);
      const svg = readFileSync(join(folder, 'measurements', name), 'utf8');
      assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
      assert.not.match(svg, /NaN|undefined/);
      assert.match(svg, /<\/svg>\n$/);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a part of the results makes a part of the report', () => {
  const folder = mkdtempSync(join(tmpdir(), 'belay-report-'));
  try {
    const results = { ...emptyResults(3, true), measured: measured.filter((m) => m.section === 'rewriter') };
    writeReport(results, folder);
    const report = readFileSync(join(folder, 'measurements.md'), 'utf8');
    assert.match(report, /Made with `--quick`/);
    assert.not.match(report, /## Real modules/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('figures', () => {
  assert.equal([1.234, 12.34, 1234, Number.NaN].map(figure), ['1.23', '12.3', '1,234', '–']);
  assert.equal([44, 1500, 2.5e6].map(duration), ['44 ns', '1.50 µs', '2.50 ms']);
  assert.equal([2048, 2 ** 26, 2 ** 30].map(bytes), ['2.00 KiB', '64.0 MiB', '1.00 GiB']);
  assert.is(table(['a', 'b'], [['1', '2']]), '| a | b |\n| --- | ---: |\n| 1 | 2 |');
});

test.run();
