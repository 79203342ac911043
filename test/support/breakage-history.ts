/**
 * Deliberate breakage of the history: each fault is put into a copy of the compiled files, and the tests of the history
 * have to notice. In the copy pieces are small (a page's chunk has few versions, and so on), so that short histories have
 * many of them.
 *
 *     node dist/test/support/breakage-history.js [words of a fault]
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './engines.js';

const TEST_FILES = ['random', 'recorder', 'damage', 'crash', 'full', 'concurrent'] as const;
type TestFile = (typeof TEST_FILES)[number];

export interface HistoryFault {
  what: string;
  /** In runtime/history, without its ending. */
  file: string;
  /** Text that is in the compiled file once, and what takes its place. */
  from: string;
  to: string;
  /** The test files that should notice, the likeliest first. */
  tests?: readonly TestFile[];
  /** Is tried by `npm test`. */
  quick?: boolean;
}

/** Constants that become small. */
const LIMITS: readonly [file: string, name: string, value: number][] = [
  ['versions', 'MOST_VERSIONS', 6],
  ['versions', 'MOST_DATA', 5000],
  ['entries', 'MOST_ENTRIES', 9],
  ['diff', 'NEAR', 14],
  ['pack', 'PRUNE_EVERY', 3],
  ['pack', 'REMEMBERED', 3],
  ['recorder', 'FILE', 3000],
  ['recorder', 'PACK_AT', 9000],
];

export const HISTORY_FAULTS: readonly HistoryFault[] = [
  {
    what: 'the image is not brought up to date',
    file: 'capture',
    from: 'image.set(run, first);',
    to: '',
    quick: true,
  },
  {
    what: 'the image is not brought up to date with what the mechanism found',
    file: 'capture',
    from: 'this.keep(found, page * PAGE_WORDS, image);',
    to: '',
  },
  {
    what: 'an image that the history has to be asked for stays as it was',
    file: 'capture',
    from: 'this.images[space] = undefined;',
    to: '',
  },
  {
    what: 'the history is not asked for an image',
    file: 'capture',
    from: 'this.recall()?.[space] ?? new Uint8Array(0)',
    to: 'new Uint8Array(0)',
  },
  {
    what: 'a run is a word too short',
    file: 'capture',
    from: '(run.length << 2)',
    to: '(Math.max(run.length - 1, 1) << 2)',
  },
  {
    what: 'pre-images are taken for what was recorded, though recording began later',
    file: 'recorder',
    from: 'this.capture.changes(this.begun)',
    to: 'this.capture.changes(true)',
  },
  {
    what: 'pre-images are taken for what was recorded, though a checkpoint lies between',
    file: 'capture',
    from: 'pending.every((pages) => pages.size === 0)',
    to: 'true',
    tests: ['recorder', 'random'],
  },
  {
    what: 'pages of checkpoints that are not recorded are forgotten',
    file: 'capture',
    from: 'pending[memory].add(page);',
    to: '',
  },
  {
    what: 'host state of checkpoints that are not recorded is forgotten',
    file: 'capture',
    from: 'this.pendingHost = true;\n        this.pendingTables.forEach',
    to: 'this.pendingTables.forEach',
  },
  {
    what: 'what became smaller keeps what it had',
    file: 'capture',
    from: 'this.compare(space, padded, 0, padded.length);',
    to: '',
    tests: ['recorder', 'random'],
  },
  {
    what: 'a memory that became smaller is not noticed',
    file: 'capture',
    from: 'this.lengths[k] > memories[k].length',
    to: 'false',
    tests: ['recorder', 'random'],
  },
  {
    what: 'a rollback to before the first entry is not noticed',
    file: 'recorder',
    from: 'this.capture.doubt();',
    to: '',
    tests: ['recorder', 'random'],
  },
  {
    what: 'checkpoints that were left out are not counted',
    file: 'recorder',
    from: 'this.left++;\n            if (due)',
    to: 'if (due)',
  },
  {
    what: 'a rolled-back epoch has what it wrote',
    file: 'recorder',
    from: 'this.capture.nothing();',
    to: 'this.capture.changes();',
  },
  {
    what: 'what could not be written counts as recorded',
    file: 'recorder',
    from: "if (kind === 'kept')\n                this.capture = this.captured();",
    to: '',
    tests: ['full'],
  },
  {
    what: 'the rest of a record that could not be written stays, and the next one begins behind it',
    file: 'recorder',
    from: 'this.unwritten = undefined;\n            this.left = left;\n            this.next--;',
    to: 'this.unwritten = undefined;\n            this.left = left;',
    tests: ['full'],
  },
  {
    what: 'an entry is written when the next one is',
    file: 'recorder',
    from: 'this.writeOut();\n        }\n        catch',
    to: 'if (this.next % 2) this.writeOut();\n        }\n        catch',
    tests: ['crash', 'random'],
  },
  {
    what: 'records are not checked',
    file: 'journal',
    from: 'checksum(body) !== window.readUInt32LE(at + 4)',
    to: 'false',
    tests: ['damage'],
  },
  {
    what: 'damage of the journal is not told of',
    file: 'source',
    from: 'this.lost.push(',
    to: 'void (',
    tests: ['damage'],
  },
  {
    what: 'entries behind a gap are taken for new ones',
    file: 'journal',
    from: 'if (first > next)\n            renameSync',
    to: 'if (first < 0)\n            renameSync',
    tests: ['damage'],
  },
  {
    what: 'values are not checked',
    file: 'codec',
    from: 'if (crc === undefined || crc !== checksum(key, sealed.subarray(4)))',
    to: 'if (crc === undefined)',
    tests: ['damage'],
  },
  {
    what: 'the tail is read twice',
    file: 'source',
    from: 'if (record.entry !== expected)\n                    continue;',
    to: 'if (record.entry < next)\n                    continue;',
    tests: ['random', 'damage'],
  },
  {
    what: 'the tail starts from zeros',
    file: 'cursor',
    from: 'this.walkOf(packed.versions).seek(bytes, entry);',
    to: '',
    quick: true,
  },
  {
    what: 'a cursor that goes on starts the next chunk from what it has, wherever it is',
    file: 'cursor',
    from: 'this.following === chunk.first &&',
    to: 'true &&',
  },
  {
    what: 'going back does not start anew',
    file: 'cursor',
    from: 'if (entry < this.entry || this.entry < 0)',
    to: 'if (this.entry < 0)',
    quick: true,
  },
  {
    what: 'the version after a chunk is forgotten',
    file: 'cursor',
    from: 'return next === Infinity ? this.firstAfter() : next;',
    to: 'return next;',
  },
  {
    what: 'a version is applied one entry late',
    file: 'versions',
    from: 'entries[this.applied] <= entry)',
    to: 'entries[this.applied] < entry)',
  },
  {
    what: 'runs lie a word off',
    file: 'versions',
    from: 'this.ops.varint((offset - at) >> 2);',
    to: 'this.ops.varint(((offset - at) >> 2) + (offset > 4000 ? 1 : 0));',
  },
  {
    what: 'a version that changes the first of the wanted words alone is passed over',
    file: 'versions',
    from: 'at < high && end > low',
    to: 'at < high && end > low + 4',
  },
  {
    what: 'of a run that begins before what is wanted its first bytes are taken',
    file: 'versions',
    from: 'from + first - at',
    to: 'from',
  },
  {
    what: 'a page is not read again when more of it is wanted',
    file: 'cursor',
    from: 'this.high = PAGE_BYTES;\n        }\n        this.entry = -1;',
    to: 'this.high = PAGE_BYTES;\n        }',
  },
  {
    what: 'versions stay narrowed to what was wanted before',
    file: 'cursor',
    from: 'this.narrow = undefined;',
    to: '',
  },
  {
    what: 'references are not counted',
    file: 'contents',
    from: 'count(to, hash, value, 1);',
    to: '',
    quick: true,
  },
  {
    what: 'references are not given back',
    file: 'contents',
    from: 'count(to, hash, value, -1);',
    to: '',
  },
  {
    what: 'the base of a chunk is not counted',
    file: 'versions',
    from: 'const names = this.base ? [this.base] : [];',
    to: 'const names = [];',
  },
  {
    what: 'a chunk too much is removed',
    file: 'pack',
    from: 'chunkPlace(key).first <= meta.first)\n                superseded',
    to: 'chunkPlace(key).first <= meta.first + 9)\n                superseded',
  },
  {
    what: 'a piece of the list too much is removed',
    file: 'pack',
    from: 'getNumber(following, 0) <= meta.first)',
    to: 'getNumber(following, 0) <= meta.first + 1)',
  },
  {
    what: 'superseded chunks stay',
    file: 'pack',
    from: "t.remove('chunks', key);",
    to: '',
  },
  {
    what: 'retention keeps one too few',
    file: 'pack',
    from: 'meta.next - count)',
    to: 'meta.next - count + 1)',
  },
  {
    what: 'a page that comes from the store is at its base',
    file: 'pack',
    from: 'new VersionWalk(versions, content).seek(current, Infinity);',
    to: '',
  },
  {
    what: 'pages of zeros are taken for what they were',
    file: 'versions',
    from: 'page.fill(0);\n        }\n        else {',
    to: '}\n        else {',
  },
  {
    what: 'journal files are deleted before they are packed',
    file: 'pack',
    from: 'if (fresh.length > 0) {\n                this.pack(fresh);',
    to: 'if (fresh.length > 0) {\n                if (this.meta.next % 5) this.pack(fresh);',
  },
  {
    what: 'an interval ends one late',
    file: 'search',
    from: 'to: entry - 1 }',
    to: 'to: entry }',
    quick: true,
  },
  {
    what: 'search does not look at the entry before',
    file: 'past',
    from: 'Math.min(this.now.next, this.before.next + 1)',
    to: 'this.now.next',
  },
  {
    what: 'bisection takes the wrong half',
    file: 'search',
    from: 'if (holds(entry) === last)',
    to: 'if (holds(entry) !== last)',
  },
  {
    what: 'a diff leaves out the first entry between',
    file: 'diff',
    from: 'let entry = low + 1;',
    to: 'let entry = low + 2;',
    quick: true,
  },
  {
    what: 'a range of a diff is a byte short',
    file: 'diff',
    from: 'open.end = address + 1;',
    to: 'open.end = address;',
  },
  {
    what: 'writes across pages see the first page only',
    file: 'writes',
    from: '(address + length - 1) / PAGE_BYTES',
    to: 'address / PAGE_BYTES',
  },
  {
    what: 'writes leave out the last entry',
    file: 'writes',
    from: 'if (entry > to)',
    to: 'if (entry >= to)',
  },
  {
    what: 'a time finds the entry behind',
    file: 'history',
    from: 'this.entry(middle).time <= time',
    to: 'this.entry(middle - 1).time <= time',
  },
  {
    what: 'what went wrong before is told again, though it has passed',
    file: 'recorder',
    from: 'if (!this.progress.dead())\n            this.progress.trouble();',
    to: '',
    tests: ['full'],
  },
  {
    what: 'a full disk loses its code on the way from the packing thread',
    file: 'recorder',
    from: "code === 'ERR_BELAY_HISTORY_FULL' ?",
    to: "code === '' ?",
    tests: ['full'],
  },
  {
    what: 'a full disk is an error like others',
    file: 'lmdb',
    from: 'if (!cutShort && !/ENOSPC|no space left|MDB_MAP_FULL/i.test(said))',
    to: 'if (said)',
    tests: ['full'],
  },
];

/** A copy of the compiled files that can be broken. */
export class HistoryBreakage {
  private readonly folder = mkdtempSync(join(tmpdir(), 'belay-broken-history-'));
  private readonly dist = join(this.folder, 'dist');

  constructor() {
    for (const part of ['contract', 'runtime', 'rewriter', 'test/support', 'test/runtime/history'])
      cpSync(join(ROOT, 'dist', part), join(this.dist, part), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(this.folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(this.folder, 'node_modules'));
    for (const [file, name, value] of LIMITS) {
      const is = new RegExp(`const ${name} = [^;]+;`).exec(this.read(file))?.[0] ?? `const ${name} = `;
      this.change(file, is, `const ${name} = ${value};`);
    }
  }

  private path(file: string): string {
    return join(this.dist, 'runtime', 'history', `${file}.js`);
  }

  private read(file: string): string {
    return readFileSync(this.path(file), 'utf8');
  }

  /** @returns puts it back */
  private change(file: string, from: string, to: string): () => void {
    const path = this.path(file);
    const text = this.read(file);
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`${file}.js: "${from}" is there ${parts.length - 1} times`);
    writeFileSync(path, parts.join(to === '' ? ';' : to));
    return () => writeFileSync(path, text);
  }

  /** The first test file that fails with a fault (or with none), and what it says; undefined where all pass. */
  noticed(
    fault: HistoryFault | undefined,
    tests: readonly TestFile[] = fault?.tests ?? ['random'],
  ): string | undefined {
    const putBack = fault ? this.change(fault.file, fault.from, fault.to) : () => {};
    try {
      for (const name of tests) {
        const path = join(this.dist, 'test', 'runtime', 'history', `${name}.test.js`);
        const { status, stdout, stderr } = spawnSync(process.execPath, [path], {
          encoding: 'utf8',
          timeout: 300_000,
          maxBuffer: 2 ** 28,
          env: {
            ...process.env,
            BELAY_HISTORY_QUICK: '1',
            BELAY_HISTORY_RUNS: '30',
            BELAY_HISTORY_OPS: '600',
            BELAY_HISTORY_KILLS: '2',
            BELAY_HISTORY_DAMAGES: '60',
            BELAY_HISTORY_SECONDS: '1',
          },
        });
        if (status === 0) continue;
        const test = /^\s*FAIL\s+"(.*)"$/m.exec(stdout)?.[1];
        // Code that cannot even be loaded says nothing of the tests.
        if (test === undefined) throw new Error(`${name}.test.js ended early: ${stderr.slice(-1000)}`);
        return `${name}: ${test}`;
      }
      return undefined;
    } finally {
      putBack();
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const breakage = new HistoryBreakage();
  const words = process.argv.slice(2).join(' ');
  const faults = HISTORY_FAULTS.filter(({ what }) => what.includes(words));
  let unnoticed = 0;
  const intact = breakage.noticed(undefined, TEST_FILES);
  console.log(`nothing broken${' '.repeat(66)}${intact ? `FAILS: ${intact}` : 'all passes'}`);
  for (const fault of faults) {
    let noticed: string | undefined;
    try {
      noticed = breakage.noticed(fault);
    } catch (error) {
      console.log((error as Error).message);
    }
    if (!noticed) unnoticed++;
    console.log(`${fault.what.padEnd(80)}${noticed ?? 'NOTHING FAILS'}`);
  }
  breakage.remove();
  console.log(`${faults.length - unnoticed} of ${faults.length} faults are noticed`);
  if (unnoticed > 0 || intact) process.exitCode = 1;
}
