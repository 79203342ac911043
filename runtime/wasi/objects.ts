/**
 * The objects that the file-system module refers to by number, as data.
 *
 * While the module is not running, they are few, and of few kinds: functions of its table, most of them bound to
 * arguments (these are the WASI functions that it made), stand-ins for the guest, and a symbol. Each is listed once, as
 * an array that begins with its kind, and after all that it refers to. A value is an object's number in that list, in
 * an array of its own; null, a boolean, a number or a string is itself.
 *
 *     ['undefined']  ['symbol', description]  ['global', name]  ['table', index]  ['bound', target, this, ...arguments]
 *     ['module', namespace]  ['memory']  ['instance', memory]  ['error', message]
 */
import type { Guest } from '../types.js';
import { damaged, isIndex, stateError } from './saved.js';
import { StandInInstance, StandInMemory, StandInModule } from './stand-ins.js';

/** What a function was bound to; its target first, then `this`. */
export type Bound = readonly [target: unknown, self: unknown, ...args: unknown[]];

/** Where the objects belong to: an instance of the module. */
export interface Surroundings {
  table: WebAssembly.Table;
  bound: WeakMap<object, Bound>;
  served: () => Guest;
}

/** Objects of the engine that the module may hold. */
const GLOBALS: Readonly<Record<string, unknown>> = { globalThis, Object, Symbol };

/** Says objects as data. */
export class ObjectWriter {
  readonly list: unknown[][] = [];
  readonly #numbers = new Map<unknown, number>();
  readonly #bound: WeakMap<object, Bound>;
  readonly #functions = new Map<unknown, number>();

  constructor({ table, bound }: Surroundings) {
    this.#bound = bound;
    for (let i = 0; i < table.length; i++) {
      const element = table.get(i);
      if (element && !this.#functions.has(element)) this.#functions.set(element, i);
    }
  }

  /** @throws ERR_BELAY_STATE naming what cannot be said */
  value(value: unknown): unknown {
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
    // -0 is an integer to some writers of MessagePack.
    if (typeof value === 'number' && Number.isFinite(value) && !Object.is(value, -0)) return value;
    let number = this.#numbers.get(value);
    if (number === undefined) {
      const said = this.#object(value);
      number = this.list.push(said) - 1;
      this.#numbers.set(value, number);
    }
    return [number];
  }

  #object(value: unknown): unknown[] {
    if (value === undefined) return ['undefined'];
    if (typeof value === 'symbol') return ['symbol', value.description ?? null];
    for (const [name, global] of Object.entries(GLOBALS)) if (value === global) return ['global', name];
    const index = this.#functions.get(value);
    if (index !== undefined) return ['table', index];
    const bound = typeof value === 'function' ? this.#bound.get(value) : undefined;
    if (bound) return ['bound', ...bound.map((part) => this.value(part))];
    if (value instanceof StandInModule) return ['module', value.namespace];
    if (value instanceof StandInMemory) return ['memory'];
    if (value instanceof StandInInstance) return ['instance', this.value(value.exports.memory)];
    if (value instanceof Error && value.constructor === Error) return ['error', value.message];
    throw stateError(
      `the file system holds ${describe(value)}, which cannot be saved: roll back, or save at a time when no call of it has failed`,
    );
  }
}

/** Makes objects of data. */
export class ObjectReader {
  readonly #objects: unknown[] = [];
  readonly #in: Surroundings;

  /** @throws ERR_BELAY_STATE */
  constructor(list: readonly unknown[], surroundings: Surroundings) {
    this.#in = surroundings;
    for (const said of list) this.#objects.push(this.#object(said));
  }

  value(said: unknown): unknown {
    if (!Array.isArray(said)) {
      if (said === null || ['boolean', 'string', 'number'].includes(typeof said)) return said;
    } else if (said.length === 1 && isIndex(said[0], this.#objects.length - 1)) {
      return this.#objects[said[0]];
    }
    throw damaged('files', 'it refers to an object that is not there');
  }

  #object(said: unknown): unknown {
    const [kind, first, ...more] = Array.isArray(said) ? (said as unknown[]) : [];
    const { table, bound, served } = this.#in;
    switch (kind) {
      case 'undefined':
        return undefined;
      case 'symbol':
        if (first === null || typeof first === 'string') return Symbol(first ?? undefined);
        break;
      case 'global':
        if (typeof first === 'string' && Object.hasOwn(GLOBALS, first)) return GLOBALS[first];
        break;
      case 'table': {
        const element: unknown = isIndex(first, table.length - 1) ? table.get(first) : null;
        if (element) return element;
        break;
      }
      case 'bound': {
        const target = this.value(first);
        if (typeof target !== 'function' || more.length === 0) break;
        const [self, ...args] = more.map((part) => this.value(part));
        return bind(bound, target as Callable, self, ...args);
      }
      case 'module':
        if (typeof first === 'string') return new StandInModule(first);
        break;
      case 'memory':
        return new StandInMemory(served());
      case 'instance': {
        const memory = this.value(first);
        if (memory instanceof StandInMemory) return new StandInInstance(memory);
        break;
      }
      case 'error':
        if (typeof first === 'string') return new Error(first);
        break;
    }
    throw damaged('files', 'an object of it is none that is known');
  }
}

type Callable = (...args: unknown[]) => unknown;

/** Binds a function, and notes to what. */
export function bind(
  bound: WeakMap<object, Bound>,
  target: Callable,
  self: unknown,
  ...args: unknown[]
): Callable {
  const made = target.bind(self, ...args) as Callable;
  bound.set(made, [target, self, ...args]);
  return made;
}

function describe(value: unknown): string {
  if (typeof value === 'function') return `the function ${value.name || '(without a name)'}`;
  if (typeof value !== 'object' || value === null) return `the ${typeof value} ${String(value)}`;
  return `an object of class ${value.constructor?.name ?? '(none)'}`;
}
