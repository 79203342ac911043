/**
 * Histories of modules that nobody here wrote, against full copies: each is recorded while it works and fails by turns,
 * and afterwards every answer is compared with what the copies say.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { instrument } from '../../../rewriter/index.js';
import { type GuestState, HOST, memorySpace } from '../../../runtime/guest/state.js';
import { createHistory, type History, openHistory, Replica } from '../../../runtime/history/index.js';
import type { Guest } from '../../../runtime/types.js';
import { HAS_MEMORIES } from '../../support/engines-skip.js';
import { prng } from '../../support/generate.js';
import { discard, temporary } from '../../support/history.js';
import { modules, Unreachable } from '../../support/modules.js';

const STEPS = process.env.CI ? 36 : 20;

/** A full copy of a guest's state. */
export function copyState(guest: Guest): GuestState {
  const { state } = guest;
  const registers = new Uint8Array(state.shape.length);
  state.registers(registers);
  return [
    registers,
    (state.host(true) ?? new Uint8Array(0)).slice(),
    ...Array.from({ length: state.shape.memories }, (_, k) => state.memory(k).slice()),
    ...Array.from({ length: state.shape.tables }, (_, t) => {
      const elements = state.table(t);
      return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength).slice();
    }),
  ];
}

/** Their glue puts functions of its own into the guest's table: that is refused, by name. */
const FOREIGN = ['wasmoon'];

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

for (const module of modules) {
  test(`${module.name}: its history says what full copies say`, async () => {
    let bytes: Uint8Array;
    try {
      bytes = await module.bytes();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      console.log(`\nSKIP ${module.name}\t${error.message}`);
      return;
    }
    const { wasm } = instrument(bytes, module.options(HAS_MEMORIES ? 'separate' : 'inline'));
    const work = await module.load(wasm as Uint8Array<ArrayBuffer>);
    const guest = work.guest!;
    const directory = temporary();
    const random = prng(7);
    const store = await createHistory(directory);
    try {
      if (FOREIGN.includes(module.name)) {
        assert.throws(
          () => guest.record(store, { worker: false }),
          (error: { code?: string; message: string }) =>
            error.code === 'ERR_BELAY_STATE' && /holds a function of another module/.test(error.message),
        );
        return;
      }
      const recorder = guest.record(store, { worker: false, module: wasm });
      /** The state of each entry, and the step that it is of. */
      const copies = [copyState(guest)];
      const steps: (number | undefined)[] = [undefined];
      for (let n = 0; n < STEPS; n++) {
        guest.checkpoint({ request: n, kind: `step ${n % 6}` });
        if (copies.length < recorder.stats().next) {
          copies.push(copyState(guest));
          steps.push(undefined);
        }
        work.step(n);
        if (random() % 4 === 0) {
          guest.rollback('a test');
          copies.push(copies.at(-1)!);
        } else {
          guest.checkpoint();
          copies.push(copyState(guest));
        }
        steps.push(n);
        assert.is(recorder.stats().next, copies.length, `entries after step ${n}`);
        if (n === STEPS >> 1) await recorder.flush();
      }
      await store.close();

      const history = await openHistory(directory);
      assert.is(history.first, 0);
      assert.is(history.last, copies.length - 1);
      const order = copies.map((_, i) => i).sort(() => (random() % 2 ? 1 : -1));
      for (const entry of order) {
        const state = history.state(entry);
        copies[entry]!.forEach((space, i) => {
          assert.ok(same(state[i]!, space), `${module.name}: space ${i} of entry ${entry}`);
        });
        assert.is(history.entry(entry).request, steps[entry]);
      }

      // Where anything changed: bytes at random, and one that is known to.
      const last = copies.at(-1)![memorySpace(0)]!;
      const changing = last.findIndex((byte, i) => byte !== (copies[0]![memorySpace(0)]![i] ?? 0));
      const places = [changing, ...Array.from({ length: 12 }, () => random() % (last.length - 8))];
      for (const address of places.filter((place) => place >= 0)) {
        const length = 1 + (random() % 8);
        const at = (entry: number) => {
          const part = new Uint8Array(length);
          part.set(copies[entry]![memorySpace(0)]!.subarray(address, address + length));
          return part;
        };
        const expected = copies.flatMap((_, entry) =>
          entry > 0 && !same(at(entry - 1), at(entry)) ? [entry] : [],
        );
        assert.equal(
          [...history.writes(address, length)].map(({ entry }) => entry),
          expected,
          `writes of ${length} bytes at ${address}`,
        );
        const value = at(order[0]!)[0]!;
        const holding = copies.flatMap((copy, entry) =>
          (copy[memorySpace(0)]![address] ?? -1) === value ? [entry] : [],
        );
        const found = [...history.search(`u8[${address}] == ${value}`)].flatMap(({ from, to }) =>
          Array.from({ length: to - from + 1 }, (_, i) => from + i),
        );
        assert.equal(found, holding, `search for ${value} at ${address}`);
      }

      // What differs: applied to the one, it gives the other.
      for (let round = 0; round < 8; round++) {
        const [from, to] = [random() % copies.length, random() % copies.length];
        const patched = new Uint8Array(
          Math.max(...[from, to].map((e) => copies[e]![memorySpace(0)]!.length)),
        );
        patched.set(copies[from]![memorySpace(0)]!);
        for (const range of history.diff(from, to)) {
          if (range.memory !== 0) continue;
          assert.ok(same(patched.subarray(range.address, range.address + range.length), range.before));
          patched.set(range.after, range.address);
        }
        const target = new Uint8Array(patched.length);
        target.set(copies[to]![memorySpace(0)]!);
        assert.ok(same(patched, target), `${module.name}: diff of ${from} and ${to}`);
      }

      // A replica in the past has the state, and goes from entry to entry.
      await replicasEqual(history, copies, module.name);
      await history.close();
    } finally {
      guest[Symbol.dispose]();
      discard(directory);
    }
  });
}

/** An instance of the module with the state of an entry, moved from entry to entry. */
async function replicasEqual(history: History, copies: GuestState[], name: string): Promise<void> {
  using replica = await Replica.open(history);
  const last = copies.length - 1;
  for (const entry of [last, 0, last >> 1, last >> 2, last]) {
    replica.seek(entry);
    copyState(replica.guest).forEach((space, i) => {
      // Of glue nothing is kept: the host's state is the replica's own, and so is its size.
      if (i === HOST) return;
      const [now, then] =
        i === 0 ? [space.subarray(8), copies[entry]![0]!.subarray(8)] : [space, copies[entry]![i]!];
      assert.ok(same(now, then), `${name}: space ${i} of a replica at ${entry}`);
    });
  }
}

test.run();
