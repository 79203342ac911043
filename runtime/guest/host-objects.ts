/**
 * Memories and tables are changed by the host as well: glue code grows a memory, or puts callbacks into a
 * table. The objects that JavaScript sees stay the real ones (glue checks instanceof); their methods are
 * shadowed by own properties that go through the guest, so that such a change is undone like any other.
 *
 * Not handled: WebAssembly.Memory.prototype.grow.call(memory, n) and the like. A memory that grew that way is
 * noticed at the next checkpoint, grow or out-of-bounds store.
 */
import { type Contract, EXPORTS, PAGE } from '../../contract/contract.js';
import { BelayError } from '../../contract/errors.js';

type Call = (...args: (number | bigint | unknown)[]) => never;

const own = (target: object, name: string, value: unknown) =>
  Object.defineProperty(target, name, { value, configurable: true, writable: true });

export function trackMemory(
  memory: WebAssembly.Memory,
  k: number,
  is64: boolean,
  exports: WebAssembly.Exports,
): void {
  const grow = exports[EXPORTS.grow(k)] as unknown as Call;
  own(memory, 'grow', (delta: number | bigint) => {
    const old = grow(is64 ? BigInt(delta) : Number(delta)) as number | bigint;
    if (Number(old) === -1)
      throw new RangeError('WebAssembly.Memory.grow(): the memory cannot grow that far');
    return is64 ? old : Number(old) >>> 0;
  });
}

export function trackTable(table: WebAssembly.Table, i: number, exports: WebAssembly.Exports): void {
  const set = exports[EXPORTS.tableSet(i)] as unknown as Call;
  const grow = exports[EXPORTS.tableGrow(i)] as unknown as Call;
  const size = exports[EXPORTS.tableSize(i)] as unknown as Call;
  // A value that is left out is undefined in a table of externrefs, and null in any other.
  const withDefault = <T>(given: unknown[], call: (value: unknown) => T): T => {
    if (given.length) return call(given[0]);
    try {
      return call(undefined);
    } catch (error) {
      if (error instanceof TypeError) return call(null);
      throw error;
    }
  };
  own(table, 'set', (index: number, ...value: unknown[]) => {
    if (!(index >= 0 && index < (size() as number))) {
      throw new RangeError(`WebAssembly.Table.set(): invalid address ${index}`);
    }
    withDefault(value, (v) => set(index, v));
  });
  own(table, 'grow', (delta: number, ...value: unknown[]) => {
    const old = withDefault(value, (v) => grow(v, delta) as number);
    if (old === -1) throw new RangeError('WebAssembly.Table.grow(): failed to grow table');
    return old;
  });
}

/**
 * Checks memories that are imported before the engine does, because its message would not say what to do.
 * @throws ERR_BELAY_IMPORT
 */
export function checkImportedMemory(contract: Contract, imports: WebAssembly.Imports): void {
  for (const { import: names, total } of contract.memories) {
    if (!names || !total) continue;
    const memory = imports[names[0]]?.[names[1]];
    if (memory instanceof WebAssembly.Memory && memory.buffer.byteLength !== total * PAGE) {
      throw new BelayError(
        'ERR_BELAY_IMPORT',
        `the memory '${names[0]}' '${names[1]}' has ${memory.buffer.byteLength / PAGE} pages, and the inline layout needs exactly ${total}: pass new WebAssembly.Memory({ initial: ${total}, maximum: ${total} })`,
      );
    }
  }
}

/**
 * Two imports may not be the same memory or table: each would keep pre-images of its own, and a rollback would
 * put back the later ones.
 * @throws ERR_BELAY_IMPORT
 */
export function checkAliases(contract: Contract, imports: WebAssembly.Imports): void {
  const seen = new Map<unknown, string>();
  for (const { import: names } of [...contract.memories, ...contract.tables]) {
    const value = names && imports[names[0]]?.[names[1]];
    if (!value) continue;
    const name = `'${names[0]}' '${names[1]}'`;
    const other = seen.get(value);
    if (other) {
      throw new BelayError(
        'ERR_BELAY_IMPORT',
        `the imports ${other} and ${name} are one object, whose writes could not be told apart: pass two`,
      );
    }
    seen.set(value, name);
  }
}
