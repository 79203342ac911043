/** Every mechanism works for an ordinary user. */
import { accessSync, constants } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import {
  ADDON_PATH,
  addon,
  Guest,
  NATIVE_MECHANISMS,
  type NativeMechanism,
  runAs,
  unavailable,
} from './support.js';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

async function child(mechanism: NativeMechanism): Promise<void> {
  assert.is.not(process.getuid!(), 0);
  assert.is(addon.unavailable(mechanism), undefined);
  const guest = await Guest.make();
  const watched = addon.attach(guest.memory.buffer, mechanism);
  watched.checkpoint();
  const before = guest.copy();
  guest.exports.dirty(0, 3, 50);
  guest.exports.grow(1);
  watched.resized(guest.memory.buffer);
  guest.exports.dirty(1, 3, 50);
  watched.rollback();
  assert.is(guest.differs(before), -1);
  watched.detach();
  console.log('undone');
}

/** Can others read the checkout? */
function whyUnreadable(): string | undefined {
  const { status } = runAs('look', import.meta.url, isRoot ? { uid: NOBODY, gid: NOBODY } : {});
  return status === 0 ? undefined : 'another user cannot read this checkout';
}

const role = process.env.BELAY_ROLE;
if (role === 'look') accessSync(ADDON_PATH, constants.R_OK);
else if (role) await child(role as NativeMechanism);
else {
  for (const mechanism of NATIVE_MECHANISMS) {
    const why = unavailable(mechanism) ?? (isRoot ? whyUnreadable() : undefined);
    testUnless(test, why, `${mechanism}: as an ordinary user`, () => {
      const { status, output } = runAs(
        mechanism,
        import.meta.url,
        isRoot ? { uid: NOBODY, gid: NOBODY } : {},
      );
      assert.is(status, 0, output);
      assert.match(output, /undone/);
    });
  }
  test.run();
}
