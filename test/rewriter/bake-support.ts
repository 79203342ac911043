/** States of plain instances, said byte by byte, so that baking is tested apart from the runtime. */
import loadWabt from 'wabt';
import { type Contract, EXPORTS, PAGE } from '../../contract/contract.js';
import { type GuestState, memorySpace, REGISTERS, stateShape, tableSpace } from '../../contract/state.js';
import { bake, instrument } from '../../rewriter/index.js';
import type { Baked, BakeOptions } from '../../rewriter/types.js';
import { parseModule } from '../../rewriter/wasm/module.js';
import type { Guest } from '../../runtime/types.js';
import { exposeState, STATE_PREFIX } from '../support/expose.js';
import { assertSame, type Call, compareOutcomes, outcome, show, snapshot } from '../support/oracle.js';
import { assemble } from './support.js';

const wabt = await loadWabt();

/** The module as text, having been read and validated by wabt. */
export function textOf(wasm: Uint8Array): string {
  const features = { bulk_memory: true, reference_types: true, multi_memory: true, memory64: true };
  const module = wabt.readWasm(wasm, { readDebugNames: true, exceptions: true, ...features });
  module.validate();
  const text = module.toText({ foldExprs: false, inlineExport: false });
  module.destroy();
  return text;
}

export const contractOf = (bytes: Uint8Array): Contract =>
  instrument(bytes, { mechanism: 'full-copy' }).contract;

export const load = (bytes: Uint8Array, imports: WebAssembly.Imports = {}): WebAssembly.Instance =>
  new WebAssembly.Instance(new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>), imports);

/** Numbers of segments that the instance has dropped, which nobody can see from outside. */
export interface Dropped {
  data?: readonly number[];
  elements?: readonly number[];
}

/** The state of a plain instance of a module that exports all of it (exposeState). */
export function stateOf(
  instance: WebAssembly.Instance,
  contract: Contract,
  bytes: Uint8Array,
  dropped: Dropped = {},
): GuestState {
  const module = parseModule(bytes);
  const shape = stateShape(contract);
  const registers = new Uint8Array(shape.length);
  const view = new DataView(registers.buffer);
  const item = (name: string) => instance.exports[STATE_PREFIX + name];
  const reference = (value: unknown) => (value === null ? 0 : Number((value as { name: string }).name) + 1);
  const memories = contract.memories.map((_, k) => {
    const { buffer } = item(`memory:${k}`) as WebAssembly.Memory;
    view.setBigUint64(8 * (1 + k), BigInt(buffer.byteLength / 65536), true);
    return new Uint8Array(buffer).slice();
  });
  const tables = contract.tables.map(({ index }, t) => {
    const table = item(`table:${index}`) as WebAssembly.Table;
    view.setBigUint64(8 * (1 + memories.length + t), BigInt(table.length), true);
    const content = new DataView(new ArrayBuffer(4 * table.length));
    for (let i = 0; i < table.length; i++) content.setUint32(4 * i, reference(table.get(i)), true);
    return new Uint8Array(content.buffer);
  });
  contract.globals.forEach(({ index }, i) => {
    const at = shape.globals + 16 * i;
    const get = item(`get:${index}`) as (() => unknown) | undefined;
    const value = get?.() ?? (item(`global:${index}`) as WebAssembly.Global | undefined)?.value;
    switch (module.globals[index]!.type[0]) {
      case 0x7f:
        return view.setInt32(at, value as number, true);
      case 0x7e:
        return view.setBigInt64(at, value as bigint, true);
      case 0x7d:
        return view.setFloat32(at, value as number, true);
      case 0x7c:
        return view.setFloat64(at, value as number, true);
      case 0x7b:
        return (value as bigint[]).forEach((half, k) => view.setBigInt64(at + 8 * k, half, true));
      default:
        return view.setUint32(at, reference(value), true);
    }
  });
  const { data, elements } = contract.segments;
  data.forEach((s, i) => view.setUint8(shape.segments + i, Number(dropped.data?.includes(s) ?? false)));
  elements.forEach((s, i) =>
    view.setUint8(shape.segments + data.length + i, Number(dropped.elements?.includes(s) ?? false)),
  );
  const state: GuestState = [registers, new Uint8Array(), ...memories, ...tables];
  state[REGISTERS] = registers;
  return state;
}

/**
 * The state of a guest of a module that exports all of it, but for what the host kept: glue that keeps something need not
 * be able to say it.
 */
export function stateOfGuest(guest: Guest, bytes: Uint8Array): GuestState {
  const { contract, state } = guest;
  const dropped = (segments: readonly number[], name: (segment: number) => string) =>
    segments.filter((s) => (guest.instance.exports[name(s)] as WebAssembly.Global).value);
  const { data, elements } = contract.segments;
  const made = stateOf(guest.instance, contract, bytes, {
    data: dropped(data, EXPORTS.droppedData),
    elements: dropped(elements, EXPORTS.droppedElements),
  });
  // The real ones may be larger than the guest knows.
  const sizes = new DataView(made[REGISTERS]!.buffer);
  contract.memories.forEach((_, k) => {
    made[memorySpace(k)] = state.memory(k).slice();
    sizes.setBigUint64(8 * (1 + k), BigInt(made[memorySpace(k)]!.length / PAGE), true);
  });
  contract.tables.forEach((_, t) => {
    const content = state.table(t);
    made[tableSpace(contract, t)] = new Uint8Array(content.buffer);
    sizes.setBigUint64(8 * (1 + contract.memories.length + t), BigInt(content.length), true);
  });
  return made;
}

export interface Case extends BakeOptions {
  /** What is called before the state is taken. */
  before?: readonly Call[];
  /** What is called afterwards, of the old instance and of the new one. */
  after?: readonly Call[];
  dropped?: Dropped;
  /** For each instance anew; `baked` for the new one. */
  imports?: (baked: boolean) => WebAssembly.Imports;
}

const invoke = (instance: WebAssembly.Instance, [name, ...args]: Call) =>
  outcome(() => (instance.exports[name] as (...a: unknown[]) => unknown)(...args));

/** Calls both, and throws unless the same comes of it and the state is the same. */
export function goOn(old: WebAssembly.Instance, fresh: WebAssembly.Instance, calls: readonly Call[]): void {
  assertSame(snapshot(fresh), snapshot(old), 'baked');
  for (const call of calls) {
    const difference = compareOutcomes(invoke(fresh, call), invoke(old, call));
    const [name, ...args] = call;
    if (difference) throw new Error(`${name}(${args.map(show).join(', ')}): ${difference}`);
    assertSame(snapshot(fresh), snapshot(old), `after ${name}(${args.map(show).join(', ')})`);
  }
}

/** Runs a module (text, or a binary that exports its state), bakes its state, and runs what came out against the old instance. */
export async function baked(
  text: string | Uint8Array,
  options: Case = {},
): Promise<Baked & { old: WebAssembly.Instance }> {
  const { before = [], after = [], dropped, imports = () => ({}), ...more } = options;
  const bytes = typeof text === 'string' ? exposeState(await assemble(text)) : text;
  const contract = contractOf(bytes);
  const old = load(bytes, imports(false));
  for (const call of before) invoke(old, call);
  const result = bake(bytes, contract, stateOf(old, contract, bytes, dropped), more);
  const { finished } = result.report;
  const calls = after.filter(([name]) => !finished.includes(name));
  goOn(old, load(result.wasm, imports(true)), calls);
  return { ...result, old };
}
