/** Expressions: each feature, and each refusal with the place that it points at. docs/expressions.md is the specification. */
import { suite, test } from 'uvu';
import * as assert from 'uvu/assert';
import { BelayError } from '../../../contract/errors.js';
import {
  type CallingPast,
  compile,
  type ExpressionError,
  type Names,
  namesOf,
  type Value,
} from '../../../runtime/history/expression/index.js';
import { contractOf, pastOf } from './expression-state.js';

const contract = contractOf(
  [
    { index: 0, type: 'i32', exports: ['counter', 'alias'] },
    { index: 2, type: 'i64', exports: ['wide'] },
    { index: 3, type: 'f32', exports: ['ratio'] },
    { index: 5, type: 'f64', exports: ['size'] },
    { index: 6, type: 'v128', exports: ['lanes'] },
    { index: 7, type: 'funcref', exports: ['handler'] },
    { index: 9, type: 'i32' },
  ],
  ['memory', 'heap'],
);
contract.memories[1]!.import = ['env', 'second'];

const names: Names = {
  contract,
  globalNames: new Map([
    ['__stack_pointer', 9],
    ['fixed', 4],
    ['wide', 0],
  ]),
  functions: new Map([
    ['total', { params: ['i32', 'i64', 'f32', 'f64'], results: ['i64'] }],
    ['count', { params: [], results: ['i32'] }],
    ['mean', { params: [], results: ['f64'] }],
    ['both', { params: [], results: ['i32', 'i32'] }],
    ['opaque', { params: ['other'], results: ['i32'] }],
  ]),
  symbols: new Map([
    ['table', 0x1000],
    ['counter', 1],
    ['log.0', 0x2000],
  ]),
};

const f32Bits = (value: number) => BigInt(new Uint32Array(Float32Array.of(value).buffer)[0]!);
const f64Bits = (value: number) => new BigUint64Array(Float64Array.of(value).buffer)[0]!;

const now = [new Uint8Array(131072), new Uint8Array(65536)];
const before = [new Uint8Array(65536), new Uint8Array(65536)];
const text = (bytes: Uint8Array, at: number, value: string) => bytes.set(new TextEncoder().encode(value), at);
{
  const view = new DataView(now[0]!.buffer);
  view.setUint32(0x1000, 0xfffffffe, true);
  view.setBigUint64(0x8ffc, 0x0102030405060708n, true);
  view.setFloat64(8188, Math.PI, true);
  view.setUint32(0x3000, 0x3100, true);
  view.setUint32(0x3108, 77, true);
  view.setFloat32(0x3200, 0.1, true);
  view.setFloat64(0x3208, Number.NaN, true);
  view.setBigInt64(0x3210, -5n, true);
  view.setBigUint64(0x3218, 2n ** 53n + 1n, true);
  text(now[0]!, 0x3300, 'h\u00e9llo \u{1f600}');
  text(now[0]!, 0x4ffe, 'across pages');
  now[0]!.fill(0x61, 0x6000, 0x6000 + 5000);
  now[0]!.set([0xff, 0x41, 0], 0x3400);
  text(now[0]!, 131069, 'end');
  view.setUint32(0x3500, 200_000, true);
  new DataView(now[1]!.buffer).setUint32(16, 99, true);
  new DataView(before[0]!.buffer).setUint32(0x1000, 3, true);
}
const state = (memories: Uint8Array[], counter: bigint) => ({
  memories,
  globals: [counter, 2n ** 63n - 1n, f32Bits(0.5), f64Bits(2.5), 0x0fn << 120n, 4n, 66560n],
});
const past = pastOf(contract, state(now, -7n), state(before, -9n));
const calls: [string, readonly (number | bigint)[], 0 | 1][] = [];
past.call = (name, args, back) => {
  calls.push([name, args, back]);
  return { total: 12n, count: 2 ** 32 - 1, mean: 1.5 }[name];
};

const VALUES: [string, Value | undefined][] = [
  // Reads
  ['u8[0x1001]', 255n],
  ['i8[0x1000]', -2n],
  ['u16[0x1000]', 0xfffen],
  ['i16[0x1000]', -2n],
  ['u32[table]', 0xfffffffen],
  ['i32[table]', -2n],
  ['u32[0x3000 + 8 - 8]', 0x3100n],
  ['u32[u32[0x3000] + 8]', 77n],
  ['i64[0x3210]', -5n],
  ['u64[0x3210]', 2n ** 64n - 5n],
  ['f32[0x3200]', Math.fround(0.1)],
  ['f64[0x3208]', Number.NaN],
  ['u64[0x8ffc]', 0x0102030405060708n],
  ['u16[0x8fff]', 0x0405n],
  ['f64[8188]', Math.PI],
  ['f64[8180 + u8[0] + 8]', Math.PI],
  ['u16[131070]', 0x646en],
  // Other memories
  ['memory[0].u32[table]', 0xfffffffen],
  ['memory.u32[table]', 0xfffffffen],
  ['memory[1].u32[16]', 99n],
  ['memory["heap"].u32[16]', 99n],
  ['memory["second"].u32[16]', 99n],
  ['memory[1].bytes(16, 2) == hex("63 00")', true],
  ['size', 131072n],
  ['memory.size', 131072n],
  ['memory[1].size', 65536n],
  ['old(size)', 65536n],
  // Globals and symbols
  ['counter', -7n],
  ['alias', -7n],
  ['counter & 0xffffffff', 2n ** 32n - 7n],
  ['wide', 2n ** 63n - 1n],
  ['ratio', 0.5],
  ['global["size"]', 2.5],
  ['global.size', 2.5],
  ['global[5]', 2.5],
  ['lanes == hex("0000000000000000 000000000000000f")', true],
  ['handler != 0', true],
  ['handler', 4n],
  ['__stack_pointer', 66560n],
  ['global["__stack_pointer"] == global[9]', true],
  ['old(counter)', -9n],
  ['symbol["counter"]', 1n],
  ['symbol["log.0"]', 0x2000n],
  ['symbol.table', 0x1000n],
  ['entry', 12n],
  ['old(u32[table])', 3n],
  ['old(u32[table] + u32[table]) - u32[table]', 6n - 0xfffffffen],
  // Literals
  ['1_000', 1000n],
  ['0x1F', 31n],
  ['0b101', 5n],
  ['0o17', 15n],
  ['123456789012345678901234567890', 123456789012345678901234567890n],
  ['1e3', 1000],
  ['.5', 0.5],
  ['true != false', true],
  [String.raw`'\x41\u{42}\u0043\n' == "ABC\n"`, true],
  // Integers
  ['7 / 2', 3n],
  ['-7 / 2', -3n],
  ['7 / -2', -3n],
  ['-7 % 3', -1n],
  ['7 % -3', 1n],
  ['-4 % 2', 0n],
  ['0 * -1', 0n],
  ['-0', 0n],
  ['u64[0x3218] / 2', 2n ** 52n],
  ['u64[0x3218] % 10', 3n],
  ['u64[0x3218] * u64[0x3218]', (2n ** 53n + 1n) ** 2n],
  ['u32[table] * u32[table]', 0xfffffffen ** 2n],
  ['-5 & 0xff', 251n],
  ['counter & 0xff', 249n],
  ['counter | 1', -7n],
  ['counter ^ 0xff', -250n],
  ['u32[table] | 1', 0xffffffffn],
  ['u32[table] ^ 0xffffffff', 1n],
  ['u64[0x3218] & 0xff', 1n],
  ['u64[0x3218] | 2', 2n ** 53n + 3n],
  ['~u32[table]', -0xffffffffn],
  ['~i64[0x3210]', 4n],
  ['1 << 100', 2n ** 100n],
  ['u8[0x1000] << u8[0x1001]', 254n << 255n],
  ['counter << 1', -14n],
  ['counter >> 1', -4n],
  ['counter >> 1023', -1n],
  ['u64[0x3218] >> 53', 1n],
  ['counter >>> 0', 2n ** 32n - 7n],
  ['u32[table] >>> 31', 1n],
  ['counter >>> 40', 0n],
  ['abs(counter)', 7n],
  ['abs(i64[0x3210])', 5n],
  ['abs(u64[0x3218])', 2n ** 53n + 1n],
  ['min(3, counter, 5)', -7n],
  ['max(3, counter)', 3n],
  ['min(u64[0x3210], 9)', 9n],
  ['max(3, 0.5)', 3],
  ['+counter', -7n],
  ['-counter', 7n],
  ['-i64[0x3210]', 5n],
  // Floats
  ['1 / 2.0', 0.5],
  ['5.5 % 2', 1.5],
  ['ratio * 4 - 1 + 0', 1],
  ['-ratio', -0.5],
  ['1.0 / 0', Number.POSITIVE_INFINITY],
  ['abs(-0.5)', 0.5],
  ['int(2.9)', 2n],
  ['int(-2.9)', -2n],
  ['int(7)', 7n],
  ['int(1e300) > 1e299', true],
  ['float(u64[0x3218])', 2 ** 53],
  ['fround(0.1) == f32[0x3200]', true],
  ['f32[0x3200] == 0.1', false],
  ['f64[0x3208] == f64[0x3208]', false],
  ['f64[0x3208] != f64[0x3208]', true],
  ['f64[0x3208] < 1 || f64[0x3208] >= 1', false],
  ['f64[0x3208] == u64[0x3218]', false],
  ['f64[0x3208] != u64[0x3218]', true],
  // Exact comparisons
  ['u64[0x3218] > 9007199254740992.0', true],
  ['u64[0x3218] == 9007199254740992.0', false],
  ['9007199254740993 == u64[0x3218]', true],
  ['u64[0x3218] != 9007199254740993', false],
  ['i64[0x3210] < counter', false],
  ['i64[0x3210] <= -5', true],
  ['i64[0x3210] >= -5.5', true],
  ['wide > 5', true],
  ['counter == -7', true],
  ['counter != counter', false],
  ['counter < ratio', true],
  ['counter <= -7', true],
  ['ratio >= counter', true],
  ['ratio > counter', true],
  // Strings and bytes
  ['str[0x3300]', 'h\u00e9llo \u{1f600}'],
  ['str[0x3300] == "h\u00e9llo \u{1f600}"', true],
  ['"h" != str[0x3300]', true],
  ['str[0x3300] == str[0x3300]', true],
  ['str[0x3300] == bytes(0x3300, 11)', true],
  ['bytes(0x3300, 1) == "h"', true],
  ['bytes(0x3300, 1) == bytes(0x3300, 2)', false],
  ['str(0x3300, 3)', 'h\u00e9'],
  ['str(0x3300, 0) == ""', true],
  ['str(131072, 0)', ''],
  ['str(0x33ff, 1) == "\\0"', true],
  ['str[0x4ffe]', 'across pages'],
  ['str[0x4ffe] == "across pages"', true],
  ['str[0]', ''],
  ['str[0x6000] == str(0x6000, 4096)', true],
  ['str[0x6100] == str(0x6100, 4096)', true],
  ['str[0x4ffe] == "across"', false],
  ['str[0x3300] == "h\\0"', false],
  ['str[0x6000] == "aa"', false],
  ['str[131069] == "end"', undefined],
  ['str[131069] == "x"', undefined],
  ['str[0x3400]', '\ufffdA'],
  ['str[0x3400] == "\ufffdA"', true],
  ['str[0x3400] == "A"', false],
  ['contains(str[0x3300], "llo")', true],
  ['contains(str[0x3300], "lo!")', false],
  ['contains(bytes(0x3000, 16), hex("00 31 01"))', false],
  ['contains(bytes(0x3000, 16), hex("31 00"))', true],
  ['contains(bytes(0x3300, 8), "llo")', true],
  ['contains(str[0x3300], hex(""))', true],
  ['contains(hex("0101 02"), hex("0102"))', true],
  ['contains(hex("0101"), hex("0102"))', false],
  ['startsWith(str[0x3300], "h\u00e9")', true],
  ['startsWith(bytes(0x3000, 4), hex("00 31"))', true],
  ['startsWith(bytes(0x3000, 1), hex("00 31"))', false],
  ['endsWith(str[0x3300], "\u{1f600}")', true],
  ['endsWith(bytes(0x3000, 2), hex("31"))', true],
  // Truth
  ['!(counter == 0)', true],
  ['counter < 0 ? 1 : 2', 1n],
  ['counter > 0 ? 1 : wide', 2n ** 63n - 1n],
  ['counter > 0 ? 1 : 0.5', 0.5],
  ['counter < 0 ? "a" : "b"', 'a'],
  ['(counter < 0) == true', true],
  ['1 < 2 == true', true],
  ['counter == 0 || counter == -7 && true', true],
  // Without a value
  ['u32[131069]', undefined],
  ['u8[131071]', 100n],
  ['u8[131072]', undefined],
  ['u32[u32[0x3500]]', undefined],
  ['u32[counter]', undefined],
  ['u32[wide]', undefined],
  ['f32[wide * 4]', undefined],
  ['u64[u32[0x3500]] > 1', undefined],
  ['old(u32[70000])', undefined],
  ['u32[70000]', 0n],
  ['str[131069]', undefined],
  ['str[131072]', undefined],
  ['str[u32[0x3500]] == ""', undefined],
  ['bytes(131070, 3) == ""', undefined],
  ['bytes(0, counter) == ""', undefined],
  ['bytes(0, wide) == ""', undefined],
  ['bytes(u32[0x3500], 0) == ""', undefined],
  ['str(0, u32[0x3500] * 100)', undefined],
  ['1 / u32[0]', undefined],
  ['1 % u32[0]', undefined],
  ['wide / u32[0]', undefined],
  ['wide % u32[0]', undefined],
  ['1 << counter', undefined],
  ['wide << counter', undefined],
  ['1 >> counter', undefined],
  ['wide >> u32[table]', undefined],
  ['int(f64[0x3208])', undefined],
  ['!(u32[131072] == 0)', undefined],
  ['u32[131072] == 0 || true', true],
  ['true || u32[131072] == 0', true],
  ['u32[131072] == 0 || counter == 0', undefined],
  ['counter == 0 || u32[131072] == 0', undefined],
  ['u32[131072] == 0 && counter == 0', false],
  ['!(u32[131072] == 0 && counter == 0)', true],
  ['u32[131072] == 0 && counter == -7', undefined],
  ['u32[131072] == 0 || u32[131072] == 0', undefined],
  ['u32[131072] + (counter < 0 || counter == 1 ? 1 : 2)', undefined],
  ['u32[131072] == 0 ? 1 : 1', undefined],
  ['counter == 0 ? u32[131072] : 1', 1n],
  ['counter != 0 ? u32[131072] : 1', undefined],
  ['defined(u32[131072])', false],
  ['defined(u32[u32[0x3000]])', true],
  ['defined(u32[131072]) ? 1 : 2', 2n],
  ['u32[131072] == (defined(u32[131072]) ? 1 : 2)', undefined],
  ['u32[131072] == (defined(counter) ? 1 : 2)', undefined],
  // Calls
  ['call("count")', -1n],
  ['call("mean") * 2', 3],
  ['call("total", counter, wide * 3, 0.1, 1) == 12', true],
];

const values = suite('values of expressions');
for (const [expression, value] of VALUES) {
  values(expression, () => {
    const compiled = compile(expression, names);
    const got = compiled.evaluate(past);
    assert.ok(Object.is(got, value), `${String(got)} is not ${String(value)}`);
    assert.is(compiled.undefinedCount, value === undefined ? 1 : 0);
    const type = { boolean: 'boolean', bigint: 'integer', number: 'float', string: 'string' }[
      typeof value as string
    ];
    if (type) assert.is(compiled.type, type);
    if (compiled.type === 'boolean') assert.is(compiled.holds(past), value === true);
  });
}
values.run();

/** Text, the part that carets point at, and what the message says. */
const REFUSALS: [expression: string, column: number, carets: number, message: RegExp][] = [
  ['', 1, 1, /an expression is expected/],
  ['  ', 1, 1, /an expression is expected/],
  ['u32[couter]', 5, 6, /nothing is called 'couter'; did you mean 'counter'\?$/m],
  ['sise', 1, 4, /did you mean 'size'/],
  ['counter > \n couter', 2, 6, /^line 2, column 2: /],
  ['fixed', 1, 5, /global 'fixed' is none that can change/],
  ['global[4]', 8, 1, /global 4 is none that can change: no history has it; there are '0', '2'/],
  ['global["countr"]', 8, 8, /no global is called 'countr'; did you mean 'counter'\?/],
  ['global.countr', 8, 6, /no global is called 'countr'/],
  ['global[counter]', 8, 7, /a global is given by its number or name, as it stands/],
  ['global[0.5]', 8, 3, /a global is given by its number or name/],
  ['symbol["tabel"]', 8, 7, /no symbol is called 'tabel'; did you mean 'table'\?/],
  ['symbol[3]', 8, 1, /no symbol is called '3'/],
  ['memory[2].u32[0]', 8, 1, /the module has no memory 2; there are '0', '1'/],
  ['memory["haep"].size', 8, 6, /no memory is called 'haep'; did you mean 'heap'\?/],
  ['memory[counter].size', 8, 7, /a memory is given by its number, or its exported name/],
  ['memory', 1, 6, /which part of memory/],
  ['memory[1]', 1, 9, /which part of memory/],
  ['memory.u33[0]', 1, 10, /'\[' stands behind the type/],
  ['memory.u33', 8, 3, /a memory has no 'u33'; it has size, u8/],
  ['memory.u32', 1, 10, /the address is missing, as in 'u32\[0x1000\]'/],
  ['memory.bytes', 1, 12, /address and length are missing/],
  ['global', 1, 6, /which global/],
  ['symbol', 1, 6, /which symbol/],
  ['u32', 1, 3, /the address is missing/],
  ['bytes', 1, 5, /address and length are missing/],
  ['u32(5)', 1, 6, /write 'u32\[address\]'/],
  ['bytes[5]', 1, 8, /write 'bytes\(address, length\)'/],
  ['str(5)', 1, 6, /write 'str\(address, length\)'/],
  ['counter[5]', 1, 7, /'\[' stands behind the type of what is to be read \(u8, /],
  ['counter.x', 9, 1, /there is no '\.x'/],
  ['u32[-1]', 5, 2, /no memory has this address/],
  ['u32[1 << 53]', 5, 7, /no memory has this address/],
  ['u32[0.5]', 5, 3, /an address is an integer, and this is a float; write 'int/],
  ['u32["a"]', 5, 3, /an address is an integer, and this is a string$/m],
  ['bytes(0, -1)', 10, 2, /a length goes from 0 to 1048576/],
  ['bytes(0, 2.0)', 10, 3, /a length is an integer/],
  ['u32[1, 2]', 5, 4, /a ',' only stands between/],
  [
    'counter && true',
    1,
    7,
    /before '&&' a truth value is expected, and this is an integer; write '\.\.\. != 0'/,
  ],
  ['true || "a"', 9, 3, /behind '\|\|' a truth value is expected, and this is a string$/m],
  ['counter ? 1 : 2', 1, 7, /before '\?' a truth value is expected/],
  ['true ? 1 : "a"', 1, 14, /both results of '\?:' are of one type, and these are an integer and a string/],
  ['!counter', 2, 7, /'!' takes a truth value, and this is an integer; write '\.\.\. == 0'/],
  ['~0.5', 2, 3, /'~' takes an integer, and this is a float/],
  ['-"a"', 2, 3, /'-' takes a number, and this is a string/],
  ['+true', 2, 4, /'\+' takes a number, and this is a truth value/],
  ['1 + "a"', 5, 3, /'\+' takes numbers, and this is a string/],
  ['1.5 | 2', 1, 3, /'\|' takes integers, and this is a float/],
  [
    'counter & 1 == 1',
    11,
    6,
    /'&' takes integers, and this is a truth value: '==' binds tighter, write '\(a & b\) == c'/,
  ],
  ['i64[0] >>> 1', 1, 6, /'>>>' takes what has 32 bits/],
  ['"a" < "b"', 1, 9, /'<' does not compare a string with a string/],
  ['"a" == 1', 1, 8, /'==' does not compare a string with an integer/],
  ['1 < counter < 3', 1, 15, /does not compare a truth value with an integer; write 'a < b && b < c'/],
  ['1 / 0', 1, 5, /this never has a value/],
  ['counter + (1 << 1024)', 12, 9, /this never has a value/],
  ['1 << -1', 1, 7, /this never has a value/],
  ['old(old(counter))', 5, 12, /'old' cannot stand within 'old'/],
  ['old(entry)', 5, 5, /'entry' is no state/],
  ['old()', 1, 5, /write 'old\(expression\)'/],
  ['olt(1)', 1, 3, /there is no function 'olt'; did you mean 'old'\?/],
  ['toString(1)', 1, 8, /there is no function 'toString'/],
  ['__proto__', 1, 9, /nothing is called '__proto__'/],
  ['count()', 1, 5, /to call the guest's function, write 'call\("count", \.\.\.\)'/],
  ['abs', 1, 3, /'abs' is a function: write 'abs\(number\)'/],
  ['abs("a")', 5, 3, /'abs' takes numbers, and this is a string/],
  ['min(1)', 1, 6, /write 'min\(a, b, \.\.\.\)'/],
  ['contains(1, "a")', 10, 1, /'contains' takes strings and bytes, and this is an integer/],
  ['hex(1)', 5, 1, /'hex' takes a string as it stands/],
  ['hex("0")', 5, 3, /these are no bytes in hexadecimal/],
  ['call(counter)', 6, 7, /'call' takes the name of a function as it stands/],
  ['call("cuont")', 6, 7, /the module exports no function 'cuont'; did you mean 'count'\?/],
  ['call("count", 1)', 1, 16, /'count' takes no arguments, and 1 is given/],
  ['call("total", 1)', 1, 16, /'total' takes 4 arguments \(i32, i64, f32, f64\), and 1 is given/],
  ['call("total", 0.5, 1, 1, 1)', 15, 3, /this argument is an i32, and what is given is a float/],
  ['call("both")', 6, 6, /'both' cannot be called/],
  ['call("opaque", 1)', 6, 8, /'opaque' cannot be called/],
  ['memory.size()', 1, 11, /only a function can stand before '\('/],
  ['a b', 3, 1, /an operator, or the end, is expected before 'b'/],
  ['counter and true', 9, 3, /'and' is not expected here: write '&&'/],
  ['counter === 1', 9, 3, /there is no operator '===': write '=='/],
  ['counter !== 1', 9, 3, /there is no operator '!==': write '!='/],
  ['counter ** 2', 9, 2, /there is no operator '\*\*': there is no power/],
  ['counter ?? 2', 9, 2, /write 'defined\(a\) \? a : b'/],
  ['counter in 2', 9, 2, /there is no operator 'in'/],
  ['typeof counter', 1, 14, /there is no operator 'typeof'/],
  ['u32[0] = 5', 1, 10, /an expression changes nothing; compare with '=='/],
  ['5 = counter', 1, 3, /an expression changes nothing/],
  ['counter += 5', 1, 12, /an expression changes nothing/],
  ['u32[0]++', 1, 8, /an expression changes nothing/],
  ['counter => 5', 1, 12, /there is no '=>'; compare with '>='/],
  ['counter?.x', 1, 10, /there is no '\?\.'/],
  ['[1]', 1, 3, /stands behind the type of what is to be read/],
  ['`a`', 1, 3, /single or double quotes/],
  ['5n', 1, 2, /leave out the 'n'/],
  ['null', 1, 4, /'null' has no meaning here/],
  ['/a/', 1, 3, /'\/a\/' has no meaning here/],
  ['{}', 1, 2, /this part of JavaScript has no meaning here/],
  ['1, 2', 1, 4, /one expression is expected/],
  ['abs(...counter)', 5, 10, /this part of JavaScript/],
  ['7 // 2', 3, 4, /there are no comments/],
  ['7 /* two */ / 2', 3, 9, /there are no comments/],
  ['u32[0', 6, 1, /more is expected here/],
  ['1 +', 4, 1, /more is expected here/],
  ['1 + )', 5, 1, /'\)' is not expected here/],
  ['1 )', 3, 1, /an operator, or the end, is expected before '\)'/],
  ['1 <> 2', 4, 1, /'>' is not expected here/],
  ['"abc', 1, 4, /unterminated string constant/],
  ['12abc', 3, 3, /identifier directly after number/],
  ['1 @', 3, 1, /unexpected character '@'/],
  ['static == 1', 1, 6, /the keyword 'static' is reserved/],
  [String.raw`"\ud800"`, 1, 8, /half of a surrogate pair/],
  ['"\u{1f600}" == \u{1f600}', 8, 1, /unexpected character/],
];

const refusals = suite('expressions that are refused');
for (const [expression, column, carets, message] of REFUSALS) {
  refusals(JSON.stringify(expression), () => {
    const error = refused(expression);
    assert.match(error.message, message);
    assert.is(error.column, column, error.message);
    const lines = error.message.split('\n');
    assert.is(lines.at(-1), `  ${' '.repeat(column - 1)}${'^'.repeat(carets)}`, error.message);
    assert.is(lines.at(-2), `  ${expression.split('\n').at(-1)}`);
  });
}

function refused(expression: string, options?: Parameters<typeof compile>[2], of = names): ExpressionError {
  try {
    compile(expression, of, options);
  } catch (error) {
    assert.instance(error, BelayError, String((error as Error).stack));
    assert.is((error as ExpressionError).code, 'ERR_BELAY_EXPRESSION');
    return error as ExpressionError;
  }
  throw new Error(`${expression} was taken`);
}

refusals('too long, and too deep', () => {
  assert.match(refused('1+'.repeat(5001)).message, /at most 10000 characters/);
  const nested = (open: string, close: string, levels: number) =>
    `${open.repeat(levels)}1${close.repeat(levels)}`;
  for (const levels of [260, 2000]) {
    for (const [open, close] of [
      ['(', ')'],
      ['!', ''],
      ['1+', ''],
      ['u8[', ']'],
      ['min(1,', ')'],
    ] as const) {
      const expression = nested(open, close, levels).slice(0, 10_000);
      assert.match(refused(expression).message, /nested|more is expected/);
    }
  }
  assert.is(compile(`${'1+'.repeat(200)}1`, names).evaluate(past), 201n);
});

refusals('of a long line, the message shows what is around the place', () => {
  const expression = `${'counter + '.repeat(100)}couter${' + counter'.repeat(100)}`;
  const [, line, carets] = refused(expression).message.split('\n');
  assert.ok(line!.length <= 102);
  assert.is(line!.slice(carets!.indexOf('^'), carets!.lastIndexOf('^') + 1), 'couter');
});

refusals('a module without memory', () => {
  const bare: Names = { contract: contractOf([], []), globalNames: new Map() };
  assert.match(refused('u32[0]', {}, bare).message, /the module has no memory/);
  assert.match(refused('size', {}, bare).message, /the module has no memory/);
  assert.match(refused('call("f")', {}, bare).message, /the functions of the module are not known/);
  assert.match(refused('symbol.x', {}, bare).message, /no symbol is called 'x'/);
});

refusals('another type than is asked for', () => {
  const error = refused('u32[0]', { type: 'boolean' });
  assert.match(error.message, /a condition is expected, such as .*; this is an integer/);
  assert.match(
    refused('1 < 2', { type: 'integer' }).message,
    /an integer is expected; this is a truth value/,
  );
  compile('1 < 2', names, { type: 'boolean' });
  assert.throws(
    () => compile('u32[0]', names).holds(past),
    (e: BelayError) => e.code === 'ERR_BELAY_EXPRESSION',
  );
});
refusals.run();

test('what an expression says of itself', () => {
  const one = compile(' old(u32[counter]) == 5', names);
  assert.is(one.text, ' old(u32[counter]) == 5');
  assert.is(one.usesOld, true);
  assert.is(one.usesEntry, false);
  assert.equal(one.calls, []);
  assert.is(one.reads, undefined, 'the address is read');
  assert.is(compile('counter', names).usesOld, false);
  assert.is(compile('entry', names).usesEntry, true);
  assert.is(compile('entry', names).reads, undefined);
});

test('reads: where all addresses are constant', () => {
  const reads = (expression: string) => compile(expression, names).reads;
  const registers = (address: number, length: number) => ({ space: 0, address, length });
  // Sizes: host, two memories; then globals.
  assert.equal(reads('1 + 2'), []);
  assert.equal(reads('counter > 5'), [registers(24, 4)]);
  assert.equal(reads('wide > 5 || lanes == ""'), [registers(40, 8), registers(88, 16)]);
  assert.equal(reads('size'), [registers(8, 8)]);
  assert.equal(reads('u32[table + 4] == old(u32[table + 4])'), [
    registers(8, 8),
    { space: 2, address: 0x1004, length: 4 },
  ]);
  assert.equal(reads('memory[1].bytes(8, 3) == str[5]'), [
    registers(16, 8),
    { space: 3, address: 8, length: 3 },
    registers(8, 8),
    { space: 2, address: 5, length: 4096 },
  ]);
  assert.is(reads('bytes(0, u8[0]) == ""'), undefined);
  assert.is(reads('call("count") == 1'), undefined);
});

test('calls: what is asked for, and how', () => {
  const compiled = compile(
    'call("total", u32[table], wide * 3, 0.1, 1) + call("count") + old(call("count"))',
    names,
  );
  assert.equal(compiled.calls, [
    { name: 'total', params: ['i32', 'i64', 'f32', 'f64'], results: ['i64'] },
    { name: 'count', params: [], results: ['i32'] },
  ]);
  calls.length = 0;
  assert.is(compiled.evaluate(past), 10n);
  assert.equal(calls, [
    ['total', [-2, BigInt.asIntN(64, (2n ** 63n - 1n) * 3n), Math.fround(0.1), 1], 0],
    ['count', [], 0],
    ['count', [], 1],
  ]);
});

test('calls: a trap is no value, and arguments without a value are given to nobody', () => {
  calls.length = 0;
  const trapping: CallingPast = {
    entry: 0,
    page: past.page.bind(past),
    size: past.size.bind(past),
    call: (name, args, back) => {
      calls.push([name, args, back]);
      return undefined;
    },
  };
  assert.is(compile('call("count") == 0', names).evaluate(trapping), undefined);
  assert.is(calls.length, 1);
  assert.is(compile('call("total", u32[131072], 0, 0, 0) == 0', names).evaluate(trapping), undefined);
  assert.is(calls.length, 1);
});

test('calls: without a guest to call', () => {
  const { page, size } = past;
  const silent: CallingPast = { entry: 0, page: page.bind(past), size: size.bind(past) };
  assert.throws(
    () => compile('1 + call("count") == 0', names).holds(silent),
    (e: ExpressionError) => e.column === 5 && /'count' cannot be called here/.test(e.message),
  );
});

test('undefinedCount counts both ways to ask', () => {
  const compiled = compile('u32[u32[0x3500]] == 0', names);
  assert.is(compiled.holds(past), false);
  assert.is(compiled.evaluate(past), undefined);
  assert.is(compiled.undefinedCount, 2);
});

test('64-bit memories: addresses up to 2^53', () => {
  const far = 2 ** 52 + 4094;
  const view = new DataView(new ArrayBuffer(4096));
  const asked: number[] = [];
  const huge: CallingPast = {
    entry: 0,
    size: () => 2 ** 53,
    page: (_space, page) => {
      asked.push(page);
      return view;
    },
  };
  view.setUint16(4094, 0x1234, true);
  view.setUint16(0, 0x5678, true);
  assert.is(compile(`u32[${far}]`, names).evaluate(huge), 0x56781234n);
  assert.is(compile(`u32[${far} + u8[9]]`, names).evaluate(huge), 0x56781234n);
  assert.equal(asked, [2 ** 40, 2 ** 40 + 1, 0, 2 ** 40, 2 ** 40 + 1]);
});

test('a simple condition takes far less than a microsecond', () => {
  const views = Array.from({ length: 16 }, (_, k) => new DataView(now[0]!.buffer, k * 4096, 4096));
  const cached: CallingPast = { entry: 0, size: () => 65536, page: (_space, page) => views[page]! };
  const condition = compile('u32[0x1000] > 5', names);
  const milliseconds = Array.from({ length: 5 }, () => {
    const begin = performance.now();
    for (let i = 0; i < 100_000; i++) condition.holds(cached);
    return performance.now() - begin;
  });
  assert.ok(Math.min(...milliseconds) < 100, `${milliseconds} ms for 100000`);
});

// The bytes of a module: \0asm, then sections.
const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const vec = (items: number[][]): number[] => [...leb(items.length), ...items.flat()];
const str = (s: string): number[] => [...leb(s.length), ...new TextEncoder().encode(s)];
const section = (id: number, body: number[]): number[] => [id, ...leb(body.length), ...body];
const HEAD = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const [I32, I64, F32, F64] = [0x7f, 0x7e, 0x7d, 0x7c];
const module = Uint8Array.from([
  ...HEAD,
  ...section(
    1,
    vec([
      [0x60, ...vec([]), ...vec([])],
      [0x60, ...vec([[I32], [I64], [F32], [F64]]), ...vec([[I32]])],
      [0x60, ...vec([[0x6f]]), ...vec([[I64]])],
    ]),
  ),
  ...section(
    2,
    vec([
      [...str('e'), ...str('f'), 0, 2],
      [...str('e'), ...str('t'), 1, 0x70, 1, 1, 2],
      [...str('e'), ...str('m'), 2, 0, 1],
      [...str('e'), ...str('g'), 3, I32, 0],
    ]),
  ),
  ...section(3, vec([[1], [0]])),
  ...section(
    6,
    vec([
      [I32, 0, 0x41, ...leb(0x400), 0x0b],
      [I32, 1, 0x41, 1, 0x0b],
      [I32, 0, 0x23, 0, 0x0b],
      [F64, 0, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b],
      [0x7b, 0, 0xfd, 0x0c, ...new Array<number>(16).fill(0x0b), 0x0b],
      [0x70, 0, 0xd0, 0x70, 0x0b],
      [0x70, 0, 0xd2, 1, 0x0b],
      [I32, 0, 0x41, 0x7f, 0x0b],
      [I64, 0, 0x42, 0x80, 0x80, 0x80, 0x80, 0x20, 0x0b],
      [I64, 0, 0x42, 0x7f, 0x0b],
    ]),
  ),
  ...section(
    7,
    vec([
      [...str('counter'), 3, 1],
      [...str('changes'), 3, 2],
      [...str('imports'), 3, 0],
      [...str('float'), 3, 4],
      [...str('high'), 3, 8],
      [...str('far'), 3, 9],
      [...str('too far'), 3, 10],
      [...str('belay:global'), 3, 1],
      [...str('imported'), 0, 0],
      [...str('sum'), 0, 1],
      [...str('nothing'), 0, 2],
      [...str('belay:checkpoint'), 0, 2],
      [...str('m'), 2, 0],
    ]),
  ),
  ...section(
    10,
    vec([
      [4, 0, 0x41, 0, 0x0b],
      [2, 0, 0x0b],
    ]),
  ),
  ...section(0, [
    ...str('name'),
    ...section(0, str('module')),
    ...section(
      7,
      vec([
        [0, ...str('stack')],
        [(300 & 127) | 128, 2, ...str('late')],
        [1, ...str('stack')],
      ]),
    ),
  ]),
  ...section(0, [...str('other'), 7, 1, 2]),
]);

test('namesOf: names of globals, and types of exported functions', () => {
  assert.ok(WebAssembly.validate(module));
  const { globalNames, functions } = namesOf(module);
  assert.equal(
    [...globalNames],
    [
      ['stack', 0],
      ['late', 300],
    ],
  );
  assert.equal(
    [...functions!],
    [
      ['imported', { params: ['other'], results: ['i64'] }],
      ['sum', { params: ['i32', 'i64', 'f32', 'f64'], results: ['i32'] }],
      ['nothing', { params: [], results: [] }],
    ],
  );
});

test('namesOf: exported integers that cannot change are symbols', () => {
  assert.equal(
    [...namesOf(module).symbols],
    [
      ['counter', 0x400],
      ['high', 0xffff_ffff],
      ['far', 2 ** 33],
    ],
  );
});

test('a symbol goes before a global that only the section of names knows, and that cannot change', () => {
  const symbols = new Map([['fixed', 0x1000]]);
  assert.is(compile('u32[fixed]', { ...names, symbols }).evaluate(past), 0xfffffffen);
});

test('namesOf: a module without names, and bytes that are cut off', () => {
  assert.is(namesOf(Uint8Array.from(HEAD)).globalNames.size, 0);
  for (let length = 0; length < module.length; length++) namesOf(module.subarray(0, length));
});

test.run();
