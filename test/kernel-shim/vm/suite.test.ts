/** The table of guest programs: all that there are, each once. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../../kernel-shim/vm/cache.js';
import { SUITE } from '../../../kernel-shim/vm/suite.js';

/** What other programs run: the server that crashes. */
const SERVED = ['agent_victim'];

const programs = readdirSync(join(ROOT, 'kernel-shim/test'))
  .filter((name) => name.endsWith('.c'))
  .map((name) => name.slice(0, -2))
  .filter((name) => !SERVED.includes(name));

test('every test program of kernel-shim/test is in the suite', () => {
  const run = SUITE.flatMap((program) => program.command({ seconds: 1 }));
  assert.equal(
    programs.filter((name) => !run.includes(name)),
    [],
  );
  assert.ok(programs.length > 0);
});

test('names are distinct words', () => {
  const names = SUITE.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^\S+$/);
});

test('the module is loaded first and unloaded last, whatever is chosen', () => {
  const [first, last] = [SUITE[0]!, SUITE.at(-1)!];
  assert.equal(first.command({ seconds: 1 })[0], 'load');
  assert.equal(last.command({ seconds: 1 }), ['unload']);
  assert.ok(first.always && last.always);
});

test('programs that take as long as they may are told how long', () => {
  const depends = SUITE.filter(
    (program) => program.command({ seconds: 1 }).join() !== program.command({ seconds: 77 }).join(),
  );
  for (const program of depends)
    assert.ok(program.command({ seconds: 77 }).join(' ').includes('77'), program.name);
});

test.run();
