/** The archive's bytes, read back by the format's own rules. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cpio, type Entry } from '../../../kernel-shim/vm/cpio.js';

interface Read {
  path: string;
  mode: number;
  inode: number;
  data: string;
}

function read(bytes: Uint8Array): Read[] {
  const buffer = Buffer.from(bytes);
  const entries: Read[] = [];
  for (let at = 0; ; ) {
    assert.is(at % 4, 0);
    assert.is(buffer.toString('latin1', at, at + 6), '070701');
    const field = (index: number) => {
      const text = buffer.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index);
      assert.match(text, /^[0-9a-f]{8}$/);
      return Number.parseInt(text, 16);
    };
    const [inode, mode, size, nameSize] = [field(0), field(1), field(6), field(11)];
    assert.is(field(4), 1, 'links');
    const name = at + 110;
    assert.is(buffer[name + nameSize - 1], 0);
    const path = buffer.toString('utf8', name, name + nameSize - 1);
    const data = (name + nameSize + 3) & ~3;
    if (path === 'TRAILER!!!') {
      assert.is(data, buffer.length);
      return entries;
    }
    entries.push({ path, mode, inode, data: buffer.toString('latin1', data, data + size) });
    at = (data + size + 3) & ~3;
  }
}

const file = (text: string, mode?: number): Entry => ({ file: Buffer.from(text), ...(mode && { mode }) });

test('files, links and folders, at every alignment of names and data', () => {
  const entries = new Map<string, Entry>([
    ['init', file('#!/bin/sh\n', 0o755)],
    ['a', file('')],
    ['ab', file('1')],
    ['abc', file('12')],
    ['abcd', file('123')],
    ['abcde', file('1234')],
    ['sh', { link: '/bin/busybox' }],
    ['dev', { folder: true }],
  ]);
  const found = read(cpio(entries));
  assert.equal(
    found.map(({ path, mode, data }) => [path, mode.toString(8), data]),
    [
      ['init', '100755', '#!/bin/sh\n'],
      ['a', '100644', ''],
      ['ab', '100644', '1'],
      ['abc', '100644', '12'],
      ['abcd', '100644', '123'],
      ['abcde', '100644', '1234'],
      ['sh', '120777', '/bin/busybox'],
      ['dev', '40755', ''],
    ],
  );
  assert.is(new Set(found.map(({ inode }) => inode)).size, found.length, 'inodes are distinct');
});

test('folders come before what is in them, once', () => {
  const entries = new Map<string, Entry>([
    ['usr/lib/x', file('x')],
    ['usr/bin/y', file('y')],
    ['usr/lib', { folder: true }],
  ]);
  assert.equal(
    read(cpio(entries)).map(({ path }) => path),
    ['usr', 'usr/lib', 'usr/lib/x', 'usr/bin', 'usr/bin/y'],
  );
});

test('bytes and names that are not ASCII', () => {
  const [only] = read(cpio(new Map([['größe', { file: Uint8Array.of(0, 255, 10, 0) }]])));
  assert.is(only!.path, 'größe');
  assert.is(only!.data, '\0\u00ff\n\0');
});

test('a path that is not inside the archive is refused', () => {
  assert.throws(() => cpio(new Map([['/init', file('')]])), /not a path inside/);
  assert.throws(() => cpio(new Map([['', file('')]])), /not a path inside/);
});

test.run();
