/**
 * How the host reaches the state that is not in memory, to store it and to load it elsewhere (contract/state.ts):
 *
 *     (func (export "belay:global:get:0") (result i32) (global.get 7))          for each mutable global
 *     (func (export "belay:global:set:0") (param i32) (global.set 7 (local.get 0)))
 *     (table (export "belay:functions") 3 3 funcref)                            what tables may refer to
 *     (elem (table belay:functions) (i32.const 0) func 4 9 10)
 *
 * JavaScript gives the same object for the same function, whichever table it comes from: that is how it finds out which
 * of the module's functions an element is.
 */
import type { GlobalState } from '../contract/contract.js';
import type { TypePool } from './link.js';
import type { Survey } from './survey.js';
import type { Module } from './wasm/module.js';
import { refersToFunction, typeName } from './wasm/types.js';
import { Writer } from './wasm/writer.js';

/** The module's mutable globals, as the contract has them. */
export function globalStates(module: Module): GlobalState[] {
  return module.globals.flatMap((g, index) =>
    g.mutable
      ? {
          index,
          type: typeName(g.type),
          exports: module.exports.filter((e) => e.kind === 3 && e.index === index).map((e) => e.name),
          ...(g.import && { import: [g.import.module, g.import.name] as [string, string] }),
        }
      : [],
  );
}

/** Functions that may be in `tables` or in a global, ascending. None where neither can have any. */
export function reachableFunctions({ module, references }: Survey, tables: readonly number[]): number[] {
  const holders = [
    ...tables.map((t) => module.tables[t]!.type),
    ...module.globals.filter((g) => g.mutable).map((g) => g.type),
  ];
  if (!holders.some((type) => refersToFunction(module, type))) return [];
  return [...references].sort((a, b) => a - b);
}

const I32 = Uint8Array.of(0x7f);
const I64 = Uint8Array.of(0x7e);

/** How the bits of a float become an integer, and back. */
const REINTERPRET: Record<string, [as: Uint8Array, to: number, from: number]> = {
  f32: [I32, 0xbc, 0xbe],
  f64: [I64, 0xbd, 0xbf],
};

/** Two functions for each of `states`, in turn: one that gives its value, and one that sets it. */
export function globalAccessors(module: Module, states: readonly GlobalState[], types: TypePool) {
  return states.flatMap(({ index, type }, i) => {
    const get = new Writer().byte(0, 0x23).u(index);
    const set = new Writer().byte(0, 0x20, 0);
    let values = [module.globals[index]!.type];
    const bits = REINTERPRET[type];
    if (bits) {
      values = [bits[0]];
      get.byte(bits[1]);
      set.byte(bits[2]);
    } else if (type === 'v128') {
      values = [I64, I64];
      // i64x2.extract_lane 0, and 1; i64x2.splat, i64x2.replace_lane 1.
      get.byte(0xfd, 0x1d, 0, 0x23).u(index).byte(0xfd, 0x1d, 1);
      set.byte(0xfd, 0x12, 0x20, 1, 0xfd, 0x1e, 1);
    }
    set.byte(0x24).u(index);
    return [
      { name: `get${i}`, type: types.intern([], values), body: get.byte(0x0b).done() },
      { name: `set${i}`, type: types.intern(values, []), body: set.byte(0x0b).done() },
    ];
  });
}

/** The entry in the element section that fills table `table` with `functions`. */
export function functionSegment(table: number, functions: readonly number[]): Writer {
  const w = new Writer().byte(2).u(table).byte(0x41, 0, 0x0b, 0).u(functions.length);
  for (const index of functions) w.u(index);
  return w;
}
