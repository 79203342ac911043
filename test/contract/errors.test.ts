/** What `instanceof` says of this package's errors. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../contract/errors.js';
import { UntrackedWriteError } from '../../runtime/guest/audit.js';
import { WasiExit } from '../../runtime/wasi/exit.js';

test('an error of another copy of the package is recognised by its code', () => {
  assert.ok(Object.assign(new Error(), { code: 'ERR_BELAY_RANGE' }) instanceof BelayError);
  assert.not.ok(Object.assign(new Error(), { code: 'ENOENT' }) instanceof BelayError);
});

test('subclasses are told apart', () => {
  const range = new BelayError('ERR_BELAY_RANGE', 'outside');
  const written = new UntrackedWriteError([{ memory: 0, from: 0, to: 1 }]);
  assert.not.ok(range instanceof UntrackedWriteError);
  assert.not.ok(range instanceof WasiExit);
  assert.ok(written instanceof UntrackedWriteError);
  assert.ok(written instanceof BelayError);
  assert.ok(new WasiExit(1) instanceof WasiExit);
  assert.ok(new WasiExit(1) instanceof BelayError);
});

test.run();
