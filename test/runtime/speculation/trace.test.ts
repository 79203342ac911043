/** Trace files: what goes in comes out, and nothing else is believed. */
import { pack, unpack } from 'msgpackr';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BelayError } from '../../../contract/errors.js';
import { Random } from '../../../runtime/speculation/random.js';
import type { Trace, TraceEpoch } from '../../../runtime/speculation/replay.js';
import { readTrace, TRACE_VERSION, TraceWriter, writeTrace } from '../../../runtime/speculation/trace.js';
import { VarintReader, VarintWriter } from '../../../runtime/speculation/varint.js';
import { hotTrace, phaseTrace, randomTrace, traceOf } from './support.js';

/** That reading is refused with ERR_BELAY_TRACE and a message. */
function refused(bytes: Uint8Array, message: RegExp = /./): void {
  assert.throws(
    () => readTrace(bytes),
    (error: BelayError) => error.code === 'ERR_BELAY_TRACE' && message.test(error.message),
  );
}

/** A file with some of its map replaced. */
function altered(trace: Trace, change: object): Uint8Array {
  return new Uint8Array(pack({ ...(unpack(writeTrace(trace)) as object), ...change }));
}

/** The epochs' bytes, of numbers. */
function data(...numbers: number[]): Uint8Array {
  const out = new VarintWriter();
  for (const number of numbers) out.put(number);
  return out.take();
}

test('numbers of all lengths come back', () => {
  const random = new Random(3);
  const numbers = [0, 1, 127, 128, 16383, 16384, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1];
  for (let i = 0; i < 2000; i++) numbers.push(random.next() >>> random.below(32));
  const reader = new VarintReader(data(...numbers), (why) => {
    throw new Error(why);
  });
  for (const number of numbers) assert.is(reader.get(), number);
  assert.ok(reader.ended);
});

test('random traces come back as they were', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const trace = randomTrace(seed, 50);
    assert.equal(readTrace(writeTrace(trace)), trace);
  }
});

test('dense, empty and large sets come back', () => {
  const all = Uint32Array.from({ length: 5000 }, (_, page) => page);
  const odd = all.filter((page) => page % 2);
  const top = Uint32Array.of(0, 2 ** 20, 2 ** 31 - 2);
  const sets = [[], all, odd, [], top, all, top, odd].map((set) => Uint32Array.from(set));
  const epochs: TraceEpoch[] = sets.map((written) => ({ pages: 2 ** 31 - 1, kind: 0, written }));
  const trace = { name: 'sets', description: 'é', kinds: [''], epochs };
  assert.equal(readTrace(writeTrace(trace)), trace);
});

test('the bytes of docs/trace-format.md', () => {
  const { data } = unpack(
    writeTrace(
      traceOf([
        [4, 5, 6, 7],
        [4, 5, 6, 7],
      ]),
    ),
  ) as { data: Uint8Array };
  assert.equal([...data], [0x18, 0x10, 0x09, 0x02, 0x01]);
});

test('a trace without epochs comes back', () => {
  assert.equal(readTrace(writeTrace(traceOf([]))), traceOf([]));
});

test('the writer may be asked for bytes, and go on', () => {
  const whole = hotTrace(5, 60);
  const writer = new TraceWriter(whole);
  for (const [n, epoch] of whole.epochs.entries()) {
    writer.add(epoch);
    if (n % 20 === 0) assert.equal(readTrace(writer.bytes()).epochs, whole.epochs.slice(0, n + 1));
  }
  assert.equal(writer.bytes(), writeTrace(whole));
});

test('the writer does not keep the array that it is given', () => {
  const written = Uint32Array.of(1, 2);
  const writer = new TraceWriter({ name: '', description: '' });
  writer.add({ pages: 8, kind: 0, written });
  written[1] = 5;
  writer.add({ pages: 8, kind: 0, written });
  assert.equal(
    readTrace(writer.bytes()).epochs.map((epoch) => [...epoch.written]),
    [
      [1, 2],
      [1, 5],
    ],
  );
});

test('kinds get numbers as they come', () => {
  const writer = new TraceWriter({ name: '', description: '' });
  assert.equal([writer.kindNamed('GET /'), writer.kindNamed(''), writer.kindNamed('GET /')], [1, 0, 1]);
  assert.equal(readTrace(writer.bytes()).kinds, ['', 'GET /']);
});

test('files are small: an epoch like the last takes a byte, like the last of its kind two', () => {
  const same = traceOf(Array.from({ length: 1000 }, () => [1, 5, 6, 7]));
  assert.ok(writeTrace(same).length < 1150, `${writeTrace(same).length} bytes`);
  const written = [Uint32Array.of(3, 5, 9, 12), Uint32Array.of(2, 4, 6, 8, 10)];
  const epochs = Array.from({ length: 1000 }, (_, n) => ({
    pages: 16,
    kind: n % 2,
    written: written[n % 2]!,
  }));
  const turns = writeTrace({ name: '', description: '', kinds: ['', 'a'], epochs });
  assert.ok(turns.length < 2150, `${turns.length} bytes`);
  assert.ok(writeTrace(phaseTrace(1, 3000)).length < 12_000);
});

test('every truncation is refused', () => {
  const bytes = writeTrace(hotTrace(2, 30));
  for (let length = 0; length < bytes.length; length++) refused(bytes.slice(0, length));
});

test('a byte too many is refused', () => {
  refused(Uint8Array.of(...writeTrace(hotTrace(2, 30)), 0));
});

test('damaged bytes are refused, or read as some valid trace, and nothing else happens', () => {
  const bytes = writeTrace(randomTrace(4, 40));
  const random = new Random(9);
  for (let i = 0; i < 5000; i++) {
    const damaged = bytes.slice();
    damaged[random.below(bytes.length)]! ^= 1 << random.below(8);
    let trace: Trace;
    try {
      trace = readTrace(damaged);
    } catch (error) {
      assert.is((error as BelayError).code, 'ERR_BELAY_TRACE', String(error));
      continue;
    }
    assert.equal(readTrace(writeTrace(trace)), trace);
  }
});

test('what is foreign is refused', () => {
  refused(new Uint8Array(), /record it again/);
  refused(new TextEncoder().encode('hello'), /not a trace/);
  refused(new Uint8Array(pack(null)), /format/);
  refused(new Uint8Array(pack([1, 2])), /format/);
  refused(altered(traceOf([[1]]), { format: 'other' }), /format/);
});

test('another version is refused by its number', () => {
  const newer = altered(traceOf([[1]]), { version: TRACE_VERSION + 1 });
  refused(newer, /version 2, and this reads 1: take the version of the package/);
});

test('each field is checked', () => {
  const trace = traceOf([[1]]);
  refused(altered(trace, { name: 1 }), /name/);
  refused(altered(trace, { description: null }), /name/);
  refused(altered(trace, { page: 65536 }), /65536 bytes/);
  refused(altered(trace, { kinds: 'a' }), /kinds/);
  refused(altered(trace, { kinds: ['a'] }), /kinds/);
  refused(altered(trace, { kinds: ['', 'a', 'a'] }), /kinds/);
  refused(altered(trace, { kinds: ['', 1] }), /kinds/);
  refused(altered(trace, { data: [1] }), /no epochs/);
  for (const epochs of [-1, 0.5, 1000, '1']) refused(altered(trace, { epochs }), /number of epochs/);
  refused(altered(trace, { epochs: 0 }), /follows/);
});

test('epochs that no writer makes are refused', () => {
  const epoch = (message: RegExp, ...numbers: number[]) =>
    refused(altered(traceOf([]), { epochs: 1, data: data(...numbers) }), message);
  epoch(/form/, 3);
  epoch(/kind that has no name/, 4, 1);
  epoch(/beyond its memory/, 8 + 16, 4, 8);
  epoch(/beyond its memory/, 8 + 16, 4, 1, 2 ** 31);
  epoch(/two runs of an epoch are one/, 8 + 32, 4, 0, 0);
  epoch(/end early/, 8 + 16, 4);
  refused(altered(traceOf([]), { epochs: 1, data: Uint8Array.of(0x80, 0) }), /longer than it need be/);
  refused(
    altered(traceOf([]), { epochs: 1, data: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x1f) }),
    /larger than 32 bits/,
  );
});

test('the writer refuses epochs that are not as described', () => {
  const writer = new TraceWriter({ name: '', description: '' });
  const add = (pages: number, kind: number, ...written: number[]) =>
    assert.throws(
      () => writer.add({ pages, kind, written: Uint32Array.from(written) }),
      (error: BelayError) => error.code === 'ERR_BELAY_TRACE',
    );
  add(4, 0, 4);
  add(4, 0, 2, 1);
  add(4, 0, 1, 1);
  add(4, 1, 1);
  add(4, 0.5, 1);
  add(-1, 0);
  add(2 ** 31, 0);
  assert.throws(() => new TraceWriter({ name: '', description: '', kinds: ['GET'] }), /the first is ''/);
  assert.is(readTrace(writer.bytes()).epochs.length, 0);
});

test.run();
