import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readArguments, wanted } from '../../bench/arguments.js';

test('a full run writes docs, a part or a quick one does not', () => {
  assert.is(readArguments([]).out, 'docs');
  assert.is(readArguments(['--quick']).out, undefined);
  assert.is(readArguments(['--only', 'micro']).out, undefined);
  assert.is(readArguments(['--only', 'micro', '--from', 'x.json']).out, 'docs');
  assert.is(readArguments(['--quick', '--out', 'elsewhere']).out, 'elsewhere');
});

test('options change the effort', () => {
  assert.is(readArguments(['--rounds', '5']).effort.rounds, 5);
  assert.ok(readArguments(['--quick']).effort.warm[1] < readArguments([]).effort.warm[0]);
  assert.throws(() => readArguments(['--rounds', '0']), /whole number/);
  assert.throws(() => readArguments(['--report-only']), /--from/);
  assert.throws(() => readArguments(['--fast']), /--fast/);
});

test('sections and words choose tasks', () => {
  assert.ok(wanted([], 'micro', 'micro / node24'));
  assert.ok(wanted(['micro'], 'micro', 'micro / node24'));
  assert.not(wanted(['micro'], 'modules', 'modules / node24 / micro'));
  assert.ok(wanted(['sql.js'], 'modules', 'modules / node24 / sql.js inserts'));
  assert.not(wanted(['inline'], 'modules', 'modules / node24 / sql.js inserts / separate'));
});

test.run();
