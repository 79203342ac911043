/**
 * docs/rewriter.md shows what the rewriter makes. After a change of the rewriter, `node
 * dist/test/docs/rewriter.test.js --write` brings the text up to date; read what it did.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import loadWabt from 'wabt';
import { type InstrumentOptions, instrument, toBinary } from '../../rewriter/index.js';
import { separateGeometry, supportBytes } from '../../rewriter/layout.js';
import { checkOptions } from '../../rewriter/options.js';
import { codeNames, ROOT, readDoc, tableBelow } from './blocks.js';

const test = suite('docs/rewriter.md');
const PATH = 'docs/rewriter.md';
const doc = readDoc(PATH);
const wabt = await loadWabt();

const sources = new Map(
  [...doc.matchAll(/<!-- source: (\w+) -->\n```wat\n([\s\S]*?)^```$/gm)].map(([, name, text]) => [
    name!,
    text!,
  ]),
);
const EXAMPLE = /<!-- instrumented: (\{.*\}) -->\n```wat\n([\s\S]*?)^```$/gm;

/** The package's types lack multi_memory. */
const FEATURES = { multi_memory: true, bulk_memory: true, reference_types: true, simd: true };

const binary = (text: string) => toBinary(new TextEncoder().encode(text));

/** The module's own functions as text, after instrumentation. */
async function instrumented(source: string, options: InstrumentOptions): Promise<string> {
  // wabt's text ends at the first hint, which holds a zero byte.
  const { wasm } = instrument(await binary(source), { ...options, hints: false });
  const module = wabt.readWasm(wasm, {
    readDebugNames: true,
    ...FEATURES,
  });
  try {
    module.applyNames();
    const text = module.toText({ foldExprs: false, inlineExport: false });
    const own = text
      .slice(text.indexOf('  (func $'), text.indexOf('\n  (func $belay:'))
      .replace(/^ {2}/gm, '');
    return `${withLetters(own)}\n`;
  } finally {
    module.destroy();
  }
}

/** Belay's globals have no names, and numbers that change with every change of the support code. */
function withLetters(text: string): string {
  const letters = new Map<string, string>();
  return text.replace(/(?<=global\.[gs]et )\d+/g, (number) => {
    const letter = letters.get(number) ?? `$${String.fromCharCode(65 + letters.size)}`;
    letters.set(number, letter);
    return letter;
  });
}

async function upToDate(): Promise<string> {
  let result = doc;
  for (const [block, json] of doc.matchAll(EXAMPLE)) {
    const { of, ...options } = JSON.parse(json!) as InstrumentOptions & { of: string };
    const text = await instrumented(sources.get(of)!, options);
    result = result.replace(block, () => `<!-- instrumented: ${json} -->\n\`\`\`wat\n${text}\`\`\``);
  }
  return result;
}

if (process.argv.includes('--write')) writeFileSync(join(ROOT, PATH), await upToDate());
else {
  test('the text shown is what comes out', async () => {
    assert.ok([...doc.matchAll(EXAMPLE)].length > 5);
    const shown = [...doc.matchAll(EXAMPLE)];
    for (const [i, [block]] of [...(await upToDate()).matchAll(EXAMPLE)].entries()) {
      assert.fixture(shown[i]![0], block, 'run this file with --write, and read what it did');
    }
  });
}

test('what belay inspect is said to print', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'dist/cli/main.js'), 'inspect', 'samples/notes/notes.wasm'],
    { cwd: ROOT },
  );
  assert.ok(doc.includes(`\`\`\`\n${stdout}\`\`\``), stdout);
});

test('the table of options has all options, with their defaults', () => {
  const rows = tableBelow(doc, 'Options').map(([name, value]) => [codeNames(name!)[0]!, value!] as const);
  const settings = checkOptions({}) as unknown as Record<string, unknown>;
  assert.equal(rows.map(([name]) => name).sort(), Object.keys(settings).sort());
  for (const [name, text] of rows) {
    const [code] = codeNames(text);
    if (code === undefined) continue;
    const value = settings[name] instanceof Set ? [...(settings[name] as Set<string>)] : settings[name];
    assert.is(code, typeof value === 'string' ? `'${value}'` : JSON.stringify(value), name);
  }
});

test('the table of the report has all its fields, and they add up as it says', async () => {
  for (const [name, source] of sources) {
    const { report } = instrument(await binary(source), { layout: 'separate' });
    const named = tableBelow(doc, 'Report').flatMap(([fields]) => codeNames(fields!));
    assert.equal(named.sort(), Object.keys(report).sort());
    const { checksInserted, checksMerged, checksRemoved, checksStack } = report;
    assert.is(report.stores, checksInserted + checksMerged + checksRemoved + checksStack, name);
  }
});

test('the table of region sizes', () => {
  for (const [region, tags, heads, tested] of tableBelow(doc, 'Region size').map((row) => row.map(Number))) {
    const g = separateGeometry(region!, false);
    const bytes = supportBytes(g, 2 ** 20);
    const none = supportBytes(g, 0);
    assert.is(bytes.tags - none.tags, tags);
    assert.is(bytes.shadow - none.shadow - 2 ** 20, heads);
    assert.is(g.tails ? 1 : 8, tested);
  }
});

test.run();
