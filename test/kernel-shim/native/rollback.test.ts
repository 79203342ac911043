/** Checkpoints and rollbacks of each native mechanism, in one thread, without growth. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testUnless } from '../../support/engines-skip.js';
import { addon, Guest, NATIVE_MECHANISMS, PAGE_BYTES, randomFrom, unavailable } from './support.js';

for (const mechanism of NATIVE_MECHANISMS) {
  const why = unavailable(mechanism);
  const traps = mechanism !== 'uffd-async';

  testUnless(
    test,
    why,
    `${mechanism}: stores, fills, copies and writes of JavaScript are undone`,
    async () => {
      const guest = await Guest.make();
      const watched = addon.attach(guest.memory.buffer, mechanism);
      watched.checkpoint();
      const before = guest.copy();
      guest.exports.poke(5, 99);
      guest.exports.fill(3 * PAGE_BYTES + 100, 7, 2 * PAGE_BYTES);
      guest.exports.copy(20 * PAGE_BYTES, 0, 5000);
      guest.bytes.set([1, 2, 3], 100 * PAGE_BYTES - 1);
      new DataView(guest.memory.buffer).setFloat64(guest.bytes.length - 8, Math.PI);
      assert.is(watched.rollback(), 9);
      assert.is(guest.differs(before), -1);
      watched.detach();
    },
  );

  testUnless(
    test,
    why,
    `${mechanism}: a rollback may be repeated, and writes after one are undone`,
    async () => {
      const guest = await Guest.make();
      const watched = addon.attach(guest.memory.buffer, mechanism);
      watched.checkpoint();
      const before = guest.copy();
      for (let round = 0; round < 5; round++) {
        guest.exports.dirty(round, 3, 50);
        watched.rollback();
        assert.is(guest.differs(before), -1, `round ${round}`);
      }
      const { faults } = watched.stats();
      guest.exports.dirty(0, 3, 50);
      watched.rollback();
      assert.is(watched.stats().faults, faults, 'pages saved before do not fault again');
      watched.detach();
    },
  );

  testUnless(test, why, `${mechanism}: a checkpoint makes what is there the new state`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    guest.exports.poke(8000, 1);
    watched.checkpoint();
    const before = guest.copy();
    guest.exports.poke(8000, 2);
    guest.exports.poke(70000, 2);
    watched.rollback();
    assert.is(guest.differs(before), -1);
    assert.is(guest.exports.peek(8000), 1);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: changed() compares with the checkpoint`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    guest.exports.poke(PAGE_BYTES + 1, 0); // the value that is there
    guest.exports.poke(2 * PAGE_BYTES + 1, 1);
    assert.equal(
      [0, 1, 2].map((page) => watched.changed(page)),
      [false, false, true],
    );
    watched.rollback();
    assert.not.ok(watched.changed(2));
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: faulted() names the pages written`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    const out = new Uint32Array(3);
    assert.is(watched.faulted(out), 0);
    watched.checkpoint();
    assert.is(watched.faulted(out), 0);
    for (const page of [9, 2, 200, 2, 30]) guest.exports.poke(page * PAGE_BYTES, 1);
    assert.is(watched.faulted(out), 4, 'counts those that have no room');
    assert.equal([...out], traps ? [9, 2, 200] : [2, 9, 30]);
    watched.checkpoint();
    assert.is(watched.faulted(out), 0);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: written() names what may differ, whatever saved it`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    const out = new Uint32Array(8);
    const written = () => [...out.subarray(0, watched.written(out))].sort((a, b) => a - b);
    guest.exports.poke(0, 1);
    assert.equal(written(), [], 'before the first checkpoint');
    watched.checkpoint();
    assert.equal(written(), []);
    guest.exports.poke(2 * PAGE_BYTES, 1);
    watched.touch(5 * PAGE_BYTES - 1, 2);
    guest.bytes.fill(9, 5 * PAGE_BYTES - 1, 5 * PAGE_BYTES + 1);
    assert.equal(written(), [2, 4, 5]);
    assert.is(watched.written(new Uint32Array(1)), 3, 'counts those that have no room');
    const old = guest.bytes.length / PAGE_BYTES;
    guest.memory.grow(1);
    guest.exports.poke(guest.bytes.length - 1, 1);
    watched.resized(guest.memory.buffer);
    assert.equal(written(), [2, 4, 5, old + 15], 'what is new and was filled before we heard of it');
    watched.rollback();
    // These stay open.
    assert.equal(written(), traps ? [2, 4, 5, old + 15] : []);
    watched.checkpoint(traps ? Uint32Array.of(7, 3) : undefined);
    assert.equal(written(), traps ? [3, 7] : []);
    guest.exports.poke(8 * PAGE_BYTES, 1);
    assert.equal(written(), traps ? [3, 7, 8] : [8]);
    watched.detach();
  });

  testUnless(
    test,
    why,
    `${mechanism}: before a checkpoint nothing is saved, and there is no way back`,
    async () => {
      const guest = await Guest.make();
      const watched = addon.attach(guest.memory.buffer, mechanism);
      guest.exports.dirty(0, 1, 100);
      watched.touch(0, 100);
      assert.is(watched.stats().faults, 0);
      assert.is(watched.stats().pagesSaved, 0);
      assert.throws(() => watched.rollback(), /no checkpoint\(\) to return to/);
      watched.detach();
    },
  );

  testUnless(
    test,
    why,
    `${mechanism}: a memory can be detached and attached again, by any mechanism`,
    async () => {
      const guest = await Guest.make();
      for (const next of NATIVE_MECHANISMS.filter((name) => unavailable(name) === undefined)) {
        for (const name of [mechanism, next]) {
          const watched = addon.attach(guest.memory.buffer, name);
          assert.throws(() => addon.attach(guest.memory.buffer, next), /watched already/);
          watched.checkpoint();
          const before = guest.copy();
          guest.exports.dirty(1, 2, 40);
          watched.rollback();
          assert.is(guest.differs(before), -1, `${mechanism}, ${next}`);
          watched.checkpoint();
          watched.detach();
          watched.detach();
          assert.throws(() => watched.checkpoint(), /after detach\(\)/);
          guest.exports.dirty(0, 1, 256); // everything is writable again
        }
      }
    },
  );

  testUnless(test, why, `${mechanism}: pages that were never touched`, async () => {
    // Not filled: the kernel has given it no pages yet.
    const memory = new WebAssembly.Memory({ initial: 256 });
    const watched = addon.attach(memory.buffer, mechanism);
    watched.checkpoint();
    const bytes = new Uint8Array(memory.buffer);
    for (const page of [0, 1, 700, 4095]) bytes[page * PAGE_BYTES + 9] = 5;
    assert.is(bytes[300 * PAGE_BYTES], 0);
    assert.is(watched.rollback(), 4);
    for (const page of [0, 1, 700, 4095]) assert.is(bytes[page * PAGE_BYTES + 9], 0);
    assert.ok(watched.stats().supportBytes < 100 * PAGE_BYTES, 'support memory is for what was touched');
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: fifty memories at once`, async () => {
    const random = randomFrom(7);
    const all = [];
    for (let i = 0; i < 50; i++) {
      const guest = await Guest.make(4, 4);
      guest.bytes[100] = i;
      all.push({ guest, watched: addon.attach(guest.memory.buffer, mechanism), before: guest.copy() });
    }
    for (const one of all) {
      one.watched.checkpoint();
      one.before = one.guest.copy();
    }
    for (let n = 0; n < 2000; n++) {
      const one = all[random(50)]!;
      const kind = random(10);
      if (kind === 0) {
        one.watched.rollback();
        assert.is(one.guest.differs(one.before), -1);
      } else if (kind === 1) {
        one.watched.checkpoint();
        one.before = one.guest.copy();
      } else {
        one.guest.exports.poke(random(4 * 65536), random(256));
      }
    }
    for (const { guest, watched, before } of all) {
      watched.rollback();
      assert.is(guest.differs(before), -1);
      watched.detach();
    }
  });

  if (!traps) continue;

  testUnless(test, why, `${mechanism}: pages ahead do not fault, and are undone`, async () => {
    const guest = await Guest.make();
    const watched = addon.attach(guest.memory.buffer, mechanism);
    const ahead = Uint32Array.of(7, 3, 7, 250, 0);
    watched.checkpoint(ahead, 4);
    const before = guest.copy();
    assert.is(watched.stats().copiedAhead, 3, 'a page named twice is copied once');
    for (const page of [3, 7, 250]) guest.exports.poke(page * PAGE_BYTES, 77);
    assert.is(watched.stats().faults, 0);
    assert.is(watched.faulted(new Uint32Array(1)), 0);
    guest.exports.poke(0, 77); // beyond the count, so not ahead
    assert.is(watched.stats().faults, 1);
    const out = new Uint32Array(2);
    assert.is(watched.faulted(out), 1);
    assert.is(out[0], 0);
    assert.is(watched.rollback(), 4);
    assert.is(guest.differs(before), -1);
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: ahead sets that change from epoch to epoch`, async () => {
    const guest = await Guest.make();
    const pages = guest.bytes.length / PAGE_BYTES;
    const watched = addon.attach(guest.memory.buffer, mechanism);
    const random = randomFrom(3);
    for (let epoch = 0; epoch < 300; epoch++) {
      const density = random(4);
      const ahead = new Set<number>();
      if (density > 0) for (let n = random(density * 80); n > 0; n--) ahead.add(random(pages));
      watched.checkpoint(Uint32Array.from(ahead));
      const before = guest.copy();
      const { faults } = watched.stats();
      const missed = new Set<number>();
      for (let n = random(60); n > 0; n--) {
        const page = random(pages);
        guest.exports.poke(page * PAGE_BYTES + random(PAGE_BYTES), random(256));
        if (!ahead.has(page)) missed.add(page);
      }
      const out = new Uint32Array(pages);
      const count = watched.faulted(out);
      assert.equal([...out.subarray(0, count)], [...missed], `epoch ${epoch}`);
      assert.is(watched.stats().faults - faults, missed.size);
      if (random(2) === 0) continue;
      assert.is(watched.rollback(), ahead.size + missed.size);
      assert.is(guest.differs(before), -1, `epoch ${epoch}`);
    }
    watched.detach();
  });

  testUnless(test, why, `${mechanism}: an epoch that wrote much does not hold memory for ever`, async () => {
    const guest = await Guest.make(512, 512);
    const watched = addon.attach(guest.memory.buffer, mechanism);
    watched.checkpoint();
    guest.exports.dirty(0, 1, 8192);
    assert.ok(watched.stats().supportBytes > 8000 * PAGE_BYTES);
    for (let epoch = 0; epoch < 200; epoch++) {
      watched.checkpoint();
      guest.exports.dirty(0, 1, 10);
    }
    assert.ok(watched.stats().supportBytes < 2000 * PAGE_BYTES, String(watched.stats().supportBytes));
    watched.rollback();
    watched.detach();
  });
}

test.run();
