/** The families of random modules. */

import { HAS_MEMORIES } from '../support/engines-skip.js';
import type { Tape } from '../support/generate.js';
import { generateFlow } from '../support/generate-flow.js';
import { generateState } from '../support/generate-state.js';
import { generateStress } from '../support/generate-stress.js';
import { generateTtf } from '../support/generate-ttf.js';
import type { Kind } from './case.js';

/** Whether this engine takes try_table. */
export const HAS_TRY_TABLE = WebAssembly.validate(
  // (func (block (try_table (catch_all 0))))
  Uint8Array.of(
    ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 13, 1, 11, 0],
    ...[0x02, 0x40, 0x1f, 0x40, 1, 2, 0, 0x0b, 0x0b, 0x0b],
  ),
);

const stress = (exceptions: 'none' | 'legacy' | 'new', name: string): Kind => ({
  name,
  tape: 6000,
  generate: (tape: Tape) => generateStress(tape, { exceptions }),
});

const flow = (exceptions: 'none' | 'legacy' | 'new', name: string): Kind => ({
  name,
  tape: 4000,
  options: { oracle: true, optimize: true },
  generate: (tape: Tape) => generateFlow(tape, exceptions),
});

export const KINDS: readonly Kind[] = [
  stress('none', 'stores'),
  stress('legacy', 'stores-try'),
  stress(HAS_TRY_TABLE ? 'new' : 'none', 'stores-try-table'),
  flow('none', 'flow'),
  flow('legacy', 'flow-try'),
  flow(HAS_TRY_TABLE ? 'new' : 'none', 'flow-try-table'),
  { name: 'state', tape: 1200, generate: (tape) => generateState(tape, false) },
  {
    name: 'wasm-opt',
    tape: 4000,
    generate: (tape) => generateTtf(tape, { exceptions: HAS_TRY_TABLE }),
  },
  ...(HAS_MEMORIES
    ? [
        {
          name: 'state-memories',
          tape: 1200,
          separate: true,
          generate: (tape: Tape) => generateState(tape, true),
        },
        {
          name: 'wasm-opt-memories',
          tape: 4000,
          separate: true,
          generate: (tape: Tape) => generateTtf(tape, { exceptions: HAS_TRY_TABLE, memories: true }),
        },
      ]
    : []),
];
