/** docs/expressions.md: its examples have the values that it says, and its lists have everything. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FUNCTIONS } from '../../../runtime/history/expression/functions.js';
import { compile, type ExpressionError, type Names } from '../../../runtime/history/expression/index.js';
import { codeNames, tableBelow } from '../../docs/blocks.js';
import { contractOf, pastOf } from './expression-state.js';

const test = suite('docs/expressions.md');
const doc = readFileSync(new URL('../../../../docs/expressions.md', import.meta.url), 'utf8');

const contract = contractOf([{ index: 0 }, { index: 4, exports: ['hits'] }], ['memory', 'heap']);
const names: Names = {
  contract,
  globalNames: new Map([['__stack_pointer', 0]]),
  functions: new Map([['total', { params: ['i32'], results: ['i32'] }]]),
  symbols: new Map([
    ['counter', 0x1000],
    ['head', 0x1004],
    ['log.0', 0x1200],
  ]),
};

function memories(column: 2 | 3): Uint8Array[] {
  const bytes = [new Uint8Array(column === 2 ? 65536 : 131072), new Uint8Array(65536)];
  for (const row of tableBelow(doc, 'The state of the examples')) {
    const [place, type] = row as [string, string];
    const value = row[column]!;
    const at = Number(place.replace('heap ', ''));
    const view = new DataView(bytes[place.startsWith('heap') ? 1 : 0]!.buffer);
    if (type === 'u32') view.setUint32(at, Number(value), true);
    else if (type === 'u64') view.setBigUint64(at, BigInt(value), true);
    else if (type === 'f32') view.setFloat32(at, Number(value), true);
    else if (type === 'f64') view.setFloat64(at, Number(value), true);
    else new Uint8Array(view.buffer).set(new TextEncoder().encode(value), at);
  }
  return bytes;
}

const past = pastOf(
  contract,
  { memories: memories(3), globals: [66560n, 3n] },
  { memories: memories(2), globals: [66560n, 2n] },
);
past.call = (name, [argument]) => (name === 'total' ? Number(argument) + 2 : undefined);

const cell = (text: string) => text.replace(/^`|`$/g, '').replaceAll('\\|', '|');

const examples = tableBelow(doc, 'Examples');
for (const row of examples) {
  const [text, promised] = row.map(cell) as [string, string];
  test(text, () => {
    const value = compile(text, names).evaluate(past);
    const shown =
      value === undefined ? 'none' : typeof value === 'string' ? JSON.stringify(value) : String(value);
    assert.is(shown, promised);
  });
}

test('the examples are there', () => assert.ok(examples.length > 30));

test('the message is as it says', () => {
  const [, block] = /```text\n([\s\S]*?)\n```/.exec(doc)!;
  const [, text] = block!.split('\n');
  const error = refusal(text!.trim());
  assert.is(error.message, block);
  assert.is(error.column, 5);
});

function refusal(text: string): ExpressionError {
  try {
    compile(text, names);
  } catch (error) {
    return error as ExpressionError;
  }
  throw new Error(`${text} is an expression`);
}

test('all functions are listed, and no other', () => {
  const listed = tableBelow(doc, 'Functions').flatMap(([functions]) =>
    codeNames(functions!).map((usage) => usage.replace(/\(.*/, '')),
  );
  assert.equal(listed.sort(), [...FUNCTIONS.keys()].sort());
});

test('all operators are listed', () => {
  const rows = tableBelow(doc, 'Operators').map(([operators]) => codeNames(operators!).map(cell));
  assert.equal(rows[0], ['!', '~', '-', '+']);
  for (const operator of rows.slice(1, 6).flat()) compile(`1 ${operator} 2`, names);
  // Whatever is further down binds less tight.
  const levels = rows.slice(1, -1).filter(([operator]) => !/[<>=]/.test(operator!));
  for (const [i, [tight]] of levels.entries()) {
    const [loose] = levels[i + 1] ?? [];
    if (loose === undefined || /&&|\|\|/.test(tight! + loose)) continue;
    const [text, grouped] = [`6 ${loose} 5 ${tight} 3`, `6 ${loose} (5 ${tight} 3)`];
    assert.is(compile(text, names).evaluate(past), compile(grouped, names).evaluate(past), text);
  }
});

test.run();
