/** The module is as the kernel's own checkpatch.pl wants it. In CI alone: the script comes in a package of 140 MB. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../support/engines.js';
import { testUnless } from '../../support/engines-skip.js';

const { status, stdout } = process.env.CI
  ? spawnSync(process.execPath, [join(ROOT, 'dist/kernel-shim/vm/style.js')], { encoding: 'utf8' })
  : { status: 0, stdout: 'SKIPPED: only in CI; by hand: npm run kernel:style' };

testUnless(test, /^SKIPPED: (.*)$/m.exec(stdout)?.[1] ?? false, 'checkpatch has nothing to say', () => {
  assert.is(status, 0, stdout);
  assert.match(stdout, /files, \d+ accepted, 0 to mend/);
});

test.run();
