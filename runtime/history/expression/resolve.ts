/** From the names in an expression to places in the state. */
import { closestMatch } from 'leven';
import type { Contract } from '../../../contract/contract.js';
import { type StateShape, stateShape } from '../../guest/state.js';
import type { Names } from './names.js';
import type { MemoryKey } from './syntax.js';

export type Global = Contract['globals'][number];

/** Why a name stands for nothing; `known` is what there is instead. */
export class Unknown {
  constructor(
    readonly problem: string,
    readonly known: readonly string[] = [],
  ) {}
}

const LISTED = 8;

/** `; did you mean 'counter'?`, or a list if that is short, or nothing. */
export function suggestion(name: string, known: readonly string[]): string {
  // (One number is as good as another.)
  const close = /^\d+$/.test(name)
    ? undefined
    : closestMatch(name, [...known], { maxDistance: Math.max(1, Math.ceil(name.length / 3)) });
  if (close !== undefined) return `; did you mean '${close}'?`;
  if (known.length === 0 || known.length > LISTED) return '';
  return `; there ${known.length === 1 ? 'is' : 'are'} ${known.map((n) => `'${n}'`).join(', ')}`;
}

export class Resolver {
  readonly shape: StateShape;
  private readonly globals: readonly Global[];

  constructor(private readonly names: Names) {
    this.shape = stateShape(names.contract);
    this.globals = names.contract.globals;
  }

  /** Where in the registers a global is. */
  offset(global: Global): number {
    return this.shape.globals + 16 * this.globals.indexOf(global);
  }

  /** By exported name, by name in the module's section of names. Undefined if no global is called so. */
  globalCalled(name: string): Global | Unknown | undefined {
    const exported = this.globals.find(({ exports }) => exports.includes(name));
    if (exported) return exported;
    const index = this.names.globalNames.get(name);
    return index === undefined ? undefined : this.globalNumber(index, `'${name}'`);
  }

  globalNumber(index: number, called = `${index}`): Global | Unknown {
    const found = this.globals.find((global) => global.index === index);
    if (found) return found;
    const known = this.globals.map((g) => String(g.index));
    return new Unknown(
      `global ${called} is none that can change: no history has it`,
      called === `${index}` ? known : [],
    );
  }

  get globalNames(): string[] {
    const mutable = new Set(this.globals.map(({ index }) => index));
    const named = [...this.names.globalNames].filter(([, index]) => mutable.has(index));
    return [...new Set([...this.globals.flatMap(({ exports }) => exports), ...named.map(([name]) => name)])];
  }

  symbol(name: string): number | undefined {
    return this.names.symbols?.get(name);
  }

  get symbolNames(): string[] {
    return [...(this.names.symbols?.keys() ?? [])];
  }

  /** Number of a memory. */
  memory(memory: MemoryKey): number | Unknown {
    const { memories } = this.names.contract;
    if (memory === undefined) return memories.length > 0 ? 0 : new Unknown('the module has no memory');
    const { key } = memory;
    if (typeof key === 'number') {
      if (key < memories.length) return key;
      const numbers = memories.map((_, k) => String(k));
      return new Unknown(`the module has no memory ${key}`, numbers);
    }
    const exported = memories.findIndex((m) => m.export === key);
    const index = exported >= 0 ? exported : memories.findIndex((m) => m.import?.[1] === key);
    if (index >= 0) return index;
    return new Unknown(
      `no memory is called '${key}'`,
      memories.map((m) => m.export),
    );
  }
}
