/** Names of variables, as tools write them down. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseSymbols } from '../../../runtime/history/symbols.js';

const MAP = `    Addr      Off     Size Out     In      Symbol
       -       28        f GLOBAL
       0        0        0         __stack_pointer
       -       55       2d CODE
       -       56       10         app.o:(bar)
       -       56       10                 bar
       -       82       11 DATA
     400       83        8 .data
     400       89        8         app.o:(.data.counter)
     400       89        8                 counter
     408       82        4 .bss
     408        0        4         app.o:(.bss.table)
     408        0        4                 std::map<int, int>::table
     40c        0        4         other.o:(.bss.counter)
     40c        0        4                 counter
       -       93       12 CUSTOM(.debug_info)
      10        0        4                 nothing
`;

test('a map of the linker: symbols of its data', () => {
  const expected = [
    ['counter', 0x400],
    ['std::map<int, int>::table', 0x408],
  ];
  assert.equal([...parseSymbols(MAP)], expected);
  assert.equal([...parseSymbols(MAP.replaceAll('\n', '\r\n'))], expected);
});

test('what nm prints: variables, and no functions', () => {
  const text = '         U imported\n00000010 T main\n0000000000000400 D counter\n00000408 b table\n';
  assert.equal(
    [...parseSymbols(text)],
    [
      ['counter', 0x400],
      ['table', 0x408],
    ],
  );
});

test('JSON', () => {
  assert.equal([...parseSymbols('{"counter": 1024}\n')], [['counter', 1024]]);
});

test('anything else is refused', () => {
  const refused = (text: string, pattern: RegExp) =>
    assert.throws(
      () => parseSymbols(text, 'app.map'),
      (error: Error & { code?: string }) => error.code === 'ERR_BELAY_OPTION' && pattern.test(error.message),
    );
  const none = /^app\.map has no symbols/;
  for (const text of [
    '',
    'counter',
    '{"counter": 1024',
    '{"counter": "1024"}',
    '{"counter": -1}',
    '{"a": 0.5}',
  ])
    refused(text, none);
  const noVariables = /^app\.map names no variable/;
  for (const text of ['00000010 T main\n', '{}', MAP.slice(0, MAP.indexOf('     400'))])
    refused(text, noVariables);
});

test.run();
