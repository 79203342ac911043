/** Which exports count as allocators, by name and by shape. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { handedOut, type Role, roleOf } from '../../../runtime/adapters/shape.js';

const NAMES: [string, Role][] = [
  ['malloc', 'alloc'],
  ['_malloc', 'alloc'],
  ['emscripten_builtin_malloc', 'alloc'],
  ['__wbindgen_malloc', 'alloc'],
  ['__wbindgen_malloc_command_export', 'alloc'],
  ['__new', 'alloc'],
  ['calloc', 'calloc'],
  ['realloc', 'realloc'],
  ['__wbindgen_realloc', 'realloc'],
  ['aligned_alloc', 'memalign'],
  ['emscripten_builtin_memalign', 'memalign'],
  ['stackAlloc', 'stack-alloc'],
  ['_emscripten_stack_alloc', 'stack-alloc'],
  ['stackRestore', 'stack-restore'],
  ['_emscripten_stack_restore', 'stack-restore'],
  ['free', 'free'],
  ['sqlite3_free', 'free'],
  ['__wbindgen_free', 'free'],
  ['dealloc', 'free'],
  ['sqlite3_column_text', 'other'],
  ['lua_tolstring', 'other'],
  ['Ka', 'unknown'],
  ['_', 'unknown'],
  ['$', 'unknown'],
  ['__wbindgen_export_0', 'unknown'],
  ['__wbindgen_export2', 'unknown'],
];
for (const [name, role] of NAMES) test(`${name} is ${role}`, () => assert.is(roleOf(name), role));

const P = 0x10000;
const CALLS: [string, Role, number[], number][] = [
  ['malloc(n)', 'alloc', [12], 12],
  ['a size that does not fit in 31 bits', 'alloc', [-16], 0xfffffff0],
  ['calloc(n, size)', 'calloc', [3, 8], 24],
  ['aligned_alloc(align, n)', 'memalign', [64, 100], 100],
  ['realloc(p, n)', 'realloc', [P, 77], 77],
  ['__wbindgen_realloc(p, old, n, align)', 'realloc', [P, 10, 99, 1], 99],
  ['without a name: (n)', 'unknown', [40], 40],
  ['without a name: (n, align)', 'unknown', [40, 8], 40],
  ['without a name: (align, n)', 'unknown', [65536, 70000], 70000],
  ['without a name: (p, old, n, align)', 'unknown', [P, 10, 99, 4], 99],
  ['without a name: (p, something)', 'unknown', [P + 1, 300], 0],
  ['known to be something else', 'other', [40], 0],
];
for (const [name, role, args, length] of CALLS) {
  test(name, () => assert.is(handedOut(role, args, P), length));
}

test.run();
